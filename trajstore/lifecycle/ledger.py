"""What happened to the versions of a dataset: one line an action, added and never changed.

Each line holds the digest of the line before it; the file is replaced as a whole for a new one.
"""

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import msgspec

from trajstore.disk.files import canonical_json, parse_json, read_file, replace_file
from trajstore.errors import CorruptionError, NotFoundError
from trajstore.version.manifest import Manifest

LEDGER = "ledger.jsonl"


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
    version: int
    digest: str
    time: str = ""
    why: str = ""
    archive: str = ""
    sha256: str = ""
    size: int = 0
    episodes: int = 0
    steps: int = 0
    previous: str = ""

    def to_bytes(self) -> bytes:
        """The line, with its end."""
        return canonical_json(msgspec.to_builtins(self)) + b"\n"


def read_ledger(folder: Path) -> list[Entry]:
    """The entries of a dataset, oldest first; raises `CorruptionError` naming a changed line."""
    path = folder / LEDGER
    try:
        data = read_file(path)
    except NotFoundError:
        return []
    entries: list[Entry] = []
    previous = ""
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        where = f"{path}, line {number}"
        entry = _parsed(line, where)
        if entry.previous != previous:
            raise CorruptionError(
                f"{where}: expected the line after {previous[:12] or 'none'}, got one after "
                f"{entry.previous[:12] or 'none'}; take the ledger from a good copy"
            )
        previous = hashlib.sha256(line).hexdigest()
        entries.append(entry)
    return entries


def add_entry(folder: Path, entry: Entry) -> None:
    """Add a line at the end, in one durable step; a damaged ledger is left as it is."""
    lines = [old.to_bytes() for old in read_ledger(folder)]
    previous = hashlib.sha256(lines[-1]).hexdigest() if lines else ""
    replace_file(folder / LEDGER, b"".join([*lines, replace(entry, previous=previous).to_bytes()]))


def entry_on(manifest: Manifest, deed: Deed, version: int, why: str) -> Entry:
    """An entry on a version as its manifest describes it; whoever adds it tells the time."""
    digest, episodes, steps = manifest.content_digest, manifest.episodes, manifest.steps
    return Entry(deed, version, digest, why=why, episodes=episodes, steps=steps)


def _parsed(line: bytes, where: str) -> Entry:
    try:
        entry = msgspec.convert(parse_json(line, where), Entry)
    except msgspec.ValidationError as error:
        raise CorruptionError(f"{where}: expected an entry of the ledger, got {error!r}") from error
    if entry.to_bytes() != line:
        raise CorruptionError(f"{where}: expected an entry as it was written, got a changed one")
    return entry
