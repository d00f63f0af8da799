"""``run.json`` tells the truth at every moment: partial, failed with a reason, or completed."""

import json
from pathlib import Path

import pytest

from pipelines.learning.runlog import RunRecord, RunStatus, read_run, write_run
from pipelines.learning.unfinished import INTERRUPTED, unfinished
from tests.pipelines.learning.test_runlog import EVALUATION
from trajstore.errors import StorageError

RECORD = RunRecord("baseline", 1, RunStatus.COMPLETED, 0, {"code": "ab"}, {"lr": 0.1})


def test_a_run_under_way_is_partial_and_then_what_the_block_says(tmp_path: Path) -> None:
    with unfinished(tmp_path, RECORD):
        assert read_run(tmp_path).status is RunStatus.PARTIAL
        write_run(tmp_path, RECORD)
    assert read_run(tmp_path).status is RunStatus.COMPLETED


@pytest.mark.parametrize(
    ("error", "status", "note"),
    [
        (StorageError("disk: got none"), RunStatus.FAILED, "disk: got none"),
        (ZeroDivisionError(), RunStatus.FAILED, "ZeroDivisionError"),
        (KeyboardInterrupt(), RunStatus.PARTIAL, INTERRUPTED),
        (SystemExit(143), RunStatus.PARTIAL, INTERRUPTED),
    ],
)  # fmt: skip
def test_an_error_is_kept_with_its_message(
    tmp_path: Path, error: BaseException, status: RunStatus, note: str
) -> None:
    with pytest.raises(type(error)), unfinished(tmp_path, RECORD):
        rows = [EVALUATION, EVALUATION | {"steps": 4096}]
        (tmp_path / "evaluations.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
        raise error
    record = read_run(tmp_path)
    assert (record.status, list(record.notes), record.steps) == (status, [note], 4096)
    assert record.inputs == RECORD.inputs
