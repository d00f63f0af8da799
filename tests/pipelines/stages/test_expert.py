"""A starved expert is not promoted, and says why; one that is replaced stays on record."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import msgspec
import pytest
import yaml

from pipelines.learning.policy import load_policy
from pipelines.learning.promotion import Gate, read_expert
from pipelines.learning.runlog import RunStatus, read_episodes, read_run
from pipelines.running.params import ParamsError
from pipelines.stages import expert
from pipelines.tasks.social_nav.scenarios import held_out_names, scenario_names
from tests.pipelines import tiny
from tests.pipelines.runs import limits
from trajstore.disk.files import read_json


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress notes go to the working folder."""
    monkeypatch.chdir(tmp_path)


def run(out: Path, **changes: object):
    params = replace(tiny.EXPERT, **changes)  # type: ignore[arg-type]
    return expert.run(params, tiny.WORLD, out)


def test_a_promoted_expert_is_approved_and_its_policy_is_the_one_named(tmp_path: Path) -> None:
    manifest = run(tmp_path / "expert")
    assert (manifest["state"], manifest["history"]) == ("approved", [])
    told, policy = read_expert(tmp_path / "expert")
    stored = read_json(tmp_path / "expert/manifest.json")
    assert json.loads(json.dumps(told)) == {k: v for k, v in stored.items() if k != "check"}
    assert policy.digest == manifest["policy"]
    assert read_run(tmp_path / "expert/seed_1").status is RunStatus.COMPLETED


def test_held_out_scenarios_are_judged_but_neither_choose_nor_promote(tmp_path: Path) -> None:
    manifest = run(tmp_path / "expert")
    names = [row["scenario"] for row in read_episodes(tmp_path / "expert")]
    assert names == [*tiny.SCENARIOS, *held_out_names()]
    for part in (*manifest["seeds"], manifest["tracking"]):
        assert set(part["by_scenario"]) == set(tiny.SCENARIOS)
        assert part["episodes"] == len(tiny.SCENARIOS)


def test_a_starved_expert_gives_exit_1_and_a_diagnosis(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = Gate(limits(0.9, 0.05), 1, 1)
    env = asdict(tiny.ENV) | {"scenarios": list(tiny.SCENARIOS)}
    section = msgspec.to_builtins(replace(tiny.EXPERT, gate=gate))
    section |= {"seeds": [1], "ppo": section["ppo"] | {"hidden": [8]}}
    document = {"env": env, "expert": section, "evaluation": asdict(tiny.EVALUATION)}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(document))
    assert expert.main(["--out", str(tmp_path / "expert")]) == 1
    manifest = read_json(tmp_path / "expert/manifest.json")
    assert (manifest["state"], manifest["promotable"]) == ("draft", False)
    assert any("success" in reason for reason in manifest["reasons"])
    assert manifest["diagnosis"][0].split(":")[0] in scenario_names()
    assert manifest["diagnosis"][-1].startswith("try more expert.budget.steps")


def test_the_same_settings_train_nothing_again_and_give_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path / "expert")
    before = tiny.contents(tmp_path / "expert")
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.learning.training._advance", None)
        run(tmp_path / "expert")
    assert tiny.contents(tmp_path / "expert") == before
    run(tmp_path / "again")
    assert tiny.contents(tmp_path / "again") == before


def test_other_settings_train_again_and_the_former_expert_is_superseded(tmp_path: Path) -> None:
    former = run(tmp_path / "expert")
    faster = replace(tiny.PPO, learning_rate=5e-3)
    manifest = run(tmp_path / "expert", ppo=faster)
    assert manifest["policy"] != former["policy"]
    assert manifest["policy"] == load_policy(tmp_path / "expert" / manifest["best"]).digest
    assert [(e["id"], e["state"]) for e in manifest["history"]] == [(former["id"], "superseded")]


def test_another_gate_decides_again_without_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path / "expert")
    monkeypatch.setattr("pipelines.learning.training._advance", None)
    manifest = run(tmp_path / "expert", gate=Gate(limits(1.01, 0.05), 1, 1))
    assert manifest["state"] == "draft"


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        (Gate(limits(0.9, 0.05), 3, 1), r"expert\.gate\.seeds: expected at most 1, .* got 3"),
        (
            Gate(limits(0.9, 0.05), 1, 200),
            r"expert\.gate\.episodes: expected at most 2, .* got 200",
        ),
    ],
)
def test_a_gate_that_nothing_could_pass_is_refused_before_any_training(
    tmp_path: Path, gate: Gate, said: str
) -> None:
    with pytest.raises(ParamsError, match=said):
        run(tmp_path / "expert", gate=gate, seeds=(1,))
    assert not (tmp_path / "expert").exists()


def test_no_seed_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="names no seed"):
        run(tmp_path / "expert", seeds=())
