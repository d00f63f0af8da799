"""Lance: one table, fixed-size lists, no compression by default."""

from collections.abc import Iterator
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa

from benchmarks.data import Source
from benchmarks.peers import Batch
from benchmarks.peers.drawing import Rows

_BLOCK = 16_384


def _column(rows: np.ndarray) -> pa.Array:
    if rows.ndim == 1:
        return pa.array(rows)
    width = int(np.prod(rows.shape[1:]))
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), width)


def _blocks(source: Source) -> Iterator[pa.RecordBatch]:
    for start in range(0, source.steps, _BLOCK):
        columns = [_column(rows[start : start + _BLOCK]) for rows in source.fields.values()]
        yield pa.RecordBatch.from_arrays(columns, names=list(source.fields))


def write(path: Path, source: Source) -> None:
    path.mkdir(parents=True)
    schema = next(_blocks(source)).schema
    reader = pa.RecordBatchReader.from_batches(schema, _blocks(source))
    lance.write_dataset(reader, path / "steps.lance")
    np.save(path / "lengths.npy", source.lengths)


def _values(column: pa.Array, name: str) -> np.ndarray:
    if not pa.types.is_fixed_size_list(column.type):
        return column.to_numpy(zero_copy_only=False)
    shape = (64, 64) if name == "grid" else (column.type.list_size,)
    return column.flatten().to_numpy(zero_copy_only=False).reshape(-1, *shape)


def _batch(table: pa.Table | pa.RecordBatch) -> Batch:
    return {
        name: _values(
            column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column, name
        )
        for name, column in zip(table.schema.names, table.columns, strict=True)
    }


class LanceReader:
    def __init__(self, path: Path) -> None:
        self.table = lance.dataset(path / "steps.lance")
        self.rows = Rows(np.load(path / "lengths.npy"))

    def transitions(self, rng: np.random.Generator, size: int) -> Batch:
        return _batch(self.table.take(self.rows.draw(rng, size).tolist()))

    def windows(self, rng: np.random.Generator, size: int, length: int) -> Batch:
        first = self.rows.draw_windows(rng, size, length)
        flat = (first[:, None] + np.arange(length)).ravel()
        batch = _batch(self.table.take(flat.tolist()))
        return {name: rows.reshape(size, length, *rows.shape[1:]) for name, rows in batch.items()}

    def episode(self, index: int) -> Batch:
        start, length = int(self.rows.starts[index]), int(self.rows.lengths[index])
        return _batch(self.table.to_table(offset=start, limit=length))

    def sequential(self) -> Iterator[Batch]:
        """Blocks as the scanner gives them: twice as fast as asking for runs of episodes."""
        for block in self.table.to_batches(batch_size=4_096):
            yield _batch(block)


def open_store(path: Path) -> LanceReader:
    return LanceReader(path)
