"""When a run first meets a target, and the ratio of two arms' times; censoring is stated.

``docs/statistics.md`` defines the words; the ratio itself is ``stats.paired_ratio``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from pipelines.comparison.stats import Estimate, paired_ratio


@dataclass(frozen=True, slots=True)
class Target:
    """What an evaluation must show: success at least, collisions at most (1 asks for nothing)."""

    success: float
    collision: float = 1.0

    def to_json(self) -> dict[str, float]:
        """As JSON."""
        return {"success": self.success, "collision": self.collision}


@dataclass(frozen=True, slots=True)
class Arrival:
    """Online steps until a target is met.

    Attributes:
        steps: of the evaluation from which the target holds; where it never does, of the last
            evaluation, which the true time exceeds.
        censored: the target was never met.
    """

    steps: int
    censored: bool

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {"steps": self.steps, "censored": self.censored}


class Bound(StrEnum):
    """What a ratio says about the ratio of the uncensored times."""

    EXACT = "exact"
    AT_MOST = "at_most"
    AT_LEAST = "at_least"
    UNRESOLVED = "unresolved"


@dataclass(frozen=True, slots=True)
class TimesRatio:
    """Steps of the pre-trained arm over steps of the baseline, paired by seed."""

    ratio: Estimate
    bound: Bound
    pretrained: Mapping[int, Arrival]
    baseline: Mapping[int, Arrival]

    @property
    def censored(self) -> int:
        """Seeds of which at least one arm never arrived."""
        return sum(
            self.pretrained[seed].censored or self.baseline[seed].censored
            for seed in self.pretrained
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON: the headline fields first, then every seed."""
        return {
            **self.ratio.to_json(),
            "seeds": len(self.pretrained),
            "censored": self.censored,
            "bound": str(self.bound),
            "at_start": sum(arrival.steps == 0 for arrival in self.pretrained.values()),
            "per_seed": [
                {
                    "seed": seed,
                    "pretrained": self.pretrained[seed].to_json(),
                    "baseline": self.baseline[seed].to_json(),
                    "ratio": _quotient(self.pretrained[seed], self.baseline[seed]),
                }
                for seed in sorted(self.pretrained)
            ],
        }


def time_to_target(
    steps: Sequence[int],
    success: Sequence[float],
    collision: Sequence[float],
    *,
    target: Target,
    hold: int = 2,
) -> Arrival:
    """The first evaluation from which a target holds for ``hold`` evaluations in a row.

    Raises:
        ValueError: no evaluation, columns of different length, or ``hold`` below one.

    Example:
        >>> target = Target(success=0.9)
        >>> time_to_target([0, 8, 16, 24], [0.5, 0.9, 0.8, 0.95], [0.0] * 4, target=target)
        Arrival(steps=24, censored=True)
        >>> time_to_target([0, 8, 16, 24], [0.5, 0.9, 0.9, 0.7], [0.0] * 4, target=target)
        Arrival(steps=8, censored=False)
    """
    if not len(steps) == len(success) == len(collision) or len(steps) == 0 or hold < 1:
        raise ValueError(
            f"time to target: expected columns of one length and hold >= 1, got {len(steps)}, "
            f"{len(success)}, {len(collision)} rows and hold {hold}"
        )
    run = 0
    for i in range(len(steps)):
        met = success[i] >= target.success and collision[i] <= target.collision
        run = run + 1 if met else 0
        if run == hold:
            return Arrival(int(steps[i - hold + 1]), censored=False)
    return Arrival(int(steps[-1]), censored=True)


def times_ratio(
    pretrained: Mapping[int, Arrival],
    baseline: Mapping[int, Arrival],
    *,
    rng: np.random.Generator,
    resamples: int = 10_000,
) -> TimesRatio:
    """Ratio of mean times over matched seeds; a seed that never arrives counts with its budget.

    Raises:
        ValueError: the seeds differ, or the baseline needed no steps on any seed.
    """
    if set(pretrained) != set(baseline) or not pretrained:
        raise ValueError(
            f"ratio: expected the same seeds in both arms, got {sorted(pretrained)} "
            f"and {sorted(baseline)}"
        )
    seeds = sorted(pretrained)
    ratio = paired_ratio(
        np.array([float(pretrained[seed].steps) for seed in seeds]),
        np.array([float(baseline[seed].steps) for seed in seeds]),
        rng=rng,
        resamples=resamples,
    )
    return TimesRatio(ratio, bound_of(pretrained, baseline), dict(pretrained), dict(baseline))


def bound_of(pretrained: Mapping[int, Arrival], baseline: Mapping[int, Arrival]) -> Bound:
    """What censoring leaves known.

    A baseline seed that never arrived needs more than its budget, so that the ratio is at most
    what is shown; a pre-trained one makes it at least that; both leave it open.
    """
    late = any(arrival.censored for arrival in pretrained.values())
    if any(arrival.censored for arrival in baseline.values()):
        return Bound.UNRESOLVED if late else Bound.AT_MOST
    return Bound.AT_LEAST if late else Bound.EXACT


def _quotient(pretrained: Arrival, baseline: Arrival) -> float | None:
    return pretrained.steps / baseline.steps if baseline.steps else None
