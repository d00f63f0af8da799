"""The few file operations that must not be done halfway.

The order is always the same: files, then their folders, then the rename, then the parent.
"""

import errno
import hashlib
import io
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from trajstore.disk import system
from trajstore.disk.json_text import MAX_JSON_BYTES, parse_json
from trajstore.disk.locks import lock
from trajstore.disk.system import (
    DurableFile,
    FileRecord,
    Syncs,
    storing,
    sync_directory,
    sync_tree,
)
from trajstore.errors import (
    CorruptionError,
    LockedError,
    NotFoundError,
    SealedError,
    StorageError,
)

COPY_BYTES = 2**20


def write_file(path: Path, data: bytes, syncs: Syncs | None = None) -> FileRecord:
    """Write a new file, durable now or when ``syncs`` were waited for; its folder is not synced."""
    return _written(path, [data], syncs)


def copy_file(source: Path, target: Path) -> FileRecord:
    """Copy a file to a new, durable one, and say what was copied."""
    with open_file(source) as origin:
        return _written(target, iter(partial(origin.read, COPY_BYTES), b""))


def _written(path: Path, blocks: Iterable[bytes], syncs: Syncs | None = None) -> FileRecord:
    file = DurableFile(path)
    try:
        for block in blocks:
            file.write(block)
        return file.close(syncs)
    finally:
        file.abandon()


