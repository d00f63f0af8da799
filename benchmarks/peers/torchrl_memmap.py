"""TorchRL: a replay buffer over memory-mapped storage, slices by episode number."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from tensordict import TensorDict
from torchrl.data import (
    LazyMemmapStorage,
    RandomSampler,
    SliceSampler,
    TensorDictReplayBuffer,
    TensorStorage,
)

from benchmarks.data import Source
from benchmarks.peers import Batch
from benchmarks.peers.drawing import Rows, split_blocks

_BLOCK = 16_384


def write(path: Path, source: Source) -> None:
    path.mkdir(parents=True)
    storage = LazyMemmapStorage(source.steps, scratch_dir=path / "rows")
    buffer = TensorDictReplayBuffer(storage=storage, batch_size=256)
    number = np.repeat(np.arange(len(source.lengths)), source.lengths)
    for start in range(0, source.steps, _BLOCK):
        rows = {name: values[start : start + _BLOCK] for name, values in source.fields.items()}
        rows["episode"] = number[start : start + _BLOCK]
        tensors = {name: torch.from_numpy(np.array(values)) for name, values in rows.items()}
        buffer.extend(TensorDict(tensors, batch_size=[len(rows["reward"])]))
    np.save(path / "lengths.npy", source.lengths)


class TorchRLReader:
    """Draws with TorchRL's own samplers (its global generator): ``rng`` only seeds it."""

    def __init__(self, path: Path) -> None:
        self.rows = Rows(np.load(path / "lengths.npy"))
        self.steps = TensorDict.load_memmap(path / "rows")
        self.names = tuple(
            name for name in self.steps.sorted_keys if name not in ("episode", "index")
        )
        self.uniform = TensorDictReplayBuffer(
            storage=TensorStorage(self.steps), sampler=RandomSampler(), batch_size=256
        )
        self.sliced: dict[int, TensorDictReplayBuffer] = {}

    def transitions(self, rng: np.random.Generator, size: int) -> Batch:
        return self._batch(self.uniform.sample(size))

    def windows(self, rng: np.random.Generator, size: int, length: int) -> Batch:
        if length not in self.sliced:
            sampler = SliceSampler(slice_len=length, traj_key="episode", cache_values=True)
            self.sliced[length] = TensorDictReplayBuffer(
                storage=TensorStorage(self.steps), sampler=sampler, batch_size=size * length
            )
        batch = self._batch(self.sliced[length].sample(size * length))
        return {name: rows.reshape(size, length, *rows.shape[1:]) for name, rows in batch.items()}

    def episode(self, index: int) -> Batch:
        span = slice(int(self.rows.starts[index]), int(self.rows.ends[index]))
        return self._batch(self.steps[span])

    def sequential(self) -> Iterator[Batch]:
        return split_blocks(self.rows, lambda first, last: self._batch(self.steps[first:last]))

    def _batch(self, steps: TensorDict) -> Batch:
        return {name: steps.get(name).numpy() for name in self.names}


def open_store(path: Path) -> TorchRLReader:
    return TorchRLReader(path)
