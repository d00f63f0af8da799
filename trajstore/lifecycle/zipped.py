"""One file of many entries: a zip, written and read with suspicion.

The last entry, ``pack.json``, lists all others with size and SHA-256. Nothing is ever extracted by
the names in the file: a reader asks for entries by the names that it expects.
"""

import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, BinaryIO, Literal

import msgspec

from trajstore.disk.json_text import MAX_JSON_BYTES, canonical_json
from trajstore.disk.system import FileRecord
from trajstore.errors import ArchiveError
from trajstore.version.manifest import MANIFEST
from trajstore.version.transfer import Write, copied

FORMAT_VERSION = 2
RECORD = "pack.json"
WHOLE = (MANIFEST, RECORD)
"""Entries that are read into memory, so that they lie as they are; all others are deflated."""
MAX_ENTRIES = 200_000
MAX_DIRECTORY_BYTES = 32 * 2**20
_EPOCH = (1980, 1, 1, 0, 0, 0)
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_TAIL = 65_535 + _END.size + _LOCATOR_64.size + _END_64.size


class _Sink:
    """What `zipfile` needs of a file that it never goes back in."""

    def __init__(self, write: Write) -> None:
        self._write: Write = write

    def drop(self) -> None:
        """Pass nothing on any more: `zipfile` writes its end even of a file that was given up."""
        self._write = len

    def write(self, data: bytes | bytearray | memoryview) -> int:
        self._write(data)
        return len(data)

    def flush(self) -> None:
        pass


class _Record(msgspec.Struct):
    entries: dict[str, FileRecord]
    format_version: Literal[1, 2]


class ZipWriter:
    """Entries one after the other; the same entries give the same bytes."""

    def __init__(self, write: Write) -> None:
        self._sink = _Sink(write)
        self._zip = zipfile.ZipFile(self._sink, "w")  # type: ignore[call-overload]
        self._entries: dict[str, object] = {}

    @contextmanager
    def entry(self, name: str, record: FileRecord) -> Iterator[Write]:
        """Write one entry; the block passes on what the record says."""
        self._entries[name] = {"sha256": record.sha256, "size": record.size}
        info = zipfile.ZipInfo(name, _EPOCH)
        info.create_system, info.external_attr = 3, 0o100644 << 16
        info.compress_type = zipfile.ZIP_STORED if name in WHOLE else zipfile.ZIP_DEFLATED
        info.file_size = record.size
        with self._zip.open(info, "w") as out:
            yield out.write

    def add_bytes(self, name: str, data: bytes) -> None:
        """Write one entry that is at hand."""
        with self.entry(name, FileRecord(len(data), hashlib.sha256(data).hexdigest())) as write:
            write(data)

    def close(self) -> None:
        """Write the record of all entries and the directory."""
        record = {"entries": self._entries, "format_version": FORMAT_VERSION}
        self.add_bytes(RECORD, canonical_json(record))
        self._zip.close()

    def abandon(self) -> None:
        """Write nothing any more, finished or not."""
        self._sink.drop()


