"""The few file operations that must not be done halfway.

The order is always the same: files, then their folders, then the rename, then the parent.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trajstore.disk import system
from trajstore.disk.system import (
    DurableFile,
    FileRecord,
    Syncs,
    storing,
    sync_directory,
    sync_paths,
)
from trajstore.errors import CorruptionError, NotFoundError, SealedError, StorageError

__all__ = [
    "DurableFile",
    "FileRecord",
    "Syncs",
    "canonical_json",
    "check_new",
    "copy_file",
    "digest",
    "make_directories",
    "parse_json",
    "read_file",
    "read_json",
    "remove_tree",
    "replace_file",
    "size_bytes",
    "storing",
    "sync_directory",
    "sync_tree",
    "whole_directory",
    "write_file",
    "write_json",
    "write_later",
]

COPY_BYTES = 2**20
MAX_JSON_BYTES = 64 * 2**20


def write_file(path: Path, data: bytes) -> FileRecord:
    """Write a new file and make its content durable; its folder is not synced."""
    syncs = Syncs()
    try:
        record = write_later(path, data, syncs)
        syncs.wait()
    finally:
        syncs.abandon()
    return record


def write_later(path: Path, data: bytes, syncs: Syncs) -> FileRecord:
    """Write a new file; it is durable when the syncs were waited for."""
    file = DurableFile(path)
    try:
        file.write(data)
        return file.close_later(syncs)
    finally:
        file.abandon()


def make_directories(path: Path) -> None:
    """Make a folder and the parents it lacks, each durable in its own parent."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        system.OPS.mkdir(folder)
        sync_directory(folder.parent)


def remove_tree(path: Path) -> None:
    """Remove a folder and all in it, without following links; nothing happens if it is absent."""
    if not os.path.lexists(path):
        return
    if path.is_symlink() or not path.is_dir():
        system.OPS.unlink(path)
        return
    for child in sorted(path.iterdir()):
        remove_tree(child)
    system.OPS.rmdir(path)


@contextmanager
def whole_directory(target: Path) -> Iterator[Path]:
    """Yield a folder to fill; it becomes ``target``, durably, when the block ends well.

    Raises:
        SealedError: if the target exists.
        StorageError: if the operating system refuses; the target is then absent, unless only
            the last sync failed, in which case it may be there, whole.
    """
    check_new(target)
    partial = target.with_name(f".{target.name}.sealing")
    with storing(target):
        make_directories(target.parent)
        remove_tree(partial)
        system.OPS.mkdir(partial)
        try:
            yield partial
            sync_tree(partial)
            system.OPS.rename(partial, target)
        except BaseException as error:
            _discard(partial, error)
            raise
        sync_directory(target.parent)


def check_new(target: Path) -> None:
    """Refuse a target that exists.

    Raises:
        SealedError: if it does.
    """
    if os.path.lexists(target):
        raise SealedError(f"{target}: expected a new version, got one that is sealed")


def _discard(partial: Path, error: BaseException) -> None:
    """Remove what is of no use; a refusal here must not hide the error that brought us here."""
    try:
        remove_tree(partial)
    except OSError as second:
        error.add_note(f"{partial} could not be removed ({second}); it is removed next time")


def sync_tree(folder: Path) -> None:
    """Make all files and folders below a folder durable, and the folder itself."""
    paths = sorted(folder.rglob("*"))
    folders = [path for path in paths if path.is_dir()]
    sync_paths([path for path in paths if not path.is_dir()], [*reversed(folders), folder])


def canonical_json(value: object) -> bytes:
    """The one way in which this package writes a value as JSON: sorted, compact, finite, UTF-8."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False
    )
    return text.encode()


def write_json(path: Path, value: object) -> None:
    """Put JSON in place of a file in one durable step; a reader sees the old or the new.

    Raises:
        StorageError: if the operating system refuses; the old file is then unchanged.
    """
    text = json.dumps(value, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False)
    replace_file(path, text.encode() + b"\n")


def replace_file(path: Path, data: bytes) -> None:
    """Put bytes in place of a file in one durable step.

    Raises:
        StorageError: if the operating system refuses.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with storing(path):
        try:
            remove_tree(partial)
            write_file(partial, data)
            system.OPS.rename(partial, path)
        except BaseException as error:
            _discard(partial, error)
            raise
        sync_directory(path.parent)


def read_json(path: Path) -> Any:  # noqa: ANN401 - JSON is what it is
    """Read JSON strictly: UTF-8, finite, of bounded size.

    Raises:
        NotFoundError: if there is no such file.
        CorruptionError: if it is not JSON.
        StorageError: if it cannot be read.
    """
    return parse_json(read_file(path), path)


def read_file(path: Path) -> bytes:
    """Read a metadata file whole.

    Raises:
        NotFoundError: if there is no such file.
        CorruptionError: if it is larger than any such file can be.
        StorageError: if it cannot be read.
    """
    try:
        with storing(path), path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(min(size, MAX_JSON_BYTES) + 1)
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            raise NotFoundError(f"{path}: expected a file, got nothing there") from None
        raise
    if len(data) > MAX_JSON_BYTES:
        raise CorruptionError(f"{path}: expected at most {MAX_JSON_BYTES:,} bytes, got more")
    return data


def parse_json(data: bytes, where: object) -> Any:  # noqa: ANN401 - JSON is what it is
    """Parse JSON strictly.

    Raises:
        CorruptionError: if it is not JSON of finite numbers.
    """
    try:
        return json.loads(data.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise CorruptionError(f"{where}: expected JSON, got something else ({error})") from error


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not a finite number")


def digest(path: Path) -> str:
    """SHA-256 of a file's content, hexadecimal.

    Raises:
        StorageError: if it cannot be read.
    """
    with storing(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_bytes(folder: Path) -> int:
    """Sum of the sizes of all files below a folder, bytes; 0 if it is absent."""
    if not folder.is_dir():
        return 0
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def copy_file(source: Path, target: Path) -> FileRecord:
    """Copy a file to a new, durable one, and say what was copied."""
    file = DurableFile(target)
    try:
        with source.open("rb") as origin:
            while block := origin.read(COPY_BYTES):
                file.write(block)
        return file.close()
    finally:
        file.abandon()
