"""One dataset of a store: its versions, their numbers, where they go, what is decided on them."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from loguru import logger

from trajstore.disk.files import is_there, killed_writes, make_directories
from trajstore.disk.locks import lock
from trajstore.disk.system import storing
from trajstore.episode.names import Reference, check_name, version_number
from trajstore.errors import LockedError, NotFoundError, StorageError, TrajStoreError
from trajstore.lifecycle.ledger import LEDGER, Deed, Entry, add_entry, read_ledger
from trajstore.quality.records import Clock, utc_now
from trajstore.quality.reviews import status_of
from trajstore.recording.unfinished import open_recording, unfinished
from trajstore.version.location import locate
from trajstore.version.manifest import MANIFEST, Manifest, Status, is_bereft
from trajstore.version.transfer import Location

_NUMBER = "v([1-9][0-9]{0,8})"
_TRACE = rf"\.?{_NUMBER}(?:\..*)?(?<!\.lock)"
PACK = re.compile(rf"([a-z0-9][a-z0-9_-]*)-{_NUMBER}-([0-9a-f]{{12}})\.zip")
"""The file name of a pack: dataset, number, first digits of the content digest."""


@dataclass(frozen=True)
class Shelf:
    """The versions of one dataset.

    Attributes:
        folder: of the dataset, named after it; versions lie in it as ``v1``, ``v2``, ...
        packs: path or URL where versions go that leave the folder.
        reviews: the file of people's decisions, which need not exist.
        clock: tells the time that the ledger notes.
    """

    folder: Path
    packs: Path | str
    reviews: Path
    clock: Clock = utc_now

    def __post_init__(self) -> None:
        check_name(self.folder.name)

    @property
    def name(self) -> str:
        """Name of the dataset."""
        return self.folder.name

    @cached_property
    def archive(self) -> Location:
        """The archive; nothing is asked of it before it is needed."""
        return locate(self.packs)

    def path(self, version: int) -> Path:
        """The folder of a live version."""
        return self.folder / f"v{version}"

    def removing(self, version: int) -> Path:
        """The folder of a version that is being removed."""
        return self.folder / f".v{version}.removing"

    def live(self) -> list[int]:
        """Numbers of the sealed versions in the folder, oldest first."""
        return [it for it in self._numbers(_NUMBER) if is_there(self.path(it) / MANIFEST)]

    def bereft(self) -> list[int]:
        """Numbers of the versions whose arrays lie in the folder without a manifest."""
        return [it for it in self._numbers(_NUMBER) if is_bereft(self.path(it))]

    def in_work(self, kind: str) -> list[int]:
        """Numbers of the versions in work: ``recording``, ``removing`` or ``sealing``."""
        return self._numbers(rf"\.{_NUMBER}\.{kind}")

    def is_used(self) -> bool:
        """Whether anything was ever recorded here, or is; what cannot be read is a trace too."""
        try:
            return bool(self._numbers(_TRACE)) or is_there(self.folder / LEDGER)
        except StorageError:
            return True

    def used(self) -> set[int]:
        """Numbers that left a trace here: live, in work, judged, or in the ledger; no mere lock."""
        found = self._numbers(_TRACE)
        return {*found, *(entry.version for entry in self.ledger())}

    def next_version(self) -> int:
        """The number after all that were ever used here, or are known to the archive.

        Without the archive, which may be out of reach for a while, what is known here counts: the
        ledger knows every version that left this store.
        """
        names: list[str] = []
        try:
            names = self.archive.names()
        except StorageError as error:
            logger.warning("{}: counted versions without the archive: {}", self.name, error)
        packs = [int(it[2]) for it in map(PACK.fullmatch, names) if it and it[1] == self.name]
        return 1 + max(self.used().union(packs), default=0)

    @contextmanager
    def claimed(self) -> Iterator[int]:
        """Hold the next number: whoever else asks meanwhile gets another one.

        It stays taken once something of that number lies here.

        Raises:
            StorageError: if the operating system refuses.
        """
        number = self.next_version()
        with storing(self.folder):
            make_directories(self.folder)
        while True:
            with ExitStack() as stack:
                try:
                    stack.enter_context(self.held(number))
                except LockedError:
                    free = False
                else:
                    free = number not in self.used()
                if free:
                    yield number
                    return
            number += 1

    def held(self, number: int) -> AbstractContextManager[None]:
        """Hold a number against everyone else who wants it for a new version."""
        return lock(self.folder / f".v{number}.number.lock", purpose=f"taking v{number}")

    def extended(self) -> set[int]:
        """Numbers of the versions that unfinished recordings of this dataset go on from."""
        found = set()
        for target in unfinished(self.folder):
            with suppress(TrajStoreError):
                base = open_recording(target).extends
                if base is not None and base.parent == self.folder.resolve():
                    found.add(version_number(base.name) or 0)
        return found

    def pack_name(self, version: int, digest: str) -> str:
        """The file name of a pack: two branches may both make a ``v4``."""
        return f"{self.name}-v{version}-{digest[:12]}.zip"

    def ledger(self) -> list[Entry]:
        """The entries of the ledger, oldest first."""
        return read_ledger(self.folder)

    def packed(self) -> dict[int, Entry]:
        """The newest entry that says where a version was archived, of each that ever was."""
        return {entry.version: entry for entry in self.ledger() if entry.deed is Deed.ARCHIVE}

    def note(self, entry: Entry) -> Entry:
        """Add a line to the ledger, with the time; returns it."""
        entry = replace(entry, time=self.clock())
        add_entry(self.folder, entry)
        return entry

    def digest(self, version: int) -> str:
        """The content digest of a live version, else the one in the ledger."""
        if not self.path(version).is_dir():
            noted = [it.digest for it in self.ledger() if it.version == version]
            if noted:
                return noted[-1]
        return Manifest.read(self.path(version)).content_digest

    def status(self, version: int, digest: str | None = None) -> Status:
        """The status that counts of a live or archived version, perhaps of known content."""
        path, known = self.path(version), digest or self.digest(version)
        return status_of(path, self.reviews, known, root=self.folder.parent)

    def archived(self, wanted: Reference) -> Entry:
        """The ledger's entry of the archived version that is meant.

        Without a number that is the newest validated one, or the newest of all for ``@latest``.
        """
        any_status = wanted.newest or wanted.version is not None
        for number, entry in sorted(self.packed().items(), reverse=True):
            if wanted.version in (None, number) and (
                any_status or self.status(number, entry.digest) is Status.VALIDATED
            ):
                return entry
        raise NotFoundError(
            f"{wanted}: there is no such {'' if any_status else 'validated '}version in the "
            "archive; 'trajstore list' shows what there is"
        )

    def litter(self) -> list[Path]:
        """Files of processes that died while they replaced a ledger, a verdict or a report."""
        with storing(self.folder):
            names = rf"ledger\.jsonl|{_NUMBER}\.(?:status|replay)\.json"
            return killed_writes(self.folder, names)

    @contextmanager
    def locked(self, purpose: str) -> Iterator[None]:
        """Hold the dataset against everyone else who publishes, rotates or restores."""
        with storing(self.folder):
            make_directories(self.folder)
        path = self.folder.with_name(f".{self.name}.lifecycle.lock")
        with lock(path, purpose=f"{purpose} {self.name}"):
            yield

    def _numbers(self, pattern: str) -> list[int]:
        return sorted(int(it[1]) for it in self._named(pattern))

    def _named(self, pattern: str) -> list[re.Match[str]]:
        with storing(self.folder):
            names = [it.name for it in self.folder.iterdir()] if self.folder.is_dir() else []
        return [it for it in map(re.compile(pattern).fullmatch, names) if it]
