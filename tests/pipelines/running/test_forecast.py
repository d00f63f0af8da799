"""The reader learns which stage of how many runs, and how long the rest may take at most."""

from pathlib import Path

import pytest

from pipelines.running.progress import RUNNING, Forecast, online_steps, stages_of

ROOT = Path(__file__).parents[3]


def test_time_left_follows_from_the_speed_of_the_stages_that_trained() -> None:
    forecast = Forecast(["expert", "record", "baseline"], {"expert": 600, "baseline": 300})
    assert forecast.begin("expert", 100.0) == "[1 of 3] expert"
    assert forecast.begin("record", 700.0) == "[2 of 3] record, at most about 5 min left"
    assert forecast.begin("baseline", 760.0) == "[3 of 3] baseline, at most about 5 min left"


def test_a_stage_of_another_pipeline_has_no_place() -> None:
    assert Forecast([], {}).begin("other", 0.0) == "[other]"


def test_every_arm_of_the_pipeline_has_its_steps() -> None:
    steps = online_steps(ROOT / "params.yaml")
    stages = stages_of(ROOT / "dvc.yaml", ROOT / "params.yaml")
    trained = {"expert", "baseline", "finetune", "arms@control", "arms@few_10"}
    assert trained | {"transfer@transfer", "transfer_baseline@transfer"} <= set(stages)
    for name in ("control", "few_10", "transfer", "transfer_baseline"):
        assert steps[name] > 0
    forecast = Forecast(["arms@few_10", "transfer_baseline@transfer"], steps)
    forecast.begin("arms@few_10", 0.0)
    minutes = 60.0 * steps["transfer_baseline"] / steps["few_10"] / 60.0
    said = forecast.begin("transfer_baseline@transfer", 60.0)
    assert said.endswith(f"about {round(minutes)} min left")
    assert steps["expert"] == 3 * 2_000_000


def test_without_files_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert stages_of(tmp_path / "dvc.yaml", tmp_path / "params.yaml") == []
    assert online_steps(tmp_path / "params.yaml") == {}


def test_the_line_of_a_starting_stage_is_known() -> None:
    found = RUNNING.match("Running stage 'arms@few_10':\n")
    assert found is not None
    assert found["stage"] == "arms@few_10"
    assert RUNNING.match("Stage 'few_10' didn't change, skipping") is None


@pytest.mark.parametrize("text", ["a: [1", "[]", "expert: {seeds: 3}", "finetune: {budgets: 1}"])
def test_a_file_that_does_not_say_its_steps_forecasts_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    assert online_steps(path) == {}
