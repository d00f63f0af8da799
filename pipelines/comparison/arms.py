"""The runs of an arm as they lie on disk, checked to be comparable."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.comparison.arrival import Arrival, Target, time_to_target
from pipelines.learning.runlog import (
    EPISODES,
    RATES,
    RECORD,
    RunError,
    RunRecord,
    RunStatus,
    digests,
    read_episodes,
    read_evaluations,
    read_run,
)
from trajstore.disk.files import read_json

Row = Mapping[str, Any]
Key = tuple[str, int]
"""An episode: (scenario, seed)."""


@dataclass(frozen=True, slots=True)
class Run:
    """One finished training.

    Attributes:
        record: what it is.
        evaluations: oldest first.
        episodes: of the final evaluation, by (scenario, seed).
        files: SHA-256 of what was read.
    """

    record: RunRecord
    evaluations: Sequence[Row]
    episodes: Mapping[Key, Row]
    files: Mapping[str, str]

    def rate(self, name: str, scenarios: Sequence[str] | None = None) -> float:
        """Share of final episodes with ``success`` or ``collision``, in the given scenarios."""
        rows = [
            row
            for row in self.episodes.values()
            if scenarios is None or row["scenario"] in scenarios
        ]
        return float(np.mean([row[name] for row in rows]))


@dataclass(frozen=True, slots=True)
class Arm:
    """All seeds of one way to train."""

    name: str
    runs: Mapping[int, Run]

    @property
    def seeds(self) -> list[int]:
        """The seeds, in order."""
        return sorted(self.runs)

    def only(self, seeds: Sequence[int]) -> "Arm":
        """The arm with some of its seeds."""
        return Arm(self.name, {seed: self.runs[seed] for seed in seeds})

    def arrivals(self, target: Target, *, hold: int) -> dict[int, Arrival]:
        """When each seed meets a target."""
        found = {}
        for seed in self.seeds:
            rows = self.runs[seed].evaluations
            steps, *rates = ([row[key] for row in rows] for key in ("steps", *RATES))
            found[seed] = time_to_target(steps, *rates, target=target, hold=hold)
        return found

    def rates(self, name: str, scenarios: Sequence[str] | None = None) -> np.ndarray:
        """Final share of ``success`` or ``collision``, one a seed, in seed order."""
        return np.array([self.runs[seed].rate(name, scenarios) for seed in self.seeds])

    def listed(self, scenarios: Sequence[str] | None = None) -> list[Key]:
        """The final evaluation's episodes, in order; of the given scenarios only."""
        keys = sorted(self.runs[self.seeds[0]].episodes)
        return keys if scenarios is None else [key for key in keys if key[0] in scenarios]

    def counted(self, held_out: Sequence[str]) -> list[str]:
        """The scenarios that count towards final rates: all but those of held-out families."""
        return sorted({name for name, _ in self.listed() if family(name) not in held_out})

    def outcomes(self, name: str, keys: Sequence[Key]) -> np.ndarray:
        """``float[seeds, episodes]``: whether each final episode has ``success``, ..."""
        return np.array(
            [[float(self.runs[s].episodes[key][name]) for key in keys] for s in self.seeds]
        )

    def grid(self) -> list[int]:
        """Steps at which every seed was evaluated."""
        shared = set.intersection(
            *({row["steps"] for row in run.evaluations} for run in self.runs.values())
        )
        return sorted(shared)


def load_arm(name: str, folder: Path) -> Arm:
    """Read the runs ``seed_*`` of a folder.

    Raises:
        RunError: no run, a run that is not completed, or one without evaluations or episodes.
        NotFoundError: a file of a run is missing.
    """
    folders = sorted(path for path in folder.glob("seed_*") if path.is_dir())
    if not folders:
        raise RunError(f"{folder}: expected folders seed_*/{RECORD}, got none; train this arm")
    runs = [_load_run(path) for path in folders]
    arm = Arm(name, {run.record.seed: run for run in runs})
    if len(arm.runs) != len(runs):
        raise RunError(f"{folder}: expected each seed once, got one twice; remove a folder")
    for seed, run in arm.runs.items():
        if set(run.episodes) != set(arm.listed()):
            raise RunError(
                f"{folder}/seed_{seed}: expected the final episodes of the other seeds, "
                "got others; evaluate all seeds on one list"
            )
    return arm


def _load_run(folder: Path) -> Run:
    if not (folder / RECORD).is_file():
        raise RunError(
            f"{folder}: expected {RECORD}, got none; train this seed again, or remove its folder "
            "in every arm"
        )
    record = read_run(folder)
    if record.status is not RunStatus.COMPLETED:
        raise RunError(
            f"{folder}: expected a completed run, got {record.status}; resume it or train it anew"
        )
    evaluations, rows = read_evaluations(folder), read_episodes(folder)
    if not evaluations or not rows:
        raise RunError(f"{folder}: expected evaluations and final episodes, got none of one")
    episodes = {(row["scenario"], int(row["seed"])): row for row in rows}
    return Run(record, evaluations, episodes, digests(folder))


def check_pair(pretrained: Arm, baseline: Arm, *, where: str) -> None:
    """Refuse arms that cannot be paired.

    Raises:
        RunError: a seed of the pre-trained arm has no partner, or the final episodes differ.
    """
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
        success: share of its episodes.
        collision: share of its episodes.
        episodes: by (scenario, seed); empty where only the rates are known.
        steps: environment steps that training it took, all seeds; ``None`` if unknown.
        files: SHA-256 of what was read.
        counted: scenarios of its episodes that count towards its rates.
        tracking: its rates on the episodes of every evaluation; ``None`` if unknown.
    """

    success: float
    collision: float
    episodes: Mapping[Key, Row]
    steps: int | None
    files: Mapping[str, str]
    counted: frozenset[str] = frozenset()
    tracking: Target | None = None

    @property
    def parity(self) -> Target:
        """Its rates on the episodes of every evaluation; else on those it was judged on."""
        return self.tracking or Target(self.success, self.collision)


def load_expert(folder: Path, *, leave_out: Sequence[str] = ()) -> Expert:
    """Read the expert from a folder with ``episodes.jsonl``, a promotion manifest, or both.

    Args:
        folder: of the expert.
        leave_out: families that do not count towards its rates.

    Raises:
        RunError: the folder holds neither.
    """
    manifest, record = folder / "manifest.json", folder / RECORD
    document = read_json(manifest) if manifest.is_file() else None
    rows = read_episodes(folder) if (folder / EPISODES).is_file() else []
    if document is None and not rows:
        raise RunError(f"{folder}: expected manifest.json or {EPISODES}, got neither")
    counted = [row for row in rows if family(row["scenario"]) not in leave_out]
    tracked = (document or {}).get("tracking")
    steps = None
    best: Sequence[Row] = counted
    if document is not None:
        best = counted or [r for r in document["seeds"] if r["seed"] == document["best_seed"]]
        steps = sum(int(row["steps"]) for row in document["seeds"])
    elif record.is_file():
        steps = read_run(folder).steps
    return Expert(
        success=float(np.mean([row["success"] for row in best])),
        collision=float(np.mean([row["collision"] for row in best])),
        episodes={(row["scenario"], int(row["seed"])): row for row in rows},
        steps=steps,
        files=digests(folder),
        counted=frozenset(row["scenario"] for row in counted),
        tracking=Target(tracked["success"], tracked["collision"]) if tracked else None,
    )


def family(scenario: str) -> str:
    """The family of a scenario ``family/density``."""
    return scenario.split("/")[0]
