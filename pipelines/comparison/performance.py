"""How good the arms end, how they get there, and whether they lose what they were given."""

from collections.abc import Mapping, Sequence

import numpy as np

from pipelines.comparison import stats
from pipelines.comparison.arms import Arm, Expert, family
from pipelines.comparison.arrival import Quotient
from pipelines.comparison.record import (
    Area,
    Band,
    Contrast,
    Curve,
    Dip,
    HeldOut,
    MetricStatistics,
    SeedDip,
    Teacher,
)
from pipelines.comparison.stats import Draws, Estimate


def final(arm: Arm, scenarios: Sequence[str], draws: Draws) -> dict[str, Estimate]:
    """Every measure of an arm at the end in the given scenarios, over seeds."""
    return {
        name: stats.estimate(values, stats.mean, draws.of(f"final/{arm.name}/{name}"))
        for name, values in arm.finals(scenarios).items()
    }


def contrast(first: Arm, second: Arm, scenarios: Sequence[str], draws: Draws) -> Contrast:
    """Final difference of two arms and the chance that the first is better, paired by seed."""
    where = f"contrast/{first.name}/{second.name}"
    own, other = first.finals(scenarios), second.only(first.seeds).finals(scenarios)
    main = first.measures[0]
    return Contrast(
        {
            name: stats.paired_difference(own[name], other[name], draws.of(f"{where}/{name}"))
            for name in first.measures
        },
        stats.probability_of_improvement(own[main], other[main], draws.of(f"{where}/improvement")),
    )


def held_out(
    arms: Mapping[str, Arm], expert: Expert | None, families: Sequence[str], draws: Draws
) -> HeldOut:
    """Final rates of the two main arms in families that no training and no demonstration showed."""
    finetune, baseline = arms["finetune"], arms["baseline"]
    keys = [key for key in finetune.listed() if family(key[0]) in families]
    if not keys:
        return HeldOut(tuple(families), "no final episode is of a held-out family")
    chosen = sorted({scenario for scenario, _ in keys})
    return HeldOut(
        tuple(sorted({family(name) for name in chosen})),
        reason=None,
        episodes=len(keys),
        final={arm.name: final(arm, chosen, draws) for arm in (baseline, finetune)},
        expert=expert.finals(chosen) if expert else None,
        difference=contrast(finetune, baseline, chosen, draws),
    )


def area(arm: Arm, baseline: Arm, draws: Draws) -> Area:
    """Area under the main curve of an arm beside the baseline, to the shorter budget."""
    limit = min(run.steps[-1] for one in (arm, baseline) for run in one.runs.values())
    own, other = (
        np.array(
            [
                stats.area_under_curve(run.steps, run.curve(one.measures[0]), limit=limit)
                for run in one.runs.values()
            ]
        )
        for one in (arm, baseline.only(arm.seeds))
    )
    difference = stats.paired_difference(own, other, draws.of(f"area/{arm.name}"))
    return Area(limit, float(own.mean()), float(other.mean()), difference)


def no_dip(arm: Arm) -> Dip:
    """The lowest main measure while fine-tuning against the clone that it started from, by seed."""
    rows, main = [], arm.measures[0]
    for seed, run in arm.runs.items():
        first, *later = run.evaluations
        lowest = min(later or [first], key=lambda row: float(row[main]))
        change = lowest[main] - first[main]
        rows.append(SeedDip(seed, first[main], lowest[main], lowest["steps"], change))
    shares = [row.change / abs(row.clone) for row in rows if row.clone]
    return Dip(min(row.change for row in rows), min(shares, default=None), tuple(rows))


def better_than_teacher(
    arm: Arm, expert: Expert | None, scenarios: Sequence[str], draws: Draws
) -> Teacher:
    """Final failures over the expert's, and the main measure minus the expert's.

    Seeds and episodes are both drawn anew; where the expert was judged on the same episodes, it
    is drawn with them.
    """
    if expert is None:
        return Teacher("no expert was given")
    main, *failures = arm.measures
    units, levels, ratios = len(arm.seeds), dict[str, float](), dict[str, Quotient]()
    for name in failures:
        (ours, hit_ours), (theirs, hit_theirs) = _crossed(arm, expert, name, scenarios, draws)
        ratio = np.full(len(hit_ours), np.inf)
        np.divide(hit_ours, hit_theirs, out=ratio, where=hit_theirs > 0)
        ends = stats.interval(ratio, units)
        ratios[name], levels[name] = Quotient(ours / theirs if theirs else None, *ends), theirs
    (high, up), (level, reference) = _crossed(arm, expert, main, scenarios, draws)
    return Teacher(
        failures=ratios,
        difference=Estimate(high - level, *stats.interval(up - reference, units)),
        same_episodes=set(arm.listed(scenarios)) <= set(expert.episodes),
        expert={main: level, **levels},
    )


Spread = tuple[float, np.ndarray]
"""A number and its bootstrap draws."""


def _crossed(
    arm: Arm, expert: Expert, rate: str, scenarios: Sequence[str], draws: Draws
) -> tuple[Spread, Spread]:
    """A measure of the arm and of the expert, each with draws; together on shared episodes."""
    source = draws.of(f"teacher/{rate}")
    keys, rows = arm.listed(scenarios), arm.outcomes(rate, scenarios)
    means, counts = stats.crossed_means(rows, source)
    if set(keys) <= set(expert.episodes):
        taught = np.array([float(expert.episodes[key][rate]) for key in keys])
        level = float(taught.mean())
    else:
        level = float(expert.judged[rate])
        known = [float(r[rate]) for key, r in expert.episodes.items() if key[0] in expert.counted]
        taught = np.array(known or [level])
        counts = stats.resampled(len(taught), source)
    return (float(rows.mean()), means), (level, counts @ taught / len(taught))


def curves(arm: Arm, draws: Draws) -> Curve:
    """Learning curves: mean and 95 % band over seeds at each evaluation, and every seed."""
    grid = arm.grid()
    shown = [[row for row in run.evaluations if row["steps"] in grid] for run in arm.runs.values()]
    seeds = [{it: tuple(float(row[it]) for row in rows) for it in arm.measures} for rows in shown]
    bands = {}
    for rate in arm.measures:
        rows = np.array([seed[rate] for seed in seeds])
        counts = stats.resampled(len(rows), draws.of(f"curve/{arm.name}/{rate}", 2000))
        ends = [stats.interval(counts @ column / len(rows), len(rows)) for column in rows.T]
        bands[rate] = Band(tuple(rows.mean(axis=0).tolist()), *zip(*ends, strict=True))
    named = dict(zip(map(str, arm.runs), seeds, strict=True))
    return Curve(bands, tuple(grid), named)


def metrics(arm: Arm, scenarios: Sequence[str], draws: Draws) -> dict[str, MetricStatistics]:
    """Mean, median and p95 of each metric over the final episodes of all seeds of an arm."""
    rows = [
        row["metrics"]
        for run in arm.runs.values()
        for key, row in run.episodes.items()
        if key[0] in scenarios
    ]
    found = {}
    for metric in sorted(rows[0]):
        values = np.array([row[metric] for row in rows if row.get(metric) is not None])
        if len(values):
            source = draws.of(f"metric/{arm.name}/{metric}", min(draws.resamples, 1000))
            parts = (
                stats.estimate(values, statistic, source) for statistic in stats.STATISTICS.values()
            )
            found[metric] = MetricStatistics(len(values), *parts)
    return found
