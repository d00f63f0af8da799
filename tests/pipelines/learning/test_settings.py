"""The sections of the parameter file, and what they refuse."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from pipelines.running.params import ParamsError, read_section
from pipelines.stages.compare import CompareParams
from pipelines.tasks.social_nav.scenarios import held_out_families, held_out_names
from tests.pipelines import tiny

ROOT = Path(__file__).parents[3]


def test_a_scenario_for_evaluation_only_cannot_be_trained_on() -> None:
    chosen = (*tiny.SCENARIOS, held_out_names()[0])
    with pytest.raises(ParamsError, match="got 'pedestrian_overtaking/low', which is for eval"):
        replace(tiny.ENV, scenarios=chosen)


@pytest.mark.parametrize("path", ["params.yaml", "tests/tiny/params.yaml"])
def test_the_comparison_holds_out_what_the_scenarios_hold_out(path: str) -> None:
    compare = read_section(ROOT / path, "compare", CompareParams)
    assert compare.held_out == held_out_families()


MISTAKES = [
    ("record", "env.scenarios", ["frontal_aproach/low"], "did you mean 'frontal_approach/low'"),
    ("record", "env.scenarios", ["blind_corner/low"] * 2, "expected each once"),
    ("record", "env.horizon", 0, "expected int >= 1, got 0"),
    ("record", "env.goal_radius", 2.5, "expected float <= 2.0, got 2.5"),
    ("record", "env.reward.goal", -1.0, "expected float >= 0.0, got -1.0"),
    ("record", "record.shards", -2, "expected int >= 1, got -2"),
    ("record", "record.each", 0, "expected int >= 1, got 0"),
    ("record", "record.each", 3 * 10**6, "expected int <= 2666666, got 3000000"),
    ("record", "record.engine", "thread", "choose from processes, ray, sequential, submitit"),
    ("expert", "expert.seeds", [], "expected array of length >= 1, got []"),
    ("expert", "expert.seeds", [1, 1], "expected each once, got [1, 1]"),
    ("expert", "expert.ppo.hidden", [8, 0], "expected int >= 1, got 0"),
    ("expert", "expert.ppo.minibatch", 0, "expected int >= 2, got 0"),
    ("expert", "expert.budget.steps", 0, "expected int >= 1, got 0"),
    (
        "expert",
        "expert.gate.conditions",
        [{"metric": "success", "at_least": 90.0}],
        "expected float <= 1.0, got 90.0",
    ),
    ("expert", "expert.gate.conditions", [{"metric": "return"}], "at_least or at_most, one of"),
    (
        "finetune --arm baseline",
        "finetune.arrival.conditions",
        [{"metric": "colision", "at_most": 0.1}],
        "did you mean 'collision'",
    ),
    ("expert", "evaluation.judge_each", 40_000, "expected int <= 33333, got 40000"),
    ("pretrain", "pretrain.learning_rate", float("nan"), "expected a finite number, got nan"),
    ("pretrain", "pretrain.batch", True, "expected int, got True"),
    ("pretrain", "pretrain.episodes", -3, "expected int >= 0, got -3"),
    ("pretrain", "finetune.engine", "proceses", "did you mean 'processes'"),
    ("finetune --arm baseline", "finetune.budgets.few_5.steps", 0, "expected int >= 1"),
    (
        "finetune --arm baseline",
        "finetune.from_clone.control.averaging",
        2,
        "expected float <= 1.0, got 2",
    ),
    ("finetune --arm baseline --transfer", "transfer.undemonstrated", "crowd", "choose from"),
    ("finetune --arm baseline --transfer", "transfer.demonstrated", ["mid"], "choose from high"),
    ("validate", "validate.policy_tolerance", -0.1, "expected float >= 0.0, got -0.1"),
    ("publish", "publish.keep_validated", 0, "expected int >= 1, got 0"),
    ("compare", "compare.targets", [0.8, 8.0], "expected float <= 1.0, got 8.0"),
]


@pytest.mark.parametrize(("stage", "key", "value", "complaint"), MISTAKES)
def test_a_stage_names_the_mistaken_key_and_touches_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stage: str,
    key: str,
    value: object,
    complaint: str,
) -> None:
    document = yaml.safe_load((ROOT / "tests/tiny/params.yaml").read_text())
    *path, last = key.split(".")
    section = document
    for name in path:
        section = section[name]
    section[last] = value
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(document))
    name, *options = stage.split()
    main = import_module(f"pipelines.stages.{name}").main
    assert main([*options, "--out", "o"] if name != "publish" else options) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"params.yaml: {key}")
    assert complaint in said
    assert said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]
