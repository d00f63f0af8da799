"""A compressed NPZ file an episode."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.data import Source
from benchmarks.peers import Batch
from benchmarks.peers.drawing import Rows, gather_by_episode, gather_windows


def write(path: Path, source: Source) -> None:
    path.mkdir(parents=True)
    for index, arrays in enumerate(source.episodes()):
        np.savez_compressed(path / f"{index:06d}.npz", allow_pickle=False, **arrays)
    np.save(path / "lengths.npy", source.lengths)


class NpzReader:
    def __init__(self, path: Path) -> None:
        self.rows = Rows(np.load(path / "lengths.npy"))
        self.files = sorted(path.glob("*.npz"))

    def episode(self, index: int) -> Batch:
        with np.load(self.files[index]) as arrays:
            return dict(arrays.items())

    def transitions(self, rng: np.random.Generator, size: int) -> Batch:
        return gather_by_episode(self.rows, self.rows.draw(rng, size), self._steps)

    def windows(self, rng: np.random.Generator, size: int, length: int) -> Batch:
        first = self.rows.draw_windows(rng, size, length)
        return gather_windows(self.rows, first, length, self._slice)

    def sequential(self) -> Iterator[Batch]:
        for index in range(len(self.files)):
            yield self.episode(index)

    def _steps(self, index: int, steps: np.ndarray) -> Batch:
        return {name: values[steps] for name, values in self.episode(index).items()}

    def _slice(self, index: int, first: int, last: int) -> Batch:
        return {name: values[first:last] for name, values in self.episode(index).items()}


def open_store(path: Path) -> NpzReader:
    return NpzReader(path)
