"""Decoded rows of wide fields, kept in a folder of this machine: faster, larger, disposable.

Each file holds the rows of one shard, decoded, with a checksum behind them; one that is not what it
should be is made anew.
"""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import google_crc32c
import numpy as np

from trajstore.disk.mapping import CRC_BYTES
from trajstore.disk.system import FileRecord
from trajstore.errors import CorruptionError, StorageError
from trajstore.version.layout import ArraySpec, Files
from trajstore.version.mapped import MappedRows
from trajstore.version.shards import ShardedRows


class CachedRows(MappedRows):
    """The rows of one wide field, read from the cache and added to it."""

    def __init__(self, specs: Sequence[ArraySpec], files: Files, *, folder: Path) -> None:
        """Read nothing yet; ``folder`` is that of these very data, made when needed."""
        self._source = ShardedRows(specs, files)
        decoded = [replace(spec, chunk_rows=spec.file_rows, shard_rows=0) for spec in specs]
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
        data = self._source.span(first, stop).reshape(-1).view(np.uint8)
        padding = spec.chunk_bytes - len(data)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            with os.fdopen(descriptor, "wb") as file:
                content = np.concatenate([data, np.zeros(padding, np.uint8)]) if padding else data
                file.write(content.data)
                file.write(google_crc32c.value(content).to_bytes(CRC_BYTES, "little"))
            Path(name).replace(path)
        except OSError as error:
            raise StorageError(
                f"{path}: expected room for {spec.chunk_rows:,} decoded rows, got "
                f"{error.strerror}; free some space, or read without a cache"
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
