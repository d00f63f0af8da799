"""The runs of an arm as they lie on disk, checked to be comparable, and what goes with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.comparison.arrival import Arrival, Target, time_to_target
from pipelines.learning.conditions import reach
from pipelines.learning.promotion import MANIFEST, read_manifest
from pipelines.learning.rows import measures_of
from pipelines.learning.runlog import (
    EPISODES,
    RECORD,
    RunError,
    RunRecord,
    digests,
    read_episodes,
    read_evaluations,
)
from pipelines.learning.sealing import read_arm, read_member, read_sealed

Row = Mapping[str, Any]
Key = tuple[str, int]
"""An episode: (scenario, seed)."""


@dataclass(frozen=True, slots=True)
class Run:
    """One finished training: evaluations oldest first, final episodes, SHA-256 of its files."""

    record: RunRecord
    evaluations: Sequence[Row]
    episodes: Mapping[Key, Row]
    files: Mapping[str, str]

    @property
    def steps(self) -> list[int]:
        """Online steps before each evaluation."""
        return [int(row["steps"]) for row in self.evaluations]

    def curve(self, measure: str) -> list[float]:
        """One measure at each evaluation."""
        return [float(row[measure]) for row in self.evaluations]


@dataclass(frozen=True, slots=True)
class Arm:
    """All seeds of one way to train, in order."""

    name: str
    runs: Mapping[int, Run]

    @property
    def seeds(self) -> list[int]:
        """The seeds, in order."""
        return list(self.runs)

    @property
    def measures(self) -> tuple[str, ...]:
        """What its runs are measured by, the main one first."""
        return measures_of(self.runs[self.seeds[0]].evaluations[0])

    def only(self, seeds: Sequence[int]) -> "Arm":
        """The arm with some of its seeds."""
        return Arm(self.name, {seed: self.runs[seed] for seed in seeds})

    def arrivals(self, target: Target, *, hold: int) -> dict[int, Arrival]:
        """When each seed meets a target."""
        return {
            seed: time_to_target(run.evaluations, target=target, hold=hold)
            for seed, run in self.runs.items()
        }

    def listed(self, scenarios: Sequence[str] | None = None) -> list[Key]:
        """The final evaluation's episodes, in order; of the given scenarios only."""
        keys = sorted(self.runs[self.seeds[0]].episodes)
        return keys if scenarios is None else [key for key in keys if key[0] in scenarios]

    def counted(self, held_out: Sequence[str]) -> list[str]:
        """The scenarios that count towards final rates: all but those of held-out families."""
        return sorted({name for name, _ in self.listed() if family(name) not in held_out})

    def outcomes(self, measure: str, scenarios: Sequence[str]) -> np.ndarray:
        """``float[seeds, episodes]``: how the final episodes of the given scenarios ended."""
        keys = self.listed(scenarios)
        return np.array(
            [[float(run.episodes[key][measure]) for key in keys] for run in self.runs.values()]
        )

    def finals(self, scenarios: Sequence[str]) -> dict[str, np.ndarray]:
        """Final measures in the given scenarios, one a seed."""
        return {it: self.outcomes(it, scenarios).mean(axis=1) for it in self.measures}

    def grid(self) -> list[int]:
        """Steps at which every seed was evaluated."""
        return sorted(set.intersection(*(set(run.steps) for run in self.runs.values())))


def load_arm(name: str, folder: Path, *, sealed_as: str | None = None) -> Arm:
    """Read the sealed runs ``seed_*`` of a folder; what is not as it was sealed is refused.

    With ``sealed_as`` the runs must be of the arm of that name.
    """
    folders = sorted(path for path in folder.glob("seed_*") if path.is_dir())
    if not folders:
        raise RunError(f"{folder}: no run there, no seed_*/{RECORD}; train this arm")
    found = [_load_run(path) for path in folders]
    sealed = read_arm(folder)
    if sealed_as not in (None, sealed.arm):
        raise RunError(
            f"{folder}: expected runs of arm {sealed_as}, got those of arm {sealed.arm}; put each "
            "arm back into its own folder, or name it by its own name"
        )
    seeds = {run.record.seed for run in found}
    for seed in sorted({*map(int, sealed.runs), *seeds}):
        read_member(folder, sealed, seed)
    runs = {run.record.seed: run for run in found}
    arm = Arm(name, dict(sorted(runs.items())))
    for seed, run in arm.runs.items():
        if set(run.episodes) != set(arm.listed()):
            raise RunError(
                f"{folder}/seed_{seed}: expected the final episodes of the other seeds, "
                "got others; evaluate all seeds on one list"
            )
    return arm


