"""Move a version to the archive and back, so that a verified copy exists at every instant.

Archiving: pack, make it durable, read it back and compare the content, rename, note it in the
ledger, read it once more, and only then remove the live folder, by a rename first. Each step looks
at what is there, so that the next run goes on wherever the last one ended.
"""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from loguru import logger

from trajstore.dataset import Dataset
from trajstore.disk import system
from trajstore.disk.files import check_removable, clear_sealing, remove_tree
from trajstore.disk.system import FileRecord, is_full, storing, sync_directory
from trajstore.errors import (
    ArchiveError,
    CorruptionError,
    LockedError,
    NotFoundError,
    SealedError,
    StorageError,
)
from trajstore.lifecycle.archive import compare_file, file_record, open_pack, pack, unpack
from trajstore.lifecycle.ledger import Deed, Entry, entry_on
from trajstore.lifecycle.shelf import Shelf
from trajstore.version.integrity import verify
from trajstore.version.manifest import MANIFEST, Manifest
from trajstore.version.transfer import PART

MOVE_AWAY = "; move that folder out of the store, then restore again"


def archive_version(shelf: Shelf, version: int, *, why: str) -> Entry:
    """Bring a live version into the archive, remove it from the folder, and return its entry.

    Raises:
        NotFoundError: if there is no such live version.
        ArchiveError: if what was packed does not come back as it was; the version stays.
        CorruptionError: if the live version is damaged; it stays, and nothing is archived.
        StorageError: if this user may not remove it; nothing is begun.
    """
    dataset = Dataset.open(shelf.path(version))
    check_removable(shelf.path(version))
    entry, left = shelf.packed().get(version), shelf.removing(version)
    if entry is None or entry.digest != dataset.manifest.content_digest or _lost(shelf, entry):
        entry = _archive(shelf, version, dataset, why)
    with storing(shelf.path(version)):
        if shelf.path(version).exists():
            system.OPS.rename(shelf.path(version), left)
            sync_directory(shelf.folder)
        remove_tree(left)
        sync_directory(shelf.folder)
    shelf.note(replace(entry, deed=Deed.REMOVE, why=why))
    return entry


def restore(shelf: Shelf, version: int, *, dry_run: bool = False) -> Path:
    """Bring a version back from the archive; the pack stays there.

    The next rotation may archive it again, unless it is named there as in use.

    Returns the folder of the version; if it is live already, and sound, nothing is done. A dry run
    only compares the pack with the ledger.

    Raises:
        NotFoundError: if the version was never archived.
        CorruptionError: if it is live and damaged; nothing is put over it.
        ArchiveError: if the pack is not the one that was archived.
    """
    target = shelf.path(version)
    entry = shelf.packed().get(version)
    if entry is None:
        if version in shelf.live():
            return target
        raise NotFoundError(
            f"{shelf.name}@v{version}: is not in the archive; 'trajstore list' shows what there is"
        )
    if version in shelf.live():
        check_sound(target, f"{shelf.name}@v{version}, which lies at {target},", "keep", MOVE_AWAY)
    if dry_run:
        compare_file(shelf.archive, entry)
        return target
    with shelf.locked("restoring"):
        finish(shelf)
        last = {it.version: it for it in shelf.ledger()}[version]
        if version not in shelf.live():
            _unpack(shelf, last, target)
        if last.deed is Deed.REMOVE:
            shelf.note(replace(last, deed=Deed.RESTORE, why="asked for"))
    return target


def finish(shelf: Shelf) -> None:
    """Finish what an interrupted run left: half-removed folders and half-written ones."""
    for path in shelf.litter():
        remove_tree(path)
    for version in shelf.in_work(r"sealing(?:\.lock)?"):
        clear_sealing(shelf.path(version))
    for version in shelf.in_work(r"number\.lock"):
        with suppress(LockedError), shelf.held(version):
            pass  # whoever held the number was killed; its lock goes with the one who finds it
    for version in shelf.in_work("removing"):
        _finish_removal(shelf, version)
    last = {it.version: it for it in shelf.ledger()}
    for version in sorted(last.keys() - shelf.live()):
        if last[version].deed in (Deed.ARCHIVE, Deed.RESTORE):
            why = "interrupted removal finished"
            shelf.note(replace(last[version], deed=Deed.REMOVE, why=why))


def check_sound(path: Path, name: object, purpose: str, remedy: str = "") -> None:
    """Refuse to archive, publish or keep a version that is damaged."""
    findings = verify(path)
    if findings:
        raise CorruptionError(
            f"{name}: is damaged, nothing to {purpose}: {len(findings)} findings, first: "
            f"{findings[0].message}{remedy}"
        )


def _lost(shelf: Shelf, entry: Entry) -> bool:
    try:
        compare_file(shelf.archive, entry)
    except ArchiveError:
        return True
    return False


