"""Keep the newest versions of each status live; archive the others."""

from collections.abc import Iterable

from trajstore.errors import NotFoundError
from trajstore.lifecycle.moving import archive_version, finish
from trajstore.lifecycle.place import Place
from trajstore.lifecycle.rotation import Action, Decision, Retention, decide

DEFAULT_RETENTION = Retention()


def plan(
    place: Place, *, retention: Retention = DEFAULT_RETENTION, in_use: Iterable[int] = ()
) -> list[Decision]:
    """Return what a rotation would do with every live version, oldest first; changes nothing.

    Raises:
        NotFoundError: if a version that is to stay is not live: it would not protect the one meant.
    """
    in_use = list(in_use)
    _check_live(place, in_use)
    statuses = [(version, place.status(version).value) for version in place.live()]
    return decide(statuses, retention, in_use=in_use)


def rotate(
    place: Place, *, retention: Retention = DEFAULT_RETENTION, in_use: Iterable[int] = ()
) -> list[Decision]:
    """Archive the versions that leave; returns what was decided on every live version.

    Interrupted at any instant, the next call goes on from there; a verified copy of every version
    exists all the time.

    Raises:
        NotFoundError: if a version that is to stay is not live.
        LockedError: if someone else publishes, rotates or restores this dataset.
        ArchiveError: if the archive does not give back what it was given; the version stays.
        CorruptionError: if a live version is damaged; it stays.
        StorageError: if the operating system refuses.
    """
    in_use = list(in_use)
    _check_live(place, in_use)
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


def _check_live(place: Place, in_use: Iterable[int]) -> None:
    live = place.live()
    for version in in_use:
        if version not in live:
            known = ", ".join(f"v{number}" for number in live) or "none at all"
            raise NotFoundError(
                f"{place.name}@v{version}: expected a live version to stay in use, got one that "
                f"is not in the store, which has {known}; name one of these"
            )
