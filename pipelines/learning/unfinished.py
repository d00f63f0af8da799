"""The record of a run that has not completed: how far it came, and why it ended."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pipelines.learning.runlog import RunError, RunRecord, RunStatus, read_evaluations, write_run
from trajstore.errors import NotFoundError

INTERRUPTED = "interrupted; run the stage again to go on"


@contextmanager
def unfinished(folder: Path, record: RunRecord) -> Iterator[None]:
    """Keep ``run.json`` true while a run is under way; the block writes the completed record.

    From the first moment the run is recorded as partial, so that a kill leaves it so. When the
    block ends with an error the run is recorded as failed, with the message as a note.

    Args:
        folder: of the run.
        record: what the run is; its status, steps and notes are replaced.
    """
    _write(folder, record, RunStatus.PARTIAL, INTERRUPTED)
    try:
        yield
    except Exception as error:
        _write(folder, record, RunStatus.FAILED, str(error) or type(error).__name__)
        raise
    except BaseException:
        _write(folder, record, RunStatus.PARTIAL, INTERRUPTED)
        raise


def _write(folder: Path, record: RunRecord, status: RunStatus, note: str) -> None:
    write_run(folder, replace(record, status=status, steps=_steps(folder), notes=(note,)))


def _steps(folder: Path) -> int:
    """Online steps up to the last evaluation; none if there is none that can be read."""
    try:
        return max((int(row["steps"]) for row in read_evaluations(folder)), default=0)
    except (NotFoundError, RunError):
        return 0
