"""HDF5: one data set a field over all steps, gzip 4 with shuffle, chunks of 64 KiB."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from benchmarks.data import Source
from benchmarks.peers import Batch
from benchmarks.peers.drawing import Rows, block_of, split_blocks

_BLOCK = 4_096


def write(path: Path, source: Source) -> None:
    path.mkdir(parents=True)
    with h5py.File(path / "data.h5", "w") as file:
        file["lengths"] = source.lengths
        for name, rows in source.fields.items():
            chunk = min(len(rows), 256, max(1, 2**16 // rows[0].nbytes))
            target = file.create_dataset(
                name,
                shape=rows.shape,
                dtype=rows.dtype,
                chunks=(chunk, *rows.shape[1:]),
                compression="gzip",
                compression_opts=4,
                shuffle=True,
            )
            block = min(_BLOCK, max(1, 2**26 // rows[0].nbytes))
            for start in range(0, len(rows), block):
                target[start : start + block] = rows[start : start + block]


class FlatReader:
    def __init__(self, path: Path) -> None:
        self.file = h5py.File(path / "data.h5", "r")
        self.rows = Rows(self.file["lengths"][:])
        self.fields = {name: rows for name, rows in self.file.items() if name != "lengths"}

    def transitions(self, rng: np.random.Generator, size: int) -> Batch:
        flat = self.rows.draw(rng, size)
        order = np.argsort(flat)
        return {name: self._gather(rows, flat, order) for name, rows in self.fields.items()}

    def windows(self, rng: np.random.Generator, size: int, length: int) -> Batch:
        first = np.sort(self.rows.draw_windows(rng, size, length)).tolist()
        return {
            name: np.stack([rows[start : start + length] for start in first])
            for name, rows in self.fields.items()
        }

    def episode(self, index: int) -> Batch:
        span = slice(int(self.rows.starts[index]), int(self.rows.ends[index]))
        return {name: rows[span] for name, rows in self.fields.items()}

    def sequential(self) -> Iterator[Batch]:
        return split_blocks(self.rows, self._slice, block=block_of(self.fields))

    def _slice(self, first: int, last: int) -> Batch:
        return {name: rows[first:last] for name, rows in self.fields.items()}

    @staticmethod
    def _gather(rows: h5py.Dataset, flat: np.ndarray, order: np.ndarray) -> np.ndarray:
        """Each row by itself, in order of rows: h5py keeps the last chunks decoded."""
        batch = np.empty((len(flat), *rows.shape[1:]), rows.dtype)
        for position in order.tolist():
            batch[position] = rows[int(flat[position])]
        return batch


def open_store(path: Path) -> FlatReader:
    return FlatReader(path)
