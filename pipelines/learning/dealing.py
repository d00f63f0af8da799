"""Which episodes a clone learns from, where it does not learn from all."""

from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from pipelines.tasks.social_nav.scenarios import DENSITIES


def chosen_episodes(
    scenarios: NDArray[np.str_], *, allowed: NDArray[np.bool_], count: int, turn: int
) -> NDArray[np.bool_]:
    """Which episodes the clone number ``turn`` learns from.

    Families take turns, each with its densest scenarios first: ten families are shown by any ten
    episodes, and a dense scene shows what a sparse one does and more. Clones begin at different
    episodes of a scenario, and share some only where there are too few.

    Args:
        scenarios: ``[N]`` of every episode, ``family/density``.
        allowed: ``[N]`` episodes to choose among.
        count: so many; 0, or more than there are, means all.
        turn: from 0.

    Returns:
        ``[N]``, true where chosen.
    """
    chosen = np.zeros(len(scenarios), bool)
    candidates = np.flatnonzero(allowed)
    size = min(count, len(candidates)) or len(candidates)
    chosen[candidates[_deal(scenarios[candidates], size=size, turn=turn)]] = True
    return chosen


def _deal(scenarios: NDArray[np.str_], *, size: int, turn: int) -> NDArray[np.int64]:
    """Places of the first ``size`` episodes, families taking turns, densest scenarios first."""
    ranks = {density: -place for place, density in enumerate(DENSITIES)}
    names = dict.fromkeys(scenarios.tolist())
    hands: dict[str, list[int]] = {name.partition("/")[0]: [] for name in names}
    dealt_before, first = divmod(turn * size, len(hands))
    for name in sorted(names, key=lambda name: ranks.get(name.partition("/")[2], 1)):
        own = np.flatnonzero(scenarios == name)
        hands[name.partition("/")[0]] += np.roll(own, -dealt_before).tolist()
    order = list(hands.values())
    rounds = zip_longest(*order[first:], *order[:first])
    dealt = [place for one_each in rounds for place in one_each if place is not None]
    return np.array(dealt[:size], np.int64)
