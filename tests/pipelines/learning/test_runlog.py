"""What is written of a run is what is read; a line that does not fit its type is refused."""

import json
from pathlib import Path

import msgspec
import pytest

from pipelines.learning.rows import Evaluation
from pipelines.learning.runlog import (
    EpisodeRow,
    RunError,
    RunRecord,
    RunStatus,
    digests,
    read_episodes,
    read_evaluations,
    read_run,
    write_episodes,
    write_evaluations,
    write_run,
)
from tests.pipelines import runs
from trajstore.errors import NotFoundError

RECORD = RunRecord(
    "baseline", 3, RunStatus.PARTIAL, 4096, {"code": "ab"}, {"lr": 0.1}, ("stopped",)
)
ROW = runs.episode_row("blind_corner/low", 5, "goal")
EVALUATION = {
    "steps": 0,
    "episodes": 2,
    "success": 0.5,
    "collision": 0.5,
    "return": -1.0,
    "by_scenario": {"a/low": {"success": 0.5, "collision": 0.5, "episodes": 2}},
}


@pytest.mark.parametrize("status", list(RunStatus))
def test_a_record_is_read_as_it_was_written(tmp_path: Path, status: RunStatus) -> None:
    record = RunRecord("finetune", 1, status, 10, {}, {"ppo": {"lr": 0.1}}, ("a note",))
    write_run(tmp_path / "seed_1", record)
    assert read_run(tmp_path / "seed_1") == record


def test_a_status_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path, RECORD)
    path = tmp_path / "run.json"
    path.write_text(path.read_text().replace("partial", "done"))
    with pytest.raises(
        RunError, match=r"run.json: \$.status: expected one of completed, failed, partial, got"
    ):
        read_run(tmp_path)


def test_a_run_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"run\.json"):
        read_run(tmp_path)


def test_evaluations_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows = [EVALUATION, EVALUATION | {"steps": 8192}]
    write_evaluations(tmp_path, rows)
    assert read_evaluations(tmp_path) == rows


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"success": 1.2}, r"jsonl:2: \$.success: expected float <= 1.0, got 1.2"),
        ({"steps": 0}, "jsonl:2: expected more than 0 steps, got 0"),
        (
            {"by_scenario": {"a": {"success": 1.0}}},
            r"\$.by_scenario.a: expected key 'collision'",
        ),
        ({"success": 0.75}, "jsonl:2: expected a success of 0.500000, the mean over its"),
        ({"collision": 0.0}, "jsonl:2: expected a collision of 0.500000"),
        (
            {"by_scenario": {"a=low": {"success": 0.5, "collision": 0.5, "episodes": 2}}},
            "jsonl:2: expected the scenarios of the first line, got 'a/low' in one",
        ),
    ],
)
def test_an_evaluation_that_does_not_fit_is_refused(
    tmp_path: Path, change: dict[str, object], complaint: str
) -> None:
    with pytest.raises(RunError, match=complaint):
        write_evaluations(tmp_path, [EVALUATION, EVALUATION | {"steps": 9} | change])
    assert not list(tmp_path.iterdir())


def test_episodes_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows = [ROW, ROW | {"seed": 6}]
    write_episodes(tmp_path, rows)
    assert read_episodes(tmp_path) == rows


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"outcome": "timeout"}, "success"),
        ({"outcome": "collision_wall", "success": False}, "metrics.success"),
        (runs.episode_row("a/low", 1, "collision_wall") | {"collision": False}, "collision"),
        ({"collision": True}, "collision"),
        ({"steps": 0}, "steps"),
        ({"version": 1}, "version"),
        ({"metrics": {"success": 1.0, "collision": 0.0}}, "expected key 'collision_pedestrian'"),
        ({"outcome": "gaol"}, "expected 0 for outcome"),
        ({"scenario": "../up"}, "scenario"),
        ({"unknown": 1}, "unknown"),
        ({}, r"expected each episode once, got \('blind_corner/low', 5\) again"),
    ],
)
def test_an_episode_that_contradicts_itself_is_refused(
    tmp_path: Path, change: dict[str, object], complaint: str
) -> None:
    with pytest.raises(RunError, match=complaint):
        write_episodes(tmp_path, [ROW, ROW | change])


def test_a_line_that_is_no_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    path.write_text(json.dumps(ROW) + "\nnonsense\n")
    with pytest.raises(RunError, match=r"episodes.jsonl:2: expected a JSON object"):
        read_episodes(tmp_path)


def test_the_types_of_rows_are_json_schemas() -> None:
    for row, example in ((Evaluation, EVALUATION), (EpisodeRow, ROW)):
        schema = msgspec.json.schema(row)["$defs"][row.__name__]
        assert set(schema["required"]) == set(example) - {"success", "collision"}


def test_digests_change_with_the_files(tmp_path: Path) -> None:
    write_run(tmp_path, RECORD)
    write_episodes(tmp_path, [ROW])
    before = digests(tmp_path)
    write_episodes(tmp_path, [ROW | {"seed": 9}])
    after = digests(tmp_path)
    assert set(before) == {"run.json", "episodes.jsonl"}
    assert before["run.json"] == after["run.json"]
    assert before["episodes.jsonl"] != after["episodes.jsonl"]
