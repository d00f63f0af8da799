"""Where packs are kept: a folder, or anything else that can do the same.

A pack is written under a name that no reader looks at, made durable, read back, and only then given
its own name.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from trajstore.disk import system
from trajstore.disk.files import make_directories, open_file, remove_tree
from trajstore.disk.system import DurableFile, storing, sync_directory
from trajstore.episode.texts import shown
from trajstore.errors import ArgumentError, NotFoundError, StorageError
from trajstore.version.transfer import PART, Location, Remote, plain_name

_FILE_URL = re.compile(r"file:(?://(?P<host>[^/]*))?(?P<path>/.*)", re.IGNORECASE | re.DOTALL)


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
                file = open_file(path, follow=False)
            except FileNotFoundError:
                raise NotFoundError(f"{path}: there is no such pack") from None
        with file:
            yield file

    def _part(self, name: str) -> Path:
        return self.path / (plain_name(name) + PART)


def locate(where: Path | str) -> Location:
    """The location at a path or URL.

    Example:
        >>> locate("/data/archive")
        /data/archive
    """
    return remote_at(str(where)) if is_url(where) else Folder(place(where))


def check_lasting(where: Path | str) -> None:
    """Refuse an archive that is gone with this process.

    Raises:
        ArgumentError: if it lies in memory.
    """
    if is_url(where) and re.search(r"(?:^|::)memory:", str(where), re.IGNORECASE):
        raise ArgumentError(
            f"{where}: the memory of this process ends with it; name a folder as the archive, "
            "or a URL of a service"
        )


def is_url(where: object) -> bool:
    """Whether something is a URL of another place than a folder of this machine."""
    return "://" in str(where) and not _FILE_URL.match(str(where))


def place(where: os.PathLike[str] | str) -> Path:
    """The folder or file that a path means, however it is spelled; ``file://`` is one, too.

    Links, ``..`` and ``~`` are followed, so that what lies beside it is found beside what it is.

    Example:
        >>> place("/data/./store/../store/"), place("file:///data/store")
        (PosixPath('/data/store'), PosixPath('/data/store'))

    Raises:
        ArgumentError: if it is a URL of another machine, or means no path.
    """
    if not isinstance(where, str | os.PathLike) or not str(where):
        raise ArgumentError(f"path: expected text or a pathlib.Path, got {shown(where)}")
    text = os.fspath(where)
    if is_url(text):
        raise ArgumentError(f"{text!r}: expected a path of this machine, got another place")
    if url := _FILE_URL.match(text):
        if url["host"] not in (None, "", "localhost"):
            raise ArgumentError(
                f"{text}: expected a file of this machine, got one of {url['host']!r}; "
                f"three slashes begin a path: file:///{url['host']}{url['path']}"
            )
        text = unquote(url["path"])
    if "\0" in text:
        raise ArgumentError(f"{text!r}: expected a path, got one with a zero in it")
    home = os.path.expanduser(text)  # noqa: PTH111 - to pathlib, ./~ is ~
    if home.startswith("~"):
        raise ArgumentError(f"{text}: no user of that name; write ./{text} if a file is meant")
    path = Path(home)
    with suppress(OSError, RuntimeError):
        return path.resolve()
    try:  # a link that leads to itself is told of by whoever opens it
        return path.parent.resolve() / path.name
    except (OSError, RuntimeError, ValueError) as error:
        raise ArgumentError(f"{text}: leads nowhere: {error}") from (error)


def remote_at(url: str) -> Remote:
    """The folder at a URL; raises as `locate` does."""
    try:
        found: Remote = import_module("trajstore.version.remote").RemoteFolder(url)
    except ModuleNotFoundError as error:
        raise StorageError(
            f"a URL needs the package {error.name!r}: pip install 'trajstore[remote]'"
        ) from error
    return found
