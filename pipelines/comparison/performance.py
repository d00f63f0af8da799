"""How good the arms end, how they get there, and whether they lose what they were given."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipelines.comparison.arms import Arm, Expert, Key
from pipelines.comparison.ratios import Draws
from pipelines.comparison.stats import (
    Estimate,
    area_under_curve,
    crossed_means,
    estimate,
    finite,
    interval,
    mean,
    paired_difference,
    probability_of_improvement,
    resampled,
    summary,
)

RATES = ("success", "collision")


def final(
    arms: Mapping[str, Arm], scenarios: Mapping[str, Sequence[str]], draws: Draws
) -> dict[str, Any]:
    """Success and collisions of each arm at the end, over seeds.

    Args:
        arms: that were run.
        scenarios: which count, by arm.
        draws: for the intervals.
    """
    return {
        name: {
            rate: estimate(
                arm.rates(rate, scenarios[name]),
                mean,
                rng=draws.rng(f"final/{name}/{rate}"),
                resamples=draws.resamples,
            ).to_json()
            for rate in RATES
        }
        for name, arm in arms.items()
    }


def contrast(first: Arm, second: Arm, scenarios: Sequence[str], draws: Draws) -> dict[str, Any]:
    """Final difference of two arms and the chance that the first is better, paired by seed."""
    where = f"contrast/{first.name}/{second.name}"
    rates = {
        rate: (
            first.rates(rate, scenarios),
            np.array([second.runs[seed].rate(rate, scenarios) for seed in first.seeds]),
        )
        for rate in RATES
    }
    improvement = probability_of_improvement(
        *rates["success"], rng=draws.rng(f"{where}/improvement"), resamples=draws.resamples
    )
    return {
        rate: paired_difference(
            *pair, rng=draws.rng(f"{where}/{rate}"), resamples=draws.resamples
        ).to_json()
        for rate, pair in rates.items()
    } | {"probability_of_improvement": improvement.to_json()}


def area(arms: Mapping[str, Arm], draws: Draws) -> dict[str, Any]:
    """Area under the success curve of each arm beside the baseline, to the shorter budget."""
    baseline = arms["baseline"]
    result: dict[str, Any] = {}
    for name, arm in arms.items():
        if name == "baseline" or not set(arm.seeds) <= set(baseline.seeds):
            continue
        limit = min(_budget(arm), _budget(baseline))
        pair = [
            np.array([_area(member, seed, limit) for seed in arm.seeds])
            for member in (arm, baseline)
        ]
        difference = paired_difference(
            *pair, rng=draws.rng(f"area/{name}"), resamples=draws.resamples
        )
        result[name] = {
            "limit_steps": limit,
            "arm": float(pair[0].mean()),
            "baseline": float(pair[1].mean()),
            "difference": difference.to_json(),
        }
    return result


def no_dip(arm: Arm) -> dict[str, Any]:
    """The lowest success while fine-tuning against the clone that it started from, by seed."""
    rows = []
    for seed in arm.seeds:
        evaluations = arm.runs[seed].evaluations
        clone = evaluations[0]["success"]
        lowest = min(evaluations[1:] or evaluations, key=lambda row: float(row["success"]))
        rows.append(
            {
                "seed": seed,
                "clone": clone,
                "lowest": lowest["success"],
                "at_steps": lowest["steps"],
                "change": lowest["success"] - clone,
            }
        )
    return {"change": min(row["change"] for row in rows), "per_seed": rows}


def better_than_teacher(
    arm: Arm, expert: Expert, scenarios: Sequence[str], draws: Draws
) -> dict[str, Any]:
    """Final collisions over the expert's, and final success minus the expert's.

    Seeds and episodes are both drawn anew; where the expert was judged on the same episodes, it
    is drawn with them.
    """
    keys = [key for key in arm.listed() if key[0] in scenarios]
    same = set(keys) <= set(expert.episodes)
    means = {
        rate: _crossed(arm, expert, rate, keys if same else None, scenarios, draws)
        for rate in RATES
    }
    (ours, hit_ours), (theirs, hit_theirs) = means["collision"]
    ratio = np.full(len(hit_ours), np.inf)
    np.divide(hit_ours, hit_theirs, out=ratio, where=hit_theirs > 0)
    (high, up), (level, reference) = means["success"]
    units = len(arm.seeds)
    collision_ratio = Estimate(ours / theirs if theirs else float("nan"), *interval(ratio, units))
    return {
        "collision_ratio": collision_ratio.to_json(),
        "success_difference": Estimate(high - level, *interval(up - reference, units)).to_json(),
        "same_episodes": same,
        "expert": {"success": level, "collision": theirs},
    }


def curves(arms: Mapping[str, Arm], draws: Draws) -> dict[str, Any]:
    """Learning curves: mean and 95 % band over seeds at each evaluation, and every seed."""
    result = {}
    for name, arm in arms.items():
        grid = arm.grid()
        by_seed = {
            str(seed): {
                rate: [row[rate] for row in arm.runs[seed].evaluations if row["steps"] in grid]
                for rate in RATES
            }
            for seed in arm.seeds
        }
        result[name] = {
            "steps": grid,
            "seeds": by_seed,
            **{
                rate: _band(np.array([row[rate] for row in by_seed.values()]), name, rate, draws)
                for rate in RATES
            },
        }
    return result


def metric_summaries(
    arms: Mapping[str, Arm], scenarios: Mapping[str, Sequence[str]], draws: Draws
) -> dict[str, Any]:
    """Mean, median and p95 of each metric over the final episodes of all seeds of an arm.

    Args:
        arms: that were run.
        scenarios: which count, by arm.
        draws: for the intervals.
    """
    result: dict[str, Any] = {}
    for name, arm in arms.items():
        rows = [
            row["metrics"]
            for seed in arm.seeds
            for key, row in arm.runs[seed].episodes.items()
            if key[0] in scenarios[name]
        ]
        result[name] = {}
        for metric in sorted(rows[0]):
            values = np.array([row[metric] for row in rows if row.get(metric) is not None])
            if len(values):
                rng = draws.rng(f"metric/{name}/{metric}")
                parts = summary(values, rng=rng, resamples=min(draws.resamples, 1000))
                result[name][metric] = {"episodes": len(values)} | {
                    key: part.to_json() for key, part in parts.items()
                }
    return result


def _budget(arm: Arm) -> int:
    return min(int(run.evaluations[-1]["steps"]) for run in arm.runs.values())


def _area(arm: Arm, seed: int, limit: int) -> float:
    rows = arm.runs[seed].evaluations
    steps = np.array([row["steps"] for row in rows])
    return area_under_curve(steps, np.array([row["success"] for row in rows]), limit=limit)


def _band(rows: np.ndarray, name: str, rate: str, draws: Draws) -> dict[str, Any]:
    """Mean and ends of the band, one a column of ``[seeds, evaluations]``."""
    counts = resampled(len(rows), rng=draws.rng(f"curve/{name}/{rate}"), resamples=2000)
    ends = [interval(counts @ column / len(rows), len(rows)) for column in rows.T]
    return {
        "mean": rows.mean(axis=0).tolist(),
        "low": [finite(low) for low, _ in ends],
        "high": [finite(high) for _, high in ends],
    }


Spread = tuple[float, np.ndarray]
"""A number and its bootstrap draws."""


def _crossed(
    arm: Arm,
    expert: Expert,
    rate: str,
    keys: Sequence[Key] | None,
    scenarios: Sequence[str],
    draws: Draws,
) -> tuple[Spread, Spread]:
    """A rate of the arm and of the expert, each with draws; together where ``keys`` are shared."""
    rng = draws.rng(f"teacher/{rate}")
    own = [key for key in arm.listed() if key[0] in scenarios]
    rows = arm.outcomes(rate, own if keys is None else keys)
    means, counts = crossed_means(rows, rng=rng, resamples=draws.resamples)
    if keys is not None:
        taught = np.array([float(expert.episodes[key][rate]) for key in keys])
        return (float(rows.mean()), means), (float(taught.mean()), counts @ taught / len(taught))
    level = float(getattr(expert, rate))
    known = [float(r[rate]) for key, r in expert.episodes.items() if key[0] in expert.counted]
    if not known:
        return (float(rows.mean()), means), (level, np.full(draws.resamples, level))
    taught = np.array(known)
    again = resampled(len(taught), rng=rng, resamples=draws.resamples) @ taught / len(taught)
    return (float(rows.mean()), means), (level, again)
