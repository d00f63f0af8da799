"""Packs and versions on anything that fsspec reaches: ``s3://``, ``gs://``, ``sftp://``."""

import hashlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import fsspec
from fsspec.implementations.memory import MemoryFileSystem
from loguru import logger

from trajstore.disk.json_text import MAX_JSON_BYTES
from trajstore.disk.system import FileRecord, storing
from trajstore.errors import (
    CorruptionError,
    NameRefusedError,
    NotFoundError,
    StorageError,
    TrajStoreError,
)
from trajstore.version.transfer import PART, Remote, Write, copied, plain_name

_ABSENT = (FileNotFoundError, IsADirectoryError)


@contextmanager
def reaching(where: Path | str) -> Iterator[None]:
    """Name what a service refuses: drivers raise errors of their own beside those of the system."""
    try:
        with storing(where):
            yield
    except StorageError as error:
        refused = error.__cause__
        cause = _no_answer(refused) if isinstance(refused, OSError) else None
        if cause is None:
            raise
        raise StorageError(
            f"{where}: the service does not answer: {type(cause).__name__}: {cause}; check the "
            "address and the network"
        ) from refused
    except TrajStoreError:
        raise
    except Exception as error:
        raise StorageError(
            f"{where}: the service does not answer: {type(error).__name__}: {error}"
        ) from error


def driver(url: str) -> tuple[Any, str]:
    """What reads and writes at a URL, and the path that it knows the URL by."""
    scheme = url.partition("://")[0].rpartition("::")[2]
    if len(scheme) < 2:
        raise NameRefusedError(f"{url}: expected a scheme such as s3 before ://, got {scheme!r}")
    try:
        files, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        package = str(getattr(error.__cause__ or error, "name", None) or "its package")
        package = package.partition(".")[0]
        wanted = '"trajstore[remote]"' if package == "s3fs" else package
        raise StorageError(
            f"{url}: {scheme}:// needs a package that is not installed ({error}): pip install "
            f"{wanted}"
        ) from error
    except ValueError as error:
        if scheme in fsspec.available_protocols():
            raise StorageError(f"{url}: expected a URL of {scheme}://, got {error}") from error
        raise NameRefusedError(
            f"{url}: expected a scheme that fsspec has a driver for, got {scheme!r}; "
            "use one such as s3, gs, az, sftp, https, or a folder"
        ) from None
    except Exception as error:
        raise StorageError(
            f"{url}: expected a URL that leads to files, got {type(error).__name__}: {error}"
        ) from error
    return files, str(path).rstrip("/")


def _no_answer(error: OSError) -> BaseException | None:
    """What says that the service was not reached, or failed itself; ``None`` if it answered."""
    cause: BaseException | None = error
    while cause is not None:
        lost = isinstance(cause, ConnectionError | TimeoutError | socket.gaierror)
        if lost or getattr(cause, "status", 0) in range(500, 600):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None


class RemoteFolder(Remote):
    """A folder at a URL; options of the service come from fsspec's own configuration.

    An upload that was cut off leaves at most a file with ``.part`` behind its name.
    """

    def __init__(self, url: str) -> None:
        bare = url.rstrip("/")
        self.where = bare if "://" in bare else url
        self._files, self._path = driver(self.where)

    def __repr__(self) -> str:
        return self.where

    def names(self) -> list[str]:
        """Return the names of whole packs, sorted."""
        with reaching(self.where):
            self._files.invalidate_cache()
            if not self._files.isdir(self._path):
                return []
            paths = self._files.ls(self._path, detail=False)
        names = (str(path).rstrip("/").rpartition("/")[2] for path in paths)
        return sorted(name for name in names if not name.endswith(PART))

    def create(self, name: str) -> "Upload":
        """Begin a pack."""
        with reaching(self.where):
            if isinstance(self._files, MemoryFileSystem):
                logger.warning("{}: what goes there is gone when this process ends", self.where)
            self._files.makedirs(self._path, exist_ok=True)
            at = f"{self.where}/{name}"
            return Upload(_Reached(self._files.open(self._at(name) + PART, "wb"), at))

    def commit(self, name: str) -> None:
        """Give a closed pack its name."""
        with reaching(self.where):
            if self._files.exists(self._at(name)):
                self._files.rm_file(self._at(name))
            self._files.mv(self._at(name) + PART, self._at(name))

    @contextmanager
    def reading(self, name: str) -> Iterator[BinaryIO]:
        """Open a whole pack, or with ``.part`` behind its name one that is not committed yet."""
        with reaching(f"{self.where}/{name}"):
            file = self._opened(plain_name(name))
        if file is None:
            raise NotFoundError(f"{self.where}/{name}: there is no such pack")
        reached = _Reached(file, f"{self.where}/{name}")
        try:
            yield cast("BinaryIO", reached)
        finally:
            with suppress(StorageError):  # what was read is read
                reached.close()

    def read(self, key: str) -> bytes:
        """Return a small file."""
        with reaching(f"{self.where}: {key}"):
            file = self._opened(key)
            if file is None:
                raise NotFoundError(f"{self.where}: {key} is missing")
            with file:
                data: bytes = file.read(MAX_JSON_BYTES + 1)
        if len(data) > MAX_JSON_BYTES:
            raise CorruptionError(f"{self.where}: {key}: expected at most 64 MiB, got more")
        return data

    def copy(self, key: str, record: FileRecord, write: Write) -> None:
        """Copy a sealed file; raises `CorruptionError` if it is missing or another."""
        with reaching(f"{self.where}/{key}"):
            file = self._opened(key)
            wrong: str | None = f"is missing, {record.size:,} bytes"
            if file is not None:
                with file:
                    wrong = copied(file, record, write)
        if wrong:
            raise CorruptionError(
                f"{self.where}/{key}: {wrong}; push the version again from a clone that has it"
            )

    def keys(self) -> Iterator[str]:
        """Yield the paths of all files, relative to the folder."""
        with reaching(self.where):
            self._files.invalidate_cache()
            paths = self._files.find(self._path)
        for path in paths:
            yield str(path).removeprefix(self._path).lstrip("/")

    def _at(self, name: str) -> str:
        return f"{self._path}/{plain_name(name)}"

    def _opened(self, key: str) -> Any:  # noqa: ANN401 - fsspec's
        """A file, ``None`` if it is not there; drivers say so of silent services, too."""
        try:
            return self._files.open(f"{self._path}/{key}", "rb")
        except _ABSENT as error:
            if _no_answer(error) is not None:
                raise
            return None


class Upload:
    """A pack on its way to a `RemoteFolder`."""

    def __init__(self, file: "_Reached") -> None:
        self._file = file
        self._sha, self._size = hashlib.sha256(), 0

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
        """Give up, unless it is finished; a service that is lost keeps at most a part."""
        with suppress(StorageError):
            self._file.close()


class _Reached:
    """A file at a URL; what its driver raises is named, whenever it does."""

    def __init__(self, file: Any, where: str) -> None:  # noqa: ANN401 - fsspec's
        self._file, self._where = file, where

    def read(self, size: int = -1) -> bytes:
        with reaching(self._where):
            data: bytes = self._file.read(size)
        return data

    def write(self, data: bytes) -> None:
        with reaching(self._where):
            self._file.write(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        with reaching(self._where):
            place: int = self._file.seek(offset, whence)
        return place

    def tell(self) -> int:
        return int(self._file.tell())

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        with reaching(self._where):
            if not self._file.closed:
                self._file.close()
