"""From a manifest to the readers of a version's fields."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from trajstore.disk.system import FileRecord
from trajstore.errors import CorruptionError
from trajstore.version.cache import CachedRows
from trajstore.version.layout import ArraySpec, arrays_of
from trajstore.version.manifest import Manifest
from trajstore.version.mapped import MappedRows
from trajstore.version.reading import Rows
from trajstore.version.shards import ShardedRows
from trajstore.version.stored import StoredArray


class Fetching(Protocol):
    """Files of a version that lies elsewhere, brought here when they are asked for."""

    def path(self, key: str, record: FileRecord) -> Path:
        """Where a file of the version will lie on this machine."""
        ...

    def fetch(self, path: Path) -> None:
        """Bring the file of that path here, unless it is here already."""
        ...


class Opener:
    """Opens a field of one version by its name; call it."""

    def __init__(
        self,
        root: Path,
        manifest: Manifest,
        *,
        cache: Path | None = None,
        fetching: Fetching | None = None,
    ) -> None:
        """Open nothing yet.

        Args:
            root: folder of the version.
            manifest: of the version.
            cache: folder for decoded rows of wide fields, of any version.
            fetching: where the files come from, if they do not lie below the root.
        """
        self._root = root
        self._manifest = manifest
        self._cache = cache
        self._fetching = fetching
        self._parts: list[Mapping[str, ArraySpec]] = []

    def __call__(self, name: str) -> Rows:
        """The reader of a field, or of ``index/length`` and its like.

        Raises:
            CorruptionError: if the manifest lacks a file of it, or a folder is a link.
        """
        arrays = self.arrays(name)
        if arrays[0].block_rows is None:
            return MappedRows(arrays)
        if self._cache is None:
            return ShardedRows(arrays)
        return CachedRows(arrays, folder=self._cache / self._manifest.content_digest / name)

    def arrays(self, name: str) -> list[StoredArray]:
        """The arrays of a field, one a part; raises as a call does."""
        if not self._parts:
            schema = self._manifest.schema
            self._parts = [arrays_of(schema, part) for part in self._manifest.parts]
        return [self._stored(specs[name]) for specs in self._parts]

    def _stored(self, spec: ArraySpec) -> StoredArray:
        if self._fetching is None:
            _check_folders(self._root, spec.path)
        field = spec.field
        keys = [spec.file_path(number) for number in range(spec.file_count)]
        records = [(key, self._record(key)) for key in keys]
        return StoredArray(
            rows=spec.rows,
            shape=field.shape,
            dtype=field.numpy_dtype,
            file_rows=spec.file_rows,
            block_rows=spec.chunk_rows if spec.shard_rows else None,
            files=tuple((self._path(key, record), record.size) for key, record in records),
            endings=tuple(record.crc32c for _, record in records),
            fetch=None if self._fetching is None else self._fetching.fetch,
        )

    def _path(self, key: str, record: FileRecord) -> Path:
        return self._root / key if self._fetching is None else self._fetching.path(key, record)

    def _record(self, key: str) -> FileRecord:
        record = self._manifest.files.get(key)
        if record is None:
            raise CorruptionError(f"{self._root / key}: expected in the manifest, got no entry")
        return record


def _check_folders(root: Path, path: str) -> None:
    folder = root
    for segment in path.split("/"):
        folder = folder / segment
        if folder.is_symlink():
            raise CorruptionError(f"{folder}: expected a folder, got a symbolic link")
