"""Open an archived version for looking at it, where it lies."""

from trajstore.episode.names import Reference
from trajstore.errors import NotFoundError
from trajstore.lifecycle.archived import ArchivedDataset
from trajstore.lifecycle.ledger import Entry, packed
from trajstore.lifecycle.place import Place
from trajstore.quality.reviews import status_of
from trajstore.version.manifest import Status


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
