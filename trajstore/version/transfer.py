"""What packs and sealed files are moved through, and what each such place must be able to do."""

import hashlib
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import IO, BinaryIO, Protocol

from trajstore.disk.files import COPY_BYTES
from trajstore.disk.system import FileRecord
from trajstore.errors import NameRefusedError
from trajstore.version.findings import Finding

Write = Callable[[bytes | bytearray | memoryview], object]
"""Takes the next bytes of a file."""
PART = ".part"
"""Behind the name of a pack that is not whole yet."""


class Sink(Protocol):
    """What a pack is written to, from its first byte to its last."""

    def write(self, data: bytes | bytearray | memoryview) -> object:
        """Take the next bytes."""

    def close(self) -> FileRecord:
        """Make all durable and say what it holds."""

    def abandon(self) -> None:
        """Give up; what was written is worth nothing."""


class Location(Protocol):
    """A place for packs. Names are plain file names."""

    def names(self) -> list[str]:
        """Return the names of whole files, sorted; none if the place does not exist yet."""

    def create(self, name: str) -> Sink:
        """Begin a file; it gets its name by `commit` only."""

    def commit(self, name: str) -> None:
        """Give a closed file its name, durably; a file of that name is replaced."""

    def reading(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Open a whole file, or with ``.part`` behind its name one that is not committed yet."""


class Origin(Protocol):
    """Where the sealed files of a version lie, if not in a folder of this machine."""

    where: str

    def read(self, key: str) -> bytes:
        """A small file; raises `NotFoundError` if there is none."""

    def copy(self, key: str, record: FileRecord, write: Write) -> None:
        """Copy a sealed file, not a byte more than it has; refuse other bytes than were sealed."""

    def keys(self) -> Iterable[str]:
        """Paths of all files, relative to the version."""

    def findings(self) -> Iterable[Finding]:
        """What is wrong with the place itself; nothing, unless it says so."""
        return ()

    def close(self) -> None:
        """Let go of what is held open, if anything is."""
        return


class Remote(Location, Origin, Protocol):
    """A folder at a URL: of packs, or of one version."""


def copied(source: IO[bytes], record: FileRecord, write: Write) -> str | None:
    """Copy a sealed file, at most a byte more than it has; what is wrong with it, in words."""
    sha, size = hashlib.sha256(), 0
    while block := source.read(min(COPY_BYTES, record.size + 1 - size)):
        write(block)
        sha.update(block)
        size += len(block)
    if (size, sha.hexdigest()) == (record.size, record.sha256):
        return None
    got = "more" if size > record.size else f"{size:,}"
    return (
        f"expected {record.size:,} bytes with SHA-256 {record.sha256[:16]}..., "
        f"got {got} with {sha.hexdigest()[:16]}..."
    )


def plain_name(name: str) -> str:
    """The name of a file, if it leads nowhere else."""
    if not name or name.startswith(".") or not name.isprintable() or set(name) & set("/\\:"):
        raise NameRefusedError(f"archive: expected a plain file name, got {ascii(name)[:80]}")
    return name
