"""What a comparison is asked and what it found, as ``comparison.json`` holds it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pipelines.comparison.arrival import (
    Accounts,
    DemonstrationRatio,
    FixedRatios,
    Part,
    Quotient,
    Target,
    TargetRatio,
)
from pipelines.comparison.stats import Estimate
from pipelines.learning.conditions import Condition, reach
from pipelines.learning.runlog import RunError
from pipelines.running.params import Amount, Count, distinct
from trajstore.disk.files import read_json

TARGETS = (0.8, 0.825, 0.85, 0.875, 0.9, 0.925, 0.95)
ARMS = ("baseline", "finetune", "control")
GATE = reach({"success": 0.9, "collision": 0.05})


@dataclass(frozen=True, slots=True)
class CompareParams:
    """What is compared, and by which yardsticks; all fixed before the runs.

    Attributes:
        target: conditions of the gate, the first on what is to be reached.
        targets: levels of the first one at which the curve of the ratio is drawn, beside that of
            parity.
        hold: evaluations in a row for which a target must hold.
        resamples: bootstrap draws of every interval.
        seed: of the draws.
        held_out: families that were in no training; their episodes are reported apart. Nothing
            means those that the runs tell of.
        few: arm that ``ratio.few`` is about.
        arms: folder of each arm by name; one that was not run is not named.
        expert: folder with the expert's ``episodes.jsonl``, its ``manifest.json``, or both;
            empty means none.
        dataset: version folder that the clone was trained on; its manifest has the steps; empty
            means none.
    """

    target: Annotated[Target, Meta(min_length=1)] = GATE
    targets: Annotated[tuple[float, ...], Meta(min_length=1), distinct] = TARGETS
    hold: Count = 2
    resamples: Count = 10_000
    seed: Amount = 0
    held_out: Annotated[tuple[str, ...], distinct] | None = None
    few: str = "few_10"
    arms: Mapping[str, str] = field(
        default_factory=lambda: {name: f"data/runs/{name}" for name in ARMS}
    )
    expert: str = "data/models/expert"
    dataset: str = "data/current/expert"

    @property
    def main(self) -> Condition:
        """What is to be reached."""
        return self.target[0]


class ArmFacts(Part, frozen=True):
    """Seeds, budgets and evaluation sizes of an arm."""

    seeds: tuple[int, ...]
    budget_steps: tuple[int, ...]
    evaluations: tuple[int, ...]
    evaluation_episodes: int
    final_episodes: int
    families: int
    notes: tuple[str, ...]


class Matched(Part, frozen=True, kw_only=True):
    """How well the two main arms are matched, and how finely time is resolved."""

    seeds: tuple[int, ...]
    unpaired_baseline_seeds: tuple[int, ...] = ()
    same_grid: bool
    resolution_steps: int | None
    evaluations_before_median: int
    settings_that_differ: tuple[str, ...]


class Contrast(Part, frozen=True):
    """Differences of two arms at the end by measure, and the chance that the first is better."""

    difference: dict[str, Estimate]
    probability_of_improvement: Estimate


class Area(Part, frozen=True):
    """Mean height of the main curve of an arm and of the baseline, to the shorter budget."""

    limit_steps: int
    arm: float
    baseline: float
    difference: Estimate


class SeedDip(Part, frozen=True):
    """The clone's main measure, and the lowest while it was fine-tuned."""

    seed: int
    clone: float
    lowest: float
    at_steps: int
    change: float


class Dip(Part, frozen=True):
    """The largest loss of the main measure while fine-tuning; ``share`` is of the clone's."""

    change: float
    share: float | None
    per_seed: tuple[SeedDip, ...]


class Teacher(Part, frozen=True, omit_defaults=True):
    """The fine-tuned arm against the expert, or the reason why there is no such comparison."""

    reason: str | None = None
    failures: dict[str, Quotient] | None = None
    difference: Estimate | None = None
    same_episodes: bool | None = None
    expert: dict[str, float] | None = None

    def __post_init__(self) -> None:
        """Refuse one half of a comparison."""
        measured = (self.failures, self.difference, self.same_episodes, self.expert)
        if any((part is None) == (self.reason is None) for part in measured):
            raise ValueError("Expected a reason, or failures, difference, same_episodes and expert")


