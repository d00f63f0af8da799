"""The row of a task from its finished runs, and the means over tasks."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from pipelines.comparison.arrival import Arrival, Ratio, time_to_target
from pipelines.comparison.ratios import Times, times_ratio, unknown
from pipelines.comparison.record import Dip, SeedDip
from pipelines.comparison.stats import Draws, Estimate, interval, resampled
from pipelines.learning.policy import load_policy
from pipelines.learning.runlog import RECORD, RunStatus, read_evaluations, read_run
from pipelines.learning.sealing import read_sealed
from pipelines.table.plan import Place
from pipelines.table.record import (
    Accounts,
    Clones,
    Curve,
    Few,
    Published,
    Table,
    TaskRow,
    Teacher,
)
from pipelines.tasks.task import RETURN
from trajstore.dataset import Dataset

DRAWS = Draws(seed=0, resamples=10_000)
NOT_RUN = "not run yet"
SHOWN = ("gymnasium", "numpy", "stable-baselines3", "torch")
"""Packages by which the reader is told where runs were made."""


@dataclass(frozen=True, slots=True)
class Runs:
    """The finished seeds of an arm, each its evaluations."""

    seeds: Mapping[int, Sequence[Mapping[str, float]]]

    def times(self, place: Place) -> Times:
        """When each met the target."""
        arrival = place.settings.finetune.arrival
        return {
            seed: time_to_target(rows, target=arrival.conditions, hold=arrival.hold)
            for seed, rows in self.seeds.items()
        }


def finished(place: Place, arm: str) -> Runs:
    """The seeds that came to their end; what is not as it was sealed is an error."""
    found = {}
    for seed in place.settings.seeds:
        folder = place.arm(arm) / f"seed_{seed}"
        if (folder / RECORD).is_file() and read_run(folder).status is RunStatus.COMPLETED:
            read_sealed(folder)
            found[seed] = read_evaluations(folder)
    return Runs(found)


def ratio_of(place: Place, early: Times, late: Times, name: str) -> Ratio:
    """Ratio over the seeds that both have."""
    both = sorted(set(early) & set(late))
    if not both:
        return unknown(NOT_RUN)
    source = DRAWS.of(f"{place.settings.id}/{name}")
    return times_ratio({it: early[it] for it in both}, {it: late[it] for it in both}, source)


def row_of(place: Place) -> TaskRow:
    """What the runs of a task show so far."""
    settings = place.settings
    arms = {arm: finished(place, arm) for arm in settings.finetune.budgets}
    times = {arm: runs.times(place) for arm, runs in arms.items()}
    base, ours = times.get("baseline", {}), times.get("finetune", {})
    ratios = {arm: ratio_of(place, times[arm], base, arm) for arm in times}
    returns = settings.table.returns
    if returns is None:
        raise ValueError(f"{settings.id}: expected returns that were measured, got none")
    teacher = _teacher(place)
    usual, none = times.get("usual", {}), unknown(NOT_RUN)
    return TaskRow(
        id=settings.id,
        apart=settings.table.apart,
        target=settings.target,
        random_return=returns.random,
        teacher_return=returns.teacher,
        teacher=teacher,
        demonstrations=settings.pretrain.episodes,
        every=getattr(settings.pretrain, "every", 1),
        clones=_clones(arms["finetune"]) if ours else None,
        ratio=ratios.get("finetune", none),
        usual=ratios.get("usual", none),
        control=ratios.get("control", none),
        cloning=ratios.get("cloning", none),
        ours_over_usual=ratio_of(place, ours, usual, "ours/usual"),
        accounts=Accounts(
            *(
                ratio_of(place, _dearer(ours, price), base, f"cost/{price}")
                for price in (
                    teacher.collection_steps,
                    teacher.collection_steps + teacher.training_steps,
                )
            )
        ),
        dip=_dip(arms["finetune"], returns.random) if ours else None,
        baseline_return=_final(arms["baseline"]) if base else None,
        published_return=settings.table.published.value,
        published=Published(
            steps=settings.table.published.steps,
            source=settings.table.published.source,
        ),
        few=tuple(_few(arm, arms[arm], ratios[arm]) for arm in _few_arms(arms)),
        curves={
            arm: {str(seed): _curve(rows) for seed, rows in runs.seeds.items()}
            for arm, runs in arms.items()
            if runs.seeds
        },
        made_with=_made_with(place, arms),
        planned={arm: len(settings.seeds) for arm in arms},
        why=" ".join(settings.table.why.split()),
    )


def _teacher(place: Place) -> Teacher:
    manifest = Dataset.open(place.demonstrations).manifest
    policy = manifest.provenance.get("policy")
    told = policy if isinstance(policy, Mapping) else {}
    lengths = Dataset.open(place.demonstrations).lengths
    each = int(np.ceil(lengths.mean() * place.settings.pretrain.episodes))
    return Teacher(
        id=str(told.get("id")),
        digest=str(told["digest"]) if "digest" in told else None,
        training_steps=_steps_of_teacher(place),
        collection_steps=each,
    )


def _made_with(place: Place, arms: Mapping[str, Runs]) -> dict[str, int]:
    records = [
        read_run(place.arm(arm) / f"seed_{seed}")
        for arm, runs in arms.items()
        for seed in runs.seeds
    ]
    named = (", ".join(f"{it} {run.inputs[it]}" for it in SHOWN) for run in records)
    return dict(sorted(Counter(named).items()))


def _steps_of_teacher(place: Place) -> int:
    asked = place.settings.table.teacher
    if asked.function is not None:
        return 0
    if asked.policy is not None:
        told = 0 if asked.budget is None else asked.budget.steps
        return int(load_policy(place.policy).record.get("steps", told))
    return read_sealed(place.teacher).steps


def _dearer(times: Times, price: int) -> dict[int, Arrival]:
    return {seed: replace(it, steps=it.steps + price) for seed, it in times.items()}


def _clones(runs: Runs) -> Clones:
    first = {str(seed): float(rows[0][RETURN]) for seed, rows in runs.seeds.items()}
    return Clones(float(np.median(list(first.values()))), first)


def _dip(runs: Runs, random: float) -> Dip:
    seeds = []
    for seed, rows in runs.seeds.items():
        lowest = min(rows, key=lambda row: row[RETURN])
        clone, low = float(rows[0][RETURN]), float(lowest[RETURN])
        seeds.append(SeedDip(seed, clone, low, int(lowest["steps"]), low - clone))
    worst = min(seeds, key=lambda it: it.change / max(1e-9, abs(it.clone - random)))
    share = worst.change / abs(worst.clone - random) if worst.clone != random else None
    return Dip(worst.change, share, tuple(seeds))


def _final(runs: Runs) -> float:
    return float(np.mean([rows[-1][RETURN] for rows in runs.seeds.values()]))


def _few_arms(arms: Mapping[str, Runs]) -> list[str]:
    names = [arm for arm, runs in arms.items() if arm.startswith("few_") and runs.seeds]
    return sorted(names, key=lambda it: int(it.removeprefix("few_")))


def _few(arm: str, runs: Runs, ratio: Ratio) -> Few:
    return Few(int(arm.removeprefix("few_")), _clones(runs).median, ratio)


def _curve(rows: Sequence[Mapping[str, float]]) -> Curve:
    return Curve(
        tuple(int(row["steps"]) for row in rows),
        tuple(round(float(row[RETURN]), 1) for row in rows),
    )


def mean_of(rows: Sequence[TaskRow], name: str) -> Estimate | None:
    """Mean of a ratio over tasks, each with the same weight; seeds are drawn anew in each task.

    Its interval is that of as many units as there are seeds beyond the first of each task.
    """
    ratios = {row.id: getattr(row, name) for row in rows}
    known = {task: it for task, it in ratios.items() if it.estimate is not None}
    if not known:
        return None
    draws = []
    for task, ratio in known.items():
        source = DRAWS.of(f"mean/{name}/{task}")
        early = np.array([float(it.pretrained.steps) for it in ratio.per_seed])
        late = np.array([float(it.baseline.steps) for it in ratio.per_seed])
        counts = resampled(len(early), source)
        draws.append((counts @ early) / np.maximum(counts @ late, 1e-9))
    units = 1 + sum(max(0, ratio.seeds - 1) for ratio in known.values())
    middle = float(np.mean([float(it.estimate) for it in known.values()]))
    return Estimate(middle, *interval(np.mean(draws, axis=0), units))


def table_of(rows: Sequence[TaskRow]) -> Table:
    """All rows, and their means without those shown apart."""
    known = [row for row in rows if row.ratio.estimate is not None]
    counted = [row for row in known if row.apart is None]
    return Table(
        tasks=tuple(rows),
        counted=tuple(row.id for row in counted),
        mean_ratio=mean_of(counted, "ratio"),
        mean_all=mean_of([row for row in known if row.apart != "trivial"], "ratio"),
        mean_usual=mean_of(counted, "usual"),
        mean_control=mean_of(counted, "control"),
        mean_cloning=mean_of(counted, "cloning"),
    )
