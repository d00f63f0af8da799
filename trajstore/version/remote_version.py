"""A version at a URL, read without a copy of it: files are fetched when they are asked for.

A file is kept in a folder of this machine under its SHA-256, which the manifest names, so that a
wrong object is refused, and what two versions share is fetched once. The folder may be deleted at
any time. What lies beside the version (verdict, replay report) is looked up at each opening.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit
from urllib.request import url2pathname

from trajstore.dataset import Dataset
from trajstore.disk.files import COPY_BYTES, MAX_JSON_BYTES
from trajstore.disk.system import FileRecord, storing
from trajstore.errors import CorruptionError, NotFoundError, StorageError
from trajstore.version.findings import Finding
from trajstore.version.integrity import Progress, verify
from trajstore.version.manifest import MANIFEST, Manifest
from trajstore.version.opening import Opener
from trajstore.version.remote_location import ABSENT, driver, is_missing, reaching

CACHE_BYTES = 10_000_000_000
MAX_STRAYS = 1000
BESIDE = ("status", "replay")


def cache_folder() -> Path:
    """Where fetched files are kept: ``TRAJSTORE_CACHE``, else in the user's cache folder."""
    chosen = os.environ.get("TRAJSTORE_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(chosen) if chosen else Path(base) / "trajstore"


def open_remote(url: str, *, cache: Path | None = None, most_bytes: int = CACHE_BYTES) -> Dataset:
    """Open the version at a URL; ``file://`` is the folder that it names.

    Args:
        url: of the version, not of its manifest.
        cache: folder for fetched files, and for decoded rows of wide fields; without it fetched
            files go to `cache_folder`.
        most_bytes: most that fetched files may take there; those used longest ago go first. Files
            that an open dataset has mapped take their room until it is closed.

    Raises:
        NotFoundError: if there is no version.
        FormatError: if it is of a newer format.
        CorruptionError: if its manifest is not what was sealed.
        NameRefusedError: if there is no driver for such URLs.
        StorageError: if the URL cannot be reached.
    """
    if url.startswith("file://"):
        return Dataset.open(url2pathname(urlsplit(url).path), cache=cache)
    remote = RemoteFolder(url)
    try:
        manifest = Manifest.from_bytes(remote.read(MANIFEST), f"{remote.url}/{MANIFEST}")
    except NotFoundError:
        raise NotFoundError(
            f"{remote.url}: expected a sealed version, got no {MANIFEST} there"
        ) from None
    kept = cache or cache_folder()
    return RemoteDataset(remote, manifest, Kept(remote, manifest, kept, most_bytes), cache)


class RemoteFolder:
    """A folder at a URL, read only; options of the service come from fsspec's configuration.

    Raises:
        NameRefusedError: if there is no driver for such URLs.
        StorageError: from every method, if the service refuses or no driver for it is installed.
    """

    def __init__(self, url: str) -> None:
        """Use a URL; nothing is looked up yet."""
        self.url = url.rstrip("/")
        self._files, self._path = driver(self.url)

    def read(self, key: str, *, beside: bool = False) -> bytes:
        """Return a small file, or one that lies beside the folder.

        Raises:
            NotFoundError: if there is none.
            CorruptionError: if it is larger than any such file can be.
        """
        path = f"{self._path.rpartition('/')[0] if beside else self._path}/{key}"
        with reaching(f"{self.url}: {key}"):
            try:
                with self._files.open(path, "rb") as file:
                    data: bytes = file.read(MAX_JSON_BYTES + 1)
            except ABSENT as error:
                if not is_missing(error):
                    raise
                raise NotFoundError(f"{self.url}: expected {key}, got no such file") from None
        if len(data) > MAX_JSON_BYTES:
            raise CorruptionError(f"{self.url}: {key}: expected at most 64 MiB, got more")
        return data

    def copy(self, key: str, record: FileRecord, out: IO[bytes]) -> None:
        """Copy a sealed file, not a byte more than it has.

        Raises:
            CorruptionError: if it is missing, or other bytes than were sealed.
        """
        sha, size = hashlib.sha256(), 0
        with reaching(f"{self.url}/{key}"):
            try:
                with self._files.open(f"{self._path}/{key}", "rb") as file:
                    while block := file.read(min(COPY_BYTES, record.size + 1 - size)):
                        out.write(block)
                        sha.update(block)
                        size += len(block)
            except ABSENT as error:
                if not is_missing(error):
                    raise
                raise CorruptionError(
                    f"{self.url}/{key}: expected a file of {record.size:,} bytes, got none; "
                    "push the version again from a clone that has it"
                ) from None
        if (size, sha.hexdigest()) != (record.size, record.sha256):
            got = "more" if size > record.size else f"{size:,}"
            raise CorruptionError(
                f"{self.url}/{key}: expected {record.size:,} bytes with SHA-256 "
                f"{record.sha256[:16]}..., got {got} with {sha.hexdigest()[:16]}...; "
                "push the version again from a clone that has it"
            )

    def keys(self) -> Iterator[str]:
        """Yield the paths of all files, relative to the folder."""
        with reaching(self.url):
            self._files.invalidate_cache()
            paths = self._files.find(self._path)
        for path in paths:
            yield str(path).removeprefix(self._path).lstrip("/")


class Kept:
    """Files of one version in a folder of this machine, each fetched when it is asked for."""

    def __init__(
        self, remote: RemoteFolder, manifest: Manifest, folder: Path, most_bytes: int
    ) -> None:
        """Fetch nothing yet; the arguments are those of `open_remote`."""
        self.folder = folder
        self._remote = remote
        self._objects = folder / "objects"
        self._most = most_bytes
        self._sealed = {it.sha256: (key, it) for key, it in manifest.files.items()}

    def path(self, key: str, record: FileRecord) -> Path:
        """Where a file of the version will lie: two files of the same bytes lie in one place."""
        del key
        return self._objects / record.sha256[:2] / record.sha256

    def fetch(self, path: Path) -> None:
        """Bring a file here, unless one of its size is here already; readers check its bytes.

        Raises:
            CorruptionError: if the object at the URL is missing or not what was sealed.
            StorageError: if the URL cannot be reached, or this machine has no room.
        """
        key, record = self._sealed[path.name]
        try:
            if path.stat().st_size == record.size:
                os.utime(path)
                return
        except FileNotFoundError:
            pass
        with storing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    self._remote.copy(key, record, file)
                Path(name).replace(path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
            self._make_room(path)

    def _make_room(self, newest: Path) -> None:
        found = []
        for path in self._objects.glob("??/*"):
            state = path.stat()
            found.append((path == newest, state.st_mtime_ns, path, state.st_size))
        total = sum(size for *_, size in found)
        for kept, _, path, size in sorted(found):
            if total <= self._most or kept:
                return
            path.unlink(missing_ok=True)
            total -= size

    def beside(self, name: str, url: str) -> Path:
        """Return a path of the version's name, with what lies beside it at the URL beside it."""
        folder = self.folder / "beside" / hashlib.sha256(url.encode()).hexdigest()[:16]
        with storing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for kind in BESIDE:
                target = folder / f"{name}.{kind}.json"
                try:
                    data = self._remote.read(target.name, beside=True)
                except NotFoundError:
                    target.unlink(missing_ok=True)
                else:
                    target.write_bytes(data)
        return folder / name


class RemoteDataset(Dataset):
    """One version at a URL; use `open_remote` or ``Dataset.open``."""

    def __init__(
        self, remote: RemoteFolder, manifest: Manifest, kept: Kept, cache: Path | None
    ) -> None:
        """Fetch what lies beside the version."""
        self.manifest = manifest
        self._remote = remote
        self._cache = cache
        path = kept.beside(remote.url.rpartition("/")[2], remote.url)
        self._lies(path, Opener(path, manifest, cache=cache, fetching=kept), remote.url)

    def __reduce__(self) -> tuple[Callable[..., Dataset], tuple[object, ...]]:
        return partial(open_remote, cache=self._cache), (self.where,)

    def findings(self, *, deep: bool = False, progress: Progress = lambda _: None) -> list[Finding]:
        """Copy the version into a temporary folder and compare every byte of it there.

        Args:
            deep: also read every episode, check it against the schema, and compute its digest.
            progress: told of the bytes read.

        Raises:
            StorageError: if there is no room for a copy.
        """
        with tempfile.TemporaryDirectory(prefix="trajstore-") as name:
            copy = Path(name) / self.path.name
            free = shutil.disk_usage(name).free
            if free < self.manifest.size_bytes:
                raise StorageError(
                    f"{self.where}: expected room for a copy of {self.manifest.size_bytes:,} bytes "
                    f"in {name}, got {free:,}; name another folder with TMPDIR"
                )
            wrong = dict(self._copied(copy))
            found = verify(copy, deep=deep, progress=progress)
            return [_renamed(it, str(copy), self.where, wrong) for it in found]

    def _copied(self, folder: Path) -> Iterator[tuple[str, str]]:
        """Copy all files; yield those that could not be had as they were sealed, and why."""
        folder.mkdir()
        (folder / MANIFEST).write_bytes(self._remote.read(MANIFEST))
        for key, record in self.manifest.files.items():
            target = folder / key
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with target.open("wb") as file:
                    self._remote.copy(key, record, file)
            except CorruptionError as error:
                target.unlink()
                yield key, str(error)
        strays = sorted({*self._remote.keys()} - {MANIFEST, *self.manifest.files})
        for key in filter(_is_plain, strays[:MAX_STRAYS]):
            (folder / key).parent.mkdir(parents=True, exist_ok=True)
            (folder / key).touch()


def _is_plain(key: str) -> bool:
    return all(segment not in ("", ".", "..") for segment in key.split("/")) and key.isprintable()


def _renamed(finding: Finding, copy: str, where: str, wrong: dict[str, str]) -> Finding:
    """A finding on the copy, told of what was copied."""
    message = finding.message.replace(copy, where)
    if finding.check == "files" and finding.file in wrong:
        message = wrong[finding.file]
    return replace(finding, message=message)
