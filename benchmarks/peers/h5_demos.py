"""HDF5 as robomimic lays it out: a group a demonstration, contiguous, uncompressed."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from benchmarks.data import Source
from benchmarks.peers import Batch
from benchmarks.peers.drawing import Rows, gather_by_episode, gather_windows


def write(path: Path, source: Source) -> None:
    path.mkdir(parents=True)
    with h5py.File(path / "demos.h5", "w") as file:
        data = file.create_group("data")
        for index, arrays in enumerate(source.episodes()):
            demo = data.create_group(f"demo_{index}")
            demo.attrs["num_samples"] = len(arrays["reward"])
            for name, values in arrays.items():
                demo.create_dataset(name, data=values)


class DemosReader:
    def __init__(self, path: Path) -> None:
        self.data = h5py.File(path / "demos.h5", "r")["data"]
        count = len(self.data)
        lengths = [self.data[f"demo_{index}"].attrs["num_samples"] for index in range(count)]
        self.rows = Rows(np.array(lengths))

    def episode(self, index: int) -> Batch:
        return {name: values[()] for name, values in self.data[f"demo_{index}"].items()}

    def transitions(self, rng: np.random.Generator, size: int) -> Batch:
        return gather_by_episode(self.rows, self.rows.draw(rng, size), self._steps)

    def windows(self, rng: np.random.Generator, size: int, length: int) -> Batch:
        first = self.rows.draw_windows(rng, size, length)
        return gather_windows(self.rows, first, length, self._slice)

    def sequential(self) -> Iterator[Batch]:
        for index in range(len(self.rows.lengths)):
            yield self.episode(index)

    def _steps(self, index: int, steps: np.ndarray) -> Batch:
        """Row by row: an h5py index list costs more than the rows do."""
        demo = self.data[f"demo_{index}"]
        wanted = steps.tolist()
        return {name: np.stack([values[step] for step in wanted]) for name, values in demo.items()}

    def _slice(self, index: int, first: int, last: int) -> Batch:
        return {name: values[first:last] for name, values in self.data[f"demo_{index}"].items()}


def open_store(path: Path) -> DemosReader:
    return DemosReader(path)