def _load_run(folder: Path) -> Run:
    if not (folder / RECORD).is_file():
        raise RunError(f"{folder}: {RECORD} is missing; run the stage again, or without this seed")
    record = read_sealed(folder)
    evaluations, rows = read_evaluations(folder), read_episodes(folder)
    if not evaluations or not rows:
        raise RunError(f"{folder}: expected evaluations and final episodes, got none of one")
    episodes = {(row["scenario"], row["seed"]): row for row in rows}
    return Run(record, evaluations, episodes, digests(folder))


def check_pair(pretrained: Arm, baseline: Arm, *, where: str) -> None:
    """Refuse arms of which a seed has no partner, or whose final episodes differ."""
    alone = sorted(set(pretrained.seeds) - set(baseline.seeds))
    if alone:
        raise RunError(
            f"{where}: expected every seed of {pretrained.name} in {baseline.name}, "
            f"got {alone} without a partner; train {baseline.name} with these seeds"
        )
    if pretrained.listed() != baseline.listed():
        raise RunError(
            f"{where}: expected {pretrained.name} and {baseline.name} evaluated on the same "
            "episodes, got different lists; evaluate both on one list"
        )


@dataclass(frozen=True, slots=True)
class Expert:
    """The teacher: what it reaches, and what it cost.

    Attributes:
        judged: its measures over its episodes that count.
        episodes: empty where only the rates are known.
        counted: scenarios of its episodes that count towards its rates.
        steps: environment steps that training it took, all seeds.
        files: SHA-256 of what was read.
        policy: SHA-256 of its tensors; ``None`` if unknown.
        tracking: its rates on the episodes of every evaluation; ``None`` if unknown.
    """

    judged: Mapping[str, float]
    episodes: Mapping[Key, Row]
    counted: frozenset[str]
    steps: int
    files: Mapping[str, str]
    policy: str | None
    tracking: Mapping[str, float] | None

    @property
    def parity(self) -> Target:
        """Its measures on the episodes of every evaluation; else on those it was judged on."""
        return reach(self.tracking or self.judged)

    def finals(self, scenarios: Sequence[str]) -> dict[str, float] | None:
        """Its measures over its episodes of the given scenarios; ``None`` if it played none."""
        rows = [row for key, row in self.episodes.items() if key[0] in scenarios]
        return _means(rows, tuple(self.judged)) if rows else None


def load_expert(folder: Path, measures: Sequence[str], *, leave_out: Sequence[str] = ()) -> Expert:
    """Read the expert from a folder with a promotion manifest, or from that of a finished run.

    The families to leave out do not count towards its rates.
    """
    best: Sequence[Mapping[str, Any]] = ()
    tracked: Mapping[str, Any] | None = None
    policy = None
    if (folder / MANIFEST).is_file():
        manifest = read_manifest(folder)
        best = [row for row in manifest["seeds"] if row["seed"] == manifest["best_seed"]]
        steps = sum(row["steps"] for row in manifest["seeds"])
        tracked, policy = manifest["tracking"], manifest["policy"]
    elif (folder / RECORD).is_file():
        steps = read_sealed(folder).steps
    else:
        raise RunError(
            f"{folder}: neither an expert ({MANIFEST}) nor a finished run ({RECORD}); name its "
            "folder, or run the expert stage"
        )
    rows = read_episodes(folder) if (folder / EPISODES).is_file() else []
    counted = [row for row in rows if family(row["scenario"]) not in leave_out]
    best = counted or best
    if not best:
        raise RunError(f"{folder}: expected episodes that count, got none; evaluate the run")
    return Expert(
        judged=_means(best, measures),
        episodes={(row["scenario"], row["seed"]): row for row in rows},
        counted=frozenset(row["scenario"] for row in counted),
        steps=steps,
        files=digests(folder),
        policy=policy,
        tracking={it: float(tracked[it]) for it in measures} if tracked else None,
    )


def _means(rows: Sequence[Row], measures: Sequence[str]) -> dict[str, float]:
    return {it: float(np.mean([row[it] for row in rows])) for it in measures}


def family(scenario: str) -> str:
    """The family of a scenario ``family/density``."""
    return scenario.split("/")[0]
