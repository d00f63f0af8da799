"""Episodes put together from the rows of a sealed version's fields."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np

from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.errors import CorruptionError
from trajstore.version.cache import CachedRows
from trajstore.version.files import LocalFiles
from trajstore.version.layout import INDEX, ArraySpec, arrays_of
from trajstore.version.manifest import Manifest
from trajstore.version.mapped import MappedRows
from trajstore.version.reading import Rows, as_text
from trajstore.version.shards import ShardedRows

_BLOCK_BYTES = 4 * 2**20


class Fields(dict[str, Rows]):
    """Readers of a version's arrays by name, each opened when it is first asked for."""

    def __init__(self, files: LocalFiles, *, cache: Path | None = None) -> None:
        """Open nothing yet; ``cache`` is a folder for decoded rows of wide fields."""
        super().__init__()
        self._files, self._cache = files, cache

    def __missing__(self, name: str) -> Rows:
        """Open a field, or ``index/length`` and its like."""
        specs = [arrays[name] for arrays in self._parts]
        if not specs[0].shard_rows:
            self[name] = MappedRows(specs, self._files)
        elif self._cache is None:
            self[name] = ShardedRows(specs, self._files)
        else:
            folder = self._cache / self._files.manifest.content_digest
            self[name] = CachedRows(specs, self._files, folder=folder)
        return self[name]

    @cached_property
    def _parts(self) -> list[Mapping[str, ArraySpec]]:
        manifest = self._files.manifest
        return [arrays_of(manifest.schema, part) for part in manifest.parts]


class Assembly:
    """Where each episode of a version lies, and its values."""

    def __init__(self, where: object, manifest: Manifest, fields: Mapping[str, Rows]) -> None:
        """Read nothing yet; errors call the version ``where``."""
        self.where = where
        self.manifest = manifest
        self.fields = fields

    @classmethod
    def of(cls, files: LocalFiles, *, cache: Path | None = None) -> "Assembly":
        """That of a version whose files are at hand."""
        return cls(files.where, files.manifest, Fields(files, cache=cache))

    @cached_property
    def lengths(self) -> np.ndarray:
        """``int64[N]``, the steps of each episode, which add up to the manifest's."""
        lengths = self.index("length")
        if np.any(lengths < 1) or int(lengths.sum()) != self.manifest.steps:
            raise CorruptionError(
                f"{self.where}: expected episodes of {self.manifest.steps:,} steps together, "
                f"got lengths that add up to {int(lengths.sum()):,}"
            )
        return lengths

    @cached_property
    def starts(self) -> np.ndarray:
        """``int64[N]``, row of each episode's first step on the step axis."""
        starts: np.ndarray = np.cumsum(self.lengths) - self.lengths
        return starts

    @cached_property
    def bounds(self) -> list[int]:
        """The same as plain numbers, and the end after the last."""
        return [*self.starts.tolist(), self.manifest.steps]

    def index(self, name: str) -> np.ndarray:
        """One of the arrays that every version has, a row an episode."""
        return self.fields[INDEX[name].name].span(0, self.manifest.episodes)

    def count(self, spec: FieldSpec) -> int:
        """Rows of a field."""
        states = self.manifest.episodes if spec.axis is not Axis.STEP else 0
        return states + (self.manifest.steps if spec.axis is not Axis.EPISODE else 0)

    def column(self, name: str) -> np.ndarray:
        """All rows of a field, episodes end to end."""
        spec = self.manifest.schema.field(name)
        return self.words(spec, self.fields[name].span(0, self.count(spec)))

    def blocks(self, spec: FieldSpec) -> Iterator[np.ndarray]:
        """The same a few megabytes at a time, texts as codes."""
        step, count = max(1, _BLOCK_BYTES // spec.row_bytes), self.count(spec)
        for first in range(0, count, step):
            yield self.fields[spec.name].span(first, min(first + step, count))

    def words(self, spec: FieldSpec, rows: np.ndarray) -> np.ndarray:
        """The rows as they are, or the words that they stand for in a text field."""
        if not spec.is_text:
            return rows
        words = self.manifest.vocabularies.get(spec.name, ())
        return as_text(rows, words, f"{self.where}: field {spec.name!r}")

    def rows(self, name: str) -> Iterator[np.ndarray]:
        """The rows of one field, an episode at a time."""
        spec = self.manifest.schema.field(name)
        return (self._rows(spec, index) for index in range(self.manifest.episodes))

    def arrays(self, index: int) -> dict[str, np.ndarray]:
        """The values of one episode by field."""
        return {spec.name: self._rows(spec, index) for spec in self.manifest.schema.fields}

    def _rows(self, spec: FieldSpec, index: int) -> np.ndarray:
        rows = self.fields[spec.name]
        if spec.axis is Axis.EPISODE:
            return self.words(spec, rows.span(index, index + 1)).reshape(spec.shape)
        first, stop = self.bounds[index], self.bounds[index + 1]
        if spec.axis is Axis.STATE:
            return rows.span(first + index, stop + index + 1)
        return rows.span(first, stop)

    def episode(self, index: int) -> Episode:
        """One episode; its arrays were checked when they were recorded, and are unchanged."""
        episode = object.__new__(Episode)
        object.__setattr__(episode, "schema", self.manifest.schema)
        object.__setattr__(episode, "arrays", MappingProxyType(self.arrays(index)))
        return episode
