"""One file of many entries: a zip without compression, written and read with suspicion.

The last entry, ``pack.json``, lists all others with size and SHA-256. Nothing is ever extracted by
the names in the file: a reader asks for entries by the names that it expects.
"""

import hashlib
import io
import struct
import zipfile
from collections.abc import Callable, Mapping
from typing import BinaryIO

from trajstore.disk.files import MAX_JSON_BYTES, canonical_json, parse_json
from trajstore.disk.system import FileRecord
from trajstore.errors import ArchiveError, CorruptionError

Write = Callable[[bytes | bytearray | memoryview], object]
FORMAT_VERSION = 1
RECORD = "pack.json"
MAX_ENTRIES = 200_000
MAX_DIRECTORY_BYTES = 64 * 2**20
_EPOCH = (1980, 1, 1, 0, 0, 0)
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_TAIL = 65_535 + _END.size + _LOCATOR_64.size


class Unseekable(io.RawIOBase):
    """What `zipfile` needs of a file to write to, over any sink; it never goes back in it."""

    def __init__(self, write: Write) -> None:
        self._write, self._at = write, 0

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        """Hand the bytes on."""
        self._write(data)
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._at


class ZipWriter:
    """Entries one after the other; the same entries give the same bytes."""

    def __init__(self, write: Write) -> None:
        """Write through a function that takes bytes."""
        self._zip = zipfile.ZipFile(Unseekable(write), "w", zipfile.ZIP_STORED)  # type: ignore[arg-type]
        self._records: dict[str, FileRecord] = {}

    def add(self, name: str, data: bytes) -> None:
        """Write one entry."""
        self._records[name] = FileRecord(len(data), hashlib.sha256(data).hexdigest())
        self._entry(name, data)

    def close(self) -> None:
        """Write the record of all entries and the directory."""
        entries = {name: record.to_json() for name, record in self._records.items()}
        record = {"entries": entries, "format_version": FORMAT_VERSION}
        self._entry(RECORD, canonical_json(record))
        self._zip.close()

    def _entry(self, name: str, data: bytes) -> None:
        info = zipfile.ZipInfo(name, _EPOCH)
        info.create_system, info.external_attr = 3, 0o100644 << 16
        self._zip.writestr(info, data)


class ZipReader:
    """The entries of a pack, each checked when it is read.

    Raises:
        ArchiveError: if the file is no pack: other entries than its record lists, compressed,
            encrypted, overlapping, too many, or larger together than the file.
    """

    def __init__(self, file: BinaryIO, where: object) -> None:
        """Read the directory and the record of a seekable file."""
        self._where = str(where)
        size = file.seek(0, io.SEEK_END)
        count = _check_directory(file, size, self._where)
        try:
            self._zip = zipfile.ZipFile(file)
            self._infos = _by_name(self._zip.infolist(), size, self._where)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError) as error:
            raise ArchiveError(f"{self._where}: expected a pack, got {error}") from error
        if len(self._infos) != count:
            raise ArchiveError(
                f"{self._where}: expected {count} entries as its end says, got {len(self._infos)}"
            )
        self.records = self._record()

    def read(self, name: str, *, most: int) -> bytes:
        """Return an entry of at most that many bytes.

        Raises:
            ArchiveError: if it is missing, larger, or not what the record says.
        """
        record = self.records.get(name)
        if record is None or record.size > most:
            found = "none" if record is None else f"{record.size:,}"
            raise ArchiveError(
                f"{self._where}: expected entry {name!r} of at most {most:,} bytes, got {found}"
            )
        data = self._bytes(name, record.size)
        if hashlib.sha256(data).hexdigest() != record.sha256:
            raise ArchiveError(
                f"{self._where}: expected entry {name!r} as it was packed, got changed bytes; "
                "restore from another copy"
            )
        return data

    def _record(self) -> Mapping[str, FileRecord]:
        info = self._infos.get(RECORD)
        if info is None or info.file_size > MAX_JSON_BYTES:
            raise ArchiveError(f"{self._where}: expected an entry {RECORD}, got none that fits")
        try:
            record = parse_json(self._bytes(RECORD, info.file_size), self._where)
            if record["format_version"] != FORMAT_VERSION:
                raise ValueError(f"format {record['format_version']!r}")
            found = {name: _file_record(entry) for name, entry in record["entries"].items()}
        except (CorruptionError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise ArchiveError(
                f"{self._where}: expected a record of format {FORMAT_VERSION}, got {error!r}"
            ) from error
        sizes = {name: it.file_size for name, it in self._infos.items() if name != RECORD}
        if sizes != {name: entry.size for name, entry in found.items()}:
            raise ArchiveError(
                f"{self._where}: expected the entries and sizes of {RECORD}, got others"
            )
        return found

    def _bytes(self, name: str, size: int) -> bytes:
        try:
            with self._zip.open(self._infos[name]) as entry:
                data = entry.read(size + 1)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, KeyError) as error:
            raise ArchiveError(f"{self._where}: entry {name!r}: {error}") from error
        if len(data) != size:
            raise ArchiveError(
                f"{self._where}: entry {name!r}: expected {size} bytes, got {len(data)}"
            )
        return data


def _check_directory(file: BinaryIO, size: int, where: str) -> int:
    """Refuse a directory larger than any pack's before it is read; returns its entries."""
    file.seek(max(0, size - _TAIL))
    tail = file.read(_TAIL)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise ArchiveError(f"{where}: expected a pack, got a file without a zip directory")
    *_, entries, length, _, _ = _END.unpack_from(tail, at)
    locator = at - _LOCATOR_64.size
    if locator >= 0 and tail[locator : locator + 4] == b"PK\x06\x07":
        _, _, offset, _ = _LOCATOR_64.unpack_from(tail, locator)
        file.seek(min(offset, size))
        record = file.read(_END_64.size)
        if len(record) < _END_64.size:
            raise ArchiveError(f"{where}: expected a pack, got a cut zip directory")
        *_, entries, length, _ = _END_64.unpack(record)
    if entries > MAX_ENTRIES or length > min(MAX_DIRECTORY_BYTES, size):
        raise ArchiveError(
            f"{where}: expected at most {MAX_ENTRIES:,} entries, got a directory of {entries:,} "
            f"in {length:,} bytes"
        )
    file.seek(0)
    return int(entries)


def _by_name(infos: list[zipfile.ZipInfo], size: int, where: str) -> dict[str, zipfile.ZipInfo]:
    found: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        stored = info.compress_type == zipfile.ZIP_STORED and info.compress_size == info.file_size
        kind = info.external_attr >> 28
        if info.orig_filename in found or not stored or info.flag_bits & 0x1 or kind not in (0, 8):
            raise ArchiveError(
                f"{where}: expected entries stored once, as plain files, got {info.orig_filename!r}"
            )
        found[info.orig_filename] = info
    if sum(info.file_size for info in infos) > size:
        raise ArchiveError(f"{where}: expected entries beside each other, got overlapping ones")
    return found


def _file_record(entry: Mapping[str, object]) -> FileRecord:
    size, sha256 = entry["size"], entry["sha256"]
    if type(size) is not int or size < 0 or not isinstance(sha256, str) or len(entry) != 2:
        raise ValueError(f"entry {entry!r}")
    return FileRecord(size, sha256)
