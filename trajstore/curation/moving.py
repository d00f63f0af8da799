"""A dataset under another name, and a version in another store."""

from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from trajstore.curation.making import Version, check_new
from trajstore.dataset import Dataset
from trajstore.disk import system
from trajstore.disk.files import clear_sealing, read_file, whole_directory, write_file
from trajstore.disk.system import FileRecord, storing, sync_directory
from trajstore.episode.names import version_number
from trajstore.errors import CorruptionError, LockedError, NotFoundError, SealedError, StorageError
from trajstore.lifecycle.shelf import Shelf
from trajstore.quality.records import read_verdict, status_path, write_verdict
from trajstore.version.files import LocalFiles
from trajstore.version.location import is_url, locate, place, remote_at
from trajstore.version.manifest import MANIFEST, Manifest


@dataclass(frozen=True, slots=True)
class Copied:
    """A version in another store.

    Attributes:
        reference: its name there.
        where: its folder or URL there.
        new: whether it was copied now, and not there already.
        bytes: of its files, the manifest included.
    """

    reference: str
    where: str
    new: bool
    content_digest: str
    bytes: int


def rename(old: Shelf, new: Shelf, *, dry_run: bool = False) -> None:
    """Give a dataset another name, with its versions, verdicts and ledger, in one step.

    Packs in the archive keep their names; the ledger knows them by these.

    Raises:
        NotFoundError: if there is no such dataset.
        SealedError: if the new name is taken.
        LockedError: if a version is being recorded, sealed or removed, or someone else is at work.
    """
    _check_rename(old, new)
    if dry_run:
        return
    with old.locked("renaming"), new.locked("renaming"):
        try:
            _check_rename(old, new)
            with storing(new.folder):
                system.OPS.rename(old.folder, new.folder)
                sync_directory(new.folder.parent)
        except BaseException:
            with suppress(OSError):
                system.OPS.rmdir(new.folder)
            raise


def _check_rename(old: Shelf, new: Shelf) -> None:
    if not old.used():
        raise NotFoundError(
            f"{old.name}: no dataset of that name in {old.folder.parent}; 'trajstore list' "
            "shows what there is"
        )
    if new.folder == old.folder:
        raise SealedError(f"{new.name}: has that name already")
    check_new(new)
    if new.folder.is_dir() and any(new.folder.iterdir()):
        raise SealedError(
            f"{new.folder}: exists already and is not empty; choose another name, or move it away"
        )
    for kind in ("recording", "sealing", "removing"):
        for number in old.in_work(kind):
            raise LockedError(
                f"{old.name}@v{number}: its {kind} is not finished; finish that first: "
                f"trajstore recover {old.name}, or trajstore rotate {old.name}"
            )


def copy(version: Version, to: str | Path, name: str, *, dry_run: bool = False) -> Copied:
    """Copy a version into the store at a folder or URL, with its verdict, and read it back.

    It keeps its number where that is free there. The same content is copied once. At a URL the
    manifest goes last: until then there is no version; no lock keeps others away.

    Raises:
        CorruptionError: if the version is damaged, or does not come back as it was.
        StorageError: if the operating system or the service refuses.
    """
    if is_url(to):
        return _to_url(version, str(to).rstrip("/"), name, dry_run=dry_run)
    return _to_folder(version, place(to), name, dry_run=dry_run)


def _copied(version: Version, name: str, number: int, where: object, *, new: bool) -> Copied:
    manifest = version.dataset.files.manifest
    size = manifest.size_bytes + len(manifest.to_bytes())
    return Copied(f"{name}@v{number}", str(where), new, manifest.content_digest, size)


def _wanted(version: Version) -> int:
    """The number that a version has where it lies; 1 if it has none."""
    return version_number(version.dataset.path.name) or 1


