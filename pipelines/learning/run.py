"""A run's folder: what it is made from, whether that was done, and the truth while it is under way.

Only what changed is trained again: a run is finished if it completed with the same code, the same
packages, the same start and the same parameters, and if all that it left is as it was.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
from loguru import logger

import trajstore
from pipelines.learning.runlog import (
    RECORD,
    RunError,
    RunRecord,
    RunStatus,
    read_evaluations,
    read_run,
    write_run,
)
from pipelines.learning.sealing import read_sealed
from trajstore.disk.checked import read_checked, write_checked
from trajstore.disk.files import remove_tree
from trajstore.disk.json_text import canonical_json
from trajstore.errors import CorruptionError, NotFoundError

PLAN = "plan.json"
"""What a run in this folder is made from, written before it begins."""
CHECKPOINT = "checkpoint"
INTERRUPTED = "interrupted; run the stage again to go on"
ROOT = Path(__file__).parents[1]
LIBRARY = Path(trajstore.__file__).parent
PACKAGES = ("gymnasium", "imitation", "numba", "numpy", "scipy", "stable-baselines3", "torch")
"""Packages whose versions decide what a training or a cloning computes."""


def training_code(stage: str) -> tuple[str, ...]:
    """What decides the results of a stage that trains, below ``pipelines``; as in ``dvc.yaml``."""
    return ("learning", f"stages/{stage}.py", "tasks")


def library_code(stage: str) -> tuple[str, ...]:
    """What of ``trajstore`` decides them: episodes; for clones also how those are drawn."""
    return ("choosing", "dataset.py", "episode", "version") if stage == "pretrain" else ("episode",)


def code_digest(stage: str) -> str:
    """SHA-256 over every file that decides the results of a stage that trains, in hex."""
    total = hashlib.sha256()
    parts = [(ROOT, part) for part in training_code(stage)]
    for root, part in [*parts, *((LIBRARY, part) for part in library_code(stage))]:
        path = root / part
        for source in [path] if path.is_file() else sorted(path.rglob("*")):
            if source.is_file() and "__pycache__" not in source.parts:
                total.update(f"{root.name}/{source.relative_to(root)}".encode())
                total.update(source.read_bytes())
    return total.hexdigest()


def training_inputs(stage: str) -> dict[str, str]:
    """The code that a stage trains with, by digest, and the versions of what that calls."""
    return {"code": code_digest(stage), **{name: version(name) for name in PACKAGES}}


def is_finished(folder: Path, wanted: RunRecord, *, anywhere: bool = False) -> bool:
    """Whether ``folder`` holds a completed run of the wanted inputs and parameters, all of it.

    With ``anywhere`` one made with other versions of the packages counts as well. Evidence that is
    not what the run left is told, and the run is not finished.
    """
    if not (folder / RECORD).is_file():
        return False
    try:
        if read_run(folder).status is not RunStatus.COMPLETED:
            return False
        digest = _portable_digest if anywhere else plan_digest
        return digest(read_sealed(folder)) == digest(wanted)
    except (RunError, CorruptionError, NotFoundError) as error:
        logger.warning("{}; made again", error)
        return False


def start_afresh(folder: Path, wanted: RunRecord) -> None:
    """Drop what a run of other inputs or parameters left in ``folder``.

    Of one to resume the checkpoint is kept and nothing else, since only that is checked.
    """
    mark, plan, kept = folder / PLAN, _plan(wanted), set[str]()
    try:
        if read_checked(mark) == plan:
            kept = {CHECKPOINT, PLAN}
    except NotFoundError:
        pass
    except CorruptionError as error:
        logger.warning("{}; this run begins anew", error)
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.iterdir()):
        if path.name not in kept:
            remove_tree(path)
    if not kept:
        write_checked(mark, plan)


def _plan(record: RunRecord) -> Any:  # noqa: ANN401 - any JSON value
    names = ("arm", "seed", "inputs", "parameters")
    plan = {name: getattr(record, name) for name in names}
    return msgspec.json.decode(msgspec.json.encode(plan))


def plan_digest(record: RunRecord) -> str:
    """SHA-256 of what a run is made from, in hex; a checkpoint carries it."""
    return hashlib.sha256(canonical_json(_plan(record))).hexdigest()


def _portable_digest(record: RunRecord) -> str:
    inputs = {name: it for name, it in record.inputs.items() if name not in PACKAGES}
    return plan_digest(replace(record, inputs=inputs))


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
