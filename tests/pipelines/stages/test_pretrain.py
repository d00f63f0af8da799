"""Clones are fed from the store; the control sees the same actions, but no reason for them."""

import os
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.learning.clones import CloneJob, may_be_shown, train_clone
from pipelines.learning.demonstrations import demonstrations, passes
from pipelines.learning.policy import load_policy
from pipelines.learning.run import PACKAGES
from pipelines.learning.runlog import RunStatus, read_run
from pipelines.learning.verdict import excluded_episodes
from pipelines.learning.world import TransferParams
from pipelines.stages import finetune, pretrain
from pipelines.tasks.coding import Coding
from pipelines.tasks.interface import InterfaceError
from tests import factories
from tests.pipelines import tiny
from trajstore.choosing.marks import Mark
from trajstore.dataset import Dataset
from trajstore.disk.checked import write_checked
from trajstore.disk.files import write_json
from trajstore.errors import StatusError
from trajstore.interop.gymnasium import space_of
from trajstore.quality.marks import mark_episodes
from trajstore.quality.reviews import review
from trajstore.version.manifest import Status

CODING = Coding(
    space_of(factories.SCHEMA, "observation"),
    space_of(factories.SCHEMA, "action"),
)
JOB = CloneJob(tiny.PRETRAIN, tiny.FINETUNE, tiny.ENV, Path(), False, None, 1, Path())


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    tiny.dataset(folder)
    return folder / "expert"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("made") / "v1"
    factories.dataset(folder, count=60)
    return Dataset.open(folder)


def test_demonstrations_pair_each_action_with_the_observation_before_it(made: Dataset) -> None:
    chosen = np.arange(60) % 3 == 1
    shown = demonstrations(made, chosen, CODING, gamma=0.5)
    episodes = [made[int(i)] for i in np.flatnonzero(chosen)]
    assert np.array_equal(
        shown.observation, np.concatenate([e["observation"][:-1] for e in episodes])
    )
    assert np.array_equal(shown.action, np.concatenate([e["action"] for e in episodes]))
    first = episodes[0]
    assert shown.returns[len(first) - 2] == pytest.approx(
        first["reward"][-2] + 0.5 * shown.returns[len(first) - 1], abs=1e-5
    )


def drawn(made: Dataset, *, shuffled: bool) -> tuple[np.ndarray, np.ndarray]:
    everything = np.ones(len(made), bool)
    rng = np.random.default_rng(0)
    draw = passes(made, everything, CODING, batch=50, shuffled=shuffled, rng=rng)
    parts = [batch for _ in range(3) for batch in draw()]
    observed, acted = (np.concatenate(column) for column in zip(*parts, strict=True))
    return observed, acted


