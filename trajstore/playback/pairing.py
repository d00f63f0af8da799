"""Which episodes of two versions stand side by side, and why."""

from collections import Counter, deque
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from trajstore.playback.viewed import Viewed

DIGEST, SITUATION, ORDER = "digest", "scenario and seed", "order"


class Pair(NamedTuple):
    """Indices of two episodes that stand side by side, and what they have in common."""

    one: int
    other: int
    by: str = ""


def match(one: Sequence[Hashable], other: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Positions of equal keys, each taken once, in order; ``None`` is equal to nothing.

    Example:
        >>> match([("a", 1), ("a", 2), ("b", 1)], [("b", 1), ("a", 1), ("c", 9)])
        [(0, 1), (2, 0)]
    """
    places: dict[Hashable, deque[int]] = {}
    for position, key in enumerate(other):
        places.setdefault(key, deque()).append(position)
    return [
        (position, places[key].popleft())
        for position, key in enumerate(one)
        if key is not None and places.get(key)
    ]


def pairs_of(one: Viewed, other: Viewed) -> list[Pair]:
    """Pairs by digest; of what is left, by scenario and seed; of what is left then, by order."""
    rest = list(range(len(one))), list(range(len(other)))
    found: list[Pair] = []
    for by, keys in ((DIGEST, _digests), (SITUATION, _situations), (ORDER, _order)):
        known = keys(one, rest[0]), keys(other, rest[1])
        pairs = [Pair(rest[0][a], rest[1][b], by) for a, b in match(*known)]
        found += pairs
        taken = {pair.one for pair in pairs}, {pair.other for pair in pairs}
        rest = (
            [index for index in rest[0] if index not in taken[0]],
            [index for index in rest[1] if index not in taken[1]],
        )
    return sorted(found)


def told(pairs: Sequence[Pair], one: int, other: int) -> str:
    """How many pairs have what in common, and how many of so many episodes have no partner."""
    counts = Counter(pair.by for pair in pairs)
    words = [f"{counts[by]:,} by {by}" for by in (DIGEST, SITUATION, ORDER) if counts[by]]
    alone = [
        f"{total - len(pairs):,} of the {which} version have no partner"
        for total, which in ((one, "first"), (other, "second"))
        if total > len(pairs)
    ]
    return f"Episodes are paired {', '.join(words)}{'; ' if alone else ''}{'; '.join(alone)}."


def _digests(viewed: Viewed, indices: Sequence[int]) -> list[Hashable]:
    digests = viewed.text("digest")
    return [digests[index] or None for index in indices]


def _situations(viewed: Viewed, indices: Sequence[int]) -> list[Hashable]:
    if "seed" not in viewed.table:
        return [None] * len(indices)
    scenarios, seeds = viewed.text("scenario"), viewed.table["seed"]
    return [(scenarios[index], int(seeds[index])) for index in indices]


def _order(_: Viewed, indices: Sequence[int]) -> list[Hashable]:
    return list(range(len(indices)))