class ZipReader:
    """The entries of a pack, each checked when it is read, in bounded memory.

    A file is refused whose entries are others than its record lists, encrypted, overlapping, too
    many, or compressed otherwise than packs are.
    """

    def __init__(self, file: BinaryIO, where: object) -> None:
        self.where = str(where)
        size = file.seek(0, io.SEEK_END)
        count = _check_directory(file, size, self.where)
        try:
            self._zip = zipfile.ZipFile(file)
            self._infos = _by_name(self._zip.infolist(), size, self.where)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError) as error:
            raise ArchiveError(f"{self.where}: expected a pack, got {error}") from error
        if len(self._infos) != count:
            raise ArchiveError(
                f"{self.where}: expected {count} entries as its end says, got {len(self._infos)}"
            )
        self.format_version, self.records = self._record()

    def read(self, name: str, *, most: int) -> bytes:
        """Return an entry of at most that many bytes."""
        record = self.records.get(name)
        if record is None or record.size > most:
            found = "none" if record is None else f"{record.size:,}"
            raise ArchiveError(
                f"{self.where}: expected entry {name!r} of at most {most:,} bytes, got {found}"
            )
        out = io.BytesIO()
        self.copy(name, record, out.write)
        return out.getvalue()

    def copy(self, name: str, record: FileRecord, write: Write) -> None:
        """Copy an entry that is listed; raises `ArchiveError` if it was changed."""
        with self._opened(name) as entry:
            wrong = copied(entry, record, write)
        if wrong:
            raise ArchiveError(
                f"{self.where}: entry {name!r} was changed: {wrong}; restore from another copy"
            )

    def _record(self) -> tuple[int, Mapping[str, FileRecord]]:
        info = self._infos.get(RECORD)
        if info is None or info.file_size > MAX_JSON_BYTES:
            raise ArchiveError(f"{self.where}: expected an entry {RECORD}, got none that fits")
        with self._opened(RECORD) as entry:
            data = entry.read(MAX_JSON_BYTES)
        try:
            if data.count(b"{") > len(self._infos) + 1:
                raise ValueError("more entries than it has")
            record = msgspec.json.decode(data, type=_Record)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise ArchiveError(
                f"{self.where}: expected a record of format 1 or {FORMAT_VERSION}, got {error!r}"
            ) from error
        infos = {name: it for name, it in self._infos.items() if name != RECORD}
        sizes = {name: it.file_size for name, it in infos.items()}
        if sizes != {name: entry.size for name, entry in record.entries.items()}:
            raise ArchiveError(
                f"{self.where}: expected the entries and sizes of {RECORD}, got others"
            )
        if record.format_version == 1 and any(it.compress_type for it in infos.values()):
            raise ArchiveError(f"{self.where}: expected stored entries, got compressed ones")
        return record.format_version, record.entries

    @contextmanager
    def _opened(self, name: str) -> Iterator[IO[bytes]]:
        try:
            with self._zip.open(self._infos[name]) as entry:
                yield entry
        except (
            *(zipfile.BadZipFile, zlib.error, NotImplementedError),
            *(ValueError, EOFError, KeyError),
        ) as error:
            raise ArchiveError(f"{self.where}: entry {name!r}: {error}") from error


def _check_directory(file: BinaryIO, size: int, where: str) -> int:
    """Refuse a directory larger than any pack's before it is read; returns its entries."""
    file.seek(max(0, size - _TAIL))
    tail = file.read(_TAIL)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise ArchiveError(f"{where}: expected a pack, got a file without a zip directory")
    *_, entries, length, _, _ = _END.unpack_from(tail, at)
    locator, end = at - _LOCATOR_64.size, at
    if locator >= 0 and tail[locator : locator + 4] == b"PK\x06\x07":
        end = locator - _END_64.size
        if end < 0 or tail[end : end + 4] != b"PK\x06\x06":
            raise ArchiveError(f"{where}: expected a pack, got a cut zip directory")
        *_, entries, length, _ = _END_64.unpack_from(tail, end)
    if entries > MAX_ENTRIES or length > min(MAX_DIRECTORY_BYTES, size):
        raise ArchiveError(
            f"{where}: expected at most {MAX_ENTRIES:,} entries, got a directory of {entries:,} "
            f"in {length:,} bytes"
        )
    file.seek(max(0, size - len(tail) + end - length))
    listed = file.read(length).count(b"PK\x01\x02")
    if listed > entries:
        raise ArchiveError(f"{where}: expected {entries:,} entries as its end says, got {listed:,}")
    file.seek(0)
    return int(entries)


def _by_name(infos: list[zipfile.ZipInfo], size: int, where: str) -> dict[str, zipfile.ZipInfo]:
    found: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        stored = info.compress_type == zipfile.ZIP_STORED and info.compress_size == info.file_size
        deflated = info.compress_type == zipfile.ZIP_DEFLATED and info.orig_filename not in WHOLE
        kind = info.external_attr >> 28
        if (
            info.orig_filename in found
            or not (stored or deflated)
            or info.flag_bits & 0x1
            or kind not in (0, 8)
        ):
            raise ArchiveError(
                f"{where}: expected entries once, as plain files, got {info.orig_filename!r}"
            )
        found[info.orig_filename] = info
    if sum(info.compress_size for info in infos) > size:
        raise ArchiveError(f"{where}: expected entries beside each other, got overlapping ones")
    return found
