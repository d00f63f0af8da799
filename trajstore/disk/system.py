"""The system calls that change a disk, and a file that is durable once closed.

Every durable write of the package goes through `OPS`, so that a test can put a fault at any of
them.
"""

import errno
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from trajstore.errors import StorageError

_BUFFER_BYTES = 2**20
_DIRECT_BYTES = 2**16
MAX_OPEN = 64
SYNC_THREADS = 8
T = TypeVar("T")
_REMEDIES = {
    errno.ENOSPC: "free some space and try again",
    errno.EDQUOT: "free some space under your disk quota and try again",
    errno.EIO: "check the disk, then try again",
    errno.EROFS: "mount the file system writable, or choose another folder",
    errno.EACCES: "change the permissions, or choose another folder",
    errno.EPERM: "change the permissions, or choose another folder",
    errno.EMFILE: "raise the limit of open files (ulimit -n) and try again",
    errno.ENFILE: "close other programs' files and try again",
    errno.ENOTDIR: "move the file that is in the way, or choose another folder",
    errno.EEXIST: "move what is in the way, or choose another folder",
    errno.EISDIR: "move the folder that is in the way, or choose another path",
    errno.ENOTEMPTY: "see what lies in that folder, then move it or choose another",
    errno.ELOOP: "replace the symbolic link by what it points to",
    errno.ENAMETOOLONG: "shorten the path or the names in it",
    errno.ENOENT: "see whether something else moved or removed it, then try again",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f), or choose another file system",
}


