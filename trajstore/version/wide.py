"""The rows of wide fields, whatever they are packed with: read from shards, checked, or cached.

The cache holds decoded rows in a folder of this machine, which may be deleted at any time.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import google_crc32c
import numpy as np

from trajstore.disk.mapping import CRC_BYTES, check_crc, map_sealed
from trajstore.disk.system import FileRecord
from trajstore.errors import CorruptionError, StorageError
from trajstore.version.camera_rows import CameraRows, FrameShard
from trajstore.version.files import disposable
from trajstore.version.layout import SHARD_BYTES, ArraySpec, Files
from trajstore.version.mapped import MappedRows
from trajstore.version.shards import Shard, ShardedRows


def sharded(specs: Sequence[ArraySpec], files: Files) -> ShardedRows | CameraRows:
    """The rows of one wide field over all parts of a version; ``specs`` are its arrays."""
    if specs[0].field.codec is not None:
        return CameraRows(specs, files)
    return ShardedRows(specs, files)


def check_file(spec: ArraySpec, number: int, files: Files) -> None:
    """Compare the checksums of a file of rows: of all of it, or of a shard's index and blocks."""
    if spec.shard_rows:
        shard = Shard if spec.field.codec is None else FrameShard
        shard(spec, number, files).check()
        return
    path = spec.file_path(number)
    record, file = files.record(path), files.file(path)
    check_crc(map_sealed(file, record.size), file, record.crc32c)


class CachedRows(MappedRows):
    """The rows of one wide field, each shard of them decoded into a file when it is first read.

    Such a file is mapped like the chunk files of a narrow field; one that is not what it should be
    is made anew.
    """

    def __init__(self, specs: Sequence[ArraySpec], files: Files, *, folder: Path) -> None:
        """Read nothing yet; ``folder`` is that of these very data, made when needed."""
        self.source = sharded(specs, files)
        decoded = [replace(spec, chunk_rows=_rows_of(spec), shard_rows=0) for spec in specs]
        super().__init__(decoded, _Decoded(folder, decoded))

    def _place_file(self, chunk: int) -> None:
        try:
            super()._place_file(chunk)
        except CorruptionError:
            self._make(chunk)
            super()._place_file(chunk)

    def _make(self, chunk: int) -> None:
        spec, key = self._chunks[chunk]
        path = self._files.file(key)
        first, stop = self.grid.starts[chunk : chunk + 2].tolist()
        data = self.source.span(first, stop).reshape(-1).view(np.uint8)
        padding = spec.chunk_bytes - len(data)
        try:
            with disposable(path) as file:
                content = np.concatenate([data, np.zeros(padding, np.uint8)]) if padding else data
                file.write(content.data)
                file.write(google_crc32c.value(content).to_bytes(CRC_BYTES, "little"))
        except OSError as error:
            raise StorageError(
                f"{path}: no room for {spec.chunk_rows:,} decoded rows: {error.strerror}; free "
                "some space, or read without a cache"
            ) from error


class _Decoded:
    """The files of the cache; nothing is recorded of them but their size."""

    def __init__(self, folder: Path, specs: Sequence[ArraySpec]) -> None:
        self.where, self._folder = str(folder), folder
        sizes = [(it.chunk_bytes + CRC_BYTES, it.file_paths()) for it in specs]
        self._records = {path: FileRecord(size, "") for size, paths in sizes for path in paths}

    def record(self, path: str) -> FileRecord:
        return self._records[path]

    def file(self, path: str) -> Path:
        return self._folder / f"{path}.rows"


def _rows_of(spec: ArraySpec) -> int:
    """Rows of a file of the cache: those of a shard, or of frames as many as take its room."""
    if spec.field.codec is None:
        return spec.file_rows
    return max(1, min(spec.rows, SHARD_BYTES // spec.field.row_bytes))
