"""A learner's state, written whole, so that an interrupted training goes on where it was."""

import hashlib
import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from pipelines.learning.policy import put_weights, weights_of
from pipelines.learning.ppo import AveragedPPO
from pipelines.learning.tensors import read_tensors
from trajstore.disk.files import read_json, remove_tree, whole_directory
from trajstore.errors import CorruptionError, NotFoundError

TENSORS = "learner.safetensors"
RECORD = "learner.json"
_REMEDY = "delete the checkpoint and train again"
_MOMENTS = 3
"""Tensors that Adam keeps of a parameter."""


def _tensors(model: AveragedPPO) -> dict[str, torch.Tensor]:
    adam = model.policy.optimizer.state_dict()["state"]
    parts = {"policy": weights_of(model.policy), "average": weights_of(model.average)}
    parts |= {"best": model.best} | {f"adam/{index}": state for index, state in adam.items()}
    tensors = {f"{part}/{name}": it for part, held in parts.items() for name, it in held.items()}
    return {name: tensor.cpu().contiguous().clone() for name, tensor in sorted(tensors.items())}


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
        record = read_json(source / RECORD)
    except (CorruptionError, NotFoundError):
        record = None
    counts = ("steps", "updates")
    intact = (
        isinstance(record, dict)
        and record.pop("record_sha256", None) == _record_digest(record)
        and isinstance(record.get("sha256"), str)
        and all(type(record.get(name)) is int and record[name] >= 0 for name in counts)
    )
    if not intact:
        raise CorruptionError(
            f"{source / RECORD}: expected the record that was saved, got something else; {_REMEDY}"
        )
    plain: dict[str, Any] = record
    return plain


def _shapes(model: AveragedPPO) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """Shapes of what a checkpoint of the learner must hold, and of what it may hold."""
    weights = {name: tuple(it.shape) for name, it in weights_of(model.policy).items()}
    needed = {
        f"{part}/{name}": it for part in ("policy", "average") for name, it in weights.items()
    }
    more = {f"best/{name}": it for name, it in weights.items()}
    for index, parameter in enumerate(model.policy.parameters()):
        more[f"adam/{index}/step"] = ()
        more |= {f"adam/{index}/{it}": tuple(parameter.shape) for it in ("exp_avg", "exp_avg_sq")}
    return needed, more


def load_checkpoint(model: AveragedPPO, source: Path, *, plan: str = "") -> dict[str, Any]:
    """Put a learner into the state that was saved; return the record.

    Raises:
        CorruptionError: it is not that of such a learner, not what was saved, or was saved by a
            run of another ``plan``.
    """
    record = _read_record(source)
    if record.get("plan", "") != plan:
        raise CorruptionError(
            f"{source}: expected a checkpoint of this run, got that of another run; put it back "
            "where it was, or delete it and train again"
        )
    needed, more = _shapes(model)
    path = source / TENSORS
    tensors = read_tensors(path, record["sha256"], needed, optional=more, remedy=_REMEDY)
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition("/")
        if kind == "adam":
            index, _, key = rest.partition("/")
            state.setdefault(int(index), {})[key] = tensor
    best = _under("best/", tensors)
    if len(best) not in (0, len(weights_of(model.policy))) or any(
        len(moments) != _MOMENTS for moments in state.values()
    ):
        raise CorruptionError(f"{path}: expected a learner's tensors, got some of them; {_REMEDY}")
    put_weights(model.policy, _under("policy/", tensors))
    put_weights(model.average, _under("average/", tensors))
    model.best = best
    adam = model.policy.optimizer.state_dict()
    model.policy.optimizer.load_state_dict({**adam, "state": state})
    model.num_timesteps = record["steps"]
    model._n_updates = record["updates"]
    return record
