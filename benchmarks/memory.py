"""Memory and file-cache facts of this process, read from the kernel."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STATUS = Path("/proc/self/status")


def anonymous_bytes() -> int:
    """Memory of this process that no file backs: ``RssAnon``."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{_STATUS}: expected a line RssAnon, got none")


@contextmanager
def anonymous_peak(seconds: float = 0.02) -> Iterator[list[int]]:
    """A list whose only element becomes the highest ``RssAnon`` seen inside the block."""
    peak, done = [anonymous_bytes()], threading.Event()

    def watch() -> None:
        while not done.wait(seconds):
            peak[0] = max(peak[0], anonymous_bytes())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()
        peak[0] = max(peak[0], anonymous_bytes())


def files_below(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]


def sync(path: Path) -> None:
    """Bring every file below ``path`` to the disk."""
    for file in files_below(path):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def evict(path: Path) -> None:
    """Drop every file below ``path`` from the kernel's file cache."""
    for file in files_below(path):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def size_and_files(path: Path) -> tuple[int, int]:
    files = files_below(path)
    return sum(file.stat().st_size for file in files), len(files)
