"""The final evaluation scenario by scenario, regressions flagged, and the held-out families."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipelines.comparison.arms import Arm, Expert, family
from pipelines.comparison.flags import Verdict, verdicts
from pipelines.comparison.performance import RATES, contrast, final
from pipelines.comparison.ratios import Draws
from pipelines.comparison.stats import finite


def held_out(
    arms: Mapping[str, Arm], expert: Expert | None, families: Sequence[str], draws: Draws
) -> dict[str, Any]:
    """Final rates in families that no training and no demonstration showed.

    Args:
        arms: with ``finetune`` and ``baseline``.
        expert: beside them, where it was judged in these families.
        families: that are held out.
        draws: for the intervals.
    """
    keys = [key for key in arms["finetune"].listed() if family(key[0]) in families]
    if not keys:
        return {"families": list(families), "reason": "no final episode is of a held-out family"}
    chosen = sorted({scenario for scenario, _ in keys})
    both = {name: arms[name] for name in ("baseline", "finetune")}
    return {
        "families": sorted({family(name) for name in chosen}),
        "reason": None,
        "episodes": len(keys),
        "final": final(both, dict.fromkeys(both, chosen), draws),
        "expert": _taught(expert, chosen),
        "difference": contrast(arms["finetune"], arms["baseline"], chosen, draws),
    }


def scenario_table(
    arms: Mapping[str, Arm], expert: Expert | None, families: Sequence[str]
) -> list[dict[str, Any]]:
    """Final success and collisions of each scenario, with regressions flagged.

    Args:
        arms: with ``finetune`` and ``baseline``.
        expert: beside them, where its episodes are known.
        families: that are held out.
    """
    finetune, baseline = arms["finetune"], arms["baseline"]
    names = sorted({key[0] for key in finetune.listed()})
    judged = verdicts({name: _changes(finetune, baseline, name) for name in names})
    return [
        _scenario(name, arms, expert, judged[name]) | {"held_out": family(name) in families}
        for name in names
    ]


def _changes(first: Arm, second: Arm, scenario: str) -> np.ndarray:
    """Success of one arm minus the other's, ``[seeds, episodes]``; episodes are shared."""
    keys = [key for key in first.listed() if key[0] == scenario]
    partner = Arm(second.name, {seed: second.runs[seed] for seed in first.seeds})
    return np.asarray(first.outcomes("success", keys) - partner.outcomes("success", keys))


def _scenario(
    name: str, arms: Mapping[str, Arm], expert: Expert | None, verdict: Verdict
) -> dict[str, Any]:
    finetune = arms["finetune"]
    return {
        "scenario": name,
        "episodes": sum(key[0] == name for key in finetune.listed()),
        "baseline": _rates(arms["baseline"], name),
        "finetune": _rates(finetune, name),
        "clone": _clone(finetune, name),
        "expert": _taught(expert, [name]),
        "difference": verdict.difference.to_json(),
        "chance": finite(verdict.chance),
        "flag": verdict.flag,
    }


def _clone(arm: Arm, scenario: str) -> dict[str, float] | None:
    """Success at the first evaluation, mean over seeds, in episodes of its own; none unplayed."""
    rows = [arm.runs[seed].evaluations[0]["by_scenario"].get(scenario) for seed in arm.seeds]
    return None if None in rows else {"success": float(np.mean([row["success"] for row in rows]))}


def _taught(expert: Expert | None, scenarios: Sequence[str]) -> dict[str, float] | None:
    """The expert's rates over its episodes of the given scenarios; ``None`` if it played none."""
    rows = [row for key, row in expert.episodes.items() if key[0] in scenarios] if expert else []
    return {rate: float(np.mean([row[rate] for row in rows])) for rate in RATES} if rows else None


def _rates(arm: Arm, scenario: str) -> dict[str, float]:
    return {rate: float(arm.rates(rate, [scenario]).mean()) for rate in RATES}
