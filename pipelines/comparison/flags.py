"""Which scenarios got worse: one test a scenario, corrected for how many there are.

The rule, and why it is so, is said in ``docs/statistics.md`` under "Scenario table".
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats as distributions

from pipelines.comparison.stats import LEVEL, Estimate

WATCH = 0.05
"""A loss of success that is worth a look; a smaller one is never flagged."""
ALPHA = 0.05
"""Chance that any of the scenarios is called a regression although none is one."""
UNEVEN = 0.05
"""Chance that the seeds of an ordinary scenario are taken for uneven."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is known of the change in one scenario.

    Attributes:
        difference: mean change with its 95 % interval, for this scenario alone.
        chance: one-sided p-value of a fall, corrected by Holm's method for all the scenarios that
            were tested together; ``None`` where nothing can be tested.
    """

    difference: Estimate
    chance: float | None

    @property
    def flag(self) -> Literal["regression", "watch"] | None:
        """``regression``: fell by ``WATCH``, beyond chance; ``watch``: fell by it; else none."""
        if self.difference.estimate > -WATCH + 1e-9:
            return None
        beyond = self.chance is not None and self.chance < ALPHA
        return "regression" if beyond else "watch"


@dataclass(frozen=True, slots=True)
class _Spread:
    """Mean squares of a table ``[seeds, episodes]`` by what they are due to."""

    seeds: float
    episodes: float
    rest: float


def judged(changes: Mapping[str, np.ndarray]) -> dict[str, Change]:
    """Judge the changes of all scenarios together.

    The error of a mean counts seeds and episodes as drawn anew (two-way analysis of variance,
    both random). Few seeds tell little of their own spread, so that the part due to seeds is what
    all scenarios show together; where a scenario's own is larger beyond chance (F test at
    ``UNEVEN``), as when one seed collapses, it is the scenario's own, with the few degrees of
    freedom that seeds have.

    Args:
        changes: by scenario ``[seeds, episodes]``, success of one arm minus that of the other in
            the same episode with the same seed.
    """
    known = {name: _spread(rows) for name, rows in changes.items() if min(rows.shape) > 1}
    among = sum(part.seeds for part in known.values())
    rest = sum(part.rest for part in known.values())
    excess = max(among / rest, 1.0) if rest else 1.0
    found, chances = {}, {}
    for name, rows in changes.items():
        mean = float(rows.mean())
        found[name] = Estimate(mean, None, None)
        if name in known:
            error, freedom = _error(known[name], rows.shape, excess, len(known))
            reach = float(distributions.t.ppf(0.5 + LEVEL / 2, freedom)) * error
            found[name] = Estimate(mean, mean - reach, mean + reach)
            chances[name] = _chance(mean, error, freedom)
    corrected = dict(zip(chances, holm(list(chances.values())), strict=True))
    return {name: Change(part, corrected.get(name)) for name, part in found.items()}


def holm(chances: Sequence[float]) -> list[float]:
    """P-values corrected for their number (Holm 1979), in the order given.

    Example:
        >>> holm([0.01, 0.5, 0.02])
        [0.03, 0.5, 0.04]
    """
    corrected, least = [0.0] * len(chances), 0.0
    for rank, index in enumerate(sorted(range(len(chances)), key=lambda i: chances[i])):
        least = max(least, min((len(chances) - rank) * chances[index], 1.0))
        corrected[index] = least
    return corrected


def _spread(rows: np.ndarray) -> _Spread:
    seeds, episodes = rows.shape
    by_seed, by_episode = rows.mean(axis=1), rows.mean(axis=0)
    rest = rows - by_seed[:, None] - by_episode + rows.mean()
    return _Spread(
        float(episodes * by_seed.var(ddof=1)),
        float(seeds * by_episode.var(ddof=1)),
        float((rest**2).sum() / ((seeds - 1) * (episodes - 1))),
    )


def _error(
    part: _Spread, shape: tuple[int, ...], excess: float, scenarios: int
) -> tuple[float, int]:
    """Standard error of a mean, and its degrees of freedom."""
    seeds, episodes = shape
    freedom = (seeds - 1) * min(scenarios, episodes - 1)
    among = excess * part.rest
    if part.seeds > among * distributions.f.ppf(1.0 - UNEVEN, seeds - 1, freedom):
        among, freedom = part.seeds, seeds - 1
    total = among + max(part.episodes - part.rest, 0.0)
    return math.sqrt(total / (seeds * episodes)), freedom


def _chance(mean: float, error: float, freedom: int) -> float:
    if error == 0.0:
        return 0.0 if mean < 0.0 else 1.0
    return float(distributions.t.cdf(mean / error, freedom))
