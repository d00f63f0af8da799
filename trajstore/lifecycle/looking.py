"""Open an archived version for looking at it, where it lies."""

from pathlib import Path

from trajstore.episode.names import Reference
from trajstore.errors import CorruptionError, NotFoundError, StorageError
from trajstore.lifecycle.archived import ArchivedDataset
from trajstore.lifecycle.ledger import Entry, packed
from trajstore.lifecycle.place import Place
from trajstore.quality.reviews import effective_status, read_reviews
from trajstore.quality.verdict import read_verdict
from trajstore.version.manifest import Status

UNREADABLE = "unreadable"
"""Shown in place of a status that cannot be told."""


def look(place: Place, wanted: Reference) -> ArchivedDataset:
    """Open a version of a dataset in the archive.

    Args:
        place: the dataset.
        wanted: one version; without a number the newest archived one that is validated, or the
            newest of all if the reference says ``@latest``.

    Raises:
        NotFoundError: if there is no such archived version, or its pack is gone.
        ArchiveError: if the pack is not the one that the ledger names.
        StorageError: if the archive cannot be reached.
    """
    entry = _entry(place, wanted)
    return ArchivedDataset(place.archive, entry, place.path(entry.version))


def status_of(path: Path, reviews: Path | None, digest: str) -> Status:
    """The status of content: its last review, else the verdict beside a version's path."""
    verdict = read_verdict(path)
    return effective_status(
        None if verdict is None else verdict.on(digest), read_reviews(reviews), digest
    )


def standing(path: Path, reviews: Path | None, digest: str) -> tuple[str, str]:
    """The status of content for showing it, and what is wrong if that cannot be told.

    Damaged reviews, or a damaged verdict, say nothing about the arrays: the status is then
    ``unreadable``, and the second text says what to do. Nothing may be trained from on its account.
    """
    try:
        return status_of(path, reviews, digest).value, ""
    except (CorruptionError, StorageError) as error:
        return UNREADABLE, str(error)


def _entry(place: Place, wanted: Reference) -> Entry:
    ledger = place.ledger()
    numbers = sorted({entry.version for entry in ledger if entry.archive}, reverse=True)
    if wanted.version is not None:
        numbers = [number for number in numbers if number == wanted.version]
    for number in numbers:
        entry = packed(ledger, number)
        if entry is None:
            continue
        status = status_of(place.path(number), place.reviews, entry.digest)
        if wanted.version is not None or wanted.newest or status is Status.VALIDATED:
            return entry
    kind = "version" if wanted.version is not None or wanted.newest else "validated version"
    raise NotFoundError(
        f"{wanted}: expected an archived {kind}, got none in the ledger of {place.folder}; "
        "'trajstore list' shows what the store holds"
    )