def test_a_pass_streams_pairs_of_the_store_in_whole_batches(made: Dataset) -> None:
    observed, acted = drawn(made, shuffled=False)
    everything = demonstrations(made, np.ones(len(made), bool), CODING, gamma=0.9)
    pairs = {
        (o.tobytes(), a.tobytes())
        for o, a in zip(everything.observation, everything.action, strict=True)
    }
    assert len(observed) == 3 * (made.steps // 50) * 50
    assert all((o.tobytes(), a.tobytes()) in pairs for o, a in zip(observed, acted, strict=True))


def test_it_streams_and_holds_no_copy_of_the_dataset(made: Dataset) -> None:
    draw = passes(
        made, np.ones(60, bool), CODING, batch=8, shuffled=False, rng=np.random.default_rng(0)
    )
    asked = iter(draw())
    next(asked)
    tracemalloc.start()
    for _ in range(20):
        next(asked)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_the_control_keeps_the_actions_and_loses_what_they_had_to_do_with(made: Dataset) -> None:
    observed, acted = drawn(made, shuffled=True)
    _, plain = drawn(made, shuffled=False)
    assert acted.mean(0) == pytest.approx(plain.mean(0), abs=0.05)
    everything = demonstrations(made, np.ones(len(made), bool), CODING, gamma=0.9)
    of = {o.tobytes(): a for o, a in zip(everything.observation, everything.action, strict=True)}
    told = np.stack([of[o.tobytes()] for o in observed])
    correlation = np.corrcoef(told[:, 0], acted[:, 0])[0, 1]
    assert abs(correlation) < 0.1


def test_a_clone_leaves_a_run_and_the_same_seed_the_same_one(
    recorded: Path, tmp_path: Path
) -> None:
    for name in ("one", "two", "two"):
        train_clone(replace(JOB, dataset=recorded, folder=tmp_path / name))
    assert tiny.contents(tmp_path / "one") == tiny.contents(tmp_path / "two")
    record = read_run(tmp_path / "one")
    assert record.status is RunStatus.COMPLETED
    assert record.inputs["dataset"] == Dataset.open(recorded).manifest.content_digest
    assert set(record.inputs) == {"dataset", "code", *PACKAGES}
    assert load_policy(tmp_path / "one/policy").record["seed"] == 1


def test_a_clone_sees_what_its_demonstrations_seldom_showed_as_it_is(
    recorded: Path, tmp_path: Path
) -> None:
    train_clone(replace(JOB, dataset=recorded, folder=tmp_path / "run"))
    policy = load_policy(tmp_path / "run/policy").policy
    observation = torch.eye(tiny.SIZE)
    assert torch.equal(policy.extract_features(observation), observation)


def test_a_dataset_of_another_world_is_refused_and_the_run_says_so(tmp_path: Path) -> None:
    factories.dataset(tmp_path / "v1")
    with pytest.raises(InterfaceError):
        train_clone(replace(JOB, dataset=tmp_path / "v1", folder=tmp_path / "run"))
    record = read_run(tmp_path / "run")
    assert record.status is RunStatus.FAILED
    assert "expected observation.high" in record.notes[0]


def test_nothing_to_show_is_refused(recorded: Path, tmp_path: Path) -> None:
    shown = TransferParams("crowd_navigation", ("high",))
    with pytest.raises(StatusError, match="expected an episode that may be shown, got none of 8"):
        train_clone(replace(JOB, dataset=recorded, folder=tmp_path / "run", shown=shown))


TINY = str(Path(__file__).parents[3] / "tests/tiny/params.yaml")


def test_a_negative_number_of_episodes_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        pretrain.main(["--params", TINY, "--episodes", "-3", "--out", str(tmp_path / "runs")])
    assert left.value.code == 2
    assert "--episodes: expected a number >= 0, got -3" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_that_is_missing_costs_no_former_clone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "runs/seed_1/policy"
    kept.mkdir(parents=True)
    words = ["--params", TINY, "--dataset", str(tmp_path / "d"), "--out", str(tmp_path / "runs")]
    assert pretrain.main(words) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert kept.is_dir()


def test_only_the_very_dataset_that_was_validated_is_cloned(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, runs = tmp_path / "validation.json", tmp_path / "runs"
    words = ["--params", TINY, "--dataset", str(recorded), "--report", str(report)]
    digest = Dataset.open(recorded).manifest.content_digest
    for told in (None, {"status": "draft", "digest": digest}, {"status": "validated"}, []):
        if told is not None:
            write_json(report, told)
        assert pretrain.main([*words, "--out", str(runs)]) == 1
        assert capsys.readouterr().err.count("\n") == 1
        assert not runs.exists()
    write_json(report, {"status": "validated", "digest": digest})
    pretrain.check_verdict(report, Dataset.open(recorded), where=recorded)


@pytest.mark.parametrize(("asked", "said"), [(100_000, 1), (8, 0), (0, 0)])
def test_more_episodes_than_there_are_is_said_once(recorded: Path, asked: int, said: int) -> None:
    lines: list[str] = []
    job = replace(JOB, dataset=recorded, params=replace(tiny.PRETRAIN, episodes=asked))
    number = pretrain.logger.add(lines.append, format="{message}")
    try:
        pretrain._say_what_is_shown(job)
    finally:
        pretrain.logger.remove(number)
    assert len(lines) == said
    if said:
        assert lines == ["asked for 100,000 episodes, only 8 may be shown; shows all\n"]


def quarantine(reviews: Path, dataset: Path) -> None:
    digest = Dataset.open(dataset).manifest.content_digest
    review(reviews, digest, Status.QUARANTINED, reason="a sensor was loose")


def test_what_a_person_quarantined_is_not_cloned_whatever_the_report_says(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, reviews = tmp_path / "validation.json", tmp_path / "reviews.json"
    digest = Dataset.open(recorded).manifest.content_digest
    write_checked(report, {"status": "validated", "digest": digest})
    words = ["--params", TINY, "--dataset", str(recorded), "--report", str(report)]
    words += ["--reviews", str(reviews), "--out", str(tmp_path / "runs")]
    quarantine(reviews, recorded)
    assert pretrain.main(words) == 1
    said = capsys.readouterr().err
    assert "quarantined, digest" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "runs").exists()
    reviews.write_text("{")
    assert pretrain.main(words) == 1
    report.write_text(report.read_text().replace("validated", "Validated"))
    reviews.unlink()
    assert pretrain.main(words) == 1
    assert "changed after it was written" in capsys.readouterr().err


def test_the_reviews_that_are_set_for_the_library_are_read_here_too(tmp_path: Path) -> None:
    setting = {"TRAJSTORE_REVIEWS": str(tmp_path / "mine.json")}
    words = [sys.executable, "-m", "pipelines", "pretrain", "--help"]
    shown = subprocess.run(
        words, env=os.environ | setting, capture_output=True, text=True, check=True
    ).stdout
    assert "mine.json" in "".join(shown.split())


def test_clones_of_what_was_quarantined_later_are_no_start(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    digest = Dataset.open(recorded).manifest.content_digest
    clones, reviews = tiny.clones(tmp_path / "clone", dataset=digest), tmp_path / "reviews.json"
    quarantine(reviews, recorded)
    with pytest.raises(StatusError, match=r"clone .*seed_1: quarantined"):
        finetune.run(
            "finetune", tiny.FINETUNE, tiny.WORLD, tmp_path / "runs", start=clones, reviews=reviews
        )
    assert not (tmp_path / "runs").exists()


def test_excluded_episodes_are_not_cloned_and_the_record_says_so(
    recorded: Path, tmp_path: Path
) -> None:
    own = Dataset.open(recorded).episodes["digest"].tolist()
    params = replace(tiny.PRETRAIN, episodes=0, only_successes=False)
    job = replace(JOB, params=params, dataset=recorded, excluded=frozenset([*own[:2], "1" * 64]))
    assert may_be_shown(job, Dataset.open(recorded)).tolist() == [
        index > 1 for index in range(len(own))
    ]
    records = {}
    for name, one in {"less": job, "all": replace(job, excluded=frozenset())}.items():
        train_clone(replace(one, folder=tmp_path / name))
        records[name] = read_run(tmp_path / name)
    assert records["less"].parameters["excluded"] == 2
    assert records["less"].parameters["chosen"] == len(own) - 2
    assert records["less"].inputs["dataset"] == records["all"].inputs["dataset"]
    assert "excluded" in records["less"].inputs
    assert "excluded" not in records["all"].inputs


def test_the_marks_of_the_reviews_are_what_is_left_out(recorded: Path, tmp_path: Path) -> None:
    own, reviews = Dataset.open(recorded).episodes["digest"].tolist(), tmp_path / "reviews.json"
    mark_episodes(reviews, [Mark(own[0], "exclude"), Mark(own[1], "keep")])
    assert excluded_episodes(recorded, reviews) == {own[0]}
    mark_episodes(reviews, [Mark(own[0])])
    assert excluded_episodes(recorded, reviews) == frozenset()
