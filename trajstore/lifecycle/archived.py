"""A version in the archive, opened for looking: its pack is an origin of sealed files.

What is asked for is fetched out of the pack, compared with its digest, and kept in the cache folder
of this machine. A pack of format 1 is unpacked there whole.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from weakref import finalize

from trajstore.dataset import Dataset
from trajstore.disk.system import storing
from trajstore.episode.names import Reference
from trajstore.errors import ArchiveError, NotFoundError, TrajStoreError
from trajstore.lifecycle.archive import Pack, compare_file, open_pack, unpack
from trajstore.lifecycle.ledger import Entry
from trajstore.lifecycle.shelf import PACK, Shelf
from trajstore.version.files import FetchedFiles, LocalFiles, cache_folder
from trajstore.version.findings import Finding, finding
from trajstore.version.location import is_url, locate, place
from trajstore.version.manifest import MANIFEST
from trajstore.version.transfer import Location


def open_archived(location: Location, entry: Entry, path: Path) -> Dataset:
    """Open an archived version; it holds its pack open until it is closed or forgotten.

    ``path`` is that of the folder that it had: verdict and replay report lie beside it.
    """
    where = f"archive:{path.parent.name}@{path.name}"
    return Dataset(_files(location, entry.archive, entry, where, _Known(path)))


def is_pack(location: str | None) -> bool:
    """Whether a path or URL means one file, as packs are."""
    if location is None or not location.endswith(".zip"):
        return False
    return is_url(location) or place(location).is_file()


def archived_version(wanted: Reference, shelf: Callable[[str], Shelf]) -> Reference:
    """The version that a reference means: that of the pack, if it is the path of one.

    Raises:
        NotFoundError: if the pack is none that the ledger of its dataset names.
    """
    pack = PACK.fullmatch(str(wanted.location).rpartition("/")[2])
    if pack is None:
        return wanted
    noted = shelf(pack[1]).packed().get(int(pack[2]))
    if noted is None or noted.archive != pack[0]:
        raise NotFoundError(
            f"{wanted}: the ledger of {pack[1]} does not name this pack; look at it with "
            "'trajstore inspect'"
        )
    return Reference(pack[1], noted.version)


def open_packed(location: str, beside: Callable[[str], Path | None]) -> Dataset:
    """Open the version in the pack at a path or URL, whether a ledger names it or not.

    ``beside`` tells of a content digest which folder the version had, if that is known.
    """
    parent, _, name = location.rpartition("/")
    if not is_url(location):
        parent, name = str(place(location).parent), place(location).name
    return Dataset(_files(locate(parent), name, None, location, beside))


def _files(
    location: Location,
    name: str,
    entry: Entry | None,
    where: str,
    beside: Callable[[str], Path | None],
) -> LocalFiles:
    origin = ArchivedPack(location, name, entry, where)
    path = beside(origin.pack.manifest.content_digest) or Path(name).with_suffix("").absolute()
    if isinstance(origin.pack, Pack):
        files: LocalFiles = FetchedFiles(origin, path)
    else:
        files = LocalFiles(path, folder=_unpacked(origin), origin=origin)
    files.again = partial(_files, location, name, entry, where, _Known(path))
    return files


@dataclass(frozen=True)
class _Known:
    """The folder of a version that was found once; unlike a function of a store, it can travel."""

    path: Path

    def __call__(self, _: str) -> Path:
        return self.path


def _unpacked(origin: "ArchivedPack") -> Path:
    target = cache_folder() / "unpacked" / origin.pack.manifest.content_digest
    with storing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if not (target / MANIFEST).exists():
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as name:
                made = Path(name) / "version"
                unpack(origin.pack, made)
                with suppress(FileNotFoundError):
                    if not (target / MANIFEST).exists():
                        target.rename(made.with_name("cleaned in part"))
                with suppress(OSError):  # of another process that was faster
                    made.rename(target)
    return target


class ArchivedPack:
    """A pack: one in the archive, which must be what the ledger's entry says, or any other."""

    def __init__(self, location: Location, name: str, entry: Entry | None, where: str) -> None:
        self.where = where
        self._location, self._entry = location, entry
        with ExitStack() as stack:
            file = stack.enter_context(location.reading(name))
            with storing(name):
                self.pack = open_pack(file, name)
                size = file.seek(0, 2)
            digest = self.pack.manifest.content_digest
            if entry is not None and (size, digest) != (entry.size, entry.digest):
                raise ArchiveError(
                    f"{where}: expected the pack of {entry.size:,} bytes with content "
                    f"{entry.digest[:12]} that the ledger names, got {size:,} bytes with content "
                    f"{digest[:12]}; restore it from its own backup"
                )
            if isinstance(self.pack, Pack):
                self.read, self.copy, self.keys = self.pack.read, self.pack.copy, self.pack.keys
            self.close = finalize(self, stack.pop_all().close)

    def findings(self) -> Iterator[Finding]:
        """Compare the pack with the ledger byte for byte; in format 1, its episodes too."""
        checks: list[Callable[[], None]] = []
        if self._entry is not None:
            checks.append(partial(compare_file, self._location, self._entry))
        if not isinstance(self.pack, Pack):
            checks.append(self.pack.check)
        for check in checks:
            try:
                check()
            except TrajStoreError as error:
                yield finding("archive", str(error), self.pack.where)
