"""Move a version to the archive and back, so that a verified copy exists at every instant.

Archiving: pack under a name nobody looks at, make it durable, read it back and compare the content,
rename, note it in the ledger, read the renamed file once more, and only then remove the live
folder: by a rename first, so that no reader meets half a version. Each step looks at what is there,
so that the next run goes on wherever the last one ended.
"""

import hashlib
from pathlib import Path

from trajstore.dataset import Dataset
from trajstore.disk import system
from trajstore.disk.files import COPY_BYTES, remove_tree
from trajstore.disk.system import FileRecord, storing, sync_directory
from trajstore.errors import ArchiveError, CorruptionError, NotFoundError, SealedError
from trajstore.lifecycle.archive import Pack, pack, unpack
from trajstore.lifecycle.ledger import Deed, Entry, add_entry, packed
from trajstore.lifecycle.place import Place
from trajstore.version.integrity import verify
from trajstore.version.location import PART
from trajstore.version.manifest import Manifest


def archive_version(place: Place, version: int, *, why: str) -> Entry:
    """Bring a live version into the archive and remove it from the folder.

    Returns:
        The ledger's entry of the pack.

    Raises:
        NotFoundError: if there is no such live version.
        ArchiveError: if what was packed does not come back as it was; the version stays.
        CorruptionError: if the live version is damaged; it stays, and nothing is archived.
        StorageError: if the operating system refuses; the version stays.
    """
    dataset = Dataset.open(place.path(version))
    entry = _verified_entry(place, version, dataset.manifest.content_digest)
    if entry is None:
        entry = _archive(place, version, dataset, why)
    compare_file(place, entry)
    _remove(place, version, why)
    return entry


def restore(place: Place, version: int, *, why: str = "asked for") -> Path:
    """Bring a version back from the archive; the pack stays there.

    The next rotation may archive it again, unless it is named there as in use.

    Returns:
        The folder of the version; if it is live already, nothing is done.

    Raises:
        NotFoundError: if the version was never archived.
        ArchiveError: if the pack is not the one that was archived.
        LockedError: if someone else publishes, rotates or restores this dataset.
        StorageError: if the operating system refuses.
    """
    if packed(place.ledger(), version) is None:
        if version in place.live():
            return place.path(version)
        raise NotFoundError(
            f"{place.name}@v{version}: expected a version in the archive, got none; "
            f"trajstore list shows what there is"
        )
    with place.locked("restoring"):
        finish(place)
        return _restore(place, version, why)


def _restore(place: Place, version: int, why: str) -> Path:
    target = place.path(version)
    entry = packed(place.ledger(), version)
    if entry is None:
        return target
    if version not in place.live():
        _unpack(place, entry, target)
    if _last_deed(place, version) is Deed.REMOVE:
        _note(place, Deed.RESTORE, version, entry, why)
    return target


def finish(place: Place) -> None:
    """Finish what an interrupted run left: half-removed folders and half-written ones.

    Raises:
        CorruptionError: if a half-removed version has no good copy in the archive.
    """
    for path in place.litter():
        remove_tree(path)
    for version in place.in_work("sealing"):
        if version not in place.in_work("recording"):
            remove_tree(place.folder / f".v{version}.sealing")
    for version in place.in_work("removing"):
        _finish_removal(place, version)
    for version in _removed_without_note(place):
        entry = packed(place.ledger(), version)
        if entry is not None:
            _note(place, Deed.REMOVE, version, entry, "interrupted removal finished")


def compare_file(place: Place, entry: Entry) -> None:
    """Compare a pack in the archive with the ledger, byte for byte.

    Raises:
        ArchiveError: if it is missing or another.
    """
    try:
        found = _file_record(place, entry.archive)
    except NotFoundError as error:
        raise ArchiveError(f"{error}; restore the archive from its own backup") from error
    if found != FileRecord(entry.size, entry.sha256):
        raise ArchiveError(
            f"{entry.archive}: expected the pack of {entry.size:,} bytes that the ledger names "
            f"({entry.sha256[:12]}), got {found.size:,} bytes ({found.sha256[:12]})"
        )


def _verified_entry(place: Place, version: int, digest: str) -> Entry | None:
    entry = packed(place.ledger(), version)
    if entry is None or entry.digest != digest:
        return None
    try:
        compare_file(place, entry)
    except ArchiveError:
        return None
    return entry


