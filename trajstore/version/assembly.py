"""Episodes put together from the rows of a sealed version's fields."""

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np

from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.errors import CorruptionError
from trajstore.version.layout import INDEX
from trajstore.version.manifest import Manifest
from trajstore.version.opening import Opener
from trajstore.version.reading import Fields, Rows, as_text


class Assembly:
    """Where each episode of a version lies, and its values."""

    def __init__(
        self, path: Path | str, manifest: Manifest, opened: Callable[[str], Rows] | None = None
    ) -> None:
        """Read nothing yet.

        Args:
            path: of the version's folder; of one that lies elsewhere, what errors call it.
            manifest: of the version.
            opened: opens the field of a name; those in the folder unless told.
        """
        self.path = path
        self.manifest = manifest
        self.fields = Fields(opened or Opener(Path(path), manifest))

    @cached_property
    def lengths(self) -> np.ndarray:
        """``int64[N]``, the steps of each episode.

        Raises:
            CorruptionError: if they do not add up to the manifest's.
        """
        lengths = self.index("length")
        if np.any(lengths < 1) or int(lengths.sum()) != self.manifest.steps:
            raise CorruptionError(
                f"{self.path}: expected episodes of {self.manifest.steps:,} steps together, "
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

    def column(self, name: str) -> np.ndarray:
        """All rows of a field, episodes end to end.

        Raises:
            SchemaError: if there is no such field.
        """
        spec = self.manifest.schema.field(name)
        episodes, steps = self.manifest.episodes, self.manifest.steps
        rows = {Axis.STATE: episodes + steps, Axis.STEP: steps, Axis.EPISODE: episodes}
        return self.words(spec, self.fields[name].span(0, rows[spec.axis]))

    def words(self, spec: FieldSpec, rows: np.ndarray) -> np.ndarray:
        """The rows as they are, or the words that they stand for in a text field."""
        if not spec.is_text:
            return rows
        words = self.manifest.vocabularies.get(spec.name, ())
        return as_text(rows, words, f"{self.path}: field {spec.name!r}")

    def rows(self, name: str) -> Iterator[np.ndarray]:
        """The rows of one field, an episode at a time.

        Raises:
            SchemaError: if there is no such field.
        """
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
