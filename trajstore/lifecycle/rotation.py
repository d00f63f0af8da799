"""Keep the newest versions of each status live; archive the others."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from trajstore.disk.files import check_removable
from trajstore.errors import ArgumentError, NotFoundError
from trajstore.lifecycle.moving import archive_version, finish
from trajstore.lifecycle.shelf import Shelf


class Action(StrEnum):
    """What happens to a live version."""

    KEEP = "keep"
    ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class Retention:
    """How many versions of each status stay live; the newest ones do.

    Raises:
        ArgumentError: for what is no whole number, a negative one, or no validated version at all.
    """

    validated: int = 3
    draft: int = 3
    quarantined: int = 3

    def __post_init__(self) -> None:
        for status, count in asdict(self).items():
            least = 1 if status == "validated" else 0
            if not isinstance(count, int) or isinstance(count, bool) or count < least:
                raise ArgumentError(
                    "retention: expected validated >= 1 and the others >= 0, whole numbers, "
                    f"got {status}={ascii(count)[:80]}"
                )


DEFAULT_RETENTION = Retention()


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to one live version, and why."""

    version: int
    action: Action
    reason: str


def decide(
    statuses: Sequence[tuple[int, str]], retention: Retention, *, in_use: Iterable[int] = ()
) -> list[Decision]:
    """Decide on every live version, oldest first; touches no disk.

    Each status has its own count, so that drafts never push a validated version out; versions in
    use stay whatever their age. ``statuses`` are those of all live versions, in any order.

    Example:
        >>> live = [(1, "validated"), (2, "validated"), (3, "quarantined"), (4, "validated")]
        >>> [(it.version, str(it.action)) for it in decide(live, Retention(2, 1, 1))]
        [(1, 'archive'), (2, 'keep'), (3, 'keep'), (4, 'keep')]
    """
    held = set(in_use)
    decisions = []
    for status, count in asdict(retention).items():
        versions = sorted((it for it, its in statuses if its == status), reverse=True)
        leaving = set(versions[count:]) - held
        for version in versions:
            side = "beyond" if version in leaving else "among"
            reason = "in use" if version in held else f"{side} the {count} newest {status}"
            action = Action.ARCHIVE if version in leaving else Action.KEEP
            decisions.append(Decision(version, action, reason))
    return sorted(decisions, key=lambda decision: decision.version)


def plan(
    shelf: Shelf, *, retention: Retention = DEFAULT_RETENTION, in_use: Iterable[int] = ()
) -> list[Decision]:
    """What a rotation would do with every live version, oldest first; changes nothing.

    Raises:
        NotFoundError: if a version that is to stay is not live: it would not protect the one meant.
    """
    live, in_use = shelf.live(), list(in_use)
    for version in in_use:
        if version not in live:
            known = ", ".join(f"v{number}" for number in live) or "none at all"
            raise NotFoundError(
                f"{shelf.name}@v{version}: cannot stay in use, it is not in the store; there "
                f"are {known}"
            )
    in_use += shelf.extended()
    return decide([(it, shelf.status(it)) for it in live], retention, in_use=in_use)


def rotate(
    shelf: Shelf, *, retention: Retention = DEFAULT_RETENTION, in_use: Iterable[int] = ()
) -> list[Decision]:
    """Archive the versions that leave; returns what was decided on every live version.

    Interrupted at any instant, the next call goes on from there; a verified copy of every version
    exists all the time.

    Raises:
        NotFoundError: if a version that is to stay is not live.
        ArchiveError: if the archive does not give back what it was given; the version stays.
        CorruptionError: if a live version is damaged; it stays.
        StorageError: if this user may not move a version that leaves; none is moved.
    """
    in_use = list(in_use)
    plan(shelf, retention=retention, in_use=in_use)
    with shelf.locked("rotating"):
        return rotate_locked(shelf, retention, in_use)


def rotate_locked(shelf: Shelf, retention: Retention, in_use: Iterable[int] = ()) -> list[Decision]:
    """Rotate while the caller holds the dataset."""
    finish(shelf)
    decisions = plan(shelf, retention=retention, in_use=in_use)
    check_movable(shelf, decisions)
    for decision in decisions:
        if decision.action is Action.ARCHIVE:
            archive_version(shelf, decision.version, why=decision.reason)
    return decisions


def check_movable(shelf: Shelf, decisions: Iterable[Decision]) -> None:
    """Refuse a rotation, before it moves anything, that would come to what this user may not move.

    Raises:
        StorageError: naming the version, and whose it is.
    """
    for decision in decisions:
        if decision.action is Action.ARCHIVE and shelf.path(decision.version).is_dir():
            check_removable(shelf.path(decision.version))
