"""Where packs are kept: a folder, or anything else that can do the same.

A pack is written under a name that no reader looks at, made durable, read back, and only then given
its own name.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import BinaryIO

from trajstore.disk import system
from trajstore.disk.files import make_directories, remove_tree
from trajstore.disk.system import DurableFile, storing, sync_directory
from trajstore.errors import NotFoundError, StorageError
from trajstore.version.transfer import PART, Location, Remote, plain_name


class Folder:
    """A folder of the local file system, made when the first pack is written."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return str(self.path)

    def names(self) -> list[str]:
        """Return the names of whole files, sorted."""
        if not self.path.is_dir():
            return []
        with storing(self.path):
            return sorted(it.name for it in self.path.iterdir() if not it.name.endswith(PART))

    def create(self, name: str) -> DurableFile:
        """Begin a file."""
        with storing(self.path):
            make_directories(self.path)
            remove_tree(self._part(name))
            return DurableFile(self._part(name))

    def commit(self, name: str) -> None:
        """Give a closed file its name."""
        with storing(self.path):
            system.OPS.rename(self._part(name), self.path / plain_name(name))
            sync_directory(self.path)

    @contextmanager
    def reading(self, name: str) -> Iterator[BinaryIO]:
        """Open a whole file, or with ``.part`` behind its name one that is not committed yet."""
        path = self.path / plain_name(name)
        with storing(path):
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                raise NotFoundError(f"{path}: expected a pack, got no such file") from None
        with os.fdopen(descriptor, "rb") as file:
            yield file

    def _part(self, name: str) -> Path:
        return self.path / (plain_name(name) + PART)


def locate(where: Path | str) -> Location:
    """The location at a path or URL.

    Example:
        >>> locate("data/archive")
        data/archive
    """
    return remote_at(str(where)) if is_url(where) else Folder(Path(where))


def is_url(where: object) -> bool:
    """Whether something is a URL, and no path."""
    return "://" in str(where)


def remote_at(url: str) -> Remote:
    """The folder at a URL; raises as `locate` does."""
    try:
        found: Remote = import_module("trajstore.version.remote").RemoteFolder(url)
    except ModuleNotFoundError as error:
        raise StorageError(
            f"URL: expected the package {error.name!r}, got none installed; "
            "install trajstore with the extra 'remote'"
        ) from error
    return found
