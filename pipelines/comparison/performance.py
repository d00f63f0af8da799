"""How good the arms end, how they get there, and whether they lose what they were given."""

from collections.abc import Mapping, Sequence

import numpy as np

from pipelines.comparison.arms import Arm, Expert
from pipelines.comparison.arrival import Quotient
from pipelines.comparison.ratios import Draws
from pipelines.comparison.record import (
    Area,
    Band,
    Contrast,
    Curve,
    Dip,
    MetricStatistics,
    Rates,
    SeedDip,
    Teacher,
)
from pipelines.comparison.stats import (
    Estimate,
    area_under_curve,
    crossed_means,
    estimate,
    interval,
    mean,
    paired_difference,
    probability_of_improvement,
    resampled,
    statistics_of,
)
from pipelines.learning.runlog import RATES


def final(arm: Arm, scenarios: Sequence[str], draws: Draws) -> Rates[Estimate]:
    """Success and collisions of an arm at the end in the given scenarios, over seeds."""
    return Rates(
        *(
            estimate(arm.rates(rate, scenarios), mean, **draws.of(f"final/{arm.name}/{rate}"))
            for rate in RATES
        )
    )


def contrast(first: Arm, second: Arm, scenarios: Sequence[str], draws: Draws) -> Contrast:
    """Final difference of two arms and the chance that the first is better, paired by seed."""
    where = f"contrast/{first.name}/{second.name}"
    partner = second.only(first.seeds)
    success, collision = (
        [arm.rates(rate, scenarios) for arm in (first, partner)] for rate in RATES
    )
    return Contrast(
        paired_difference(*success, **draws.of(f"{where}/success")),
        paired_difference(*collision, **draws.of(f"{where}/collision")),
        probability_of_improvement(*success, **draws.of(f"{where}/improvement")),
    )


def area(arm: Arm, baseline: Arm, draws: Draws) -> Area:
    """Area under the success curve of an arm beside the baseline, to the shorter budget."""
    limit = min(
        int(run.evaluations[-1]["steps"]) for one in (arm, baseline) for run in one.runs.values()
    )
    own, other = (
        np.array([_area(one.runs[seed].evaluations, limit) for seed in arm.seeds])
        for one in (arm, baseline)
    )
    difference = paired_difference(own, other, **draws.of(f"area/{arm.name}"))
    return Area(limit, float(own.mean()), float(other.mean()), difference)


def no_dip(arm: Arm) -> Dip:
    """The lowest success while fine-tuning against the clone that it started from, by seed."""
    rows = []
    for seed in arm.seeds:
        first, *later = arm.runs[seed].evaluations
        lowest = min(later or [first], key=lambda row: float(row["success"]))
        change = lowest["success"] - first["success"]
        rows.append(SeedDip(seed, first["success"], lowest["success"], lowest["steps"], change))
    return Dip(min(row.change for row in rows), tuple(rows))


def better_than_teacher(
    arm: Arm, expert: Expert | None, scenarios: Sequence[str], draws: Draws
) -> Teacher:
    """Final collisions over the expert's, and final success minus the expert's.

    Seeds and episodes are both drawn anew; where the expert was judged on the same episodes, it
    is drawn with them.
    """
    if expert is None:
        return Teacher("no expert was given")
    (ours, hit_ours), (theirs, hit_theirs) = _crossed(arm, expert, "collision", scenarios, draws)
    ratio = np.full(len(hit_ours), np.inf)
    np.divide(hit_ours, hit_theirs, out=ratio, where=hit_theirs > 0)
    (high, up), (level, reference) = _crossed(arm, expert, "success", scenarios, draws)
    units = len(arm.seeds)
    return Teacher(
        collision_ratio=Quotient(ours / theirs if theirs else None, *interval(ratio, units)),
        success_difference=Estimate(high - level, *interval(up - reference, units)),
        same_episodes=set(arm.listed(scenarios)) <= set(expert.episodes),
        expert=Rates(level, theirs),
    )


def curves(arm: Arm, draws: Draws) -> Curve:
    """Learning curves: mean and 95 % band over seeds at each evaluation, and every seed."""
    grid = arm.grid()
    rows = {
        str(seed): [row for row in arm.runs[seed].evaluations if row["steps"] in grid]
        for seed in arm.seeds
    }
    seeds = {
        seed: Rates(*(tuple(row[rate] for row in shown) for rate in RATES))
        for seed, shown in rows.items()
    }
    success, collision = (
        _band(
            np.array([getattr(seed, rate) for seed in seeds.values()]),
            draws.rng(f"curve/{arm.name}/{rate}"),
        )
        for rate in RATES
    )
    return Curve(success, collision, tuple(grid), seeds)


def metrics(arm: Arm, scenarios: Sequence[str], draws: Draws) -> dict[str, MetricStatistics]:
    """Mean, median and p95 of each metric over the final episodes of all seeds of an arm."""
    rows = [
        row["metrics"]
        for seed in arm.seeds
        for key, row in arm.runs[seed].episodes.items()
        if key[0] in scenarios
    ]
    found = {}
    for metric in sorted(rows[0]):
        values = np.array([row[metric] for row in rows if row.get(metric) is not None])
        if len(values):
            rng = draws.rng(f"metric/{arm.name}/{metric}")
            parts = statistics_of(values, rng=rng, resamples=min(draws.resamples, 1000))
            found[metric] = MetricStatistics(len(values), **parts)
    return found


def _area(rows: Sequence[Mapping[str, float]], limit: int) -> float:
    steps, success = (np.array([row[key] for row in rows]) for key in ("steps", "success"))
    return area_under_curve(steps, success, limit=limit)


def _band(rows: np.ndarray, rng: np.random.Generator) -> Band:
    """Mean and ends of the band, one a column of ``[seeds, evaluations]``."""
    counts = resampled(len(rows), rng=rng, resamples=2000)
    ends = [interval(counts @ column / len(rows), len(rows)) for column in rows.T]
    low, high = zip(*ends, strict=True)
    return Band(tuple(rows.mean(axis=0).tolist()), low, high)


Spread = tuple[float, np.ndarray]
"""A number and its bootstrap draws."""


def _crossed(
    arm: Arm, expert: Expert, rate: str, scenarios: Sequence[str], draws: Draws
) -> tuple[Spread, Spread]:
    """A rate of the arm and of the expert, each with draws; together on shared episodes."""
    rng = draws.rng(f"teacher/{rate}")
    keys = arm.listed(scenarios)
    rows = arm.outcomes(rate, keys)
    means, counts = crossed_means(rows, rng=rng, resamples=draws.resamples)
    if set(keys) <= set(expert.episodes):
        taught = np.array([float(expert.episodes[key][rate]) for key in keys])
        level = float(taught.mean())
    else:
        level = float(getattr(expert, rate))
        known = [float(r[rate]) for key, r in expert.episodes.items() if key[0] in expert.counted]
        taught = np.array(known or [level])
        counts = resampled(len(taught), rng=rng, resamples=draws.resamples)
    return (float(rows.mean()), means), (level, counts @ taught / len(taught))
