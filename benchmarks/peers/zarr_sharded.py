"""Zarr 3 by the book: an array a field, chunks of 256 rows, shards of 16,384, default codec.

Frames of cameras one a chunk, 256 a shard, and read as slices: an index of rows takes gigabytes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from benchmarks.data import Source
from benchmarks.peers import Batch
from benchmarks.peers.drawing import Rows, block_of, split_blocks

_CHUNK = 256
_SHARD = 16_384


def write(path: Path, source: Source) -> None:
    root = zarr.create_group(path)
    lengths = root.create_array("lengths", shape=source.lengths.shape, dtype="int64")
    lengths[:] = source.lengths
    for name, rows in source.fields.items():
        target = root.create_array(
            name,
            shape=rows.shape,
            dtype=rows.dtype,
            chunks=(1 if rows.ndim == 4 else _CHUNK, *rows.shape[1:]),
            shards=(shard := _CHUNK if rows.ndim == 4 else _SHARD, *rows.shape[1:]),
        )
        for start in range(0, len(rows), shard):
            target[start : start + shard] = rows[start : start + shard]


class ShardedReader:
    def __init__(self, path: Path) -> None:
        root = zarr.open_group(path, mode="r")
        self.rows = Rows(np.asarray(root["lengths"][:]))
        self.fields = {name: rows for name, rows in root.arrays() if name != "lengths"}

    def transitions(self, rng: np.random.Generator, size: int) -> Batch:
        flat = self.rows.draw(rng, size)
        return {name: _taken(rows, flat, 1) for name, rows in self.fields.items()}

    def windows(self, rng: np.random.Generator, size: int, length: int) -> Batch:
        first = self.rows.draw_windows(rng, size, length)
        return {
            name: _taken(rows, first, length).reshape(size, length, *rows.shape[1:])
            for name, rows in self.fields.items()
        }

    def episode(self, index: int) -> Batch:
        span = slice(int(self.rows.starts[index]), int(self.rows.ends[index]))
        return {name: rows[span] for name, rows in self.fields.items()}

    def sequential(self) -> Iterator[Batch]:
        return split_blocks(self.rows, self._slice, block=block_of(self.fields))

    def _slice(self, first: int, last: int) -> Batch:
        return {name: rows[first:last] for name, rows in self.fields.items()}


def _taken(rows: Any, first: np.ndarray, length: int) -> np.ndarray:
    """Runs of ``length`` rows, end to end."""
    if rows.ndim == 4:
        return np.concatenate([rows[start : start + length] for start in first.tolist()])
    flat = (first[:, None] + np.arange(length)).ravel()
    taken: np.ndarray = rows.oindex[flat]
    return taken


def open_store(path: Path) -> ShardedReader:
    return ShardedReader(path)
