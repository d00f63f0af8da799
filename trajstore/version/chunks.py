"""How rows become the bytes of chunk and shard files: behind each a CRC-32C; wide fields packed."""

import threading
from collections.abc import Sequence
from pathlib import Path

import google_crc32c
import numpy as np
import zstandard

from trajstore.disk.mapping import CRC_BYTES
from trajstore.disk.system import DurableFile, FileRecord, Syncs
from trajstore.errors import CorruptionError
from trajstore.version.layout import ZSTD_LEVEL, ArraySpec

Buffer = bytes | bytearray | memoryview
ABSENT = 2**64 - 1
"""Offset and size, in the index of a shard, of a block without rows."""


def crc32c(data: Buffer, start: int = 0) -> int:
    """CRC-32C (Castagnoli) of data that continues data of checksum ``start``.

    Example:
        >>> hex(crc32c(b"123456789"))
        '0xe3069283'
    """
    readable = data if isinstance(data, bytes) else np.frombuffer(data, np.uint8)
    return int(google_crc32c.extend(start, readable))


def checksum(data: Buffer) -> bytes:
    """The four bytes that follow checked data: its CRC-32C, little endian."""
    return crc32c(data).to_bytes(CRC_BYTES, "little")


class _Zstd(threading.local):
    """One compressor and one decompressor a thread; making them takes longer than a chunk."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=False)
        self.decompressor = zstandard.ZstdDecompressor()


_ZSTD_OF_THREAD = _Zstd()


def compress(data: Buffer) -> bytes:
    """One zstd frame that holds the data, and the frame's checksum."""
    packed = _ZSTD_OF_THREAD.compressor.compress(data)
    return packed + checksum(packed)


def check_frame(data: Buffer, size: int) -> None:
    """Refuse what is no zstd frame of ``size`` bytes, by what its first bytes announce."""
    try:
        announced = zstandard.frame_content_size(data)
    except zstandard.ZstdError as error:
        raise CorruptionError(f"expected {size:,} bytes when decoded, got {error}") from error
    if announced != size:
        raise CorruptionError(f"expected {size:,} bytes when decoded, got {announced:,}")


def decompress(data: Buffer, size: int) -> bytes:
    """Decompress one zstd frame, without its checksum, that holds ``size`` bytes and no more."""
    check_frame(data, size)
    try:
        return _ZSTD_OF_THREAD.decompressor.decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise CorruptionError(f"expected {size:,} packed bytes, got {error}") from error


class _Writer:
    """The files of one array, one after the other; the array's own folder must exist."""

    def __init__(self, folder: Path, spec: ArraySpec, syncs: Syncs) -> None:
        self._folder, self._spec, self._syncs = folder, spec, syncs
        self._file: DurableFile | None = None
        self.files: dict[str, FileRecord] = {}

    def abandon(self) -> None:
        """Release the open file, if there is one."""
        if self._file is not None:
            self._file.abandon()

    def _open(self) -> DurableFile:
        if self._file is None:
            self._file = DurableFile(self._folder / self._spec.file_path(len(self.files)))
        return self._file

    def _end_file(self, crc: int) -> None:
        file = self._open()
        file.write(crc.to_bytes(CRC_BYTES, "little"))
        record = file.close(self._syncs).ending(crc)
        self.files[self._spec.file_path(len(self.files))] = record
        self._file = None


class NarrowWriter(_Writer):
    """Rows into raw chunk files: the rows as they are, zeros to the end, checksum."""

    _crc = _rows = 0

    def append(self, rows: np.ndarray) -> None:
        """Take the next rows, ``[rows, *row shape]`` of the field's dtype."""
        while len(rows):
            count = min(len(rows), self._spec.chunk_rows - self._rows)
            self._write(_as_bytes(rows[:count]), count)
            rows = rows[count:]

    def close(self) -> dict[str, FileRecord]:
        """End the last chunk, padded with zeros; returns what each file holds, by path."""
        if self._rows:
            missing = self._spec.chunk_rows - self._rows
            self._write(bytes(missing * self._spec.field.row_bytes), missing)
        return self.files

    def _write(self, data: bytes | memoryview, rows: int) -> None:
        self._open().write(data)
        self._crc = crc32c(data, self._crc)
        self._rows += rows
        if self._rows == self._spec.chunk_rows:
            self._end_file(self._crc)
            self._crc = self._rows = 0


