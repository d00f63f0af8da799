"""Keep the newest versions of each status live; archive the others."""

from collections.abc import Iterable

from trajstore.governance.moving import archive_version, finish
from trajstore.governance.place import Place
from trajstore.rotation import Action, Decision, Retention, decide

DEFAULT_RETENTION = Retention()


def plan(
    place: Place, *, retention: Retention = DEFAULT_RETENTION, in_use: Iterable[int] = ()
) -> list[Decision]:
    """Return what a rotation would do with every live version, oldest first; changes nothing."""
    statuses = [(version, place.status(version).value) for version in place.live()]
    return decide(statuses, retention, in_use=in_use)


def rotate(
    place: Place, *, retention: Retention = DEFAULT_RETENTION, in_use: Iterable[int] = ()
) -> list[Decision]:
    """Archive the versions that leave; returns what was decided on every live version.

    Interrupted at any instant, the next call goes on from there; a verified copy of every version
    exists all the time.

    Raises:
        LockedError: if someone else publishes, rotates or restores this dataset.
        ArchiveError: if the archive does not give back what it was given; the version stays.
        CorruptionError: if a live version is damaged; it stays.
        StorageError: if the operating system refuses.
    """
    with place.locked("rotating"):
        return rotate_locked(place, retention=retention, in_use=in_use)


def rotate_locked(
    place: Place, *, retention: Retention, in_use: Iterable[int] = ()
) -> list[Decision]:
    """Rotate while the caller holds the dataset."""
    finish(place)
    decisions = plan(place, retention=retention, in_use=in_use)
    for decision in decisions:
        if decision.action is Action.ARCHIVE:
            archive_version(place, decision.version, why=decision.reason)
    return decisions
