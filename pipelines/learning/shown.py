"""What a clone was shown, kept beside it for a fine-tuning that goes on cloning."""

from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray

from pipelines.learning.architecture import Architecture
from pipelines.learning.rows import RunError
from pipelines.learning.runlog import RunRecord
from pipelines.learning.sealing import SHOWN
from pipelines.learning.tensors import MAX_BYTES, read_tensors
from trajstore.disk.files import replace_file

PAIRS = "pairs"
"""Name of their number among a clone's parameters."""


def write_shown(folder: Path, observation: NDArray[np.float32], action: NDArray[Any]) -> int:
    """Write what a clone was shown, evenly spaced pairs if all are too many; return how many."""
    action = action.reshape(len(action), -1).astype(np.float32)
    size = observation[:1].nbytes + action[:1].nbytes
    step = -(-len(action) * size // MAX_BYTES)
    kept = {"observation": observation[::step], "action": action[::step]}
    tensors = {name: torch.from_numpy(np.ascontiguousarray(it)) for name, it in kept.items()}
    replace_file(folder / SHOWN, safetensors.torch.save(tensors))
    return len(kept["action"])


def read_shown(
    folder: Path, record: RunRecord, architecture: Architecture
) -> tuple[torch.Tensor, torch.Tensor]:
    """Observations ``[T, D]`` and coded actions ``[T, A]`` that the clone of a run was shown.

    Raises:
        RunError: the clone was made without keeping them.
        CorruptionError: they are not those that were kept.
    """
    count = record.parameters.get(PAIRS)
    if type(count) is not int or SHOWN not in record.files:
        raise RunError(
            f"{folder}: expected a clone that kept what it was shown, as finetune.from_clone asks "
            "with cloning_weight, got one without; run the stage pretrain again"
        )
    shapes = {
        "observation": (count, architecture.observations),
        "action": (count, architecture.actions),
    }
    remedy = "run the stage pretrain again"
    tensors = read_tensors(folder / SHOWN, record.files[SHOWN], shapes, remedy=remedy)
    action = tensors["action"].long() if architecture.choices else tensors["action"]
    return tensors["observation"], action[:, 0] if len(architecture.choices) == 1 else action
