"""A version in the archive, read where it lies in its pack, for looking.

Each entry is compared with its digest when it is read. Nothing is unpacked, and memory holds one
chunk a field.
"""

import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from weakref import finalize

import numpy as np

from trajstore.dataset import Dataset
from trajstore.disk.files import COPY_BYTES
from trajstore.disk.system import storing
from trajstore.errors import ArchiveError, TrajStoreError
from trajstore.lifecycle.archive import Pack
from trajstore.lifecycle.ledger import Entry
from trajstore.version.findings import Finding, Severity
from trajstore.version.integrity import Progress
from trajstore.version.location import Location


class PackedRows:
    """The rows of one field in a pack."""

    def __init__(self, pack: Pack, name: str) -> None:
        """Read nothing yet."""
        self._pack, self._name = pack, name
        self._spec = pack.arrays[name]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        return self._spec.field.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values, little endian."""
        return self._spec.field.numpy_dtype

    def at(self, rows: np.ndarray) -> np.ndarray:
        """Copies of rows in any order; ``rows.shape + row shape``. Each chunk is decoded once."""
        flat = rows.ravel()
        out = np.empty((len(flat), *self.shape), self.dtype)
        chunks = flat // self._spec.chunk_rows
        for number in np.unique(chunks).tolist():
            start = number * self._spec.chunk_rows
            stop = min(start + self._spec.chunk_rows, self._spec.rows)
            chosen = chunks == number
            out[chosen] = self._pack.span(self._name, start, stop)[flat[chosen] - start]
        return out.reshape(*rows.shape, *self.shape)

    def span(self, first: int, stop: int) -> np.ndarray:
        """Rows ``first`` to ``stop``, read-only."""
        rows = self._pack.span(self._name, first, stop).view()
        rows.flags.writeable = False
        return rows


class ArchivedDataset(Dataset):
    """One archived version. It holds its pack open until it is closed or forgotten."""

    def __init__(self, location: Location, entry: Entry, path: Path) -> None:
        """Read the directory of the pack and the manifest in it.

        Args:
            location: the archive.
            entry: the ledger's, of the pack.
            path: of the folder that the version had; verdict and replay report lie beside it.

        Raises:
            NotFoundError: if the pack is gone.
            ArchiveError: if it is not the one that the ledger names.
            StorageError: if the archive cannot be reached.
        """
        self._entry, self._location = entry, location
        where = f"archive:{path.parent.name}@{path.name}"
        with ExitStack() as stack:
            self._file = stack.enter_context(location.reading(entry.archive))
            with storing(entry.archive):
                pack = Pack(self._file, entry.archive)
                size = self._file.seek(0, 2)
            if (size, pack.manifest.content_digest) != (entry.size, entry.digest):
                raise ArchiveError(
                    f"{where}: expected the pack of {entry.size:,} bytes with content "
                    f"{entry.digest[:12]} that the ledger names, got {size:,} bytes with content "
                    f"{pack.manifest.content_digest[:12]}; restore it from its own backup"
                )
            self.manifest, self._pack = pack.manifest, pack
            self._cache = None
            self._lies(path, partial(PackedRows, pack), where)
            self.close = finalize(self, stack.pop_all().close)

    def __reduce__(self) -> tuple[Callable[..., Dataset], tuple[object, ...]]:
        return ArchivedDataset, (self._location, self._entry, self.path)

    def findings(self, *, deep: bool = False, progress: Progress = lambda _: None) -> list[Finding]:
        """Compare the pack with the ledger byte for byte, and its episodes with their digests.

        Args:
            deep: makes no difference: the content is always compared.
            progress: told of the bytes read.
        """
        del deep
        found = []
        for check in (partial(self._compare, progress), self._pack.check):
            try:
                check()
            except TrajStoreError as error:
                found.append(
                    Finding(Severity.BLOCKING, "archive", str(error), file=self._entry.archive)
                )
        return found

    def _compare(self, progress: Progress) -> None:
        sha = hashlib.sha256()
        with storing(self.where), self._location.reading(self._entry.archive) as file:
            while block := file.read(COPY_BYTES):
                sha.update(block)
                progress(len(block))
        if sha.hexdigest() != self._entry.sha256:
            raise ArchiveError(
                f"{self.where}: expected the pack with SHA-256 {self._entry.sha256[:12]} that the "
                f"ledger names, got {sha.hexdigest()[:12]}; restore it from its own backup"
            )
