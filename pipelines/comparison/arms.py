"""The runs of an arm as they lie on disk, checked to be comparable, and what goes with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipelines.comparison.arrival import Arrival, Target, time_to_target
from pipelines.comparison.record import Digests, Rates, RunDigests
from pipelines.learning.runlog import (
    EPISODES,
    RATES,
    RECORD,
    EpisodeRow,
    Evaluation,
    RunError,
    RunRecord,
    RunStatus,
    digests,
    read_episodes,
    read_evaluations,
    read_run,
)
from trajstore.disk.files import read_json

Rate = Literal["success", "collision"]
Key = tuple[str, int]
"""An episode: (scenario, seed)."""


@dataclass(frozen=True, slots=True)
class Run:
    """One finished training: evaluations oldest first, final episodes, SHA-256 of its files."""

    record: RunRecord
    evaluations: Sequence[Evaluation]
    episodes: Mapping[Key, EpisodeRow]
    files: Mapping[str, str]

    @property
    def columns(self) -> tuple[list[int], list[float], list[float]]:
        """Steps, success and collisions of the evaluations."""
        success, collision = ([row[rate] for row in self.evaluations] for rate in RATES)
        return [row["steps"] for row in self.evaluations], success, collision


@dataclass(frozen=True, slots=True)
class Arm:
    """All seeds of one way to train, in order."""

    name: str
    runs: Mapping[int, Run]

    @property
    def seeds(self) -> list[int]:
        """The seeds, in order."""
        return list(self.runs)

    def only(self, seeds: Sequence[int]) -> "Arm":
        """The arm with some of its seeds."""
        return Arm(self.name, {seed: self.runs[seed] for seed in seeds})

    def arrivals(self, target: Target, *, hold: int) -> dict[int, Arrival]:
        """When each seed meets a target."""
        return {
            seed: time_to_target(*run.columns, target=target, hold=hold)
            for seed, run in self.runs.items()
        }

    def listed(self, scenarios: Sequence[str] | None = None) -> list[Key]:
        """The final evaluation's episodes, in order; of the given scenarios only."""
        keys = sorted(self.runs[self.seeds[0]].episodes)
        return keys if scenarios is None else [key for key in keys if key[0] in scenarios]

    def counted(self, held_out: Sequence[str]) -> list[str]:
        """The scenarios that count towards final rates: all but those of held-out families."""
        return sorted({name for name, _ in self.listed() if family(name) not in held_out})

    def outcomes(self, rate: Rate, scenarios: Sequence[str]) -> np.ndarray:
        """``float[seeds, episodes]``: how the final episodes of the given scenarios ended."""
        keys = self.listed(scenarios)
        return np.array(
            [[float(run.episodes[key][rate]) for key in keys] for run in self.runs.values()]
        )

    def rates(self, scenarios: Sequence[str]) -> Rates[np.ndarray]:
        """Final shares in the given scenarios, one a seed."""
        return Rates(*(self.outcomes(rate, scenarios).mean(axis=1) for rate in RATES))

    def grid(self) -> list[int]:
        """Steps at which every seed was evaluated."""
        return sorted(set.intersection(*(set(run.columns[0]) for run in self.runs.values())))


def load_arm(name: str, folder: Path) -> Arm:
    """Read the completed runs ``seed_*`` of a folder; any that is not complete is refused."""
    folders = sorted(path for path in folder.glob("seed_*") if path.is_dir())
    if not folders:
        raise RunError(f"{folder}: expected folders seed_*/{RECORD}, got none; train this arm")
    runs = {run.record.seed: run for run in map(_load_run, folders)}
    if len(runs) != len(folders):
        raise RunError(f"{folder}: expected each seed once, got one twice; remove a folder")
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
        judged: its rates over its episodes that count.
        episodes: empty where only the rates are known.
        counted: scenarios of its episodes that count towards its rates.
        steps: environment steps that training it took, all seeds; ``None`` if unknown.
        files: SHA-256 of what was read.
        tracking: its rates on the episodes of every evaluation; ``None`` if unknown.
    """

    judged: Target
    episodes: Mapping[Key, EpisodeRow]
    counted: frozenset[str]
    steps: int | None
    files: Mapping[str, str]
    tracking: Target | None

    @property
    def parity(self) -> Target:
        """Its rates on the episodes of every evaluation; else on those it was judged on."""
        return self.tracking or self.judged

    def rates(self, scenarios: Sequence[str]) -> Rates[float] | None:
        """Its rates over its episodes of the given scenarios; ``None`` if it played none."""
        rows = [row for key, row in self.episodes.items() if key[0] in scenarios]
        return Rates(*_means(rows)) if rows else None


def load_expert(folder: Path, *, leave_out: Sequence[str] = ()) -> Expert:
    """Read the expert from a folder with ``episodes.jsonl``, a promotion manifest, or both.

    The families to leave out do not count towards its rates.
    """
    manifest, record = folder / "manifest.json", folder / RECORD
    document = read_json(manifest) if manifest.is_file() else None
    rows = read_episodes(folder) if (folder / EPISODES).is_file() else []
    if document is None and not rows:
        raise RunError(f"{folder}: expected manifest.json or {EPISODES}, got neither")
    counted = [row for row in rows if family(row["scenario"]) not in leave_out]
    best: Sequence[Mapping[str, Any]] = counted
    steps = tracked = None
    if document is not None:
        best = counted or [r for r in document["seeds"] if r["seed"] == document["best_seed"]]
        steps = sum(int(row["steps"]) for row in document["seeds"])
        tracked = document.get("tracking")
    elif record.is_file():
        steps = read_run(folder).steps
    return Expert(
        judged=Target(*_means(best)),
        episodes={(row["scenario"], row["seed"]): row for row in rows},
        counted=frozenset(row["scenario"] for row in counted),
        steps=steps,
        files=digests(folder),
        tracking=Target(*(tracked[rate] for rate in RATES)) if tracked else None,
    )


def _means(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    return [float(np.mean([row[rate] for row in rows])) for rate in RATES]


def family(scenario: str) -> str:
    """The family of a scenario ``family/density``."""
    return scenario.split("/")[0]


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a comparison reads: arms by name; expert and manifest of demonstrations, if given."""

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
