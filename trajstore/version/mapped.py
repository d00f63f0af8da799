"""Rows of a narrow field, read where they lie: chunk files mapped end to end.

All files of a field are placed at one distance from each other, a whole number of rows that is the
same for every field of an axis. So the place of a row, its *slot*, is computed once a batch for all
fields, and a batch is one gather a field, however many files there are.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trajstore.disk.mapping import CRC_BYTES, GRANULARITY, Reservation, check_crc
from trajstore.errors import CorruptionError
from trajstore.version.layout import ArraySpec, Files


@dataclass(frozen=True)
class ChunkGrid:
    """How the rows of an axis are divided into files: ``(rows, rows a file)`` of each part."""

    parts: tuple[tuple[int, int], ...]

    @cached_property
    def starts(self) -> np.ndarray:
        """First row of each file, counted over all parts; ``int64[files + 1]`` with the end."""
        starts: list[int] = []
        first = 0
        for rows, per_file in self.parts:
            starts += range(first, first + rows, per_file)
            first += rows
        return np.array([*starts, first], np.int64)

    @cached_property
    def distance(self) -> int:
        """Slots from one file to the next: a multiple of every page, whatever a row's size."""
        longest = max((per_file for _, per_file in self.parts), default=0)
        return -(-(longest + CRC_BYTES) // GRANULARITY) * GRANULARITY

    @cached_property
    def shift(self) -> np.ndarray:
        """What to add to a row to get its slot, for each file."""
        shift: np.ndarray = np.arange(len(self.starts) - 1) * self.distance - self.starts[:-1]
        return shift

    def chunks(self, rows: np.ndarray) -> np.ndarray:
        """Number of the file that holds each row."""
        if len(self.parts) == 1:
            return rows // self.parts[0][1]
        return np.searchsorted(self.starts, rows, side="right") - 1

    def slots(self, rows: np.ndarray, chunks: np.ndarray) -> np.ndarray:
        """Place of each row, given the number of its file.

        Example:
            >>> grid = ChunkGrid(((5, 3),))
            >>> rows = np.array([0, 2, 3, 4])
            >>> (grid.slots(rows, grid.chunks(rows)) % grid.distance).tolist()
            [0, 2, 0, 1]
        """
        slots: np.ndarray = rows + self.shift[chunks]
        return slots


class MappedRows:
    """The rows of one narrow field over all parts of a version.

    A file is mapped, and its size and checksum compared, when a row of it is first read.
    """

    def __init__(self, specs: Sequence[ArraySpec], files: Files) -> None:
        """Read nothing yet; ``specs`` are the field's arrays, a part each."""
        field = specs[0].field
        self.grid = ChunkGrid(tuple((spec.rows, spec.file_rows) for spec in specs))
        self.shape = field.shape
        self.dtype = field.numpy_dtype
        self._files = files
        self._chunks = [(spec, path) for spec in specs for path in spec.file_paths()]
        self._records = [files.record(path) for _, path in self._chunks]
        self._absent = set(range(len(self._chunks)))
        self._distance = self.grid.distance * field.row_bytes
        size = len(self._chunks) * self._distance
        self._memory = Reservation(size)
        slots: np.ndarray = self._memory.bytes[:size].view(self.dtype)
        self._slots = slots.reshape(-1, *self.shape)
        self._starts: list[int] = self.grid.starts.tolist()
        self._offsets: list[int] = self.grid.shift.tolist()

    def at(self, rows: np.ndarray) -> np.ndarray:
        """Copies of rows in any order; ``rows.shape + row shape``."""
        chunks = self.grid.chunks(rows)
        return self.take(self.grid.slots(rows, chunks), chunks)

    def take(self, slots: np.ndarray, chunks: np.ndarray) -> np.ndarray:
        """The same, for rows whose slots and files are known."""
        if self._absent:
            self._place(np.unique(chunks).tolist())
        return self._slots.take(slots, axis=0, mode="clip")

    def span(self, first: int, stop: int) -> np.ndarray:
        """Rows ``first`` to ``stop``, in place if one file holds them, and read-only."""
        starts = self._starts
        low = bisect_right(starts, first) - 1
        high = bisect_left(starts, stop, low)
        if self._absent:
            self._place(range(low, high))
        if high == low + 1:
            offset = self._offsets[low]
            return self._slots[first + offset : stop + offset]
        return self._joined(range(low, high), first, stop)

    def _joined(self, chunks: range, first: int, stop: int) -> np.ndarray:
        out = np.empty((max(stop - first, 0), *self.shape), self.dtype)
        for chunk in chunks:
            low, high = max(first, self._starts[chunk]), min(stop, self._starts[chunk + 1])
            offset = self._offsets[chunk]
            out[low - first : high - first] = self._slots[low + offset : high + offset]
        out.flags.writeable = False
        return out

    def _place(self, chunks: Iterable[int]) -> None:
        for chunk in self._absent.intersection(chunks):
            self._place_file(chunk)
            self._absent.discard(chunk)

    def _place_file(self, chunk: int) -> None:
        spec, path = self._chunks[chunk]
        record, size = self._records[chunk], spec.chunk_bytes + CRC_BYTES
        if record.size != size:
            raise CorruptionError(
                f"{self._files.where}/{path}: expected a file of {size:,} bytes for "
                f"{spec.chunk_rows:,} rows, got {record.size:,} in the manifest"
            )
        file = self._files.file(path)
        check_crc(self._memory.place(file, size, chunk * self._distance), file, record.crc32c)
