"""What happened to the versions of a dataset: one line an action, added and never changed.

Each line holds the digest of the line before it, and a check value of its own; lines of 0.1.0,
which have none, stay as they are. A last one counts them, so that lines lost at the end are told.
The file is replaced as a whole for a new one.
"""

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from shlex import quote
from typing import Annotated

import msgspec

from trajstore.disk.checked import CHECK, checked_line, read_line
from trajstore.disk.files import read_file, replace_file
from trajstore.disk.json_text import canonical_json, parse_json
from trajstore.episode.texts import shown
from trajstore.errors import CorruptionError, NotFoundError
from trajstore.quality.records import Digest
from trajstore.version.manifest import Manifest

Count = Annotated[int, msgspec.Meta(ge=0)]

LEDGER = "ledger.jsonl"
_REMEDY = "take the ledger from a good copy"


class Deed(StrEnum):
    """What was done to a version."""

    PUBLISH = "publish"
    ARCHIVE = "archive"
    REMOVE = "remove"
    RESTORE = "restore"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line.

    Attributes:
        digest: content digest of the version, hexadecimal.
        time: when, ISO 8601 with zone.
        archive: file name of the pack, where one is concerned; ``sha256`` and ``size`` are its.
        previous: SHA-256 of the line before, empty for the first.
    """

    deed: Deed
    version: Annotated[int, msgspec.Meta(ge=1)]
    digest: Digest
    time: str = ""
    why: str = ""
    archive: str = ""
    sha256: str = ""
    size: Count = 0
    episodes: Count = 0
    steps: Count = 0
    previous: str = ""

    def to_bytes(self) -> bytes:
        """The line, with its end."""
        return checked_line(msgspec.to_builtins(self))


def read_ledger(folder: Path) -> list[Entry]:
    """The entries of a dataset, oldest first; raises `CorruptionError` naming a changed line."""
    return _read(folder / LEDGER)[0]


def add_entry(folder: Path, entry: Entry) -> None:
    """Add an entry behind the others, in one durable step; a damaged ledger is left as it is."""
    lines = _read(folder / LEDGER)[1]
    lines.append(replace(entry, previous=_digest(lines)).to_bytes())
    replace_file(folder / LEDGER, b"".join([*lines, _end(lines)]))


def _read(path: Path) -> tuple[list[Entry], list[bytes]]:
    """The entries, and their lines; the last line must count them, unless all are of 0.1.0."""
    try:
        lines = read_file(path).splitlines(keepends=True)
    except NotFoundError:
        return [], []
    end = lines.pop() if lines and b'"entries":' in lines[-1] else b""
    entries: list[Entry] = []
    for number, line in enumerate(lines, start=1):
        where, previous = f"{path}, line {number}", _digest(lines[: number - 1])
        entry = _parsed(line, where)
        if entry.previous != previous:
            raise CorruptionError(
                f"{where}: expected the line after {previous[:12] or 'none'}, got one after "
                f"{entry.previous[:12] or 'none'}; {_REMEDY}"
            )
        entries.append(entry)
    ours = bool(lines) and not end
    former = ours and b'"check":' not in lines[-1]
    if not former and end != _end(lines):
        told = shown(end.decode(errors="replace")) if end else "none"
        adding = f"echo '{_end(lines).decode().strip()}' >> {quote(str(path))}"
        way = f"; a build between releases wrote none: if so, add it: {adding}" if ours else ""
        raise CorruptionError(
            f"{path}, line {len(lines) + 1}: expected one that counts the {len(lines)} before it, "
            f"got {told}; lines were lost or changed; {_REMEDY}{way}"
        )
    return entries, lines


def _digest(lines: list[bytes]) -> str:
    """SHA-256 of the last line, empty if there is none."""
    return hashlib.sha256(lines[-1]).hexdigest() if lines else ""


def _end(lines: list[bytes]) -> bytes:
    return checked_line({"entries": len(lines), "last": _digest(lines)})


def entry_on(manifest: Manifest, deed: Deed, version: int, why: str) -> Entry:
    """An entry on a version as its manifest describes it; whoever adds it tells the time."""
    digest, episodes, steps = manifest.content_digest, manifest.episodes, manifest.steps
    return Entry(deed, version, digest, why=why, episodes=episodes, steps=steps)


def _parsed(line: bytes, where: str) -> Entry:
    try:
        record = parse_json(line, where)
        checked = isinstance(record, dict) and CHECK in record
        entry = msgspec.convert(read_line(line, where) if checked else record, Entry)
    except CorruptionError as error:
        raise CorruptionError(f"{error}; {_REMEDY}") from error
    except msgspec.ValidationError as error:
        raise CorruptionError(
            f"{where}: expected an entry of the ledger, got {error!r}; {_REMEDY}"
        ) from error
    former = canonical_json(msgspec.to_builtins(entry)) + b"\n"
    if line != (entry.to_bytes() if checked else former):
        raise CorruptionError(
            f"{where}: expected an entry as it was written, got a changed one; {_REMEDY}"
        )
    return entry
