"""Estimates with intervals by bootstrap; ``docs/statistics.md`` says what each means, and why."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike
from scipy import stats as distributions

LEVEL = 0.95
BLOCK = 4_000_000
"""Most numbers that a block of resamples holds; bounds the memory of one estimate to 32 MB."""

Statistic = Callable[[np.ndarray], np.ndarray]
"""``[..., n] -> [...]``: one number from the last axis."""


def mean(values: np.ndarray) -> np.ndarray:
    """Arithmetic mean over the last axis."""
    return np.asarray(np.mean(values, axis=-1))


STATISTICS: dict[str, Statistic] = {
    "mean": mean,
    "median": lambda values: np.asarray(np.median(values, axis=-1)),
    "p95": lambda values: np.asarray(np.quantile(values, 0.95, axis=-1)),
}
"""Every statistic that is reported of a metric."""


class Source(NamedTuple):
    """Where the draws of one estimate come from, and how many they are."""

    rng: np.random.Generator
    resamples: int = 10_000


@dataclass(frozen=True, slots=True)
class Draws:
    """Where the random numbers of a comparison come from.

    Each estimate draws from a generator of its own, keyed by its name, so that an arm more or
    less changes no other number.
    """

    seed: int
    resamples: int

    def of(self, name: str, resamples: int | None = None) -> Source:
        """What the estimate of that name draws from, as often as all do or as is said."""
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
        return Source(np.random.default_rng([self.seed, key]), resamples or self.resamples)


class Estimate(Struct, frozen=True, forbid_unknown_fields=True):
    """A number and its 95 % interval; an end is ``None`` where it is not known or not finite."""

    estimate: float
    low: float | None
    high: float | None


def interval_levels(units: int) -> tuple[float, float]:
    """Quantiles of the bootstrap draws that make a 95 % interval from ``units`` units.

    Plain percentiles are too narrow for few units (five seeds: 85 % coverage, here 92 %).
    Hesterberg (2015, "What teachers should know about the bootstrap", section 5.3) widens the
    levels until the interval of a mean is as wide as Student's; for many units they tend to
    0.025 and 0.975.

    Example:
        >>> [round(level, 4) for level in interval_levels(5)]
        [0.001, 0.999]
        >>> [round(level, 3) for level in interval_levels(1000)]
        [0.025, 0.975]
    """
    if units < 2:
        raise ValueError(f"interval: expected at least 2 units, got {units}")
    reach = distributions.t.ppf(0.5 + LEVEL / 2, units - 1) * math.sqrt(units / (units - 1))
    tail = float(distributions.norm.cdf(-reach))
    return tail, 1.0 - tail


def interval(draws: np.ndarray, units: int) -> tuple[float | None, float | None]:
    """Ends of the 95 % interval from bootstrap draws ``[resamples]``; each end is a draw.

    An end is ``None`` where it is not finite, both where one unit gives no interval.
    """
    if units < 2:
        return None, None
    low, high = interval_levels(units)
    ends = np.quantile(draws, low, method="lower"), np.quantile(draws, high, method="higher")
    first, last = (float(end) if math.isfinite(end) else None for end in ends)
    return first, last


def estimate(values: np.ndarray, statistic: Statistic, source: Source) -> Estimate:
    """A statistic of independent values ``[n]`` with its 95 % bootstrap interval."""
    values = _checked(values, "estimate")
    block = max(1, BLOCK // len(values))
    draws = np.empty(source.resamples)
    for first in range(0, len(draws), block):
        size = min(block, len(draws) - first)
        rows = source.rng.integers(len(values), size=(size, len(values)))
        draws[first : first + size] = statistic(values[rows])
    return Estimate(float(statistic(values)), *interval(draws, len(values)))


def resampled(units: int, source: Source) -> np.ndarray:
    """How often each unit is drawn, ``int64[resamples, units]``."""
    return source.rng.multinomial(units, np.full(units, 1.0 / units), size=source.resamples)


def paired_ratio(numerator: np.ndarray, denominator: np.ndarray, source: Source) -> Estimate:
    """Ratio of the means of two paired samples ``[n]``: the one ratio of this project.

    Pairs are drawn with replacement, so that what a pair shares (a seed, its evaluation episodes)
    stays together. A draw whose denominator is zero counts as infinite.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> paired_ratio(np.array([10.0, 30.0]), np.array([100.0, 300.0]), Source(rng)).estimate
        0.1
    """
    top, bottom = _pairs(numerator, denominator, "ratio")
    if min(top.min(), bottom.min()) < 0.0 or not bottom.sum() > 0.0:
        raise ValueError("ratio: expected non-negative values and a denominator above zero")
    counts = resampled(len(top), source)
    above, below = counts @ top, counts @ bottom
    draws = np.full(source.resamples, np.inf)
    np.divide(above, below, out=draws, where=below > 0.0)
    return Estimate(float(top.sum() / bottom.sum()), *interval(draws, len(top)))


def paired_difference(first: np.ndarray, second: np.ndarray, source: Source) -> Estimate:
    """Mean of ``first - second`` over pairs ``[n]``, with its interval over pairs."""
    own, other = _pairs(first, second, "difference")
    return estimate(own - other, mean, source)


def probability_of_improvement(better: np.ndarray, worse: np.ndarray, source: Source) -> Estimate:
    """Chance that a run of ``better`` scores above a run of ``worse``; a tie counts half.

    Agarwal et al. (2021, "Deep RL at the edge of the statistical precipice"): the mean over all
    pairs of runs (Mann-Whitney). Matched seeds are resampled together.

    Example:
        >>> source = Source(np.random.default_rng(0))
        >>> probability_of_improvement(np.array([1.0, 2.0]), np.array([0.0, 2.0]), source).estimate
        0.625
    """
    first, second = _pairs(better, worse, "improvement")
    wins = (first[:, None] > second) + 0.5 * (first[:, None] == second)
    counts = resampled(len(first), source)
    draws = np.einsum("ri,ij,rj->r", counts, wins, counts, optimize=True) / len(first) ** 2
    return Estimate(float(wins.mean()), *interval(draws, len(first)))


def area_under_curve(steps: ArrayLike, values: ArrayLike, *, limit: float) -> float:
    """Mean height of a learning curve from its first evaluation to ``limit`` steps.

    Linear between evaluations; a curve that ends before ``limit`` is refused.

    Example:
        >>> area_under_curve(np.array([0, 10, 20]), np.array([0.0, 1.0, 1.0]), limit=20)
        0.75
    """
    steps, values = np.asarray(steps, float), np.asarray(values, float)
    if len(steps) < 2 or not steps[0] < limit <= steps[-1]:
        raise ValueError(f"area: expected a curve of two or more evaluations to {limit} steps")
    inside = steps < limit
    grid = np.append(steps[inside], limit)
    heights = np.append(values[inside], np.interp(limit, steps, values))
    return float(np.trapezoid(heights, grid) / (limit - steps[0]))


def crossed_means(rows: np.ndarray, source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Means of ``rows`` ``[seeds, episodes]`` when both seeds and episodes are drawn anew.

    Returns:
        The means ``[resamples]`` and the episode counts ``[resamples, episodes]`` they used, so
        that whoever was measured on the same episodes is resampled with them (Owen 2007,
        "The pigeonhole bootstrap").
    """
    seeds, episodes = (resampled(size, source) for size in rows.shape)
    return np.einsum("rs,re,se->r", seeds, episodes, rows, optimize=True) / rows.size, episodes


def wilson(successes: int, trials: int) -> Estimate:
    """A rate with Wilson's 95 % interval, which holds at 0 and at 1 too.

    Example:
        >>> wilson(0, 200).high < 0.02
        True
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"rate: expected 0 to {trials} of {trials}, got {successes}")
    ends = distributions.binomtest(successes, trials).proportion_ci(LEVEL, method="wilson")
    return Estimate(successes / trials, float(ends.low), float(ends.high))


def _checked(values: np.ndarray, where: str) -> np.ndarray:
    """The values ``[n]`` as floats; none, or one that is not finite, is refused."""
    rows = np.asarray(values, float)
    if rows.ndim != 1 or len(rows) == 0 or not np.isfinite(rows).all():
        raise ValueError(f"{where}: expected one or more finite values, got {rows!r}")
    return rows


def _pairs(first: np.ndarray, second: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Both samples as floats; those of different length are refused."""
    one, other = _checked(first, where), _checked(second, where)
    if len(one) != len(other):
        raise ValueError(f"{where}: expected pairs, got {len(one)} and {len(other)} values")
    return one, other
