"""What was compared: inputs by digest, how well the arms match, what a reader must know."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.comparison.arms import Arm, Expert, family
from pipelines.comparison.arrival import Target


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a comparison reads.

    Attributes:
        arms: that were run, by name.
        expert: the teacher, if given.
        dataset: manifest of the demonstrations, if given.
    """

    arms: Mapping[str, Arm]
    expert: Expert | None
    dataset: Mapping[str, Any] | None


def arm_facts(arm: Arm, scenarios: Sequence[str]) -> dict[str, Any]:
    """Seeds, budgets and evaluation sizes of an arm; final episodes of the given scenarios."""
    runs = [arm.runs[seed] for seed in arm.seeds]
    return {
        "seeds": arm.seeds,
        "budget_steps": [int(run.evaluations[-1]["steps"]) for run in runs],
        "evaluations": [len(run.evaluations) for run in runs],
        "evaluation_episodes": int(runs[0].evaluations[0]["episodes"]),
        "final_episodes": sum(key[0] in scenarios for key in arm.listed()),
        "families": len({family(name) for name in scenarios}),
        "notes": [note for run in runs for note in run.record.notes],
    }


def matched(finetune: Arm, baseline: Arm, gate: Target, hold: int) -> dict[str, Any]:
    """How well the two main arms are matched, and how finely time is resolved."""
    times = sorted(arrival.steps for arrival in baseline.arrivals(gate, hold=hold).values())
    middle = times[len(times) // 2]
    grid = baseline.grid()
    ours, theirs = (arm.runs[finetune.seeds[0]].record.parameters for arm in (finetune, baseline))
    return {
        "seeds": finetune.seeds,
        "unpaired_baseline_seeds": sorted(set(baseline.seeds) - set(finetune.seeds)),
        "same_grid": _same_grid(finetune.grid(), grid),
        "resolution_steps": grid[1] - grid[0] if len(grid) > 1 else None,
        "evaluations_before_median": sum(steps < middle for steps in grid),
        "settings_that_differ": sorted(
            key for key in set(ours) | set(theirs) if ours.get(key) != theirs.get(key)
        ),
    }


def digests_of(inputs: Inputs) -> dict[str, Any]:
    """SHA-256 of every file that the comparison read."""
    runs = {
        name: {
            str(seed): {"files": dict(run.files), "inputs": dict(run.record.inputs)}
            for seed, run in arm.runs.items()
        }
        for name, arm in inputs.arms.items()
    }
    return {
        "runs": runs,
        "expert": dict(inputs.expert.files) if inputs.expert else None,
        "dataset": inputs.dataset["content_digest"] if inputs.dataset else None,
    }


def notes_on(report: Mapping[str, Any]) -> list[str]:
    """What a reader must know before trusting the numbers."""
    facts, notes = report["matched"], []
    if facts["unpaired_baseline_seeds"]:
        notes.append(f"Baseline seeds without a partner: {facts['unpaired_baseline_seeds']}.")
    if not facts["same_grid"]:
        notes.append("The two main arms were not evaluated at the same steps.")
    if facts["evaluations_before_median"] < 20:
        notes.append(
            f"Only {facts['evaluations_before_median']} evaluations stand before the baseline's "
            "median time to the gate; 20 are wanted to resolve the ratio."
        )
    if report["arms"]["finetune"]["evaluation_episodes"] < 200:
        notes.append("An evaluation has fewer than 200 episodes.")
    if report["better_than_teacher"].get("same_episodes") is False:
        notes.append("The expert was judged on other episodes than the arms.")
    return notes


def _same_grid(first: Sequence[int], second: Sequence[int]) -> bool:
    """Whether two arms were evaluated at the same steps up to the shorter budget."""
    shared = min(len(first), len(second))
    return list(first[:shared]) == list(second[:shared])
