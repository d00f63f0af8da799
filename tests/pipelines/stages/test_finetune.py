"""A start policy is all that tells arms apart; a finished seed is not trained again."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.learning import training
from pipelines.learning.job import Job
from pipelines.learning.policy import load_policy
from pipelines.learning.run import PACKAGES
from pipelines.learning.runlog import (
    RunError,
    RunStatus,
    read_episodes,
    read_evaluations,
    read_run,
)
from pipelines.learning.world import read_world
from pipelines.running.params import ParamsError
from pipelines.stages import finetune
from pipelines.stages.finetune import jobs_of, train_seed
from pipelines.tasks.social_nav.scenarios import held_out_names
from tests.pipelines import tiny
from trajstore.disk.files import read_json
from trajstore.errors import StorageError, TrajStoreError

ROOT = Path(__file__).parents[3]
WORLD = tiny.WORLD


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress notes go to the working folder."""
    monkeypatch.chdir(tmp_path)


def job(folder: Path, *, arm: str = "baseline", start: Path | None = None) -> Job:
    (made,) = jobs_of(arm, tiny.FINETUNE, WORLD, folder.parent, start=start)
    return replace(made, folder=folder, start=start)


def test_a_run_leaves_what_a_comparison_reads_and_is_not_trained_twice(tmp_path: Path) -> None:
    assert train_seed(job(tmp_path / "run")) == "baseline seed 1: 48 online steps"
    record = read_run(tmp_path / "run")
    assert (record.status, record.steps, list(record.notes)) == (RunStatus.COMPLETED, 48, [])
    steps = [row["steps"] for row in read_evaluations(tmp_path / "run")]
    assert steps == [0, 16, 32, 48]
    assert len(read_episodes(tmp_path / "run")) == len(tiny.SCENARIOS) + len(held_out_names())
    load_policy(tmp_path / "run/policy")
    before = tiny.contents(tmp_path / "run")
    assert train_seed(job(tmp_path / "run")) == "baseline seed 1: finished before"
    assert tiny.contents(tmp_path / "run") == before


def test_held_out_scenarios_are_played_at_the_end_of_a_run_and_never_before(
    tmp_path: Path,
) -> None:
    train_seed(job(tmp_path / "run"))
    rows = read_episodes(tmp_path / "run")
    names = [row["scenario"] for row in rows]
    assert names == [*tiny.SCENARIOS, *held_out_names()]
    assert [row["seed"] for row in rows[:2]] == [1_200_000, 1_200_001]
    for row in read_evaluations(tmp_path / "run"):
        assert set(row["by_scenario"]) == set(tiny.SCENARIOS)


def test_a_clone_of_other_layers_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    tiny.clones(tmp_path / "clones")
    wide = replace(tiny.FINETUNE, seeds=(1,), ppo=replace(tiny.PPO, hidden=(9,)))
    with pytest.raises(ParamsError, match=r"hidden: expected \[8\], the hidden .* got \[9\]"):
        finetune.run("finetune", wide, WORLD, tmp_path / "runs", start=tmp_path / "clones")
    assert not (tmp_path / "runs").exists()


def test_a_seed_that_finished_before_is_shown_as_finished(tmp_path: Path) -> None:
    train_seed(job(tmp_path / "run"))
    shown = tmp_path / "data/logs/progress/baseline-seed_1.json"
    shown.unlink()
    train_seed(job(tmp_path / "run"))
    assert read_json(shown)["steps"] >= 48


def test_the_start_is_an_input_of_a_run(tmp_path: Path) -> None:
    start = tiny.clones(tmp_path / "start")
    train_seed(job(tmp_path / "run", arm="finetune", start=start))
    inputs = read_run(tmp_path / "run").inputs
    assert set(inputs) == {"code", *PACKAGES, "start", "dataset"}
    assert inputs["start"] == load_policy(start / "seed_1/policy").digest
    other = tiny.clones(tmp_path / "other", weights=4)
    said = train_seed(job(tmp_path / "run", arm="finetune", start=other))
    assert said == "finetune seed 1: 48 online steps"


