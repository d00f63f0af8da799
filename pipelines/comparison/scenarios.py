"""The final evaluation scenario by scenario, regressions flagged, and the held-out families."""

from collections.abc import Mapping, Sequence

import numpy as np

from pipelines.comparison.arms import Arm, Expert, family
from pipelines.comparison.flags import judged
from pipelines.comparison.performance import contrast, final
from pipelines.comparison.ratios import Draws
from pipelines.comparison.record import Clone, HeldOut, Rates, Scenario
from pipelines.learning.runlog import RATES


def held_out(
    arms: Mapping[str, Arm], expert: Expert | None, families: Sequence[str], draws: Draws
) -> HeldOut:
    """Final rates in families that no training and no demonstration showed.

    Args:
        arms: with ``finetune`` and ``baseline``.
        expert: beside them, where it was judged in these families.
        families: that are held out.
        draws: for the intervals.
    """
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
        expert=_taught(expert, chosen),
        difference=contrast(finetune, baseline, chosen, draws),
    )


def scenario_table(
    arms: Mapping[str, Arm], expert: Expert | None, families: Sequence[str]
) -> tuple[Scenario, ...]:
    """Final success and collisions of each scenario, with regressions flagged.

    Args:
        arms: with ``finetune`` and ``baseline``.
        expert: beside them, where its episodes are known.
        families: that are held out.
    """
    finetune, baseline = arms["finetune"], arms["baseline"]
    partner = baseline.only(finetune.seeds)
    keys = {name: finetune.listed([name]) for name in sorted({n for n, _ in finetune.listed()})}
    changes = judged(
        {
            name: finetune.outcomes("success", played) - partner.outcomes("success", played)
            for name, played in keys.items()
        }
    )
    return tuple(
        Scenario(
            scenario=name,
            episodes=len(keys[name]),
            baseline=_rates(baseline, name),
            finetune=_rates(finetune, name),
            clone=_clone(finetune, name),
            expert=_taught(expert, [name]),
            difference=change.difference,
            chance=change.chance,
            flag=change.flag,
            held_out=family(name) in families,
        )
        for name, change in changes.items()
    )


def _clone(arm: Arm, scenario: str) -> Clone | None:
    """Success at the first evaluation, mean over seeds, in episodes of its own; none unplayed."""
    rows = [arm.runs[seed].evaluations[0]["by_scenario"].get(scenario) for seed in arm.seeds]
    return None if None in rows else Clone(float(np.mean([row["success"] for row in rows])))


def _taught(expert: Expert | None, scenarios: Sequence[str]) -> Rates[float] | None:
    """The expert's rates over its episodes of the given scenarios; ``None`` if it played none."""
    rows = [row for key, row in expert.episodes.items() if key[0] in scenarios] if expert else []
    return Rates(*(float(np.mean([row[rate] for row in rows])) for rate in RATES)) if rows else None


def _rates(arm: Arm, scenario: str) -> Rates[float]:
    return Rates(*(float(arm.rates(rate, [scenario]).mean()) for rate in RATES))
