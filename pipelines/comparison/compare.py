"""Every number of a comparison, from the runs that were read, and what a reader must know."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from pipelines.comparison import performance
from pipelines.comparison.arms import Arm, check_pair, family
from pipelines.comparison.arrival import Target
from pipelines.comparison.goals import goals, headline
from pipelines.comparison.inputs import Inputs
from pipelines.comparison.ratios import Ratios
from pipelines.comparison.record import ArmFacts, CompareParams, Comparison, Matched, Teacher
from pipelines.comparison.scenarios import scenario_table
from pipelines.comparison.stats import Draws
from pipelines.comparison.words import is_share
from pipelines.learning.conditions import Condition
from pipelines.learning.runlog import RunError
from pipelines.running.params import named

Found = TypeVar("Found")


def compare(params: CompareParams, inputs: Inputs) -> Comparison:
    """Compare the arms; those that cannot be paired are refused."""
    arms, expert, dataset = inputs.arms, inputs.expert, inputs.dataset
    finetune, baseline = arms["finetune"], arms["baseline"]
    check_pair(finetune, baseline, where="comparison")
    gate, held_out = params.target, held_out_of(params, inputs)
    params = replace(params, held_out=held_out)
    _check_target(gate, finetune)
    draws = Draws(params.seed, params.resamples)
    ratios = Ratios(arms, params.hold, draws)
    counted = {name: arm.counted(held_out) for name, arm in arms.items()}

    def each(found: Callable[[Arm, Sequence[str], Draws], Found]) -> dict[str, Found]:
        return {name: found(arm, counted[name], draws) for name, arm in arms.items()}

    facts = {name: arm_facts(arm, counted[name]) for name, arm in arms.items()}
    pairing = matched(finetune, baseline, gate, params.hold)
    fixed = ratios.fixed(gate, expert, few=params.few)
    teacher = performance.better_than_teacher(finetune, expert, counted["finetune"], draws)
    dip = performance.no_dip(finetune)
    aims = goals(fixed, teacher, dip, measures=finetune.measures, few=params.few)
    main = gate[0]
    levels = sorted({*params.targets, *([expert.parity[0].limit] if expert else [])})
    limits = [gate[:0], gate[1:]] if gate[1:] else [gate[1:]]
    return Comparison(
        settings=params,
        arms=facts,
        matched=pairing,
        ratio=fixed,
        over_targets=ratios.over_targets(
            [(Condition(main.metric, at_least=level), *rest) for rest in limits for level in levels]
        ),
        demonstrations=ratios.over_demonstrations(gate, full=dataset.episodes if dataset else None),
        final=each(performance.final),
        contrast=performance.contrast(finetune, baseline, counted["finetune"], draws),
        area={
            name: performance.area(arm, baseline, draws)
            for name, arm in arms.items()
            if arm is not baseline and set(arm.seeds) <= set(baseline.seeds)
        },
        no_dip=dip,
        better_than_teacher=teacher,
        scenarios=scenario_table(
            arms, expert, held_out, scale=1.0 if is_share(main.metric) else abs(main.limit) or 1.0
        ),
        held_out=performance.held_out(arms, expert, held_out, draws),
        costs=ratios.costs(
            gate,
            collection=dataset.steps if dataset else None,
            expert=expert.steps if expert else None,
        ),
        curves={name: performance.curves(arm, draws) for name, arm in arms.items()},
        metrics=each(performance.metrics),
        inputs=inputs.digests,
        measures=finetune.measures,
        units=inputs.units(),
        levels=inputs.facts("levels"),
        notes=notes_on(pairing, facts["finetune"], teacher),
        goals=aims,
        headline=headline(fixed.gate, pairing.unpaired_baseline_seeds, aims),
    )


def held_out_of(params: CompareParams, inputs: Inputs) -> tuple[str, ...]:
    """The families held out, as the parameters name them, else as the runs tell."""
    told = inputs.facts("held_out")
    if params.held_out is None:
        return told
    played = {family(key[0]) for arm in inputs.arms.values() for key in arm.listed()}
    for name in params.held_out:
        if wrong := named({*played, *told})(name):
            raise RunError(f"compare.held_out: {wrong}")
    return params.held_out


def _check_target(target: Target, arm: Arm) -> None:
    known = {*arm.measures, "return"}
    for place, condition in enumerate(target):
        if wrong := named(known)(condition.metric):
            raise RunError(f"compare.target[{place}].metric: {wrong}")
    if target[0].metric != arm.measures[0] or target[0].at_least is None:
        raise RunError(
            f"compare.target[0]: expected what is to be reached, {arm.measures[0]} at_least, got "
            f"{target[0].metric} {target[0].sign} {target[0].limit:g}; put it first"
        )


def arm_facts(arm: Arm, scenarios: Sequence[str]) -> ArmFacts:
    """Seeds, budgets and evaluation sizes of an arm; final episodes of the given scenarios."""
    runs = [arm.runs[seed] for seed in arm.seeds]
    return ArmFacts(
        seeds=tuple(arm.seeds),
        budget_steps=tuple(int(run.evaluations[-1]["steps"]) for run in runs),
        evaluations=tuple(len(run.evaluations) for run in runs),
        evaluation_episodes=int(runs[0].evaluations[0]["episodes"]),
        final_episodes=len(arm.listed(scenarios)),
        families=len({family(name) for name in scenarios}),
        notes=tuple(note for run in runs for note in run.record.notes),
    )


def matched(finetune: Arm, baseline: Arm, gate: Target, hold: int) -> Matched:
    """How well the two main arms are matched, and how finely time is resolved."""
    times = sorted(arrival.steps for arrival in baseline.arrivals(gate, hold=hold).values())
    middle = times[len(times) // 2]
    own, grid = finetune.grid(), baseline.grid()
    shared = min(len(own), len(grid))
    ours, theirs = (arm.runs[finetune.seeds[0]].record.parameters for arm in (finetune, baseline))
    return Matched(
        seeds=tuple(finetune.seeds),
        unpaired_baseline_seeds=tuple(sorted(set(baseline.seeds) - set(finetune.seeds))),
        same_grid=own[:shared] == grid[:shared],
        resolution_steps=grid[1] - grid[0] if len(grid) > 1 else None,
        evaluations_before_median=sum(steps < middle for steps in grid),
        settings_that_differ=tuple(
            sorted(key for key in set(ours) | set(theirs) if ours.get(key) != theirs.get(key))
        ),
    )


def notes_on(facts: Matched, finetune: ArmFacts, teacher: Teacher) -> tuple[str, ...]:
    """What a reader must know before trusting the numbers."""
    alone, before = facts.unpaired_baseline_seeds, facts.evaluations_before_median
    notes = {
        f"Baseline seeds without a partner: {list(alone)}.": bool(alone),
        "The two main arms were not evaluated at the same steps.": not facts.same_grid,
        f"Only {before} evaluations stand before the baseline's median time to the gate; "
        "20 are wanted to resolve the ratio.": before < 20,
        "An evaluation has fewer than 200 episodes.": finetune.evaluation_episodes < 200,
        "The expert was judged on other episodes than the arms.": teacher.same_episodes is False,
    }
    return tuple(note for note, holds in notes.items() if holds)
