"""From a manifest to the readers of a version's fields."""

from collections.abc import Mapping
from pathlib import Path

from trajstore.cache import CachedRows
from trajstore.errors import CorruptionError
from trajstore.files import FileRecord
from trajstore.layout import ArraySpec, arrays_of
from trajstore.manifest import Manifest
from trajstore.mapped import MappedRows
from trajstore.reading import Rows
from trajstore.shards import ShardedRows
from trajstore.stored import StoredArray


class Opener:
    """Opens a field of one version by its name; call it."""

    def __init__(self, root: Path, manifest: Manifest, *, cache: Path | None = None) -> None:
        """Open nothing yet.

        Args:
            root: folder of the version.
            manifest: of the version.
            cache: folder for decoded rows of wide fields, of any version.
        """
        self._root = root
        self._manifest = manifest
        self._cache = cache
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
        folder = self._root
        for segment in spec.path.split("/"):
            folder = folder / segment
            if folder.is_symlink():
                raise CorruptionError(f"{folder}: expected a folder, got a symbolic link")
        field = spec.field
        keys = [spec.file_path(number) for number in range(spec.file_count)]
        records = [(key, self._record(key)) for key in keys]
        return StoredArray(
            rows=spec.rows,
            shape=field.shape,
            dtype=field.numpy_dtype,
            file_rows=spec.file_rows,
            block_rows=spec.chunk_rows if spec.shard_rows else None,
            files=tuple((self._root / key, record.size) for key, record in records),
            endings=tuple(record.crc32c for _, record in records),
        )

    def _record(self, key: str) -> FileRecord:
        record = self._manifest.files.get(key)
        if record is None:
            raise CorruptionError(f"{self._root / key}: expected in the manifest, got no entry")
        return record
