"""Packs on anything that fsspec reaches: ``s3://``, ``gs://``, ``sftp://``, ``memory://``."""

import hashlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import fsspec

from trajstore.disk.system import FileRecord, storing
from trajstore.errors import NameRefusedError, NotFoundError, StorageError, TrajStoreError
from trajstore.version.location import PART, plain_name

ABSENT = (FileNotFoundError, IsADirectoryError)


@contextmanager
def reaching(where: Path | str) -> Iterator[None]:
    """Name what a service refuses: drivers raise errors of their own beside those of the system.

    Raises:
        StorageError: for every error that is none of this package.
    """
    try:
        with storing(where):
            yield
    except StorageError as error:
        refused = error.__cause__
        cause = _no_answer(refused) if isinstance(refused, OSError) else None
        if cause is None:
            raise
        raise StorageError(
            f"{where}: expected a service that answers, got {type(cause).__name__}: {cause}; "
            "check the address and the network"
        ) from refused
    except TrajStoreError:
        raise
    except Exception as error:
        raise StorageError(
            f"{where}: expected a service that answers, got {type(error).__name__}: {error}"
        ) from error


def driver(url: str) -> tuple[Any, str]:
    """What reads and writes at a URL, and the path that it knows the URL by.

    Raises:
        NameRefusedError: if there is no driver for the scheme at all.
        StorageError: if the driver's package is not installed, or refuses the URL.
    """
    scheme = url.partition("://")[0].rpartition("::")[2]
    try:
        files, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        package = str(getattr(error.__cause__ or error, "name", None) or "its package")
        package = package.partition(".")[0]
        wanted = '"trajstore[remote]"' if package == "s3fs" else package
        raise StorageError(
            f"{url}: expected an installed driver for {scheme}://, got none ({error}); "
            f"pip install {wanted}"
        ) from error
    except ValueError as error:
        if scheme in fsspec.available_protocols():
            raise StorageError(f"{url}: expected a URL of {scheme}://, got {error}") from error
        raise NameRefusedError(
            f"{url}: expected a scheme that fsspec has a driver for, got {scheme!r}; "
            "use one such as s3, gs, az, sftp, https, or a folder"
        ) from None
    return files, str(path).rstrip("/")


def is_missing(error: OSError) -> bool:
    """Whether a file is not there; drivers say so of a service that does not answer, too."""
    return _no_answer(error) is None


def _no_answer(error: OSError) -> BaseException | None:
    """What says that the service was not reached, or failed itself; ``None`` if it answered."""
    cause: BaseException | None = error
    while cause is not None:
        lost = isinstance(cause, ConnectionError | TimeoutError | socket.gaierror)
        if lost or getattr(cause, "status", 0) in range(500, 600):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None


class Remote:
    """A folder at a URL; options of the service come from fsspec's own configuration.

    An upload that was cut off leaves at most a file with ``.part`` behind its name.

    Raises:
        NameRefusedError: if there is no driver for such URLs.
        StorageError: from every method, if the service refuses or no driver for it is installed.
    """

    def __init__(self, url: str) -> None:
        """Use a URL; nothing is looked up yet."""
        self.url = url.rstrip("/")
        self._files, self._path = driver(self.url)

    def __repr__(self) -> str:
        return self.url

    def names(self) -> list[str]:
        """Return the names of whole files, sorted."""
        with reaching(self.url):
            self._files.invalidate_cache()
            if not self._files.isdir(self._path):
                return []
            paths = self._files.ls(self._path, detail=False)
        names = (str(path).rstrip("/").rpartition("/")[2] for path in paths)
        return sorted(name for name in names if not name.endswith(PART))

    def create(self, name: str) -> "Upload":
        """Begin a file."""
        with reaching(self.url):
            self._files.makedirs(self._path, exist_ok=True)
            return Upload(self._files.open(self._at(name) + PART, "wb"))

    def commit(self, name: str) -> None:
        """Give a closed file its name."""
        with reaching(self.url):
            if self._files.exists(self._at(name)):
                self._files.rm_file(self._at(name))
            self._files.mv(self._at(name) + PART, self._at(name))

    @contextmanager
    def reading(self, name: str) -> Iterator[BinaryIO]:
        """Open a whole file, or with ``.part`` behind its name one that is not committed yet."""
        with reaching(f"{self.url}/{name}"):
            try:
                file = self._files.open(self._at(name), "rb")
            except FileNotFoundError as error:
                if not is_missing(error):
                    raise
                raise NotFoundError(
                    f"{self.url}/{name}: expected a pack, got no such file"
                ) from None
        with file:
            yield file

    def _at(self, name: str) -> str:
        return f"{self._path}/{plain_name(name)}"


class Upload:
    """A file on its way to a `Remote`."""

    def __init__(self, file: Any) -> None:  # noqa: ANN401 - fsspec's
        """Write to an open file."""
        self._file = file
        self._sha = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes."""
        self._file.write(bytes(data))
        self._sha.update(data)
        self._size += len(data)

    def close(self) -> FileRecord:
        """Finish the upload and say what was sent."""
        self._file.close()
        return FileRecord(self._size, self._sha.hexdigest())

    def abandon(self) -> None:
        """Give up, unless it is finished."""
        if not self._file.closed:
            self._file.close()
