"""What was compared: inputs by digest, how well the arms match, what a reader must know."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.comparison.arms import Arm, Expert, family
from pipelines.comparison.arrival import Target
from pipelines.comparison.record import ArmFacts, Digests, Matched, RunDigests, Teacher


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

    @property
    def digests(self) -> Digests:
        """SHA-256 of every file that the comparison read."""
        runs = {
            name: {
                str(seed): RunDigests(dict(run.files), dict(run.record.inputs))
                for seed, run in arm.runs.items()
            }
            for name, arm in self.arms.items()
        }
        return Digests(
            runs,
            dict(self.expert.files) if self.expert else None,
            self.dataset["content_digest"] if self.dataset else None,
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
    notes = []
    if facts.unpaired_baseline_seeds:
        notes.append(f"Baseline seeds without a partner: {list(facts.unpaired_baseline_seeds)}.")
    if not facts.same_grid:
        notes.append("The two main arms were not evaluated at the same steps.")
    if facts.evaluations_before_median < 20:
        notes.append(
            f"Only {facts.evaluations_before_median} evaluations stand before the baseline's "
            "median time to the gate; 20 are wanted to resolve the ratio."
        )
    if finetune.evaluation_episodes < 200:
        notes.append("An evaluation has fewer than 200 episodes.")
    if teacher.same_episodes is False:
        notes.append("The expert was judged on other episodes than the arms.")
    return tuple(notes)
