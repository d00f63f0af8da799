"""Decoded rows of wide fields, kept in a folder of this machine: faster, larger, disposable.

Each file holds the rows of one shard, decoded, with a checksum behind them, so that it is
mapped like the chunk files of a narrow field. It is made when a row of it is first read, and
made anew when it is not what it should be: nothing here is worth repairing.
"""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import google_crc32c
import numpy as np

from trajstore.disk.mapping import CRC_BYTES
from trajstore.errors import CorruptionError, StorageError
from trajstore.version.mapped import MappedRows
from trajstore.version.shards import ShardedRows
from trajstore.version.stored import StoredArray


class CachedRows(MappedRows):
    """The rows of one wide field, read from the cache and added to it."""

    def __init__(self, arrays: Sequence[StoredArray], *, folder: Path) -> None:
        """Read nothing yet.

        Args:
            arrays: the field's, a part each.
            folder: of this field of these very data; made when needed.
        """
        self._folder = folder
        self._source = ShardedRows(arrays)
        super().__init__([_decoded(array, folder / str(part)) for part, array in enumerate(arrays)])

    def _place_file(self, chunk: int) -> None:
        try:
            super()._place_file(chunk)
        except CorruptionError:
            self._make(chunk)
            super()._place_file(chunk)

    def _make(self, chunk: int) -> None:
        rows, path, size = self._files[chunk]
        first, stop = self.grid.starts[chunk : chunk + 2].tolist()
        data = self._source.span(first, stop).reshape(-1).view(np.uint8)
        padding = size - CRC_BYTES - len(data)
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
                f"{path}: expected room for {rows:,} decoded rows, got {error.strerror}; "
                "free some space, or read without a cache"
            ) from error


def _decoded(array: StoredArray, folder: Path) -> StoredArray:
    size = array.file_rows * array.row_bytes + CRC_BYTES
    files = tuple((folder / f"{number}.rows", size) for number in range(len(array.files)))
    return replace(array, block_rows=None, files=files, endings=(), fetch=None)
