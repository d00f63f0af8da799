"""A choice of episodes: a condition, numbers, marks; those that satisfy all of it."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from trajstore.choosing.columns import EpisodeColumns
from trajstore.choosing.evaluation import satisfied
from trajstore.choosing.marks import Marks
from trajstore.episode.texts import brief, shown
from trajstore.errors import ArgumentError, NotFoundError
from trajstore.version.reading import Table, Where

Numbers = str | Iterable[int]
"""Numbers of episodes, or such as ``0,4-9`` with both ends included."""
_RANGE = re.compile(r"\s*([0-9]{1,18})\s*(?:-\s*([0-9]{1,18})\s*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Criterion:
    """What is chosen by; each part that is given must hold.

    Attributes:
        where: a condition as text, or what computes ``bool[N]`` from the table of episodes.
        episodes: to choose from; all unless given.
        exclude: to leave out.
        marks: those marked ``exclude`` are left out.
        source: how the marks are called.
    """

    where: str | Where | None = None
    episodes: Numbers | None = None
    exclude: Numbers | None = None
    marks: Marks | None = None
    source: str = ""

    def to_json(self) -> dict[str, Any]:
        """The parts that are given, as provenance tells them; a function's name in its place."""
        told: dict[str, Any] = {}
        if self.where is not None:
            own = getattr(self.where, "__name__", type(self.where).__name__)
            told["where"] = self.where if isinstance(self.where, str) else f"by {own}"
        for name in ("episodes", "exclude"):
            numbers = getattr(self, name)
            if numbers is not None:
                told[name] = numbers if isinstance(numbers, str) else ranges(numbers)
        if self.marks is not None:
            told["marks"] = self.source or "given"
        return told


def choose(
    columns: EpisodeColumns, criterion: Criterion, table: Callable[[], Table], name: object
) -> np.ndarray:
    """The numbers of the episodes that a criterion chooses, in order; ``int64[n]``.

    Raises:
        ArgumentError: if the condition is none, or numbers are malformed.
        NotFoundError: if there is no such episode, the marks are of others, or none is left.
    """
    digests = columns.digests() if criterion.marks else []
    count = len(columns["length"])
    chosen = np.ones(count, bool)
    if criterion.episodes is not None:
        chosen &= _listed("episodes", criterion.episodes, count)
    if criterion.exclude is not None:
        chosen &= ~_listed("exclude", criterion.exclude, count)
    if criterion.marks and not criterion.marks.keys() & digests:
        raise NotFoundError(
            f"marks {criterion.source or 'given'}: none of the {len(criterion.marks):,} marks "
            f"is on an episode of {name}; name the version that was looked at"
        )
    if criterion.marks:
        out = {it.episode for it in criterion.marks.values() if it.mark == "exclude"}
        chosen &= np.array([digest not in out for digest in digests], bool)
    if isinstance(criterion.where, str):
        chosen &= satisfied(criterion.where, columns, count)
    elif criterion.where is not None:
        chosen &= mask_of(criterion.where, table, count)
    if not chosen.any():
        told = ", ".join(f"{key} {value}" for key, value in criterion.to_json().items())
        raise NotFoundError(f"{name}: none of {count:,} episodes satisfies {brief(told, 200)}")
    return np.flatnonzero(chosen)


def mask_of(where: Where, table: Callable[[], Table], count: int) -> np.ndarray:
    """Which episodes a mask, or what computes it from their table, stands for; ``bool[count]``."""
    mask = np.asarray(where(table()) if callable(where) else where)
    if mask.dtype != np.bool_ or mask.shape != (count,):
        raise ArgumentError(
            f"where: expected bool[{count}], got {mask.dtype} of shape {mask.shape}"
        )
    return mask


def ranges(numbers: Iterable[int]) -> str:
    """Numbers as text that `Criterion` takes.

    Example:
        >>> ranges([9, 0, 4, 5, 6])
        '0,4-6,9'
    """
    ordered = np.unique(np.fromiter(map(int, numbers), np.int64))
    runs = np.split(ordered, np.flatnonzero(np.diff(ordered) > 1) + 1)
    ends = [(int(run[0]), int(run[-1])) for run in runs if len(run)]
    return ",".join(str(one) if one == other else f"{one}-{other}" for one, other in ends)


def _listed(what: str, numbers: Numbers, count: int) -> np.ndarray:
    mask = np.zeros(count, bool)
    for first, last in _spans(what, numbers):
        if not 0 <= first <= last < count:
            wrong = first if not 0 <= first < count else last
            raise NotFoundError(
                f"{what}: expected numbers of episodes from 0 to {count - 1}, lower ones first, "
                f"got {wrong if last >= first else f'{first}-{last}'}"
            )
        mask[first : last + 1] = True
    return mask


def _spans(what: str, numbers: Numbers) -> Iterable[tuple[int, int]]:
    if isinstance(numbers, str):
        found = [_RANGE.fullmatch(piece) for piece in numbers.split(",")]
        if None in found:
            raise ArgumentError(
                f"{what}: expected numbers of episodes such as 0,4-9, got {shown(numbers)}"
            )
        return [(int(it[1]), int(it[2] or it[1])) for it in found if it]
    listed = list(numbers) if isinstance(numbers, Iterable) else [None]
    if not all(isinstance(it, int | np.integer) and not isinstance(it, bool) for it in listed):
        raise ArgumentError(
            f"{what}: expected whole numbers of episodes, or text such as '0,4-9', got "
            f"{shown(numbers)}"
        )
    return [(int(it), int(it)) for it in listed if it is not None]
