"""A version in the archive, opened for looking: its pack is an origin of sealed files.

What is asked for is fetched out of the pack, compared with its digest, and kept in the cache folder
of this machine. A pack of format 1 is unpacked there whole.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from weakref import finalize

from trajstore.dataset import Dataset
from trajstore.disk.system import storing
from trajstore.errors import ArchiveError, TrajStoreError
from trajstore.lifecycle.archive import Pack, compare_file, open_pack, unpack
from trajstore.lifecycle.ledger import Entry
from trajstore.version.files import FetchedFiles, LocalFiles, cache_folder
from trajstore.version.findings import Finding, finding
from trajstore.version.manifest import MANIFEST
from trajstore.version.transfer import Location


def open_archived(location: Location, entry: Entry, path: Path) -> Dataset:
    """Open an archived version; it holds its pack open until it is closed or forgotten.

    ``path`` is that of the folder that it had: verdict and replay report lie beside it.
    """
    return Dataset(_files(location, entry, path))


def _files(location: Location, entry: Entry, path: Path) -> LocalFiles:
    origin = ArchivedPack(location, entry, f"archive:{path.parent.name}@{path.name}")
    if isinstance(origin.pack, Pack):
        files: LocalFiles = FetchedFiles(origin, path)
    else:
        files = LocalFiles(path, folder=_unpacked(origin), origin=origin)
    files.again = partial(_files, location, entry, path)
    return files


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
    """A pack in the archive that the ledger names."""

    def __init__(self, location: Location, entry: Entry, where: str) -> None:
        self.where = where
        self._location, self._entry = location, entry
        with ExitStack() as stack:
            file = stack.enter_context(location.reading(entry.archive))
            with storing(entry.archive):
                self.pack = open_pack(file, entry.archive)
                size = file.seek(0, 2)
            digest = self.pack.manifest.content_digest
            if (size, digest) != (entry.size, entry.digest):
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
        checks: list[Callable[[], None]] = [partial(compare_file, self._location, self._entry)]
        if not isinstance(self.pack, Pack):
            checks.append(self.pack.check)
        for check in checks:
            try:
                check()
            except TrajStoreError as error:
                yield finding("archive", str(error), self._entry.archive)
