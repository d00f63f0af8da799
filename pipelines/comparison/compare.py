"""Every number of a comparison, from the runs that were read."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from pipelines.comparison.arms import Arm, check_pair
from pipelines.comparison.arrival import Target
from pipelines.comparison.facts import Inputs, arm_facts, matched, notes_on
from pipelines.comparison.goals import goals, headline
from pipelines.comparison.performance import (
    area,
    better_than_teacher,
    contrast,
    curves,
    final,
    metrics,
    no_dip,
)
from pipelines.comparison.ratios import Draws, Ratios
from pipelines.comparison.record import Comparison
from pipelines.comparison.scenarios import held_out, scenario_table
from pipelines.comparison.settings import CompareParams

Found = TypeVar("Found")


def compare(params: CompareParams, inputs: Inputs) -> Comparison:
    """Compare the arms.

    Raises:
        RunError: arms cannot be paired.
    """
    arms, expert, dataset = inputs.arms, inputs.expert, inputs.dataset
    finetune, baseline = arms["finetune"], arms["baseline"]
    check_pair(finetune, baseline, where="comparison")
    draws = Draws(params.seed, params.resamples)
    ratios = Ratios(arms, params.hold, draws)
    counted = {name: arm.counted(params.held_out) for name, arm in arms.items()}

    def each(found: Callable[[Arm, Sequence[str], Draws], Found]) -> dict[str, Found]:
        return {name: found(arm, counted[name], draws) for name, arm in arms.items()}

    facts = {name: arm_facts(arm, counted[name]) for name, arm in arms.items()}
    pairing = matched(finetune, baseline, params.gate, params.hold)
    fixed = ratios.fixed(params.gate, expert, few=params.few)
    teacher = better_than_teacher(finetune, expert, counted["finetune"], draws)
    dip = no_dip(finetune)
    aims = goals(fixed, teacher, dip)
    return Comparison(
        settings=params,
        arms=facts,
        matched=pairing,
        ratio=fixed,
        over_targets=ratios.over_targets(
            [
                Target(success, limit)
                for limit in (1.0, params.target_collision)
                for success in sorted(
                    {*params.targets, *((expert.parity.success,) if expert else ())}
                )
            ]
        ),
        demonstrations=ratios.over_demonstrations(
            params.gate, full=int(dataset["episodes"]) if dataset else None
        ),
        final=each(final),
        contrast=contrast(finetune, baseline, counted["finetune"], draws),
        area={
            name: area(arm, baseline, draws)
            for name, arm in arms.items()
            if arm is not baseline and set(arm.seeds) <= set(baseline.seeds)
        },
        no_dip=dip,
        better_than_teacher=teacher,
        scenarios=scenario_table(arms, expert, params.held_out),
        held_out=held_out(arms, expert, params.held_out, draws),
        costs=ratios.costs(
            params.gate,
            collection=int(dataset["steps"]) if dataset else None,
            expert=expert.steps if expert else None,
        ),
        curves={name: curves(arm, draws) for name, arm in arms.items()},
        metrics=each(metrics),
        inputs=inputs.digests,
        notes=notes_on(pairing, facts["finetune"], teacher),
        goals=aims,
        headline=headline(fixed.gate, pairing.unpaired_baseline_seeds, aims),
    )
