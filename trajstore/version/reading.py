"""The values of one version's fields: rows of an episode, of a whole column, of a batch."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from trajstore.episode.schema import Axis, EpisodeSchema
from trajstore.errors import CorruptionError, SchemaError
from trajstore.version.mapped import ChunkGrid, MappedRows

NEXT = "next_"
"""Before the name of a state field: the state after the step."""


class Table(dict[str, np.ndarray]):
    """One row an episode; columns by name."""

    def __missing__(self, name: str) -> np.ndarray:
        """Refuse a name, such as that of a field with a value a step."""
        raise SchemaError(
            f"episodes: expected one of the columns {', '.join(self)}, got {name!r}; "
            "a field of another axis is no column"
        )


Where = Callable[[Table], np.ndarray] | np.ndarray
"""Which episodes to draw from: ``bool[N]``, or what computes it from the table of episodes."""


class Rows(Protocol):
    """The rows of one field over all parts of a version, wherever they lie."""

    def at(self, rows: np.ndarray) -> np.ndarray:
        """Copies of rows in any order; ``rows.shape + row shape``."""
        ...

    def span(self, first: int, stop: int) -> np.ndarray:
        """Rows ``first`` to ``stop``, read-only."""
        ...


class RowSet:
    """Rows of one axis, wanted from several fields: where they lie is worked out once."""

    def __init__(self, rows: np.ndarray) -> None:
        """Want these rows, in any shape."""
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
        """Choose columns.

        Args:
            schema: of the dataset.
            names: of fields; a state field's own name stands for the state before the step,
                with ``next_`` in front for the one after it. ``None`` for every field of the
                step axis, and every state field under both names.

        Raises:
            SchemaError: if a name is unknown.
        """
        states = [spec.name for spec in schema.on(Axis.STATE)]
        steps = [spec.name for spec in schema.on(Axis.STEP)]
        chosen = [*states, *(NEXT + name for name in states), *steps] if names is None else names
        after = {NEXT + name: name for name in states}
        self.before: list[str] = []
        self.after: list[str] = []
        self.both: list[str] = []
        self.steps: list[str] = []
        self.episodes: list[str] = []
        for name in dict.fromkeys(chosen):
            spec = schema.field(after.get(name, name))
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


def as_text(codes: np.ndarray, words: Sequence[str], where: str) -> np.ndarray:
    """The words that codes stand for."""
    if np.any((codes < 0) | (codes >= len(words))):
        raise CorruptionError(f"{where}: expected codes of {len(words)} words, got others")
    texts: np.ndarray = np.array(words, dtype=np.str_)[codes]
    return texts
