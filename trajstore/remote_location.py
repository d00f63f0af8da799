"""Packs on anything that fsspec reaches: ``s3://``, ``gs://``, ``sftp://``, ``memory://``."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import fsspec

from trajstore.disk import FileRecord, storing
from trajstore.errors import NotFoundError, StorageError, TrajStoreError
from trajstore.location import PART, plain_name


@contextmanager
def reaching(where: Path | str) -> Iterator[None]:
    """Name what a service refuses: drivers raise errors of their own beside those of the system.

    Raises:
        StorageError: for every error that is none of this package.
    """
    try:
        with storing(where):
            yield
    except TrajStoreError:
        raise
    except Exception as error:
        raise StorageError(
            f"{where}: expected a service that answers, got {type(error).__name__}: {error}"
        ) from error


class Remote:
    """A folder at a URL; options of the service come from fsspec's own configuration.

    An upload that was cut off leaves at most a file with ``.part`` behind its name.

    Raises:
        StorageError: from every method, if the service refuses or no driver for it is installed.
    """

    def __init__(self, url: str) -> None:
        """Use a URL; nothing is looked up yet."""
        self.url = url.rstrip("/")
        try:
            self._files, path = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise StorageError(
                f"{url}: expected a location that fsspec knows, got {error}; "
                "install trajstore with the extra 'remote'"
            ) from error
        self._path = str(path).rstrip("/")

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
            except FileNotFoundError:
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
