"""The values of a sealed version: rows of its fields, put together to episodes and batches."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import numpy as np

from trajstore.episode import anomalies
from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import CorruptionError, SchemaError
from trajstore.version.camera_rows import CameraRows
from trajstore.version.cameras import stored_episode
from trajstore.version.coders import Encoded
from trajstore.version.files import LocalFiles
from trajstore.version.layout import INDEX, ArraySpec, arrays_of
from trajstore.version.manifest import Manifest
from trajstore.version.mapped import ChunkGrid, MappedRows
from trajstore.version.places import Places, places
from trajstore.version.wide import CachedRows, sharded

_BLOCK_BYTES = 4 * 2**20
NEXT = "next_"
"""Before the name of a state field: the state after the step."""


class Table(dict[str, np.ndarray]):
    """One row an episode; columns by name."""

    def __missing__(self, name: str) -> np.ndarray:
        """Refuse a name, such as that of a field with a value a step."""
        raise SchemaError(
            f"episodes: no column {name!r}; there are {', '.join(self)} (fields with a row a "
            "step are none)"
        )


Where = Callable[[Table], np.ndarray] | np.ndarray
"""Which episodes to draw from: ``bool[N]``, or what computes it from the table of episodes."""


class Rows(Protocol):
    """The rows of one field over all parts of a version, wherever they lie."""

    def at(self, rows: np.ndarray) -> np.ndarray:
        """Copies of rows in any order; ``rows.shape + row shape``."""

    def span(self, first: int, stop: int) -> np.ndarray:
        """Rows ``first`` to ``stop``, read-only."""


class RowSet:
    """Rows of one axis, wanted from several fields: where they lie is worked out once."""

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = rows
        self._places: dict[ChunkGrid, tuple[np.ndarray, np.ndarray]] = {}

    def of(self, field: Rows) -> np.ndarray:
        """The values of the rows."""
        if not isinstance(field, MappedRows):
            return field.at(self._rows)
        place = self._places.get(field.grid)
        if place is None:
            chunks = field.grid.chunks(self._rows)
            place = self._places[field.grid] = field.grid.slots(self._rows, chunks), chunks
        return field.take(*place)


class Columns:
    """Which columns a batch has, and how they are filled."""

    def __init__(self, schema: EpisodeSchema, names: Sequence[str] | None) -> None:
        """Choose columns by the names of fields, or all of the state and step axes.

        A state field's own name stands for the state before the step, with ``next_`` in front for
        the one after it.
        """
        states = [spec.name for spec in schema.on(Axis.STATE)]
        steps = [spec.name for spec in schema.on(Axis.STEP)]
        chosen = [*states, *(NEXT + name for name in states), *steps] if names is None else names
        after = {NEXT + name: name for name in states}
        self.before: list[str] = []
        self.after: list[str] = []
        self.steps: list[str] = []
        self.episodes: list[str] = []
        self.texts: dict[str, FieldSpec] = {}
        for name in dict.fromkeys(chosen):
            spec = schema.field(after.get(name, name))
            if spec.is_text:
                self.texts[name] = spec
            if spec.axis is Axis.EPISODE:
                self.episodes.append(name)
            elif spec.axis is Axis.STEP:
                self.steps.append(name)
            elif name in after:
                self.after.append(after[name])
            else:
                self.before.append(name)
        self.both = [name for name in self.before if name in self.after]
        self._only_before = [name for name in self.before if name not in self.both]
        self._only_after = [name for name in self.after if name not in self.both]

    def fill(
        self, fields: Mapping[str, Rows], step_rows: np.ndarray, state_rows: np.ndarray
    ) -> dict[str, np.ndarray]:
        """The chosen columns at these rows of the step axis, and of the states before the steps."""
        batch: dict[str, np.ndarray] = {}
        if self.both:
            pairs = RowSet(np.stack((state_rows, state_rows + 1)))
            for name in self.both:
                batch[name], batch[NEXT + name] = pairs.of(fields[name])
        if self._only_before:
            alone = RowSet(state_rows)
            for name in self._only_before:
                batch[name] = alone.of(fields[name])
        if self._only_after:
            following = RowSet(state_rows + 1)
            for name in self._only_after:
                batch[NEXT + name] = following.of(fields[name])
        taken = RowSet(step_rows)
        for name in self.steps:
            batch[name] = taken.of(fields[name])
        return batch


class Fields(dict[str, Rows]):
    """Readers of a version's arrays by name, each opened when it is first asked for."""

    def __init__(self, files: LocalFiles, *, cache: Path | None = None) -> None:
        """Open nothing yet; ``cache`` is a folder for decoded rows of wide fields."""
        super().__init__()
        self._files, self._cache = files, cache

    def __missing__(self, name: str) -> Rows:
        """Open a field, or ``index/length`` and its like."""
        specs = [arrays[name] for arrays in self._parts if name in arrays]
        if not specs[0].shard_rows:
            self[name] = MappedRows(specs, self._files)
        elif self._cache is None:
            self[name] = sharded(specs, self._files)
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
        self.chosen: np.ndarray | None = None
        self.whole: Assembly | None = None

    @classmethod
    def of(cls, files: LocalFiles, *, cache: Path | None = None) -> "Assembly":
        """That of a version whose files are at hand."""
        return cls(files.where, files.manifest, Fields(files, cache=cache))

    def select(self, episodes: np.ndarray) -> "Assembly":
        """Some of the episodes, by number, as a version of their own; what is open is shared."""
        some = Assembly(self.where, self.manifest, self.fields)
        some.chosen = episodes if self.chosen is None else self.chosen[episodes]
        some.whole, some.places = self.whole or self, self.places.take(episodes)
        return some

    @cached_property
    def places(self) -> Places:
        """Where the rows of the episodes lie."""
        return places(self.where, self.manifest.parts, self.fields)

    @property
    def lengths(self) -> np.ndarray:
        """``int64[N]``, the steps of each episode, which add up to the manifest's."""
        return self.places.lengths

    def index(self, name: str) -> np.ndarray:
        """One of the arrays that every version has, a row an episode."""
        return self._joined(INDEX[name])

    @cached_property
    def scores(self) -> np.ndarray:
        """``float32[N]``, the episodes' anomaly scores, without detectors unfit for the version."""
        if self.whole is not None:
            chosen: np.ndarray = self.whole.scores[self.chosen]
            chosen.flags.writeable = False
            return chosen
        sealed, found = self.index("anomaly"), self.manifest.anomalies
        wrong = anomalies.unfit(found, len(sealed))
        if not wrong:
            return sealed
        scores = sealed.copy()
        for index, marks in found.items():
            kept = [anomalies.Anomaly(**it) for it in marks if it["kind"] not in wrong]
            scores[index] = anomalies.score(kept)
        scores.flags.writeable = False
        return scores

    def column(self, name: str) -> np.ndarray:
        """All rows of a field, episodes end to end."""
        spec = self.manifest.schema.field(name)
        return self.words(spec, self._joined(spec))

    def _joined(self, spec: FieldSpec) -> np.ndarray:
        rows = self.fields[spec.name]
        runs = self._runs(spec.axis)
        if len(runs) == 1:
            return rows.span(*runs[0])
        if spec.axis is Axis.EPISODE:
            joined = rows.at(self.places.first[spec.axis])
        else:
            joined = np.empty((self.places.count(spec.axis), *spec.shape), spec.numpy_dtype)
            begin = 0
            for first, stop in runs:
                joined[begin : begin + stop - first] = rows.span(first, stop)
                begin += stop - first
        joined.flags.writeable = False
        return joined

    def _runs(self, axis: Axis) -> list[tuple[int, int]]:
        """The rows of all episodes; where these are all that there are, nothing is read for it."""
        parts = self.manifest.parts
        gaps = axis is not Axis.EPISODE and any(part.recorded for part in parts)
        if self.chosen is None and not gaps:
            return [(0, sum(part.rows(axis) for part in parts))]
        return self.places.runs(axis)

    def blocks(self, spec: FieldSpec) -> Iterator[np.ndarray]:
        """The rows of a field a few megabytes at a time, texts as codes."""
        step, rows = max(1, _BLOCK_BYTES // spec.row_bytes), self.fields[spec.name]
        for begin, end in self._runs(spec.axis):
            for first in range(begin, end, step):
                yield rows.span(first, min(first + step, end))

    def words(self, spec: FieldSpec, rows: np.ndarray) -> np.ndarray:
        """The rows as they are, or the words that they stand for in a text field."""
        if not spec.is_text:
            return rows
        words = self.manifest.vocabularies.get(spec.name, ())
        if np.any((rows < 0) | (rows >= len(words))):
            raise CorruptionError(
                f"{self.where}: field {spec.name!r}: expected codes of {len(words)} words, "
                "got others"
            )
        texts: np.ndarray = np.array(words, dtype=np.str_)[rows]
        return texts

    def rows(self, name: str) -> Iterator[np.ndarray]:
        """The rows of one field, an episode at a time."""
        spec = self.manifest.schema.field(name)
        return (self._rows(spec, index) for index in range(len(self.lengths)))

    def arrays(self, index: int) -> dict[str, np.ndarray]:
        """The values of one episode by field."""
        return {spec.name: self._rows(spec, index) for spec in self.manifest.schema.fields}

    def _rows(self, spec: FieldSpec, index: int) -> np.ndarray:
        rows = self.fields[spec.name].span(*self.places.spans[spec.axis][index])
        if spec.axis is Axis.EPISODE:
            return self.words(spec, rows).reshape(spec.shape)
        return self.words(spec, rows)

    def digests(self) -> list[bytes]:
        """The digests of the episodes, 32 bytes each."""
        return [row.tobytes() for row in self.index("digest")]

    def episode(self, index: int) -> Episode:
        """One episode; its arrays were checked when they were recorded, and are unchanged."""
        schema = self.manifest.schema
        if schema.coded:
            return stored_episode(schema, self.arrays(index), partial(self.encoded, index))
        episode = object.__new__(Episode)
        object.__setattr__(episode, "schema", schema)
        object.__setattr__(episode, "arrays", MappingProxyType(self.arrays(index)))
        return episode

    def encoded(self, index: int) -> dict[str, Encoded]:
        """The frames of one episode as they are stored, of each field with a codec."""
        found = {}
        for spec in self.manifest.schema.coded:
            rows = self.fields[spec.name]
            source = rows.source if isinstance(rows, CachedRows) else rows
            if isinstance(source, CameraRows):
                found[spec.name] = source.encoded(*self.places.spans[spec.axis][index])
        return found
