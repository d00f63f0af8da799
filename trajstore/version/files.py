"""The sealed files of one version on this machine: in its folder, or fetched when asked for.

A file that is fetched is kept under its SHA-256, which the manifest names, so that a wrong object
is refused, and what two versions share is fetched once. The folder may be deleted at any time.
"""

import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from trajstore.disk import system
from trajstore.disk.files import copy_file
from trajstore.disk.mapping import open_sealed
from trajstore.disk.system import FileRecord, storing
from trajstore.errors import CorruptionError, NotFoundError
from trajstore.version.findings import Finding, finding
from trajstore.version.layout import parents
from trajstore.version.location import is_url, place, remote_at
from trajstore.version.manifest import MANIFEST, Manifest
from trajstore.version.transfer import Origin, Write, copied

CACHE_BYTES = 10_000_000_000
FRESH_NS = 60 * 10**9
"""How long a file that another process used stays in the cache at least, nanoseconds."""
MAX_STRAYS = 1000
BESIDE = ("status", "replay")


class LocalFiles:
    """The files of a version in a folder of this machine, where they lie.

    Attributes:
        path: of the version's folder; of one that lies elsewhere, of the folder that it would
            have: what lies beside it (verdict, replay report) is looked for there.
        where: what errors call the version.
        folder: that the files lie in.
        origin: where they come from, if that is elsewhere.
        again: opens the same version anew, in another process perhaps.
    """

    def __init__(
        self, path: Path, manifest: Manifest | None = None, *,
        folder: Path | None = None, origin: Origin | None = None,
    ) -> None:  # fmt: skip
        self.path, self.origin = path, origin
        self.folder = folder or path
        self.where = origin.where if origin else str(path)
        self.manifest = manifest or Manifest.read(self.folder)
        self.again: Callable[[], LocalFiles] = partial(LocalFiles, path)

    def record(self, path: str) -> FileRecord:
        """What the manifest says of a file, which it must list."""
        record = self.manifest.files.get(path)
        if record is None:
            raise CorruptionError(f"{self.where}/{path}: the manifest does not list this file")
        return record

    def file(self, path: str) -> Path:
        """The file on this machine; no folder above it may be a link."""
        folder = self.folder
        for segment in path.split("/")[:-1]:
            folder = folder / segment
            if folder.is_symlink():
                raise CorruptionError(f"{folder}: expected a folder, got a symbolic link")
        return self.folder / path

    def read_manifest(self) -> Manifest:
        """The manifest as it lies there now; raises as opening the version does."""
        return Manifest.read(self.folder)

    def copy(self, path: str, write: Write) -> None:
        """Pass on the bytes of a file from where it lies, and compare size and SHA-256.

        Raises `CorruptionError`, of a pack `ArchiveError`, if it is not what was sealed.
        """
        record, file = self.record(path), self.folder / path
        with storing(file), os.fdopen(open_sealed(file, record.size), "rb", buffering=0) as source:
            wrong = copied(source, record, write)
        if wrong:
            raise CorruptionError(f"{file}: {wrong}; get the version anew from its remote")

    def copy_all(self, folder: Path) -> None:
        """Copy all files but the manifest into an empty folder; they must be what was sealed."""
        for path, record in sorted(self.manifest.files.items()):
            make_folder((folder / path).parent)
            if copy_file(self.file(path), folder / path) != record:
                raise CorruptionError(f"{self.where}/{path}: changed since it was sealed")

    def strays(self) -> Iterator[Finding]:
        """Whatever lies there and was not sealed."""
        sealed = {*self.manifest.files, MANIFEST}
        folders = {parent for file in sealed for parent in parents(file) if parent}
        for key, entry in self._entries():
            if entry.is_symlink():
                target = Path(entry.path).readlink()
                yield finding("links", f"{key}: is a link, to {target}", key)
            elif entry.is_dir():
                if key not in folders:
                    yield finding(
                        "strays", f"{key}: a folder that does not belong to the version", key
                    )
            elif key not in sealed:
                yield _stray(key)

    def _entries(self) -> Iterator[tuple[str, os.DirEntry[str]]]:
        with storing(self.folder):
            yield from _walk(self.folder, "")

    def close(self) -> None:
        """Let go of what is held open."""
        if self.origin is not None:
            self.origin.close()