class Operations:
    """The system calls that change a disk, one method each."""

    def open(self, path: Path, flags: int) -> int:
        """Open without following a link or waiting for a pipe; new files follow the umask."""
        return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)

    def write(self, descriptor: int, data: bytes | bytearray | memoryview, offset: int) -> int:
        """Write at an offset; returns how many bytes were taken."""
        return os.pwrite(descriptor, data, offset)

    def fsync(self, descriptor: int) -> None:
        """Make a file or folder durable, its size and times included."""
        os.fsync(descriptor)

    def fdatasync(self, descriptor: int) -> None:
        """Make a file's content durable, and its size if that changed."""
        os.fdatasync(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut a file, or extend it by zeros."""
        os.ftruncate(descriptor, size)

    def mkdir(self, path: Path) -> None:
        """Make one folder."""
        path.mkdir()

    def rename(self, source: Path, target: Path) -> None:
        """Rename in one step; an existing file is replaced, a folder with content is not."""
        source.rename(target)

    def unlink(self, path: Path) -> None:
        """Remove a file or a link."""
        path.unlink()

    def rmdir(self, path: Path) -> None:
        """Remove an empty folder."""
        path.rmdir()


OPS = Operations()
"""What all durable writes go through."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What is known of a sealed file.

    Attributes:
        size: bytes.
        crc32c: of a file that holds rows: the number in its last four bytes, eight hexadecimal
            digits. A reader compares it, so that files of one size cannot change places.
    """

    size: int
    sha256: str
    crc32c: str | None = field(default=None, compare=False)

    def to_json(self) -> dict[str, object]:
        """A mapping of plain values."""
        plain: dict[str, object] = {"sha256": self.sha256, "size": self.size}
        return plain if self.crc32c is None else {"crc32c": self.crc32c, **plain}

    def ending(self, crc: int) -> "FileRecord":
        """The same, with the checksum that the file ends with."""
        return replace(self, crc32c=f"{crc:08x}")


@contextmanager
def storing(where: Path | str) -> Iterator[None]:
    """Turn a refusal of the operating system into a `StorageError`: where, what, and what to do."""
    try:
        yield
    except OSError as error:
        code = errno.errorcode.get(error.errno or 0, type(error).__name__)
        place = error.filename2 or error.filename
        at = f" at {place}" if place is not None and str(place) != str(where) else ""
        remedy = _REMEDIES.get(error.errno or 0, f"look at {place or where}, then try again")
        raise StorageError(f"{where}: {error.strerror or error} ({code}){at}; {remedy}") from error


def is_full(error: BaseException | None) -> bool:
    """Whether the system refused, by itself or as the cause of our error, for want of room."""
    refused = error.__cause__ if isinstance(error, StorageError) else error
    return isinstance(refused, OSError) and refused.errno in (errno.ENOSPC, errno.EDQUOT)


class DurableFile:
    """A new file, digested while it is written; its `OSError` are for the caller's `storing`."""

    def __init__(self, path: Path) -> None:
        self._descriptor = OPS.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        self._sha = hashlib.sha256()
        self._pending = bytearray()
        self._flushed = 0
        self.size = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes."""
        self.size += len(data)
        if len(data) >= _DIRECT_BYTES:
            self._flush()
            self._put(data)
            return
        self._pending += data
        if len(self._pending) >= _BUFFER_BYTES:
            self._flush()

    def close(self, syncs: "Syncs | None" = None) -> FileRecord:
        """Say what the file holds; it is durable now, or when ``syncs`` were waited for."""
        self._flush()
        pending = Syncs() if syncs is None else syncs
        descriptor, self._descriptor = self._descriptor, -1
        pending.add(descriptor, self.size)
        if syncs is None:
            pending.wait()
        return FileRecord(self.size, self._sha.hexdigest())

    def abandon(self) -> None:
        """Release the descriptor; what was written is worth nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _flush(self) -> None:
        if self._pending:
            self._put(self._pending)
            self._pending = bytearray()

    def _put(self, data: bytes | bytearray | memoryview) -> None:
        self._sha.update(data)
        write_at(self._descriptor, data, self._flushed)
        self._flushed += len(data)


class Syncs:
    """Open files that still have to be made durable, several at a time.

    A file is synced through the descriptor that wrote it, so that no write error can be missed.
    """

    def __init__(self) -> None:
        self._descriptors: list[int] = []
        self._pool: ThreadPoolExecutor | None = None
        self._begun: dict[int, Future[None]] = {}

    def add(self, descriptor: int, size: int = 0) -> None:
        """Take over an open file; a large one is begun with, of many small ones all at once."""
        self._descriptors.append(descriptor)
        if size >= _BUFFER_BYTES and SYNC_THREADS > 1:
            self._pool = self._pool or ThreadPoolExecutor(SYNC_THREADS)
            self._begun[descriptor] = self._pool.submit(OPS.fsync, descriptor)
        if len(self._descriptors) >= MAX_OPEN:
            self.wait()

    def wait(self) -> None:
        """Make all files durable and close them."""
        try:
            _in_parallel(OPS.fsync, [it for it in self._descriptors if it not in self._begun])
            for begun in self._begun.values():
                begun.result()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close all files, whatever becomes of them."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
        self._begun.clear()
        while self._descriptors:
            os.close(self._descriptors.pop())


def _in_parallel(action: Callable[[T], None], items: Sequence[T]) -> None:
    """Sync calls wait for the disk; side by side, they wait together."""
    if len(items) < 2 or SYNC_THREADS < 2:
        for item in items:
            action(item)
        return
    with ThreadPoolExecutor(SYNC_THREADS) as pool:
        for _ in pool.map(action, items):
            pass


def write_at(descriptor: int, data: bytes | bytearray | memoryview, offset: int) -> None:
    """Write all of the data at an offset."""
    view = memoryview(data)
    while view:
        taken = OPS.write(descriptor, view, offset)
        view, offset = view[taken:], offset + taken


def sync_tree(folder: Path) -> None:
    """Make all files and folders below a folder durable, and the folder itself."""
    paths = sorted(folder.rglob("*"))
    folders = [path for path in paths if path.is_dir()]
    _in_parallel(_sync, [path for path in paths if not path.is_dir()])
    _in_parallel(sync_directory, [*reversed(folders), folder])


def sync_directory(path: Path) -> None:
    """Make the entries of a folder durable."""
    _sync(path, os.O_DIRECTORY)


def _sync(path: Path, flags: int = 0) -> None:
    descriptor = OPS.open(path, os.O_RDONLY | flags)
    try:
        OPS.fsync(descriptor)
    finally:
        os.close(descriptor)
