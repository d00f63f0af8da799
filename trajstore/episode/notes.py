"""The rows of one episode while it is played, each copied and checked when it comes."""

from collections.abc import Collection, Iterable, Mapping
from math import isfinite
from typing import Any

import numpy as np

from trajstore.episode.bounds import covers
from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec, check_values, limits
from trajstore.episode.nesting import ACTION, OBSERVATION, below
from trajstore.episode.schema import EpisodeSchema
from trajstore.episode.values import row_of
from trajstore.errors import SchemaError

ENDS = ("terminated", "truncated")


class Rows:
    """The rows of an episode in memory; of a field of the episode axis, the last one."""

    def __init__(self, schema: EpisodeSchema) -> None:
        self.schema = schema
        self.rows: dict[str, list[np.ndarray]] = {name: [] for name in schema.names}

    def append(self, spec: FieldSpec, row: np.ndarray) -> None:
        """Take one row, which nobody changes any more."""
        if spec.axis is Axis.EPISODE:
            self.rows[spec.name] = [row]
        else:
            self.rows[spec.name].append(row)

    def episode(self) -> Episode:
        """The episode of all rows."""
        return Episode(self.schema, {spec.name: self.array(spec) for spec in self.schema.fields})

    def array(self, spec: FieldSpec) -> np.ndarray:
        """All rows of a field in one array."""
        rows = self.rows[spec.name]
        return rows[0] if spec.axis is Axis.EPISODE else np.stack(rows)


Taken = list[tuple[FieldSpec, np.ndarray]]
"""Rows that were copied and checked, to be kept together or not at all."""


class Notes:
    """What is noted of one episode.

    Args:
        of: which episode, for messages.
        source: where values come from that are missing, for messages.
        strict: whether every value is checked when it comes, and not only actions; else the rest
            is when the `Episode` is built.
        rows: where they are kept.
    """

    def __init__(
        self,
        schema: EpisodeSchema,
        of: str,
        *,
        source: str = "the environment to report it in info",
        strict: bool = False,
        rows: Rows | None = None,
    ) -> None:
        self.schema, self.known = schema, set(schema.names)
        self._of, self._source = of, source
        self._rows = Rows(schema) if rows is None else rows
        moving = [it for it in schema.fields if it.axis is Axis.STEP]
        still = [it for it in schema.fields if it.axis is Axis.EPISODE]
        self._states = schema.on(Axis.STATE)
        self.actions = [it for it in moving if below(it.name, ACTION)]
        self._steps = [it for it in moving if not below(it.name, ACTION)]
        self._still = [it for it in still if below(it.name, OBSERVATION)]
        self.whole = [it for it in still if not below(it.name, OBSERVATION)]
        watched = schema.fields if strict else self.actions
        self._watched = {it.name for it in watched if _can_be_wrong(it)}

    def state(self, values: Mapping[str, Any], when: str, row: int = 0) -> Taken:
        """The rows of a state, number ``row``, if those that stay the same do."""
        taken = self._take(self._states, values, when, row)
        for spec, value in self._take(self._still, values, when):
            first = self._rows.rows[spec.name]
            if first and not np.array_equal(first[0], value):
                raise SchemaError(
                    f"field {spec.name!r}: expected it to stay the same in an episode, got another "
                    f"value at {when} {self._of}; do not name it as constant"
                )
            taken.append((spec, value))
        return taken

    def action(self, values: Mapping[str, Any], step: int) -> Taken:
        """The rows of an action."""
        return self._take(self.actions, values, f"step {step}", step)

    def step(self, values: Mapping[str, Any], step: int) -> Taken:
        """The rows of what a step led to, but for the state."""
        return self._take(self._steps, values, f"step {step}", step)

    def end(self, values: Mapping[str, Any]) -> Taken:
        """The rows of what holds for the whole episode."""
        return self._take(self.whole, values, "the end")

    def early(self, values: Mapping[str, Any], when: str) -> Taken:
        """Those of the rows of what holds for the whole episode that are known already."""
        return self._take([it for it in self.whole if it.name in values], values, when)

    def keep(self, taken: Taken) -> None:
        """Make rows a part of the episode."""
        for spec, row in taken:
            self._rows.append(spec, row)

    def mark_end(self, **ends: bool) -> None:
        """Say of the last step how it ended."""
        for name in ENDS:
            self._rows.rows[name][-1] = np.array(ends[name])

    def episode(self) -> Episode:
        """The whole of it."""
        try:
            return self._rows.episode()
        except SchemaError as error:
            raise SchemaError(f"{error}, in the episode {self._of}") from error

    def refuse_others(self, values: Collection[str], what: str, when: str, remedy: str) -> None:
        """Refuse parts of ``what`` that no field takes: they would be lost."""
        for name in sorted(set(values) - self.known):
            raise SchemaError(
                f"field {name!r}: expected no such part of {what}, got one at {when} {self._of}; "
                f"it would be lost: {remedy}"
            )

    def _take(
        self, specs: Iterable[FieldSpec], values: Mapping[str, Any], when: str, row: int = 0
    ) -> Taken:
        taken = []
        for spec in specs:
            if spec.name not in values:
                part = below(spec.name, ACTION) or below(spec.name, OBSERVATION)
                raise SchemaError(
                    f"field {spec.name!r}: expected "
                    f"{'it as a part of the value' if part else self._source}, got "
                    f"{sorted(map(str, values))} at {when} {self._of}"
                )
            value = row_of(spec, values[spec.name], f"{when} {self._of}")
            if spec.name in self._watched:
                _check(spec, value, row, f", at {when} {self._of}")
            taken.append((spec, value))
        return taken


def _can_be_wrong(spec: FieldSpec) -> bool:
    """Whether there are values of its dtype that the field refuses."""
    if spec.is_text or not (spec.finite or spec.strict):
        return False
    return spec.dtype.startswith("float") or (
        spec.strict and not covers(spec.low, spec.high, spec.dtype)
    )


def _check(spec: FieldSpec, row: np.ndarray, number: int, where: str) -> None:
    low, high = limits(spec)
    wrong = row.dtype.kind == "f" and spec.finite and not isfinite(np.vdot(row, row))
    if wrong or (spec.strict and not ((row >= low) & (row <= high)).all()):
        check_values(spec, row if spec.axis is Axis.EPISODE else row[None], number, where)
