"""Locks between processes, which end with their holder and name it to the others."""

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trajstore.disk.files import canonical_json, parse_json
from trajstore.disk.system import storing
from trajstore.errors import LockedError, TrajStoreError


@contextmanager
def lock(path: Path, *, purpose: str, shared: bool = False) -> Iterator[None]:
    """Hold a lock that ends with this process, however it ends.

    An exclusive holder removes the file on leaving, a fork of it does not; a refused caller is told
    the holder's purpose, such as ``"recording v3"``, at once, by a `LockedError`.
    """
    with storing(path):
        descriptor = _locked(path, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    process = os.getpid()
    try:
        holder = {"host": socket.gethostname(), "pid": process, "purpose": purpose}
        with storing(path):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, canonical_json(holder), 0)
        yield
    finally:
        if not shared and process == os.getpid() and _same_file(descriptor, path):
            path.unlink(missing_ok=True)
        os.close(descriptor)


def _locked(path: Path, kind: int) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except OSError as error:
            holder = "an unnamed process"
            with suppress(TrajStoreError, KeyError, TypeError):
                told = parse_json(os.pread(descriptor, 4096, 0), "lock")
                holder = f"{told['purpose']} by process {told['pid']} on {told['host']}"
            os.close(descriptor)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise LockedError(
                    f"{path}: expected nobody else at work here, got {holder}; "
                    "wait until it has ended"
                ) from None
            raise
        if _same_file(descriptor, path):
            return descriptor
        os.close(descriptor)


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
