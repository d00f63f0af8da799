"""What a comparison is asked to do: the section ``compare`` of ``params.yaml``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta

from pipelines.comparison.arrival import Target
from pipelines.running.params import Amount, Count, Share, distinct, named
from pipelines.tasks.social_nav.scenarios import families, held_out_families

TARGETS = (0.8, 0.825, 0.85, 0.875, 0.9, 0.925, 0.95)
ARMS = ("baseline", "finetune", "control")


@dataclass(frozen=True, slots=True)
class CompareParams:
    """What is compared, and by which yardsticks; all fixed before the runs.

    Attributes:
        target_success: success of the gate.
        target_collision: collisions of the gate.
        targets: successes at which the curve of the ratio is drawn, beside that of parity.
        hold: evaluations in a row for which a target must hold.
        resamples: bootstrap draws of every interval.
        seed: of the draws.
        held_out: families that were in no training; their episodes are reported apart.
        few: arm that ``ratio.few`` is about.
        arms: folder of each arm by name; one that was not run is not named.
        expert: folder with the expert's ``episodes.jsonl``, its ``manifest.json``, or both;
            empty means none.
        dataset: version folder that the clone was trained on; its manifest has the steps; empty
            means none.
    """

    target_success: Share = 0.9
    target_collision: Share = 0.05
    targets: Annotated[tuple[Share, ...], Meta(min_length=1), distinct] = TARGETS
    hold: Count = 2
    resamples: Count = 10_000
    seed: Amount = 0
    held_out: Annotated[tuple[Annotated[str, named(families())], ...], distinct] = field(
        default_factory=held_out_families
    )
    few: str = "few_10"
    arms: Mapping[str, str] = field(
        default_factory=lambda: {name: f"data/runs/{name}" for name in ARMS}
    )
    expert: str = "data/models/expert"
    dataset: str = "data/current/expert"

    @property
    def gate(self) -> Target:
        """The target that the expert had to meet too."""
        return Target(self.target_success, self.target_collision)