def _to_folder(version: Version, root: Path, name: str, *, dry_run: bool) -> Copied:
    shelf = Shelf(root / name, root.parent / "archive", root.parent / "reviews.json")
    files, manifest = version.dataset.files, version.dataset.files.manifest
    for number in shelf.live():
        if Manifest.read(shelf.path(number)).content_digest == manifest.content_digest:
            if not dry_run and read_verdict(shelf.path(number)) is None:  # of a killed copy
                _judged_alike(version, shelf.path(number))
            return _copied(version, name, number, shelf.path(number), new=False)
    if dry_run:
        return _into(shelf, version)
    with shelf.locked("copying"):
        for number in shelf.in_work("sealing"):  # of a process that died
            clear_sealing(shelf.path(number))
        done = _into(shelf, version)
        target = Path(done.where)
        try:
            with whole_directory(target) as folder:
                files.copy_all(folder)
                back = LocalFiles(folder, manifest)
                for path in manifest.files:
                    back.copy(path, lambda _: None)
                write_file(folder / MANIFEST, manifest.to_bytes())
        except BaseException:
            with suppress(OSError):  # a folder that holds something stays
                system.OPS.rmdir(shelf.folder)
            raise
        _judged_alike(version, target)
    return done


def _judged_alike(version: Version, target: Path) -> None:
    """What was judged of a version holds of its copy."""
    verdict = read_verdict(version.dataset.path)
    if verdict is not None and verdict.on(version.dataset.manifest.content_digest):
        write_verdict(target, verdict)


def _into(shelf: Shelf, version: Version) -> Copied:
    number = _wanted(version)
    if number in shelf.used():
        number = shelf.next_version()
    return _copied(version, shelf.name, number, shelf.path(number), new=True)


def _to_url(version: Version, url: str, name: str, *, dry_run: bool) -> Copied:
    files, manifest = version.dataset.files, version.dataset.files.manifest
    above = f"{url}/{name}"
    known = [number for it in locate(above).names() if (number := version_number(it))]
    there = {number: _manifest_at(f"{above}/v{number}") for number in known}
    for number, found in there.items():
        if found is not None and found.content_digest == manifest.content_digest:
            return _copied(version, name, number, f"{above}/v{number}", new=False)
    taken = {number for number, found in there.items() if found is not None}
    wanted = _wanted(version)
    number = next(
        it
        for it in count(max(taken, default=0) + 1 if wanted in taken else wanted)
        if it not in taken
    )
    done = _copied(version, name, number, f"{above}/v{number}", new=True)
    if dry_run:
        return done
    for path in sorted(manifest.files):
        _upload(done.where, path, manifest.files[path], files)
    verdict = read_verdict(version.dataset.path)
    if verdict is not None and verdict.on(manifest.content_digest):
        content = read_file(status_path(version.dataset.path))
        _upload_bytes(above, f"v{number}.status.json", content)
    for path, record in manifest.files.items():
        remote_at(done.where).copy(path, record, lambda _: None)
    _upload_bytes(done.where, MANIFEST, manifest.to_bytes())
    if _manifest_at(done.where) != manifest:
        raise CorruptionError(
            f"{done.where}: read back, the manifest is another one; the copy failed, try again"
        )
    return done


def _manifest_at(url: str) -> Manifest | None:
    try:
        return Manifest.from_bytes(remote_at(url).read(MANIFEST), f"{url}/{MANIFEST}")
    except NotFoundError:
        return None


def _upload(url: str, path: str, record: FileRecord, files: LocalFiles) -> None:
    folder, _, name = path.rpartition("/")
    there = locate(f"{url}/{folder}".rstrip("/"))
    sink = there.create(name)
    try:
        files.copy(path, sink.write)
        sent = sink.close()
    finally:
        sink.abandon()
    if sent != record:
        raise StorageError(
            f"{url}/{path}: the file changed while it was sent; verify the version, then copy again"
        )
    there.commit(name)


def _upload_bytes(url: str, name: str, content: bytes) -> None:
    there = locate(url)
    sink = there.create(name)
    try:
        sink.write(content)
        sink.close()
    finally:
        sink.abandon()
    there.commit(name)


def name_of(dataset: Dataset) -> str:
    """What the dataset of a version is called by where it lies."""
    path = dataset.path
    return path.parent.name if version_number(path.name) else path.name
