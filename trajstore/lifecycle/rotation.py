"""Which versions stay: decisions without I/O."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What happens to a live version."""

    KEEP = "keep"
    ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class Retention:
    """How many versions of each status stay live; the newest ones do.

    Raises:
        ValueError: for a negative number, or no validated version at all.
    """

    validated: int = 3
    draft: int = 3
    quarantined: int = 3

    def __post_init__(self) -> None:
        if self.validated < 1 or self.draft < 0 or self.quarantined < 0:
            raise ValueError(f"retention: expected validated >= 1 and the others >= 0, got {self}")


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to one live version, and why."""

    version: int
    action: Action
    reason: str

    def to_json(self) -> dict[str, object]:
        """Return the decision as plain values."""
        return {"version": self.version, "action": self.action.value, "reason": self.reason}


def versions_to_archive(
    versions: Iterable[int], *, keep: int = 3, in_use: Iterable[int] = ()
) -> list[int]:
    """Return the versions to archive, oldest first, so that the ``keep`` newest stay.

    Example:
        >>> versions_to_archive([1, 2, 3, 4, 5], keep=3, in_use=[1])
        [2]
    """
    newest_first = sorted(set(versions), reverse=True)
    return sorted(set(newest_first[keep:]) - set(in_use))


def decide(
    statuses: Sequence[tuple[int, str]], retention: Retention, *, in_use: Iterable[int] = ()
) -> list[Decision]:
    """Decide on every live version, oldest first.

    Each status has its own count, so that drafts never push a validated version out.

    Args:
        statuses: version number and status of every live version, in any order.
        retention: how many of each status stay.
        in_use: versions that stay whatever their age.

    Example:
        >>> live = [(1, "validated"), (2, "validated"), (3, "quarantined"), (4, "validated")]
        >>> [(it.version, str(it.action)) for it in decide(live, Retention(2, 1, 1))]
        [(1, 'archive'), (2, 'keep'), (3, 'keep'), (4, 'keep')]
    """
    keep = {
        "validated": retention.validated,
        "draft": retention.draft,
        "quarantined": retention.quarantined,
    }
    held = set(in_use)
    decisions = []
    for status, count in keep.items():
        versions = [version for version, its_status in statuses if its_status == status]
        leaving = set(versions_to_archive(versions, keep=count, in_use=held))
        for version in versions:
            action = Action.ARCHIVE if version in leaving else Action.KEEP
            reason = _reason(status, count, leaving=version in leaving, held=version in held)
            decisions.append(Decision(version, action, reason))
    return sorted(decisions, key=lambda decision: decision.version)


def next_version(known: Iterable[int]) -> int:
    """Return the number after all that were ever used.

    Example:
        >>> next_version([]), next_version([2, 7, 3])
        (1, 8)
    """
    return max(known, default=0) + 1


def _reason(status: str, count: int, *, leaving: bool, held: bool) -> str:
    if held:
        return "in use"
    place = "beyond" if leaving else "among"
    return f"{place} the {count} newest {status}"