class WideWriter(_Writer):
    """Rows into shards of compressed inner chunks; never more than one inner chunk is held."""

    def __init__(self, folder: Path, spec: ArraySpec, syncs: Syncs) -> None:
        super().__init__(folder, spec, syncs)
        self._index: list[tuple[int, int]] = []
        self._held = np.empty((0, *spec.field.shape), spec.field.numpy_dtype)

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
        """End the last inner chunk, padded with zeros, and the last shard; returns likewise."""
        if len(self._held):
            padded = np.zeros((self._spec.chunk_rows, *self._held.shape[1:]), self._held.dtype)
            padded[: len(self._held)] = self._held
            self._write(padded)
        if self._index:
            self._end_shard()
        return self.files

    def _write(self, chunk: np.ndarray) -> None:
        packed = compress(_as_bytes(chunk))
        self._index.append((self._open().size, len(packed)))
        self._open().write(packed)
        if len(self._index) == self._spec.chunks_per_file:
            self._end_shard()

    def _end_shard(self) -> None:
        entries = np.full((self._spec.chunks_per_file, 2), ABSENT, "<u8")
        entries[: len(self._index)] = self._index
        self._open().write(entries.tobytes())
        self._end_file(crc32c(entries.tobytes()))
        self._index = []


class FrameWriter(WideWriter):
    """Encoded frames of a camera into shards; see `trajstore.version.camera_rows`."""

    def __init__(self, folder: Path, spec: ArraySpec, syncs: Syncs) -> None:
        super().__init__(folder, spec, syncs)
        self._frames = spec.chunks_per_file
        self._pieces: list[Buffer] = []
        self._held_bytes = 0

    def append_groups(self, groups: Sequence[Buffer], frames: int) -> None:
        """Take the groups of so many frames; one that a shard's end cuts lies in both."""
        most = self._spec.field.codec.most if self._spec.field.codec else 1
        for start, group in zip(range(0, frames, most), groups, strict=True):
            first, count, crc = 0, min(most, frames - start), checksum(group)
            numbers = b"" if most == 1 else bytes(range(count - 1, -1, -1))
            while first < count:
                first = self._put((numbers, group, crc), first, count)
        self._flush()

    def _put(self, pieces: tuple[Buffer, Buffer, bytes], first: int, count: int) -> int:
        """Put a group into the open shard for its frames from ``first`` on; returns the next."""
        stop = min(count, first + self._frames - len(self._index))
        start, shared = self._open().size + self._held_bytes, len(pieces[0])
        self._pieces += pieces
        self._held_bytes += sum(map(len, pieces))
        end = start + shared + len(pieces[1]) + CRC_BYTES
        for number in range(first, stop):
            at = start + shared - min(shared, number + 1)
            self._index.append((at, end - at))
        if len(self._index) == self._frames:
            self._flush()
            self._end_shard()
        return stop

    def _flush(self) -> None:
        """Write what was put."""
        if self._pieces:
            self._open().write(b"".join(self._pieces))
            self._pieces, self._held_bytes = [], 0


RowWriter = NarrowWriter | WideWriter


def writer_of(spec: ArraySpec) -> type[RowWriter]:
    """What writes an array."""
    if spec.field.codec is not None:
        return FrameWriter
    return WideWriter if spec.shard_rows else NarrowWriter


def _as_bytes(rows: np.ndarray) -> memoryview:
    return np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data
