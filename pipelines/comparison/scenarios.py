"""The final evaluation scenario by scenario, regressions flagged, and the held-out families."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipelines.comparison.arms import Arm, Expert, family
from pipelines.comparison.performance import RATES, contrast, final
from pipelines.comparison.ratios import Draws
from pipelines.stats import Estimate, paired_difference

WATCH = 0.05
"""A loss of success that is worth a look even where chance could explain it."""


def held_out(arms: Mapping[str, Arm], families: Sequence[str], draws: Draws) -> dict[str, Any]:
    """Final rates in families that no training and no demonstration showed."""
    chosen = sorted({key[0] for key in arms["finetune"].listed() if family(key[0]) in families})
    if not chosen:
        return {"families": list(families), "reason": "no final episode is of a held-out family"}
    both = {name: arms[name] for name in ("baseline", "finetune")}
    return {
        "families": list(families),
        "reason": None,
        "final": final(both, dict.fromkeys(both, chosen), draws),
        "difference": contrast(arms["finetune"], arms["baseline"], chosen, draws),
    }


def scenario_table(
    arms: Mapping[str, Arm], expert: Expert | None, families: Sequence[str], draws: Draws
) -> list[dict[str, Any]]:
    """Final success and collisions of each scenario, with regressions flagged.

    Args:
        arms: with ``finetune`` and ``baseline``.
        expert: beside them, where its episodes are known.
        families: that are held out.
        draws: for the intervals.
    """
    finetune = arms["finetune"]
    return [
        _scenario(name, arms, expert, draws) | {"held_out": family(name) in families}
        for name in sorted({key[0] for key in finetune.listed()})
    ]


def _scenario(
    name: str, arms: Mapping[str, Arm], expert: Expert | None, draws: Draws
) -> dict[str, Any]:
    finetune, baseline = arms["finetune"], arms["baseline"]
    base = np.array([baseline.runs[seed].rate("success", [name]) for seed in finetune.seeds])
    tuned = finetune.rates("success", [name])
    difference = paired_difference(
        tuned, base, rng=draws.rng(f"scenario/{name}"), resamples=draws.resamples
    )
    clone = _clone(finetune, name)
    shift = None
    if clone is not None:
        rng = draws.rng(f"scenario/{name}/clone")
        shift = paired_difference(tuned, clone, rng=rng, resamples=draws.resamples)
    taught = [row for key, row in expert.episodes.items() if key[0] == name] if expert else []
    return {
        "scenario": name,
        "episodes": sum(key[0] == name for key in finetune.listed()),
        "baseline": _rates(baseline, name),
        "finetune": _rates(finetune, name),
        "clone": {"success": float(clone.mean())} if clone is not None else None,
        "expert": {rate: float(np.mean([row[rate] for row in taught])) for rate in RATES}
        if taught
        else None,
        "difference": difference.to_json(),
        "from_clone": shift.to_json() if shift is not None else None,
        "flag": flag_of(difference, shift),
    }


def flag_of(difference: Estimate, shift: Estimate | None) -> str | None:
    """``regression`` where success fell beyond chance, ``watch`` where it fell by ``WATCH``.

    Args:
        difference: pre-trained minus baseline.
        shift: fine-tuned minus its clone, where known.
    """
    known = [part for part in (difference, shift) if part is not None]
    if any(part.high < 0.0 for part in known):
        return "regression"
    return "watch" if any(part.estimate <= -WATCH for part in known) else None


def _clone(arm: Arm, scenario: str) -> np.ndarray | None:
    """Success in a scenario at the first evaluation, one a seed; ``None`` if not evaluated."""
    rows = [arm.runs[seed].evaluations[0]["by_scenario"].get(scenario) for seed in arm.seeds]
    return None if None in rows else np.array([row["success"] for row in rows])


def _rates(arm: Arm, scenario: str) -> dict[str, float]:
    return {rate: float(arm.rates(rate, [scenario]).mean()) for rate in RATES}
