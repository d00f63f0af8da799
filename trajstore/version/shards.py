"""Rows of a wide field, decoded from shards: a few rows compressed together, a file of many.

A block is checked and decoded when a row of it is read; those decoded last are kept.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

import google_crc32c
import numpy as np

from trajstore.disk.mapping import CRC_BYTES, check_crc, map_sealed
from trajstore.errors import CorruptionError
from trajstore.version.chunks import ABSENT, Buffer, check_frame, decompress
from trajstore.version.layout import ArraySpec, Files

T = TypeVar("T")
KEPT_BYTES = 8 * 2**20
"""Decoded blocks that a field keeps."""


class ShardedRows:
    """The rows of one wide field over all parts of a version."""

    def __init__(
        self, specs: Sequence[ArraySpec], files: Files, *, kept_bytes: int = KEPT_BYTES
    ) -> None:
        """Read nothing yet; ``specs`` are the field's arrays, a part each."""
        self.shape = specs[0].field.shape
        self.dtype = specs[0].field.numpy_dtype
        self._specs, self._files = specs, files
        self._ends = np.cumsum([spec.rows for spec in specs])
        self._shards: dict[tuple[int, int], Shard] = {}
        self._kept: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()
        self._most_kept = max(1, kept_bytes // max(1, specs[0].chunk_bytes))

    def at(self, rows: np.ndarray) -> np.ndarray:
        """Copies of rows in any order; ``rows.shape + row shape``. Each block is decoded once."""
        flat = rows.ravel()
        out = np.empty((len(flat), *self.shape), self.dtype)
        for part, chosen, local in self._by_part(flat):
            inner = self._specs[part].chunk_rows
            order = local.argsort(kind="stable")
            blocks, offsets = np.divmod(local[order], inner)
            current, block = -1, out
            targets = chosen[order].tolist()
            for target, number, offset in zip(
                targets, blocks.tolist(), offsets.tolist(), strict=True
            ):
                if number != current:
                    block = self._block(part, number)
                    current = number
                out[target] = block[offset]
        return out.reshape(*rows.shape, *self.shape)

    def span(self, first: int, stop: int) -> np.ndarray:
        """Rows ``first`` to ``stop``; the files they lie in are compared before room is made."""
        starts = [0, *self._ends.tolist()]
        pieces = []
        for part, (start, end) in enumerate(pairwise(starts)):
            low, high = max(first, start), min(stop, end)
            if low < high:
                pieces.append((part, low, high))
                size = self._specs[part].file_rows
                for shard in range((low - start) // size, -(-(high - start) // size)):
                    self._shard(part, shard)
        out = np.empty((max(stop - first, 0), *self.shape), self.dtype)
        for part, low, high in pieces:
            self._fill(out[low - first : high - first], part, low - starts[part])
        out.flags.writeable = False
        return out

    def _fill(self, out: np.ndarray, part: int, first: int) -> None:
        """Write the rows of a part from ``first`` on into ``out``."""
        inner = self._specs[part].chunk_rows
        stop = first + len(out)
        for number in range(first // inner, -(-stop // inner)):
            start = number * inner
            low, high = max(first, start), min(stop, start + inner)
            target = out[low - first : high - first]
            if high - low == inner and (part, number) not in self._kept:
                target[...] = self._decode(part, number)
            else:
                target[...] = self._block(part, number)[low - start : high - start]

    def _by_part(self, rows: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Yield a part, the places in ``rows`` of its rows, and the rows counted within it."""
        if len(self._specs) == 1:
            yield 0, np.arange(len(rows)), rows
            return
        parts = self._ends.searchsorted(rows, side="right")
        for part in np.unique(parts).tolist():
            chosen = np.flatnonzero(parts == part)
            yield part, chosen, rows[chosen] - (self._ends[part] - self._specs[part].rows)

    def _block(self, part: int, number: int) -> np.ndarray:
        key = (part, number)
        block = self._kept.get(key)
        if block is not None:
            self._kept.move_to_end(key)
            return block
        while len(self._kept) >= self._most_kept:
            self._kept.popitem(last=False)
        block = self._kept[key] = self._decode(part, number)
        return block

    def _decode(self, part: int, number: int) -> np.ndarray:
        spec = self._specs[part]
        shard, within = divmod(number, spec.chunks_per_file)
        opened = self._shard(part, shard)
        return opened.decode(within).view(self.dtype).reshape(-1, *self.shape)

    def _shard(self, part: int, number: int) -> "Shard":
        opened = self._shards.get((part, number))
        if opened is None:
            opened = Shard(self._specs[part], number, self._files)
            self._shards[part, number] = opened
        return opened


class Shard:
    """One file of blocks, mapped, with its index."""

    def __init__(self, spec: ArraySpec, number: int, files: Files) -> None:
        path = spec.file_path(number)
        record, self.path = files.record(path), files.file(path)
        self._block_bytes = spec.chunk_bytes
        self._data = map_sealed(self.path, record.size)
        if len(self._data) < spec.index_bytes:
            raise CorruptionError(
                f"{self.path}: expected an index of {spec.index_bytes:,} bytes, "
                f"got {len(self._data):,}"
            )
        index = self._data[-spec.index_bytes :]
        check_crc(index, self.path, record.crc32c)
        rows = min(spec.rows - number * spec.file_rows, spec.file_rows)
        entries = np.frombuffer(index[:-CRC_BYTES].tobytes(), "<u8").reshape(-1, 2)
        self._blocks = self._within(entries[: -(-rows // spec.chunk_rows)], spec.index_bytes)

    def _within(self, entries: np.ndarray, index_bytes: int) -> list[list[int]]:
        """Where each block with rows starts and how long it is, all of them within the file."""
        absent = np.flatnonzero(entries[:, 0] == ABSENT)
        if len(absent):
            raise CorruptionError(
                f"{self.path}: block {absent[0]}: expected a block of rows, got none"
            )
        limit = np.uint64(len(self._data) - index_bytes)
        starts, sizes = entries.T
        wrong = (starts > limit) | (sizes > limit) | (sizes <= CRC_BYTES)
        if np.any(wrong) or np.any(starts + sizes > limit):
            raise CorruptionError(
                f"{self.path}: expected an index of blocks within the file, got others"
            )
        blocks: list[list[int]] = entries.tolist()
        return blocks

    def decode(self, block: int) -> np.ndarray:
        """Check and decode a block; its bytes, read-only."""
        return np.frombuffer(self._read(block, decompress), np.uint8)

    def check(self) -> None:
        """Compare the checksums of all blocks, and the sizes that they announce."""
        for block in range(len(self._blocks)):
            self._read(block, check_frame)

    def _read(self, block: int, read: Callable[[Buffer, int], T]) -> T:
        data = self._checked(block)
        try:
            return read(data, self._block_bytes)
        except CorruptionError as error:
            raise CorruptionError(f"{self.path}: block {block}: {error}") from None

    def _checked(self, block: int) -> memoryview:
        start, size = self._blocks[block]
        stop = start + size - CRC_BYTES
        data = self._data[start:stop]
        stored = int.from_bytes(self._data[stop : stop + CRC_BYTES].tobytes(), "little")
        if google_crc32c.value(data) != stored:
            raise CorruptionError(
                f"{self.path}: block {block}: expected bytes with crc32c {stored:#010x}, "
                "got others; get the version anew from its remote"
            )
        return data.data
