"""What a finished run was made from, so that only what changed is trained again."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipelines.learning.runlog import RECORD, RunStatus, read_run
from trajstore.disk.files import read_json, remove_tree, write_json
from trajstore.errors import CorruptionError

PLAN = "plan.json"
"""What a run in this folder is made from, written before it begins."""
TRAINING_CODE = (
    "learning",
    "tasks",
)
"""The modules that decide what a training computes."""


def code_digest(parts: tuple[str, ...] = TRAINING_CODE) -> str:
    """SHA-256 over the source of the given modules and folders of ``pipelines``, in hex."""
    root = Path(__file__).parents[1]
    total = hashlib.sha256()
    for part in parts:
        path = root / part
        sources = [path] if path.is_file() else sorted(path.rglob("*"))
        for source in sources:
            if source.suffix in (".py", ".yaml"):
                total.update(str(source.relative_to(root)).encode())
                total.update(source.read_bytes())
    return total.hexdigest()


def is_finished(folder: Path, *, inputs: Mapping[str, str], parameters: Mapping[str, Any]) -> bool:
    """Whether ``folder`` holds a completed run of exactly these inputs and parameters."""
    if not (folder / RECORD).is_file():
        return False
    record = read_run(folder)
    return (
        record.status is RunStatus.COMPLETED
        and dict(record.inputs) == dict(inputs)
        and _as_json(record.parameters) == _as_json(parameters)
    )


def start_afresh(folder: Path, *, inputs: Mapping[str, str], parameters: Mapping[str, Any]) -> None:
    """Drop what a run of other inputs or parameters left in ``folder``; keep one to resume."""
    mark = folder / PLAN
    plan = {"inputs": dict(inputs), "parameters": _as_json(parameters)}
    if mark.is_file() and _read_plan(mark) == plan:
        return
    if folder.exists():
        remove_tree(folder)
    folder.mkdir(parents=True)
    write_json(mark, plan)


def drop_other_seeds(out: Path, seeds: Iterable[int]) -> None:
    """Remove the runs below ``out`` of seeds that are not wanted any more."""
    kept = {f"seed_{seed}" for seed in seeds}
    for folder in sorted(out.glob("seed_*")):
        if folder.name not in kept:
            remove_tree(folder)


def _read_plan(mark: Path) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return read_json(mark)
    except CorruptionError:
        return None


def _as_json(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, Mapping):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    return value