def _archive(place: Place, version: int, dataset: Dataset, why: str) -> Entry:
    findings = verify(dataset.path)
    if findings:
        raise CorruptionError(
            f"{place.name}@v{version}: expected a sound version to archive, got "
            f"{len(findings)} findings, first: {findings[0].message}"
        )
    manifest = dataset.manifest
    name = place.pack_name(version, manifest.content_digest)
    record = _adopted(place, name, manifest)
    if record is None:
        record = _packed(place, dataset, name)
        _compare_content(place, name + PART, record, manifest.content_digest)
        place.archive.commit(name)
    entry = Entry(
        Deed.ARCHIVE,
        version,
        manifest.content_digest,
        place.clock(),
        why,
        name,
        record.sha256,
        record.size,
        manifest.episodes,
        manifest.steps,
    )
    add_entry(place.folder, entry)
    return entry


def _packed(place: Place, dataset: Dataset, name: str) -> FileRecord:
    with storing(f"archive of {dataset.path.name}"):
        sink = place.archive.create(name)
        try:
            pack(dataset, sink.write)
            return sink.close()
        finally:
            sink.abandon()


def _adopted(place: Place, name: str, manifest: Manifest) -> FileRecord | None:
    """Return the record of a pack that is there and good, though the ledger does not know it."""
    if name not in place.archive.names():
        return None
    try:
        record = _file_record(place, name)
        _compare_content(place, name, record, manifest.content_digest)
    except ArchiveError:
        return None
    return record


def _compare_content(place: Place, name: str, record: FileRecord, digest: str) -> None:
    """Read a pack back: its bytes are those that were written, its content that of the version."""
    if _file_record(place, name) != record:
        raise ArchiveError(f"{name}: expected the bytes that were written, got others back")
    with place.archive.reading(name) as file:
        read_back = Pack(file, name)
        read_back.check()
        if read_back.manifest.content_digest != digest:
            raise ArchiveError(f"{name}: expected content {digest[:12]}, got another version's")


def _file_record(place: Place, name: str) -> FileRecord:
    sha, size = hashlib.sha256(), 0
    with storing(name), place.archive.reading(name) as file:
        while block := file.read(COPY_BYTES):
            sha.update(block)
            size += len(block)
    return FileRecord(size, sha.hexdigest())


def _remove(place: Place, version: int, why: str) -> None:
    with storing(place.path(version)):
        system.OPS.rename(place.path(version), place.removing(version))
        sync_directory(place.folder)
        remove_tree(place.removing(version))
        sync_directory(place.folder)
    entry = packed(place.ledger(), version)
    if entry is not None:
        _note(place, Deed.REMOVE, version, entry, why)


def _finish_removal(place: Place, version: int) -> None:
    left = place.removing(version)
    entry = packed(place.ledger(), version)
    try:
        if entry is None:
            raise ArchiveError(f"{place.name}@v{version}: expected a pack in the ledger, got none")
        compare_file(place, entry)
    except ArchiveError as error:
        if not (left / "manifest.json").exists() or verify(left):
            raise CorruptionError(
                f"{left}: expected a good pack of this half-removed version, got none; {error}"
            ) from error
        with storing(left):
            system.OPS.rename(left, place.path(version))
            sync_directory(place.folder)
        return
    with storing(left):
        remove_tree(left)
        sync_directory(place.folder)


def _removed_without_note(place: Place) -> list[int]:
    gone = {it.version for it in place.ledger() if it.deed is Deed.ARCHIVE}
    gone -= set(place.live()) | set(place.in_work("removing"))
    return sorted(it for it in gone if _last_deed(place, it) is not Deed.REMOVE)


def _last_deed(place: Place, version: int) -> Deed | None:
    deeds = [entry.deed for entry in place.ledger() if entry.version == version]
    return deeds[-1] if deeds else None


def _unpack(place: Place, entry: Entry, target: Path) -> None:
    compare_file(place, entry)
    with place.archive.reading(entry.archive) as file:
        source = Pack(file, entry.archive)
        if source.manifest.content_digest != entry.digest:
            raise ArchiveError(
                f"{entry.archive}: expected content {entry.digest[:12]}, "
                f"got {source.manifest.content_digest[:12]}; restore from another copy"
            )
        try:
            unpack(source, target)
        except SealedError as error:
            raise CorruptionError(
                f"{target}: expected nothing or a sealed version there, got something else; "
                "move it away and restore again"
            ) from error


def _note(place: Place, deed: Deed, version: int, entry: Entry, why: str) -> None:
    line = Entry(
        deed,
        version,
        entry.digest,
        place.clock(),
        why,
        entry.archive,
        entry.sha256,
        entry.size,
        entry.episodes,
        entry.steps,
    )
    add_entry(place.folder, line)
