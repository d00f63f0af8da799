"""Bring a validated version into the store, once, under the next number."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from trajstore.disk.files import size_bytes, whole_directory, write_file
from trajstore.disk.system import storing
from trajstore.errors import LockedError, QuotaExceededError, SealedError, StatusError
from trajstore.lifecycle.ledger import Deed, entry_on
from trajstore.lifecycle.moving import check_sound, finish
from trajstore.lifecycle.rotation import (
    DEFAULT_RETENTION,
    Decision,
    Retention,
    check_movable,
    decide,
    rotate_locked,
)
from trajstore.lifecycle.shelf import Shelf
from trajstore.quality.records import Verdict, read_verdict, write_verdict
from trajstore.quality.reviews import status_of
from trajstore.version.files import LocalFiles
from trajstore.version.manifest import MANIFEST, Manifest, Status


@dataclass(frozen=True, slots=True)
class Published:
    """What publishing did.

    Attributes:
        version: number that the content has in the store.
        new: whether it got that number now.
        decisions: of the rotation that followed.
    """

    version: int
    new: bool
    decisions: tuple[Decision, ...]


def publish(
    shelf: Shelf,
    source: Path,
    *,
    verdict: Verdict | None = None,
    retention: Retention = DEFAULT_RETENTION,
    budget_bytes: int | None = None,
) -> Published:
    """Copy a validated version into the store, then rotate.

    The content digest is the key: publishing the same content again changes nothing, whatever
    folder it comes from. Interrupted at any instant, the next call finishes.

    Args:
        shelf: the dataset.
        source: folder of a sealed version.
        verdict: on the source; the one that lies beside it unless given.
        retention: how many versions of each status stay live.
        budget_bytes: most that all datasets of the store may take live; no limit unless given.

    Raises:
        StatusError: if the source is not validated.
        CorruptionError: if the source is damaged, or changes while it is copied.
        QuotaExceededError: if the store would outgrow its budget; nothing was written.
        StorageError: if a version would leave that this user may not move; nothing was written.
    """
    verdict = verdict or read_verdict(source)
    manifest = _validated(shelf, source, verdict)
    with shelf.locked("publishing"):
        finish(shelf)
        for number, found in _unnoted(shelf).items():
            if number not in shelf.in_work("recording"):
                shelf.note(entry_on(found, Deed.PUBLISH, number, "found live"))
        known = _known(shelf, source, manifest, budget_bytes)
        check_movable(shelf, _foreseen(shelf, known, retention))
        version = known or _copy(shelf, source, manifest)
        if shelf.path(version).is_dir() and verdict is not None:
            write_verdict(shelf.path(version), verdict)
        if known is None:
            why = f"published from {source.name}"
            shelf.note(entry_on(manifest, Deed.PUBLISH, version, why))
        decisions = rotate_locked(shelf, retention)
    return Published(version, known is None, tuple(decisions))


def preview(
    shelf: Shelf,
    source: Path,
    *,
    retention: Retention = DEFAULT_RETENTION,
    budget_bytes: int | None = None,
) -> Published:
    """What publishing would do; changes nothing, and refuses what it would refuse.

    Raises:
        StatusError: if the source is not validated.
        QuotaExceededError: if the store would outgrow its budget.
    """
    manifest = _validated(shelf, source, read_verdict(source))
    known = _known(shelf, source, manifest, budget_bytes)
    decisions = _foreseen(shelf, known, retention)
    return Published(known or decisions[-1].version, known is None, tuple(decisions))


def _foreseen(shelf: Shelf, known: int | None, retention: Retention) -> list[Decision]:
    """What rotation will decide, of the version to come as well, which is the last."""
    statuses = [(live, shelf.status(live)) for live in shelf.live()]
    if known is None:
        statuses.append((shelf.next_version(), Status.VALIDATED))
    return decide(statuses, retention, in_use=shelf.extended())


def _validated(shelf: Shelf, source: Path, verdict: Verdict | None) -> Manifest:
    """The manifest of a source that its verdict or a review calls validated."""
    manifest = Manifest.read(source)
    digest = manifest.content_digest
    status = status_of(source, shelf.reviews, digest, verdict=verdict, root=shelf.folder.parent)
    if status is not Status.VALIDATED:
        judged = verdict is not None and verdict.on(digest)
        raise StatusError(
            f"{source}: only a validated version can be published, and this one is "
            f"{status.value}{'' if judged else ' and was never validated'}; run 'trajstore "
            f"validate {source}' and fix what it finds"
        )
    return manifest


def _known(shelf: Shelf, source: Path, manifest: Manifest, budget_bytes: int | None) -> int | None:
    """The number that the content has in the store; ``None`` if it is new, and there is room.

    What rotation frees is not counted on: an old version stays until its pack is verified.
    """
    digest = manifest.content_digest
    known = [entry.version for entry in shelf.ledger() if entry.digest == digest]
    known += [it for it, live in _unnoted(shelf).items() if live.content_digest == digest]
    if known:
        return known[0]
    if budget_bytes is not None:
        taken, incoming = size_bytes(shelf.folder.parent), size_bytes(source)
        if taken + incoming > budget_bytes:
            raise QuotaExceededError(
                f"{shelf.folder.parent}: {taken:,} bytes and {incoming:,} to come are more "
                f"than the budget of {budget_bytes:,}; archive older versions (trajstore "
                f"rotate {shelf.name} --keep 2), or raise it"
            )
    return None


def _unnoted(shelf: Shelf) -> dict[int, Manifest]:
    """Live versions that the ledger does not know: publishing or recording was cut off."""
    noted = {entry.version for entry in shelf.ledger()}
    return {it: Manifest.read(shelf.path(it)) for it in shelf.live() if it not in noted}


def _copy(shelf: Shelf, source: Path, manifest: Manifest) -> int:
    """Copy a version under the next number, which is taken before the source is read."""
    with _new_version(shelf) as (version, folder):
        check_sound(source, source, "publish")
        LocalFiles(source, manifest).copy_all(folder)
        write_file(folder / MANIFEST, manifest.to_bytes())
    return version


@contextmanager
def _new_version(shelf: Shelf) -> Iterator[tuple[int, Path]]:
    """The next number and a folder to fill; one that somebody else writes at is passed over."""
    while True:
        with ExitStack() as stack:
            number = stack.enter_context(shelf.claimed())
            stack.enter_context(storing(shelf.path(number)))
            try:
                folder = stack.enter_context(whole_directory(shelf.path(number)))
            except (LockedError, SealedError):
                continue
            yield number, folder
            return