def make_directories(path: Path) -> None:
    """Make a folder and the parents it lacks, each durable in its own parent."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        try:
            system.OPS.mkdir(folder)
        except FileExistsError:  # of another process that was faster, unless it is no folder
            if not folder.is_dir():
                raise
        sync_directory(folder.parent)


def remove_tree(path: Path) -> None:
    """Remove a folder and all in it, without following links; what is gone already is removed."""
    if not os.path.lexists(path):
        return
    with suppress(FileNotFoundError):
        if path.is_symlink() or not path.is_dir():
            system.OPS.unlink(path)
            return
        for child in sorted(path.iterdir()):
            remove_tree(child)
        system.OPS.rmdir(path)


def check_removable(path: Path) -> None:
    """Refuse to begin the removal of a folder that this user could not finish.

    Raises:
        StorageError: naming the first folder in the way, and whose it is.
    """
    if not os.path.lexists(path):
        return
    with storing(path):
        inside = [path, *(it for it in path.rglob("*") if it.is_dir() and not it.is_symlink())]
        for folder in (path.parent, *inside):
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
                break
            found, users = folder.stat(), (folder.stat().st_uid, path.lstat().st_uid)
            if found.st_mode & stat.S_ISVTX and os.geteuid() not in (0, *users):
                break
        else:
            return
        raise StorageError(
            f"{path}: you may not remove {folder}, which belongs to user "
            f"{folder.stat().st_uid}; let that user do it, or open it to your group: chmod -R "
            f"g+rwX {path}"
        )


@contextmanager
def whole_directory(target: Path) -> Iterator[Path]:
    """Yield a folder to fill; it becomes ``target``, durably, when the block ends well.

    If it does not, the target is absent, unless only the last sync failed: it may then be whole.
    The folder belongs to one process at a time; another one is refused by a `LockedError`.
    """
    check_new(target)
    with storing(target):
        make_directories(target.parent)
        with _sealing(target) as whole, _becoming(target, whole):
            check_new(target)
            system.OPS.mkdir(whole)
            yield whole
            sync_tree(whole)


def clear_sealing(target: Path) -> None:
    """Remove what a process left that died while it filled a folder for ``target``.

    What somebody is at work in stays, and what only another user may remove.
    """
    if not any(map(os.path.lexists, (_whole(target), _sealing_lock(target)))):
        return
    with suppress(LockedError, StorageError), _sealing(target) as whole:
        if whole.exists():
            check_removable(whole)
        remove_tree(whole)


@contextmanager
def _sealing(target: Path) -> Iterator[Path]:
    with lock(_sealing_lock(target), purpose=f"sealing {target.name}"):
        yield _whole(target)


def _whole(target: Path) -> Path:
    return target.with_name(f".{target.name}.sealing")


def _sealing_lock(target: Path) -> Path:
    return target.with_name(f".{target.name}.sealing.lock")


@contextmanager
def _becoming(target: Path, whole: Path) -> Iterator[None]:
    """Give what the block makes at ``whole`` its name, durably; remove it if the block fails."""
    remove_tree(whole)
    try:
        yield
        system.OPS.rename(whole, target)
    except BaseException as error:
        try:
            remove_tree(whole)
        except OSError as second:  # which must not hide the error that brought us here
            error.add_note(f"{whole} could not be removed ({second}); it is removed next time")
        raise
    sync_directory(target.parent)


def check_new(target: Path) -> None:
    """Refuse a target that exists."""
    if os.path.lexists(target):
        raise SealedError(f"{target}: is sealed already; record the next version")


def write_json(path: Path, value: object) -> None:
    """Put JSON in place of a file in one durable step; a reader sees the old or the new."""
    text = json.dumps(value, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False)
    replace_file(path, text.encode() + b"\n")


def replace_file(path: Path, data: bytes) -> None:
    """Put bytes in place of a file in one durable step; if it fails, the old ones stay.

    What processes left that died in this is removed.
    """
    whole = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with storing(path), _becoming(path, whole):
        write_file(whole, data)
    with suppress(OSError):  # of another user, or in a folder that may not be listed
        for litter in killed_writes(path.parent, re.escape(path.name)):
            remove_tree(litter)


def killed_writes(folder: Path, names: str) -> list[Path]:
    """What processes left that died while they replaced files whose names match a pattern."""
    pattern = re.compile(rf"\.(?:{names})\.(?P<by>[0-9]{{1,9}})\.partial")
    found = [pattern.fullmatch(it.name) for it in folder.iterdir()] if folder.is_dir() else []
    return [folder / it[0] for it in found if it and not _alive(int(it["by"]))]


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process != os.getpid()


def read_json(path: Path) -> Any:  # noqa: ANN401 - JSON is what it is
    """Read JSON strictly: UTF-8, finite, of bounded size; raises as `read_file`, `parse_json`."""
    return parse_json(read_file(path), path)


def open_file(path: Path | str, *, follow: bool = True) -> io.BufferedReader:
    """Open a file for reading; a pipe, a device or a socket is refused, never waited for.

    Unless told to follow, a symbolic link is refused too.

    Raises:
        CorruptionError: if there is something else than a file.
        OSError: as `open` does.
    """
    flags = 0 if follow else os.O_NOFOLLOW
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise CorruptionError(
            f"{path}: is a pipe, a device or a socket, not a file; remove it, or name a file"
        )
    return os.fdopen(descriptor, "rb")


def is_there(path: Path) -> bool:
    """Whether something lies at a path, or may: behind a door that is shut to this user."""
    try:
        return path.exists()
    except PermissionError:
        return True
    except OSError:
        return False


def read_file(path: Path) -> bytes:
    """Read a metadata file whole; none is a `NotFoundError`, one too large a `CorruptionError`."""
    try:
        with storing(path), open_file(path) as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(min(size, MAX_JSON_BYTES) + 1) or b""  # None of one that would block
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            raise NotFoundError(f"{path}: there is no such file") from None
        raise
    if len(data) > MAX_JSON_BYTES:
        raise CorruptionError(
            f"{path}: is larger than {MAX_JSON_BYTES:,} bytes, too large for what it should be"
        )
    return data


def digest(path: Path) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    with storing(path), open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_bytes(folder: Path) -> int:
    """Sum of the sizes of all files below a folder, bytes; 0 if it is absent."""
    if not folder.is_dir():
        return 0
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
