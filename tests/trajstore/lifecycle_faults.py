"""Publishing, rotating and restoring, spoiled at the n-th operation of ``disk.system.OPS``."""

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import factories
from trajstore.dataset import Dataset
from trajstore.disk import system as disk
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import TrajStoreError
from trajstore.lifecycle import Shelf, judge, publish, restore, rotate
from trajstore.lifecycle.archive import open_pack
from trajstore.quality.contract import Contract
from trajstore.version.integrity import verify

KILLED = 77
SCHEMA = EpisodeSchema(
    tuple(it for it in factories.SCHEMA.fields if it.name in ("action", "terminated", "truncated"))
)
VERSIONS = 4
KINDS = ("kill before", "kill after", "error", "full disk")


class Faulty(disk.Operations):
    """Counts operations and spoils the n-th."""

    def __init__(self, at: int, kind: str) -> None:
        self.at, self.kind, self.count = at, kind, 0

    def _strike(self, run: Callable[[], object]) -> object:
        self.count += 1
        struck = self.count == self.at
        if struck and self.kind == "kill before":
            os._exit(KILLED)
        if self.count >= self.at and self.kind == "full disk":
            raise OSError(errno.ENOSPC, "No space left on device")
        if struck and self.kind == "error":
            raise OSError(errno.EIO, "Input/output error")
        result = run()
        if struck and self.kind == "kill after":
            os._exit(KILLED)
        return result


def _spoiled(name: str) -> Callable[..., object]:
    def method(self: Faulty, *arguments: object) -> object:
        original = getattr(disk.Operations, name)
        return self._strike(lambda: original(self, *arguments))

    return method


for _name in ("open", "write", "fsync", "mkdir", "rename", "unlink", "rmdir"):
    setattr(Faulty, _name, _spoiled(_name))


def make(root: Path) -> Shelf:
    """Three validated versions live, a fourth waits to be published."""
    shelf = at(root)
    for number in range(1, VERSIONS + 1):
        source = root / "in" / f"r{number}"
        factories.dataset(source, count=2, seed=100 * number, schema=SCHEMA)
        judge(source, Contract(minimum_episodes=1), clock=shelf.clock)
        if number < VERSIONS:
            publish(shelf, source)
    return shelf


def at(root: Path) -> Shelf:
    return Shelf(
        root / "store" / "expert",
        root / "archive",
        root / "reviews.json",
        clock=lambda: "2026-01-01",
    )


def digests(root: Path) -> dict[int, str]:
    sources = sorted((root / "in").glob("r[0-9]"))
    return {index: Dataset.open(it).manifest.content_digest for index, it in enumerate(sources, 1)}


def copies(shelf: Shelf) -> set[str]:
    """Content digests of every copy, live or packed, that is whole, read byte for byte."""
    found = set()
    folders = [it for it in shelf.folder.iterdir() if it.is_dir()] if shelf.folder.is_dir() else []
    for folder in folders:
        with contextlib.suppress(TrajStoreError):
            if not verify(folder):
                found.add(Dataset.open(folder).manifest.content_digest)
    for name in shelf.archive.names():
        with contextlib.suppress(TrajStoreError), shelf.archive.reading(name) as file:
            packed = open_pack(file)
            packed.check()
            found.add(packed.manifest.content_digest)
    return found


def do_publish(root: Path) -> None:
    publish(at(root), root / "in" / f"r{VERSIONS}")


def do_restore(root: Path) -> None:
    restore(at(root), 1)


def do_rotate(root: Path) -> None:
    rotate(at(root))


def run(action: Callable[[Path], None], root: Path, operations: Faulty) -> int:
    """Run in a child; returns its exit status: 0 done, 1 a named error, 77 killed."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 2
    try:
        disk.OPS = operations
        action(root)
        status = 0
    except TrajStoreError:
        status = 1
    finally:
        os._exit(status)


def sweep(
    template: Path, work: Path, action: Callable[[Path], None], kind: str, stride: int = 1
) -> Iterator[Path]:
    """Yield the place after each fault, until none strikes any more."""
    for number in range(1 + KINDS.index(kind) % stride, 2_000, stride):
        root = work / "now"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(template, root)
        status = run(action, root, Faulty(number, kind))
        if status == 0:
            return
        assert status in (1, KILLED), f"operation {number}: {status}"
        yield root
    pytest.fail("the fault never stopped striking")
