"""One array of a sealed part, as far as a reader must know it."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class StoredArray:
    """Rows of a field, divided into files.

    Attributes:
        rows: how many there are.
        shape: of one row.
        dtype: of the values, little endian.
        file_rows: rows of one file; the last file is as long as the others.
        block_rows: rows that are compressed together; ``None`` where rows lie as they are.
        files: path and recorded size in bytes of each file, in order.
        endings: recorded checksum at the end of each file, eight hexadecimal digits; ``None``, or
            nothing at all, where none is recorded.
        fetch: called with the path of a file before it is opened, where files come from elsewhere.
    """

    rows: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    file_rows: int
    block_rows: int | None
    files: tuple[tuple[Path, int], ...]
    endings: tuple[str | None, ...] = ()
    fetch: Callable[[Path], None] | None = None

    def ending(self, number: int) -> str | None:
        """The recorded checksum at the end of a file."""
        return self.endings[number] if self.endings else None

    def present(self, path: Path) -> Path:
        """The path of a file of this array, which now lies on this machine, if it can be had."""
        if self.fetch is not None:
            self.fetch(path)
        return path

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return prod(self.shape) * self.dtype.itemsize