@pytest.mark.parametrize(
    ("error", "status"),
    [(StorageError("disk: expected room, got none"), RunStatus.FAILED),
     (KeyboardInterrupt(), RunStatus.PARTIAL)],
)  # fmt: skip
def test_a_run_that_ends_early_says_so_and_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: RunStatus
) -> None:
    monkeypatch.setattr(training, "EVALUATIONS_A_CHECKPOINT", 1)
    monkeypatch.setattr(training, "STEPS_A_CHECKPOINT", 1)
    train_seed(job(tmp_path / "whole"))
    advance, turns = training._advance, iter(range(9))

    def failing(*arguments: object) -> None:
        if next(turns) == 2:
            raise error
        advance(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(training, "_advance", failing)
        with pytest.raises(type(error)):
            train_seed(job(tmp_path / "torn"))
    record = read_run(tmp_path / "torn")
    assert (record.status, record.steps) == (status, 32)
    assert record.notes
    train_seed(job(tmp_path / "torn"))
    assert tiny.contents(tmp_path / "torn") == tiny.contents(tmp_path / "whole")


def test_a_new_seed_is_trained_and_one_that_is_not_wanted_goes(tmp_path: Path) -> None:
    def done(*seeds: int) -> list[str]:
        return finetune.run(
            "baseline", replace(tiny.FINETUNE, seeds=seeds), WORLD, tmp_path / "runs"
        )

    done(1)
    assert [line.split(": ")[1] for line in done(1, 2)] == ["finished before", "48 online steps"]
    done(2)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["arm.json", "seed_2"]


def test_an_arm_without_budget_settings_or_clone_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="expected a budget for arm 'other'"):
        finetune.run("other", tiny.FINETUNE, WORLD, tmp_path)
    with pytest.raises(ParamsError, match="expected settings for arm 'baseline'"):
        finetune.run("baseline", tiny.FINETUNE, WORLD, tmp_path, start=tmp_path / "clone")
    with pytest.raises(RunError, match=r"clone: expected arm\.json"):
        finetune.run("finetune", tiny.FINETUNE, WORLD, tmp_path, start=tmp_path / "clone")


@pytest.mark.parametrize("arm", ["finetune", "transfer"])
def test_an_arm_that_begins_with_clones_demands_them(
    arm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params = str(ROOT / "tests/tiny/params.yaml")
    with pytest.raises(SystemExit) as left:
        finetune.main(["--params", params, "--arm", arm, "--out", str(tmp_path / "runs")])
    assert left.value.code == 2
    assert f"--start: expected clones for arm '{arm}'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fault", ["clone", "engine"])
def test_what_cannot_begin_removes_no_seed(tmp_path: Path, fault: str) -> None:
    params = tiny.FINETUNE
    start = tmp_path / "clone"
    if fault == "engine":
        params = replace(params, engine="clouds")
        tiny.clones(start)
    (tmp_path / "runs/seed_7").mkdir(parents=True)
    with pytest.raises(TrajStoreError, match=fault):
        finetune.run("finetune", params, WORLD, tmp_path / "runs", start=start)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["seed_7"]


def test_a_world_that_is_all_demonstrated_leaves_nothing_to_train_on(tmp_path: Path) -> None:
    text = (ROOT / "tests/tiny/params.yaml").read_text()
    path = tmp_path / "params.yaml"
    path.write_text(text.replace("frontal_approach/high, crowd_navigation/low", ""))
    with pytest.raises(ParamsError, match="transfer: expected a scenario"):
        read_world(path, transfer=True)


def test_transfer_trains_on_what_was_not_shown() -> None:
    world = read_world(ROOT / "params.yaml", transfer=True)
    assert "crowd_navigation/low" in world.task.names
    assert "blind_corner/high" in world.task.names
    assert "blind_corner/low" not in world.task.names
    assert len(world.task.names) == 12