class FetchedFiles(LocalFiles):
    """The files of a version that lies elsewhere, each fetched when it is asked for."""

    origin: Origin

    def __init__(
        self, origin: Origin, path: Path, *, kept: Path | None = None, most_bytes: int = CACHE_BYTES
    ) -> None:
        """Read the manifest.

        Args:
            origin: where the files lie.
            path: of the folder that the version would have.
            kept: folder for fetched files; `cache_folder` unless told.
            most_bytes: most that they may take there; those used longest ago go first. Files that
                an open dataset has mapped take their room until it is closed.
        """
        self._most, self._used = most_bytes, dict[Path, int]()
        self.origin, self.where = origin, origin.where
        objects = (kept or cache_folder()) / "objects"
        super().__init__(path, self.read_manifest(), folder=objects, origin=origin)

    def read_manifest(self) -> Manifest:
        """The manifest as it lies there now; raises as opening the version does."""
        try:
            content = self.origin.read(MANIFEST)
        except NotFoundError:
            raise NotFoundError(
                f"{self.where}: no version there, it has no {MANIFEST}; give the address of the "
                "folder that holds one"
            ) from None
        return Manifest.from_bytes(content, f"{self.where}/{MANIFEST}")

    def file(self, path: str) -> Path:
        """Bring a file here, unless one of its size is here already; readers check its bytes."""
        record = self.record(path)
        target = self.folder / record.sha256[:2] / record.sha256
        try:
            if target.stat().st_size == record.size:
                self._note(target)
                return target
        except FileNotFoundError:
            pass
        with storing(target):
            with disposable(target) as file:
                self.copy(path, file.write)
            self._note(target)
            self._make_room(target)
        return target

    def _note(self, target: Path) -> None:
        """Say that a file was used now, and by whom."""
        self._used[target] = now = time.time_ns()
        os.utime(target, ns=(now, now))

    def _make_room(self, newest: Path) -> None:
        """Remove what was used longest ago; what others may be about to read stays a while."""
        states = {}
        for path in self.folder.glob("??/*"):
            with suppress(FileNotFoundError):
                states[path] = path.stat()
        total = sum(state.st_size for state in states.values())
        for path in sorted(states, key=lambda it: states[it].st_mtime_ns):
            if total > self._most and path != newest and self._may_go(path):
                path.unlink(missing_ok=True)
                total -= states[path].st_size

    def _may_go(self, path: Path) -> bool:
        with suppress(FileNotFoundError):
            used = path.stat().st_mtime_ns
            return used == self._used.get(path) or used < time.time_ns() - FRESH_NS
        return True

    def copy(self, path: str, write: Write) -> None:
        """Pass on the bytes of a file; raises as that of a version in a folder does."""
        self.origin.copy(path, self.record(path), write)

    def strays(self) -> Iterator[Finding]:
        """Whatever lies there and was not sealed, at most a thousand of it."""
        strays = sorted({*self.origin.keys()} - {MANIFEST, *self.manifest.files})
        return map(_stray, filter(_is_plain, strays[:MAX_STRAYS]))


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            key = f"{prefix}{entry.name}"
            yield key, entry
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path), f"{key}/")


def _stray(key: str) -> Finding:
    return finding("strays", f"{key}: does not belong to the version; remove it", key)


def make_folder(folder: Path) -> None:
    """Make a folder of a version and its parents; `whole_directory` makes them durable."""
    if not folder.is_dir():
        make_folder(folder.parent)
        system.OPS.mkdir(folder)


@contextmanager
def disposable(target: Path) -> Iterator[BinaryIO]:
    """Write a file of a cache: it is there whole or not at all, and may be deleted at any time."""
    target.parent.mkdir(parents=True, exist_ok=True)
    whole = target.with_name(f".{secrets.token_hex(8)}")
    try:
        with whole.open("xb") as file:
            yield file
        whole.replace(target)
    except BaseException:
        whole.unlink(missing_ok=True)
        raise


def cache_folder() -> Path:
    """Where fetched files are kept: ``TRAJSTORE_CACHE``, else in the user's cache folder."""
    chosen = os.environ.get("TRAJSTORE_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(chosen) if chosen else Path(base) / "trajstore"


def open_files(
    path: str | os.PathLike[str], *, kept: Path | None = None, most_bytes: int = CACHE_BYTES
) -> LocalFiles:
    """The files of the version in a folder or at a URL; ``file://`` is the folder that it names.

    Args:
        path: of the version, not of its manifest.
        kept: see `FetchedFiles`.
        most_bytes: see there.

    Raises:
        NotFoundError: if there is no version.
        FormatError: if it is of a newer format.
        CorruptionError: if its manifest is not what was sealed.
        StorageError: if the URL cannot be reached.
    """
    if not is_url(path):
        return LocalFiles(place(path))
    origin = remote_at(str(path))
    files = FetchedFiles(origin, Path(), kept=kept, most_bytes=most_bytes)
    files.path = _beside(origin.where, kept or cache_folder())
    files.again = partial(open_files, str(path), kept=kept, most_bytes=most_bytes)
    return files


def _beside(url: str, kept: Path) -> Path:
    """A path of the version's name, with what lies beside it at the URL beside it."""
    parent, _, name = url.rpartition("/")
    folder = kept / "beside" / hashlib.sha256(url.encode()).hexdigest()[:16]
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for kind in BESIDE:
            target = folder / f"{name}.{kind}.json"
            try:
                data = remote_at(parent).read(target.name)
            except NotFoundError:
                target.unlink(missing_ok=True)
            else:
                with disposable(target) as file:
                    file.write(data)
    return folder / name


def _is_plain(key: str) -> bool:
    return all(segment not in ("", ".", "..") for segment in key.split("/")) and key.isprintable()
