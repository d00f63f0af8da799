"""How episodes are divided so that groups of them stay together; arithmetic only."""

import math
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from trajstore.episode.texts import shown
from trajstore.errors import ArgumentError


def check_fractions(fractions: Mapping[str, float], seed: object) -> None:
    """Refuse what are no two or more positive shares that add up to 1, and what is no seed."""
    if not isinstance(fractions, Mapping):
        raise ArgumentError(f"fractions: expected shares by name, got {shown(fractions)}")
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise ArgumentError(f"seed: expected a whole number of 0 or more, got {shown(seed)}")
    values = list(fractions.values())
    numbers = all(isinstance(it, int | float) and not isinstance(it, bool) for it in values)
    told = ",".join(f"{name}={value}" for name, value in fractions.items()) or "none"
    if len(values) < 2 or not numbers or not all(0 < it < 1 for it in values):
        raise ArgumentError(
            f"fractions: expected two or more names with shares between 0 and 1, got {told[:200]}; "
            "write train=0.8,test=0.2"
        )
    total = math.fsum(values)
    if not math.isclose(total, 1.0, abs_tol=1e-6):
        raise ArgumentError(
            f"fractions: expected shares that add up to 1, got {told[:200]}, which add up to "
            f"{total:.6g}"
        )


def divide(
    groups: Sequence[Hashable], fractions: Sequence[float], *, rng: np.random.Generator
) -> list[np.ndarray]:
    """Places of the members of each share, in order: each group lies in one share, whole.

    Groups are shuffled, then the largest go first, each to the share that lacks most. A share may
    stay empty if there are few groups.

    Example:
        >>> shares = divide(list("aabbccdd"), [0.75, 0.25], rng=np.random.default_rng(0))
        >>> [len(share) for share in shares]
        [6, 2]
    """
    members: dict[Hashable, list[int]] = {}
    for place, group in enumerate(groups):
        members.setdefault(group, []).append(place)
    whole = list(members.values())
    shuffled = [whole[it] for it in rng.permutation(len(whole))]
    lacking = [fraction * len(groups) for fraction in fractions]
    shares: list[list[int]] = [[] for _ in fractions]
    for places in sorted(shuffled, key=len, reverse=True):
        poorest = max(range(len(shares)), key=lambda it: lacking[it])
        shares[poorest] += places
        lacking[poorest] -= len(places)
    return [np.array(sorted(share), np.int64) for share in shares]
