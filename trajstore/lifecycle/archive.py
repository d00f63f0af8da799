"""Pack a version into one file, compare it, unpack it.

A pack holds the sealed files of a version, byte for byte, and a record of them.
"""

import hashlib
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from trajstore.dataset import Dataset
from trajstore.disk.files import COPY_BYTES, whole_directory
from trajstore.disk.json_text import MAX_JSON_BYTES
from trajstore.disk.system import DurableFile, FileRecord, storing
from trajstore.errors import ArchiveError, NotFoundError
from trajstore.lifecycle.ledger import Entry
from trajstore.lifecycle.pack_v1 import OldPack, manifest_of
from trajstore.lifecycle.zipped import ZipReader, ZipWriter
from trajstore.version.files import FetchedFiles, make_folder
from trajstore.version.findings import Finding
from trajstore.version.integrity import check, verify
from trajstore.version.layout import arrays_of, frames_bytes, projected_bytes
from trajstore.version.manifest import MANIFEST, Manifest
from trajstore.version.transfer import Location, Origin, Write

KEPT_BYTES = 512 * 2**20
"""Most that files of a pack take in the temporary folder while its episodes are read."""


def pack(dataset: Dataset, write: Write) -> None:
    """Pack a sealed version through ``write``; the same version gives the same bytes."""
    files, entries = dataset.files, ZipWriter(write)
    with storing(dataset.path), ExitStack() as stack:
        stack.callback(entries.abandon)
        entries.add_bytes(MANIFEST, dataset.manifest.to_bytes())
        for path, record in sorted(dataset.manifest.files.items()):
            with entries.entry(path, record) as write:
                files.copy(path, write)
        entries.close()


class Pack(Origin):
    """A pack of today: an origin of the sealed files in it, which are those of its manifest."""

    def __init__(self, entries: ZipReader) -> None:
        self.where = entries.where
        self.manifest = manifest_of(entries)
        self._zip = entries
        schema, sealed = self.manifest.schema, self.manifest.files
        arrays = [spec for it in self.manifest.parts for spec in arrays_of(schema, it).values()]
        if sum(spec.file_count for spec in arrays) > len(sealed):
            raise ArchiveError(f"{self.where}: expected every chunk, got fewer entries")
        parts = self.manifest.parts
        most = sum(projected_bytes(schema, it) + frames_bytes(schema, it) for it in parts)
        if self.manifest.size_bytes > most:
            raise ArchiveError(
                f"{self.where}: expected files of at most {most:,} bytes, "
                f"got {self.manifest.size_bytes:,}"
            )
        listed = {path: it for path, it in entries.records.items() if path != MANIFEST}
        if listed != sealed:
            odd = min(it for it in listed.keys() | sealed if listed.get(it) != sealed.get(it))
            raise ArchiveError(f"{self.where}: expected the files of a version, not so {odd!r}")

    def read(self, key: str) -> bytes:
        """Return a small file; raises `ArchiveError` if it is not what was packed."""
        return self._zip.read(key, most=MAX_JSON_BYTES)

    def copy(self, key: str, record: FileRecord, write: Write) -> None:
        """Copy a sealed file; raises `ArchiveError` if it is not what was packed."""
        self._zip.copy(key, record, write)

    def keys(self) -> Iterable[str]:
        """Paths of all files."""
        return self._zip.records

    def check(self) -> None:
        """Compare every file with the manifest, and every episode with its digest."""
        with tempfile.TemporaryDirectory(prefix="trajstore-") as name:
            files = FetchedFiles(self, Path("pack"), kept=Path(name), most_bytes=KEPT_BYTES)
            _refuse(check(files, deep=True))

    def fill(self, folder: Path) -> Manifest:
        """Write the version into an empty folder; raises as `check` does."""
        for path, record in self._zip.records.items():
            make_folder((folder / path).parent)
            file = DurableFile(folder / path)
            try:
                self._zip.copy(path, record, file.write)
                file.close()
            finally:
                file.abandon()
        _refuse(verify(folder, deep=True))
        return self.manifest


def _refuse(findings: list[Finding]) -> None:
    if findings:
        raise ArchiveError(f"{findings[0].message}; restore from another copy")


def open_pack(file: BinaryIO, where: object = "pack") -> Pack | OldPack:
    """Open the pack in a seekable file; a changed one is refused unused, in bounded memory."""
    entries = ZipReader(file, where)
    return OldPack(entries) if entries.format_version == 1 else Pack(entries)


def unpack(packed: Pack | OldPack, target: Path) -> Manifest:
    """Write the version of a pack into a new folder; it is there whole and right, or not at all."""
    with whole_directory(target) as folder:
        return packed.fill(folder)


def file_record(archive: Location, name: str) -> FileRecord:
    """Size and SHA-256 of a file in an archive."""
    sha, size = hashlib.sha256(), 0
    with storing(name), archive.reading(name) as file:
        while block := file.read(COPY_BYTES):
            sha.update(block)
            size += len(block)
    return FileRecord(size, sha.hexdigest())


def compare_file(archive: Location, entry: Entry) -> None:
    """Compare a pack in the archive with the ledger, byte for byte."""
    try:
        found = file_record(archive, entry.archive)
    except NotFoundError as error:
        raise ArchiveError(f"{error}; take it from your backup of the archive") from error
    if found != FileRecord(entry.size, entry.sha256):
        raise ArchiveError(
            f"{entry.archive}: is not the pack that was archived, {entry.size:,} bytes "
            f"({entry.sha256[:12]}): it has {found.size:,} ({found.sha256[:12]}); take it from "
            "your backup of the archive"
        )
