"""The limit: one raw .npy file a field, memory-mapped. No checksums, no compression.

Rows are gathered with ``take``, which is twice as fast as indexing with an array.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.data import Source
from benchmarks.peers import Batch
from benchmarks.peers.drawing import Rows


def write(path: Path, source: Source) -> None:
    path.mkdir(parents=True)
    targets = {
        name: np.lib.format.open_memmap(
            path / f"{name}.npy", mode="w+", dtype=rows.dtype, shape=rows.shape
        )
        for name, rows in source.fields.items()
    }
    position = 0
    for episode in source.episodes():
        length = len(episode["reward"])
        for name, values in episode.items():
            targets[name][position : position + length] = values
        position += length
    for target in targets.values():
        target.flush()
    np.save(path / "lengths.npy", source.lengths)


class MemmapReader:
    def __init__(self, path: Path) -> None:
        self.rows = Rows(np.load(path / "lengths.npy"))
        self.fields = {
            file.stem: np.load(file, mmap_mode="r").view(np.ndarray)
            for file in sorted(path.glob("*.npy"))
            if file.stem != "lengths"
        }

    def transitions(self, rng: np.random.Generator, size: int) -> Batch:
        flat = self.rows.draw(rng, size)
        return {name: rows.take(flat, axis=0, mode="clip") for name, rows in self.fields.items()}

    def windows(self, rng: np.random.Generator, size: int, length: int) -> Batch:
        first = self.rows.draw_windows(rng, size, length)
        flat = first[:, None] + np.arange(length)
        return {name: rows.take(flat, axis=0, mode="clip") for name, rows in self.fields.items()}

    def episode(self, index: int) -> Batch:
        span = slice(self.rows.starts[index], self.rows.ends[index])
        return {name: rows[span] for name, rows in self.fields.items()}

    def sequential(self) -> Iterator[Batch]:
        for index in range(len(self.rows.lengths)):
            yield self.episode(index)


def open_store(path: Path) -> MemmapReader:
    return MemmapReader(path)