def _archive(shelf: Shelf, version: int, dataset: Dataset, why: str) -> Entry:
    check_sound(dataset.path, f"{shelf.name}@v{version}", "archive")
    digest = dataset.manifest.content_digest
    name = shelf.pack_name(version, digest)
    record = _packed(shelf, name, digest)
    if record is None:
        with storing(f"archive of {dataset.path.name}"):
            sink = shelf.archive.create(name)
            try:
                pack(dataset, sink.write)
                written = sink.close()
            finally:
                sink.abandon()
        record = _read_back(shelf, name + PART, digest, written=written)
        shelf.archive.commit(name)
    entry = _entry(dataset.manifest, version, why, name, record)
    try:
        entry = shelf.note(entry)
        compare_file(shelf.archive, entry)
    except StorageError as error:
        if not is_full(error):
            raise
        compare_file(shelf.archive, entry)
        _make_room(shelf, version)
        entry = shelf.note(entry)
    return entry


def _make_room(shelf: Shelf, version: int) -> None:
    """Remove an archived version but for its manifest: a full disk has no room to note it first.

    The manifest tells the next run, should this one be cut off here, which pack has the version.
    """
    left = shelf.removing(version)
    with storing(left):
        system.OPS.rename(shelf.path(version), left)
        sync_directory(shelf.folder)
        for path in sorted(left.iterdir()):
            if path.name != MANIFEST:
                remove_tree(path)


def _entry(manifest: Manifest, version: int, why: str, name: str, record: FileRecord) -> Entry:
    entry = entry_on(manifest, Deed.ARCHIVE, version, why)
    return replace(entry, archive=name, sha256=record.sha256, size=record.size)


def _packed(shelf: Shelf, name: str, digest: str) -> FileRecord | None:
    """The pack of that name in the archive, if it is there and holds that content."""
    if name in shelf.archive.names():
        with suppress(ArchiveError):
            return _read_back(shelf, name, digest)
    return None


def _read_back(
    shelf: Shelf, name: str, digest: str, *, written: FileRecord | None = None
) -> FileRecord:
    """Read a whole pack: its bytes are those that were written, its content that of the version."""
    record = file_record(shelf.archive, name)
    if written not in (None, record):
        raise ArchiveError(
            f"{name}: read back, the bytes are not those that were written; check the disk, "
            "then try again"
        )
    with shelf.archive.reading(name) as file:
        read_back = open_pack(file, name)
        read_back.check()
        if read_back.manifest.content_digest != digest:
            raise ArchiveError(f"{name}: read back, it holds another version than {digest[:12]}")
    return record


def _finish_removal(shelf: Shelf, version: int) -> None:
    """Remove the rest of a version that has a good pack; put one back that has none."""
    left = shelf.removing(version)
    entry = _noted(shelf, version, left)
    try:
        if entry is None:
            raise ArchiveError(f"{shelf.name}@v{version}: expected a pack in the ledger, got none")
        compare_file(shelf.archive, entry)
    except ArchiveError as error:
        if not (left / MANIFEST).exists() or verify(left):
            raise CorruptionError(
                f"{left}: this version is half removed and its pack in the archive is damaged: "
                f"{error}"
            ) from error
        with storing(left):
            system.OPS.rename(left, shelf.path(version))
            sync_directory(shelf.folder)
        return
    try:
        check_removable(left)
    except StorageError as error:
        logger.warning("left for its owner to remove: {}", error)
        return
    with storing(left):
        remove_tree(left)
        sync_directory(shelf.folder)


def _noted(shelf: Shelf, version: int, left: Path) -> Entry | None:
    """The entry on a half-removed version's pack; one that a full disk had no room for is added."""
    entry = shelf.packed().get(version)
    with suppress(NotFoundError, CorruptionError):
        manifest = Manifest.read(left)
        digest = manifest.content_digest
        if entry is None or entry.digest != digest:
            name = shelf.pack_name(version, digest)
            record, why = _packed(shelf, name, digest), "interrupted archiving finished"
            return shelf.note(_entry(manifest, version, why, name, record)) if record else None
    return entry


def _unpack(shelf: Shelf, entry: Entry, target: Path) -> None:
    compare_file(shelf.archive, entry)
    with shelf.archive.reading(entry.archive) as file:
        source = open_pack(file, entry.archive)
        if source.manifest.content_digest != entry.digest:
            raise ArchiveError(
                f"{entry.archive}: expected content {entry.digest[:12]}, "
                f"got {source.manifest.content_digest[:12]}; restore from another copy"
            )
        try:
            unpack(source, target)
        except SealedError as error:
            raise CorruptionError(
                f"{target}: something else is in the way; move it away and restore again"
            ) from error
