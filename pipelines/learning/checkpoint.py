"""A learner's state, written whole, so that an interrupted training goes on where it was."""

import hashlib
import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from pipelines.learning.ppo import AveragedPPO
from trajstore.disk.files import remove_tree, whole_directory
from trajstore.errors import CorruptionError

TENSORS = "learner.safetensors"
RECORD = "learner.json"


def _tensors(model: AveragedPPO) -> dict[str, torch.Tensor]:
    adam = model.policy.optimizer.state_dict()["state"]
    parts = {"policy": model.policy.state_dict(), "average": model.average.state_dict()}
    parts |= {"best": model.best} | {f"adam/{index}": state for index, state in adam.items()}
    tensors = {f"{part}/{name}": it for part, held in parts.items() for name, it in held.items()}
    return {name: tensor.contiguous().clone() for name, tensor in sorted(tensors.items())}


def save_checkpoint(model: AveragedPPO, folder: Path, record: dict[str, Any]) -> Path:
    """Write the policy, Adam's moments and ``record`` as ``folder/<steps>``; drop older ones."""
    payload = safetensors.torch.save(_tensors(model))
    target = folder / f"{model.num_timesteps:010d}"
    document = {
        "steps": model.num_timesteps,
        "updates": model._n_updates,
        "sha256": hashlib.sha256(payload).hexdigest(),
        **record,
    }
    document["record_sha256"] = _record_digest(document)
    older = checkpoints(folder)
    with whole_directory(target) as partial:
        (partial / TENSORS).write_bytes(payload)
        (partial / RECORD).write_text(json.dumps(document, sort_keys=True), encoding="utf-8")
    for path in older:
        remove_tree(path)
    return target


def _record_digest(document: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder, oldest first."""
    return sorted(path for path in folder.glob("*") if path.name.isdigit())


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _read_record(source: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads((source / RECORD).read_text(encoding="utf-8"))
        intact = record.pop("record_sha256") == _record_digest(record)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        intact = False
    if not intact:
        raise CorruptionError(
            f"{source / RECORD}: expected the record that was saved, got something else; "
            "delete the checkpoint and train again"
        )
    return record


def load_checkpoint(model: AveragedPPO, source: Path) -> dict[str, Any]:
    """Put a learner into the state that was saved; return the record."""
    record = _read_record(source)
    payload = (source / TENSORS).read_bytes()
    got = hashlib.sha256(payload).hexdigest()
    if got != record["sha256"]:
        raise CorruptionError(
            f"{source / TENSORS}: expected sha256 {record['sha256']}, got {got}; "
            "delete the checkpoint and train again"
        )
    tensors = safetensors.torch.load(payload)
    model.policy.load_state_dict(_under("policy/", tensors))
    model.average.load_state_dict(_under("average/", tensors))
    model.best = _under("best/", tensors)
    adam = model.policy.optimizer.state_dict()
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition("/")
        if kind == "adam":
            index, _, key = rest.partition("/")
            state.setdefault(int(index), {})[key] = tensor
    model.policy.optimizer.load_state_dict({**adam, "state": state})
    model.num_timesteps = int(record["steps"])
    model._n_updates = int(record["updates"])
    return record
