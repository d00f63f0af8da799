"""Locks between processes, which end with their holder and name it to the others."""

import errno
import fcntl
import json
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from trajstore.disk.system import is_full, storing
from trajstore.errors import CorruptionError, LockedError

_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@contextmanager
def lock(path: Path, *, purpose: str, shared: bool = False) -> Iterator[None]:
    """Hold a lock that ends with this process, however it ends.

    An exclusive holder removes the file on leaving, a fork of it does not; a refused caller is told
    the holder's purpose, such as ``"recording v3"``, at once, by a `LockedError`. Who may share the
    folder may share its locks: the file follows the umask, and one that another user's process left
    behind when it was killed is replaced.
    """
    with storing(path):
        descriptor = _locked(path, shared=shared)
    process = os.getpid()
    try:
        holder = {"host": socket.gethostname(), "pid": process, "purpose": purpose}
        with suppress(OSError):  # a full disk has no room for a name: the lock is held without
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        yield
    finally:
        if not shared and process == os.getpid() and _same_file(descriptor, path):
            with suppress(OSError):
                path.unlink()
        os.close(descriptor)


def _locked(path: Path, *, shared: bool) -> int:
    while True:
        descriptor, is_ours = _opened(path)
        with ExitStack() as stack:
            stack.callback(os.close, descriptor)
            kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
            if kind not in (stat.S_IFREG, stat.S_IFDIR):
                raise CorruptionError(f"{path}: should be a lock, and is no file; remove it")
            try:
                fcntl.flock(
                    descriptor, fcntl.LOCK_NB | (fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
                )
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    raise
                raise LockedError(
                    f"{path}: in use by {_holder(descriptor)}; wait until it has ended"
                ) from None
            kept = _same_file(descriptor, path) and (is_ours or shared or not _removed(path))
            if kept or kind == stat.S_IFDIR:
                stack.pop_all()
                return descriptor


def _opened(path: Path) -> tuple[int, bool]:
    """A lock's file, made if there is none, and whether this user may write into it.

    Where the disk has no room for a file more, its folder is locked, so that room can be made.
    """
    try:
        return os.open(path, _FLAGS | os.O_RDWR | os.O_CREAT, 0o666), True
    except OSError as error:
        if is_full(error):
            return os.open(path.parent, _FLAGS | os.O_RDONLY), False
        if isinstance(error, PermissionError):
            with suppress(OSError):
                return os.open(path, _FLAGS | os.O_RDONLY), False
        raise


def _removed(path: Path) -> bool:
    """Remove a lock's file that a process of another user left; ``False`` if only it may."""
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        return False
    return True


def _holder(descriptor: int) -> str:
    with suppress(OSError, ValueError, KeyError, TypeError):
        told = json.loads(os.pread(descriptor, 4096, 0))
        return f"{told['purpose']} by process {told['pid']} on {told['host']}"
    return "an unnamed process"


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
