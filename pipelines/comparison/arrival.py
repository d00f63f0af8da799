"""When runs first meet a target, and what a ratio of such times states; see docs/statistics.md."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from msgspec import Struct

from pipelines.learning.conditions import Conditions, met


class Part(Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a comparison; a key that it does not know is refused."""


Target = Conditions
"""What an evaluation must show; the first condition is on the main measure."""


class Arrival(Part, frozen=True):
    """Online steps until a target is met.

    Attributes:
        steps: of the evaluation from which the target holds; where it never does, of the last
            evaluation, which the true time exceeds.
        censored: the target was never met.
    """

    steps: int
    censored: bool


class Bound(StrEnum):
    """What a ratio says about the ratio of the uncensored times."""

    EXACT = "exact"
    AT_MOST = "at_most"
    AT_LEAST = "at_least"
    UNRESOLVED = "unresolved"


class Quotient(Part, frozen=True):
    """A ratio and its 95 % interval; the estimate is null where the denominator is zero."""

    estimate: float | None
    low: float | None
    high: float | None


class SeedTimes(Part, frozen=True):
    """When both arms of a pair met the target; no ratio where the baseline needed no step."""

    seed: int
    pretrained: Arrival
    baseline: Arrival
    ratio: float | None


class Ratio(Quotient, frozen=True, kw_only=True):
    """Steps of the pre-trained arm over steps of the baseline, paired by seed.

    Attributes:
        seeds: pairs.
        censored: seeds of which at least one arm never arrived.
        bound: what the estimate says about the ratio of the uncensored times.
        at_start: pre-trained seeds that met the target before the first online step.
        per_seed: both times of every pair.
        reason: why there is no estimate; null where there is one.
    """

    seeds: int
    censored: int
    bound: Bound | None
    at_start: int
    per_seed: tuple[SeedTimes, ...]
    reason: str | None

    def __post_init__(self) -> None:
        """Refuse a ratio that neither is one nor says why not."""
        if self.estimate is None and not self.reason:
            raise ValueError("Expected an estimate or a reason, got neither")
        if self.estimate is not None and (self.reason or not self.seeds or not self.bound):
            raise ValueError("Expected an estimate with seeds and bound and no reason")


class ArmPair(Part, frozen=True):
    """Names of two arms."""

    pretrained: str
    baseline: str


class TargetRatio(Ratio, frozen=True, kw_only=True):
    """The ratio of two arms at a target; null where the target is not known."""

    target: Target | None
    arms: ArmPair


class DemonstrationRatio(TargetRatio, frozen=True, kw_only=True):
    """The ratio after so many demonstrated episodes, and the main measure of those clones."""

    episodes: int
    clone: float


class FixedRatios(Part, frozen=True):
    """The six ratios of every comparison, by what they ask."""

    success: TargetRatio
    gate: TargetRatio
    parity: TargetRatio
    few: TargetRatio
    transfer: TargetRatio
    control: TargetRatio


class Accounts(Part, frozen=True):
    """The ratio to the gate by what is counted."""

    online: Ratio
    with_collection: Ratio
    with_expert: Ratio


def target_key(target: Target | None) -> str:
    """Names the random draws of a target; success alone is one without a limit on collisions."""
    limits = {it.metric: it.limit for it in target or ()}
    if "success" in limits and set(limits) <= {"success", "collision"}:
        limits = {"success": limits["success"], "collision": limits.get("collision", 1.0)}
    if not target:
        return str(target)
    return f"Target({', '.join(f'{name}={value!r}' for name, value in limits.items())})"


def time_to_target(rows: Sequence[Mapping[str, Any]], *, target: Target, hold: int = 2) -> Arrival:
    """The first evaluation from which a target holds for ``hold`` evaluations in a row.

    Args:
        rows: evaluations with their ``steps``, oldest first.
        target: what each must show.
        hold: so many in a row.

    Example:
        >>> from pipelines.learning.conditions import reach
        >>> rows = [{"steps": 8 * i, "success": it} for i, it in enumerate([0.5, 0.9, 0.8, 0.95])]
        >>> time_to_target(rows, target=reach({"success": 0.9}))
        Arrival(steps=24, censored=True)
        >>> time_to_target(rows, target=reach({"success": 0.8}))
        Arrival(steps=8, censored=False)
    """
    if not rows or hold < 1:
        raise ValueError(
            f"time to target: expected evaluations and hold >= 1, got {len(rows)} and hold {hold}"
        )
    kept = [met(row, target) for row in rows]
    for first in range(len(rows) - hold + 1):
        if all(kept[first : first + hold]):
            return Arrival(int(rows[first]["steps"]), censored=False)
    return Arrival(int(rows[-1]["steps"]), censored=True)
