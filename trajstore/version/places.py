"""Where the rows of each episode of a version lie; arithmetic only, but for its index."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np

from trajstore.episode.fields import Axis
from trajstore.errors import CorruptionError
from trajstore.version.layout import FIRST, INDEX, Part


class Spans(Protocol):
    """Rows that can be read from one to another."""

    def span(self, first: int, stop: int) -> np.ndarray:
        """Rows ``first`` to ``stop``."""


class Places:
    """First row and number of rows of each episode on each axis, counted over all parts."""

    def __init__(self, lengths: np.ndarray, first: Mapping[Axis, np.ndarray]) -> None:
        """Take steps and first rows of the episodes; ``int64[N]`` each."""
        self.lengths, self.first = lengths, first

    def take(self, episodes: np.ndarray) -> "Places":
        """Those of some episodes, by number."""
        first = {axis: rows[episodes] for axis, rows in self.first.items()}
        lengths = self.lengths[episodes]
        lengths.flags.writeable = False
        return Places(lengths, first)

    def rows(self, axis: Axis) -> np.ndarray:
        """How many rows each episode has."""
        if axis is Axis.EPISODE:
            return np.ones_like(self.lengths)
        return self.lengths if axis is Axis.STEP else self.lengths + 1

    def count(self, axis: Axis) -> int:
        """Rows of all episodes together."""
        return int(self.rows(axis).sum())

    def at(self, axis: Axis, items: np.ndarray) -> np.ndarray:
        """The rows of items, counted through all episodes."""
        ends = np.cumsum(self.rows(axis))
        episode = ends.searchsorted(items, side="right")
        found: np.ndarray = items - (ends - self.rows(axis))[episode] + self.first[axis][episode]
        return found

    @cached_property
    def spans(self) -> dict[Axis, list[tuple[int, int]]]:
        """First row of each episode, and the one after its last, as plain numbers."""
        return {
            axis: list(zip(first.tolist(), (first + self.rows(axis)).tolist(), strict=True))
            for axis, first in self.first.items()
        }

    def runs(self, axis: Axis) -> list[tuple[int, int]]:
        """The rows of all episodes in order, as stretches without a gap."""
        first = self.first[axis]
        stop = first + self.rows(axis)
        cuts = np.flatnonzero(first[1:] != stop[:-1])
        begins, ends = first[[0, *(cuts + 1)]], stop[[*cuts, -1]]
        return list(zip(begins.tolist(), ends.tolist(), strict=True))


def places(where: object, parts: Sequence[Part], fields: Mapping[str, Spans]) -> Places:
    """Where the episodes of a version lie, in the order of its parts.

    Raises:
        CorruptionError: if they have other steps than the manifest says, or lie outside of what
            was recorded, or in each other.
    """
    episodes, steps = sum(part.episodes for part in parts), sum(part.steps for part in parts)
    lengths = fields[INDEX["length"].name].span(0, episodes)
    if np.any(lengths < 1) or int(lengths.sum()) != steps:
        raise CorruptionError(
            f"{where}: expected episodes of {steps:,} steps together, "
            f"got lengths that add up to {int(lengths.sum()):,}"
        )
    counted = Places(lengths, {})
    first: dict[Axis, np.ndarray] = {Axis.EPISODE: np.arange(episodes)}
    for axis in (Axis.STEP, Axis.STATE):
        first[axis] = np.cumsum(counted.rows(axis)) - counted.rows(axis)
    if any(part.recorded for part in parts):
        _shift(where, parts, fields, Places(lengths, first))
    return Places(lengths, first)


def _shift(
    where: object, parts: Sequence[Part], fields: Mapping[str, Spans], dense: Places
) -> None:
    """Move the first rows of episodes from where they would lie without gaps."""
    known = _known(parts, fields)
    begin, base = 0, {Axis.STEP: 0, Axis.STATE: 0}
    for part in parts:
        own = slice(begin, begin + part.episodes)
        rows = next(known) if part.recorded else None
        for column, axis in enumerate(base):
            local = dense.first[axis][own] - dense.first[axis][begin]
            if rows is not None:
                local = rows[:, column]
                _check(where, part.rows(axis), local, local + dense.rows(axis)[own])
            dense.first[axis][own] = local + base[axis]
            base[axis] += part.rows(axis)
        begin += part.episodes


def _known(parts: Sequence[Part], fields: Mapping[str, Spans]) -> Iterator[np.ndarray]:
    """First rows within each part that has gaps, ``int64[episodes, 2]``."""
    begin = 0
    for part in parts:
        if part.recorded:
            yield fields[FIRST.name].span(begin, begin + part.episodes)
            begin += part.episodes


def _check(where: object, rows: int, first: np.ndarray, stop: np.ndarray) -> None:
    outside = np.any((first < 0) | (first > rows)) or stop[-1] > rows
    if outside or np.any(first[1:] < stop[:-1]):
        raise CorruptionError(
            f"{where}: expected episodes one after the other within {rows:,} rows, got others"
        )
