"""Where the versions of one dataset live, where they go, and what is decided about them."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trajstore.disk.files import make_directories, storing
from trajstore.disk.locks import lock
from trajstore.episode.names import check_name, version_number
from trajstore.lifecycle.ledger import Entry, numbers, read_ledger
from trajstore.lifecycle.rotation import next_version
from trajstore.quality.judging import Clock, utc_now
from trajstore.quality.reviews import status_of
from trajstore.version.location import Location
from trajstore.version.manifest import MANIFEST, Manifest, Status

_IN_WORK = re.compile(r"\.v([1-9][0-9]{0,8})\.(recording|removing|sealing)")
_PARTIAL = re.compile(r"\.(?:ledger\.jsonl|v[1-9][0-9]{0,8}\.status\.json)\.([0-9]{1,9})\.partial")
_PACK = re.compile(r"v([1-9][0-9]{0,8})-[0-9a-f]{12}\.zip")


@dataclass(frozen=True, slots=True)
class Place:
    """The versions of one dataset.

    Attributes:
        folder: of the dataset, named after it; versions lie in it as ``v1``, ``v2``, ...
        archive: where versions go that leave the folder.
        reviews: the file of people's decisions, if there is one.
        clock: tells the time that ledger and verdicts note.

    Raises:
        NameRefusedError: if the folder's name is no dataset's.
    """

    folder: Path
    archive: Location
    reviews: Path | None = None
    clock: Clock = utc_now

    def __post_init__(self) -> None:
        check_name(self.folder.name)

    @property
    def name(self) -> str:
        """Name of the dataset."""
        return self.folder.name

    def path(self, version: int) -> Path:
        """Return the folder of a live version."""
        return self.folder / f"v{version}"

    def removing(self, version: int) -> Path:
        """Return the folder of a version that is being removed."""
        return self.folder / f".v{version}.removing"

    def live(self) -> list[int]:
        """Return the numbers of the sealed versions in the folder, sorted."""
        if not self.folder.is_dir():
            return []
        found = [(version_number(it.name), it) for it in self.folder.iterdir()]
        return sorted(it for it, path in found if it is not None and (path / MANIFEST).exists())

    def in_work(self, kind: str) -> list[int]:
        """Return the numbers of versions in work: ``recording``, ``removing`` or ``sealing``."""
        if not self.folder.is_dir():
            return []
        matches = [_IN_WORK.fullmatch(it.name) for it in self.folder.iterdir()]
        return sorted(int(it[1]) for it in matches if it and it[2] == kind)

    def ledger(self) -> list[Entry]:
        """Return the entries of the ledger, oldest first."""
        return read_ledger(self.folder)

    def status(self, version: int) -> Status:
        """Return the status of a version that counts: its last review, else its verdict."""
        return status_of(self.path(version), self.reviews, self.digest(version))

    def digest(self, version: int) -> str:
        """Return the content digest of a live version, else the one in the ledger.

        Raises:
            NotFoundError: if the version is neither live nor in the ledger.
        """
        if not self.path(version).is_dir():
            for entry in reversed(self.ledger()):
                if entry.version == version:
                    return entry.digest
        return Manifest.read(self.path(version)).content_digest

    def next_version(self) -> int:
        """Return the number after all that live, are recorded, archived, or in the ledger."""
        packs = [
            _PACK.fullmatch(name.removeprefix(f"{self.name}-")) for name in self.archive.names()
        ]
        known = {int(match[1]) for match in packs if match} | numbers(self.ledger())
        for kind in ("recording", "removing", "sealing"):
            known |= set(self.in_work(kind))
        return next_version(known | set(self.live()))

    def pack_name(self, version: int, digest: str) -> str:
        """Return the file name of a pack: two branches may both make a ``v4``.

        Example:
            >>> from trajstore.version.location import Folder
            >>> Place(Path("store/expert"), Folder(Path("a"))).pack_name(4, "3f9c0a7be5d1" * 5)
            'expert-v4-3f9c0a7be5d1.zip'
        """
        return f"{self.name}-v{version}-{digest[:12]}.zip"

    def litter(self) -> list[Path]:
        """Return files of processes that died while they replaced a ledger or a verdict."""
        found = [(_PARTIAL.fullmatch(it.name), it) for it in self.folder.iterdir()]
        return [path for match, path in found if match and not _alive(int(match[1]))]

    @contextmanager
    def locked(self, purpose: str) -> Iterator[None]:
        """Hold the dataset against everyone else who publishes, rotates or restores.

        Raises:
            LockedError: naming who does.
        """
        with storing(self.folder):
            make_directories(self.folder)
        path = self.folder.with_name(f".{self.name}.lifecycle.lock")
        with lock(path, purpose=f"{purpose} {self.name}"):
            yield


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process != os.getpid()