class Scenario(Part, frozen=True):
    """Final measures in one scenario, and whether pre-training lost there.

    The clone's is its main measure, in episodes of its own.
    """

    scenario: str
    episodes: int
    baseline: dict[str, float]
    finetune: dict[str, float]
    clone: float | None
    expert: dict[str, float] | None
    difference: Estimate
    chance: float | None
    flag: Literal["regression", "watch"] | None
    held_out: bool


class HeldOut(Part, frozen=True, omit_defaults=True):
    """Final rates in families that nobody was trained on; a reason where none was played."""

    families: tuple[str, ...]
    reason: str | None
    episodes: int = 0
    final: dict[str, dict[str, Estimate]] = msgspec.field(default_factory=dict)
    expert: dict[str, float] | UnsetType | None = UNSET
    difference: Contrast | None = None

    def __post_init__(self) -> None:
        """Refuse rates that are missing without a reason."""
        known = self.difference and self.expert is not UNSET and self.episodes
        if self.reason is None and not (known and {"baseline", "finetune"} <= set(self.final)):
            raise ValueError("Expected a reason, or episodes, final, expert and difference")


class Costs(Part, frozen=True):
    """What the gate costs in environment steps, all told."""

    accounts: Accounts
    collection_steps: int | None
    expert_steps: int | None
    saved_steps: float | None
    pays_off_after: float | None


class Band(Part, frozen=True):
    """Mean and ends of the 95 % interval at each evaluation."""

    mean: tuple[float, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]


class Curve(Part, frozen=True):
    """Learning curves of an arm by measure, and of each of its seeds."""

    measures: dict[str, Band]
    steps: tuple[int, ...]
    seeds: dict[str, dict[str, tuple[float, ...]]]


class MetricStatistics(Part, frozen=True):
    """A metric over the final episodes of all seeds of an arm."""

    episodes: int
    mean: Estimate
    median: Estimate
    p95: Estimate


class RunDigests(Part, frozen=True):
    """SHA-256 of a run's files, and of what the run itself read."""

    files: dict[str, str]
    inputs: dict[str, str]


class Digests(Part, frozen=True):
    """SHA-256 of everything that was read; runs by arm and seed."""

    runs: dict[str, dict[str, RunDigests]]
    expert: dict[str, str] | None
    dataset: str | None


class Status(StrEnum):
    """Whether a goal is met."""

    MET = "met"
    MISSED = "missed"
    NOT_SHOWN = "not_shown"
    NOT_RUN = "not_run"


class Goal(Part, frozen=True):
    """A goal, what was measured, and by how much it is missed."""

    goal: str
    measured: str | None
    status: Status
    shortfall: float | None
    remark: str


class Comparison(Part, frozen=True, kw_only=True):
    """Every number of a comparison; ``docs/statistics.md`` says what each means."""

    version: Literal[2] = 2
    settings: CompareParams
    arms: dict[str, ArmFacts]
    matched: Matched
    ratio: FixedRatios
    over_targets: tuple[TargetRatio, ...]
    demonstrations: tuple[DemonstrationRatio, ...]
    final: dict[str, dict[str, Estimate]]
    contrast: Contrast
    area: dict[str, Area]
    no_dip: Dip
    better_than_teacher: Teacher
    scenarios: tuple[Scenario, ...]
    held_out: HeldOut
    costs: Costs
    curves: dict[str, Curve]
    metrics: dict[str, dict[str, MetricStatistics]]
    inputs: Digests
    measures: tuple[str, ...]
    units: dict[str, str]
    levels: tuple[str, ...]
    notes: tuple[str, ...]
    goals: tuple[Goal, ...]
    headline: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse a comparison without its two main arms, or without a sentence."""
        if not {"baseline", "finetune"} <= set(self.arms) or not self.headline:
            raise ValueError("Expected arms baseline and finetune, and a headline")


def read_comparison(path: Path) -> Comparison:
    """Read a ``comparison.json``; where it is none, the error names the place."""
    try:
        return msgspec.convert(read_json(path), Comparison)
    except msgspec.ValidationError as error:
        raise RunError(f"{path}: expected a comparison, got another document: {error}") from None
