"""Write the rows of an array into its chunk files, and read them back, checked, in order."""

import mmap
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from trajstore.disk.system import DurableFile, FileRecord, Syncs, storing
from trajstore.errors import CorruptionError
from trajstore.version.codecs import CHECKSUM_BYTES, CODECS, crc32c
from trajstore.version.layout import ArraySpec, shard_index

EMPTY = 2**64 - 1
"""Offset and size, in a shard's index, of an inner chunk that has no rows."""


class NarrowWriter:
    """Rows into raw chunk files: the rows as they are, zeros to the end, checksum."""

    def __init__(self, folder: Path, spec: ArraySpec, syncs: Syncs) -> None:
        self._folder, self._spec, self._syncs = folder, spec, syncs
        self._file: DurableFile | None = None
        self._crc = self._rows = self._number = 0
        self.files: dict[str, FileRecord] = {}

    def append(self, rows: np.ndarray) -> None:
        """Take the next rows, ``[rows, *row shape]`` of the field's dtype."""
        while len(rows):
            count = min(len(rows), self._spec.chunk_rows - self._rows)
            self._write(as_bytes(rows[:count]))
            self._rows += count
            rows = rows[count:]
            if self._rows == self._spec.chunk_rows:
                self._end_chunk()

    def close(self) -> dict[str, FileRecord]:
        """End the last chunk; returns what each file holds, by path."""
        if self._rows:
            missing = self._spec.chunk_rows - self._rows
            self._write(bytes(missing * self._spec.field.row_bytes))
            self._end_chunk()
        return self.files

    def abandon(self) -> None:
        """Release the open file, if there is one."""
        if self._file is not None:
            self._file.abandon()

    def _write(self, data: bytes | memoryview) -> None:
        if self._file is None:
            self._file = DurableFile(self._folder / self._spec.file_path(self._number))
        self._crc = crc32c(data, self._crc)
        self._file.write(data)

    def _end_chunk(self) -> None:
        if self._file is not None:
            self._file.write(self._crc.to_bytes(CHECKSUM_BYTES, "little"))
            record = self._file.close(self._syncs).ending(self._crc)
            self.files[self._spec.file_path(self._number)] = record
        self._file, self._crc, self._rows = None, 0, 0
        self._number += 1


class WideWriter:
    """Rows into shards of compressed inner chunks; never more than one inner chunk is held."""

    def __init__(self, folder: Path, spec: ArraySpec, syncs: Syncs) -> None:
        self._folder, self._spec, self._syncs = folder, spec, syncs
        self._file: DurableFile | None = None
        self._number = 0
        self._index: list[tuple[int, int]] = []
        self._held = np.empty((0, *spec.field.shape), spec.field.numpy_dtype)
        self.files: dict[str, FileRecord] = {}

    def append(self, rows: np.ndarray) -> None:
        """Take the next rows, ``[rows, *row shape]`` of the field's dtype."""
        size = self._spec.chunk_rows
        if len(self._held):
            missing = size - len(self._held)
            self._held = np.concatenate([self._held, rows[:missing]])
            rows = rows[missing:]
            if len(self._held) < size:
                return
            self._write(self._held)
        whole = len(rows) - len(rows) % size
        for start in range(0, whole, size):
            self._write(rows[start : start + size])
        self._held = rows[whole:].copy()

    def close(self) -> dict[str, FileRecord]:
        """End the last inner chunk, padded with zeros, and the last shard."""
        if len(self._held):
            padded = np.zeros((self._spec.chunk_rows, *self._held.shape[1:]), self._held.dtype)
            padded[: len(self._held)] = self._held
            self._write(padded)
        if self._index:
            self._end_shard()
        return self.files

    def abandon(self) -> None:
        """Release the open file, if there is one."""
        if self._file is not None:
            self._file.abandon()

    def _write(self, chunk: np.ndarray) -> None:
        if self._file is None:
            self._file = DurableFile(self._folder / self._spec.file_path(self._number))
        packed = self._spec.codec.encode(as_bytes(chunk))
        self._index.append((self._file.size, len(packed)))
        self._file.write(packed)
        if len(self._index) == self._spec.chunks_per_file:
            self._end_shard()

    def _end_shard(self) -> None:
        entries = np.full((self._spec.chunks_per_file, 2), EMPTY, "<u8")
        entries[: len(self._index)] = self._index
        if self._file is not None:
            index = entries.tobytes()
            self._file.write(CODECS["raw"].encode(index))
            record = self._file.close(self._syncs).ending(crc32c(index))
            self.files[self._spec.file_path(self._number)] = record
        self._file, self._index = None, []
        self._number += 1


RowWriter = NarrowWriter | WideWriter


def row_writer(folder: Path, spec: ArraySpec, syncs: Syncs) -> RowWriter:
    """The writer that an array's layout asks for; the array's own folder must exist."""
    return (WideWriter if spec.shard_rows else NarrowWriter)(folder, spec, syncs)


def as_bytes(rows: np.ndarray) -> memoryview:
    """The memory of contiguous rows, as bytes."""
    return np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data


def read_blocks(folder: Path, spec: ArraySpec) -> Iterator[np.ndarray]:
    """Yield all rows in order, ``[rows, *row shape]`` a block; every checksum is compared.

    A block is a chunk of a narrow array or an inner chunk of a wide one; padding is left out.

    Raises:
        CorruptionError: if a file is missing or not what was written, naming it.
        StorageError: if a file cannot be read.
    """
    left = spec.rows
    for number in range(spec.file_count):
        path = folder / spec.file_path(number)
        try:
            for block in _blocks_of_file(path, spec, left):
                yield block
                left -= len(block)
        except CorruptionError as error:
            raise CorruptionError(f"{path}: {error}") from error


def read_rows(folder: Path, spec: ArraySpec) -> np.ndarray:
    """All rows of an array, checked; for arrays that fit in memory.

    Raises:
        CorruptionError: if a file is missing or not what was written, naming it.
        StorageError: if a file cannot be read.
    """
    return np.concatenate(list(read_blocks(folder, spec)))


def _blocks_of_file(path: Path, spec: ArraySpec, left: int) -> Iterator[np.ndarray]:
    content = _mapped(path)
    shape = (spec.chunk_rows, *spec.field.shape)
    count = min(spec.chunks_per_file, -(-left // spec.chunk_rows))
    entries = _entries(content, spec)
    for offset, size in entries[:count]:
        if offset + size > len(content):
            raise CorruptionError(f"expected a chunk at {offset}, got the end of the file")
        body = spec.codec.decode(content[offset : offset + size], spec.chunk_bytes)
        rows = np.frombuffer(body, spec.field.numpy_dtype).reshape(shape)
        yield rows[:left]
        left -= len(rows[:left])


def _entries(content: memoryview, spec: ArraySpec) -> list[tuple[int, int]]:
    if not spec.shard_rows:
        return [(0, len(content))]
    return [(int(offset), int(size)) for offset, size in shard_index(spec, content)]


def _mapped(path: Path) -> memoryview:
    if not path.is_file():
        raise CorruptionError("expected a file, got nothing there")
    with storing(path), path.open("rb") as file:
        if not path.stat().st_size:
            raise CorruptionError("expected a chunk, got an empty file")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
