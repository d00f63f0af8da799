"""A run's folder: what it is made from, whether that was done, and the truth while it is under way.

Only what changed is trained again: a run is finished if it completed with the same code, the same
packages, the same start and the same parameters.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from pipelines.learning.runlog import (
    RECORD,
    RunError,
    RunRecord,
    RunStatus,
    read_evaluations,
    read_run,
    write_run,
)
from trajstore.disk.files import read_json, remove_tree, write_json
from trajstore.errors import CorruptionError, NotFoundError

PLAN = "plan.json"
"""What a run in this folder is made from, written before it begins."""
INTERRUPTED = "interrupted; run the stage again to go on"
ROOT = Path(__file__).parents[1]
PACKAGES = ("gymnasium", "imitation", "numpy", "stable-baselines3", "torch")
"""Packages whose versions decide what a training computes."""


def training_code(stage: str) -> tuple[str, ...]:
    """What decides the results of a stage that trains, below ``pipelines``; as in ``dvc.yaml``."""
    return ("learning", f"stages/{stage}.py", "tasks")


def code_digest(stage: str) -> str:
    """SHA-256 over every file that decides the results of a stage that trains, in hex."""
    total = hashlib.sha256()
    for part in training_code(stage):
        path = ROOT / part
        for source in [path] if path.is_file() else sorted(path.rglob("*")):
            if source.is_file() and "__pycache__" not in source.parts:
                total.update(str(source.relative_to(ROOT)).encode())
                total.update(source.read_bytes())
    return total.hexdigest()


def training_inputs(stage: str) -> dict[str, str]:
    """The code that a stage trains with, by digest, and the versions of what that calls."""
    return {"code": code_digest(stage), **{name: version(name) for name in PACKAGES}}


def is_finished(folder: Path, wanted: RunRecord) -> bool:
    """Whether ``folder`` holds a completed run of the wanted inputs and parameters."""
    if not (folder / RECORD).is_file():
        return False
    found = read_run(folder)
    return found.status is RunStatus.COMPLETED and _plan(found) == _plan(wanted)


def start_afresh(folder: Path, wanted: RunRecord) -> None:
    """Drop what a run of other inputs or parameters left in ``folder``; keep one to resume."""
    mark, plan = folder / PLAN, _plan(wanted)
    with suppress(NotFoundError, CorruptionError):
        if read_json(mark) == plan:
            return
    remove_tree(folder)
    folder.mkdir(parents=True)
    write_json(mark, plan)


def _plan(record: RunRecord) -> Any:  # noqa: ANN401 - any JSON value
    plan = {"inputs": record.inputs, "parameters": record.parameters}
    return msgspec.json.decode(msgspec.json.encode(plan))


def drop_other_seeds(out: Path, seeds: Iterable[int]) -> None:
    """Remove the runs below ``out`` of seeds that are not wanted any more."""
    kept = {f"seed_{seed}" for seed in seeds}
    for folder in sorted(out.glob("seed_*")):
        if folder.name not in kept:
            remove_tree(folder)


@contextmanager
def unfinished(folder: Path, record: RunRecord) -> Iterator[None]:
    """Keep ``run.json`` true while a run is under way; the block writes the completed record.

    From the first moment the run is recorded as partial, so that a kill leaves it so. When the
    block ends with an error the run is recorded as failed, with the message as a note.
    """

    def write(status: RunStatus, note: str) -> None:
        write_run(folder, replace(record, status=status, steps=_steps(folder), notes=(note,)))

    write(RunStatus.PARTIAL, INTERRUPTED)
    try:
        yield
    except Exception as error:
        write(RunStatus.FAILED, str(error) or type(error).__name__)
        raise
    except BaseException:
        write(RunStatus.PARTIAL, INTERRUPTED)
        raise


def _steps(folder: Path) -> int:
    """Online steps up to the last evaluation; none if there is none that can be read."""
    try:
        return max((int(row["steps"]) for row in read_evaluations(folder)), default=0)
    except (NotFoundError, RunError):
        return 0
