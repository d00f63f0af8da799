"""Faults at every operation that changes a disk: kills, refusals, and lost unsynced writes.

Every durable write of the package goes through `trajstore.disk.OPS`; here it is replaced.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from trajstore import disk
from trajstore.episode import Episode
from trajstore.files import digest
from trajstore.manifest import MANIFEST, Manifest
from trajstore.recorder import Recorder
from trajstore.recording import open_recording, recording_folder
from trajstore.schema import Axis, EpisodeSchema, FieldSpec
from trajstore.writer import write_dataset

SCHEMA = EpisodeSchema(
    (
        FieldSpec("observation", Axis.STATE, (3,), "float32"),
        FieldSpec("terminated", Axis.STEP, (), "bool"),
        FieldSpec("truncated", Axis.STEP, (), "bool"),
        FieldSpec("scenario", Axis.EPISODE, (), "str"),
    )
)
NAMES = ("open", "write", "fsync", "fdatasync", "truncate", "mkdir", "rename", "unlink", "rmdir")


def episode(seed: int) -> Episode:
    """A small episode."""
    steps = 2 + seed % 3
    rows = np.random.default_rng(seed).normal(size=(steps + 1, 3)).astype("float32")
    end = np.arange(steps) == steps - 1
    arrays = {"observation": rows, "terminated": end, "truncated": ~end & False}
    return Episode(SCHEMA, {**arrays, "scenario": np.array(f"s{seed % 2}")})


EPISODES = [episode(seed) for seed in range(5)]
PROVENANCE = {"made_by": "faults"}


def prepare(folder: Path) -> None:
    """A dataset with one sealed version."""
    write_dataset(folder / "v1", EPISODES[:1], schema=SCHEMA, provenance=PROVENANCE)


def record(folder: Path, acknowledge: Callable[[int], None], *, extends: bool = False) -> None:
    """Go on recording ``v2`` to its end; every durable episode is acknowledged."""
    base = folder / "v1" if extends else None
    target = folder / "v2"
    with Recorder(target, schema=SCHEMA, provenance=PROVENANCE, extends=base) as recorder:
        for order in range(recorder.episodes, 3):
            recorder.add(EPISODES[order + 1])
            acknowledge(order + 1)
    acknowledge(4)


def check_version(path: Path) -> Manifest:
    """Refuse a version that is not whole: every file there, every byte as sealed."""
    manifest = Manifest.read(path)
    found = {str(it.relative_to(path)) for it in path.rglob("*") if not it.is_dir()}
    assert found == {*manifest.files, MANIFEST}
    for name, entry in manifest.files.items():
        assert ((path / name).stat().st_size, digest(path / name)) == (entry.size, entry.sha256)
    return manifest


def check_promises(folder: Path, acknowledged: int) -> None:
    """Nothing acknowledged is lost; nothing half is visible."""
    if (folder / "v2").exists():
        assert check_version(folder / "v2").parts[-1].episodes == 3
        return
    assert acknowledged < 4, "the sealed version is gone"
    if not (recording_folder(folder / "v2") / "recording.json").exists():
        assert acknowledged == 0, "the recording is gone"
        return
    found = [frame.digest.hex() for _, frame in open_recording(folder / "v2").frames()]
    assert found == [it.digest for it in EPISODES[1 : 1 + len(found)]]
    assert acknowledged <= len(found) <= acknowledged + 1


class Quick(disk.Operations):
    """Waits for no disk: a killed process leaves what it wrote to the system."""

    def fsync(self, descriptor: int) -> None:
        """Do nothing."""

    def fdatasync(self, descriptor: int) -> None:
        """Do nothing."""


class Counted(Quick):
    """Calls ``fault(number, name, run, *arguments)`` in place of each operation."""

    def __init__(self, fault: Callable[..., object]) -> None:
        self.count = 0
        for name in NAMES:
            setattr(self, name, self._wrapped(name, getattr(super(), name), fault))

    def _wrapped(
        self, name: str, run: Callable[..., object], fault: Callable[..., object]
    ) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            self.count += 1
            return fault(self.count, name, lambda: run(*arguments), *arguments)

        return call


@contextmanager
def replaced(operations: disk.Operations) -> Iterator[None]:
    """Put operations in place, one thread, for the block."""
    before = disk.OPS, disk.SYNC_THREADS
    disk.OPS, disk.SYNC_THREADS = operations, 1
    try:
        yield
    finally:
        disk.OPS, disk.SYNC_THREADS = before


def count_operations(work: Callable[[], None]) -> int:
    """How many operations the work takes."""
    counted = Counted(lambda _number, _name, run, *_: run())
    with replaced(counted):
        work()
    return counted.count


def killed_at(number: int, how: str, work: Callable[[Callable[[int], None]], None]) -> int:
    """Run work in a child that is killed at an operation; returns the last acknowledgement."""

    def fault(at: int, name: str, run: Callable[[], object], *arguments: object) -> object:
        if at != number:
            return run()
        if how == "torn" and name == "write":
            descriptor, data, offset = arguments
            os.pwrite(descriptor, bytes(data)[: len(data) // 2], offset)  # type: ignore[arg-type]
        elif how != "before":
            run()
        os._exit(137)

    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with replaced(Counted(fault)):
                work(lambda order: os.write(writer, bytes([order])) and None)
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        acknowledged = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == 137, f"operation {number} was never reached (exit status {status})"
    return acknowledged[-1] if acknowledged else 0


@dataclass
class Happened:
    """One operation in a trace: what it changes, and when that became durable, if ever."""

    kind: str
    owner: int
    arguments: tuple[object, ...]
    durable: int = 2**30


@dataclass
class Trace(disk.Operations):
    """Runs operations and notes what a disk would have to remember of them.

    An operation belongs to an inode: a write to its file, a name to its folder. It is durable
    once that inode was synced; before, a crash may keep it or lose it, in any combination.
    """

    root: Path
    skip: Callable[[Path], bool] = lambda _path: False
    happened: list[Happened] = field(default_factory=list)
    marks: list[tuple[int, int]] = field(default_factory=list)
    inodes: dict[Path, int] = field(default_factory=dict)
    _open: dict[int, tuple[int, Path]] = field(default_factory=dict)

    def inode(self, path: Path) -> int:
        """A number for what lies at the path now."""
        return self.inodes.setdefault(path, len(self.inodes) + 1000 * len(self.happened))

    def note(self, kind: str, owner: int, *arguments: object) -> None:
        """Add an operation that is not durable yet."""
        self.happened.append(Happened(kind, owner, arguments))

    def acknowledge(self, order: int) -> None:
        """From here on, so many episodes must be there."""
        self.marks.append((len(self.happened), order))

    def open(self, path: Path, flags: int) -> int:
        new = flags & os.O_CREAT and not path.exists()
        descriptor = super().open(path, flags)
        inode = self.inode(path)
        if new:
            self.note("link", self.inode(path.parent), path.name, inode)
        self._open[descriptor] = inode, path
        return descriptor

    def write(self, descriptor: int, data: bytes | bytearray | memoryview, offset: int) -> int:
        self.note("write", self._open[descriptor][0], offset, bytes(data))
        return super().write(descriptor, data, offset)

    def truncate(self, descriptor: int, size: int) -> None:
        self.note("truncate", self._open[descriptor][0], size)
        super().truncate(descriptor, size)

    def fsync(self, descriptor: int) -> None:
        inode, path = self._open[descriptor]
        if self.skip(path):
            return
        for operation in self.happened:
            if operation.owner == inode and operation.durable == 2**30:
                operation.durable = len(self.happened)
        self.note("sync", inode)
        self.happened[-1].durable = len(self.happened)

    def fdatasync(self, descriptor: int) -> None:
        self.fsync(descriptor)

    def mkdir(self, path: Path) -> None:
        super().mkdir(path)
        self.note("link", self.inode(path.parent), path.name, self.inode(path), "folder")

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        for path in [path for path in self.inodes if path == source or source in path.parents]:
            self.inodes[target / path.relative_to(source)] = self.inodes.pop(path)
        self.note("rename", self.inode(target.parent), source.name, target.name)

    def unlink(self, path: Path) -> None:
        super().unlink(path)
        self.inodes.pop(path, None)
        self.note("unlink", self.inode(path.parent), path.name)

    def rmdir(self, path: Path) -> None:
        super().rmdir(path)
        self.inodes.pop(path, None)
        self.note("unlink", self.inode(path.parent), path.name)

    def states(self) -> Iterator[tuple[int, list[Happened]]]:
        """Every crash: after how many operations, and which of them the disk remembers."""
        for end in range(len(self.happened) + 1):
            past = self.happened[:end]
            if past and past[-1].kind == "sync":
                continue
            real = [it for it in past if it.kind != "sync"]
            loose = [it for it in real if it.durable > end]
            choices = [[], loose]
            choices += [[it for it in loose if it is not one] for one in loose]
            choices += [[one] for one in loose]
            choices += [loose[:count] for count in range(2, len(loose))]
            for kept in choices:
                chosen = {id(it) for it in kept}
                yield end, [it for it in real if it.durable <= end or id(it) in chosen]

    def acknowledged(self, end: int) -> int:
        """What was acknowledged before the crash."""
        return max((order for at, order in self.marks if at <= end), default=0)


def materialise(trace: Trace, kept: list[Happened], folder: Path) -> None:
    """Make the files that a disk holds which remembers these operations; v1 lies there already."""
    names: dict[int, dict[str, int]] = {}
    data: dict[int, bytearray] = {}
    folders: set[int] = set()
    for it in kept:
        if it.kind in ("write", "truncate"):
            _change(data.setdefault(it.owner, bytearray()), it)
        else:
            _rename(names.setdefault(it.owner, {}), it)
        if it.arguments[2:]:
            folders.add(int(it.arguments[1]))  # type: ignore[call-overload]
    waiting = [(trace.inodes[trace.root], folder)]
    while waiting:
        inode, path = waiting.pop()
        for name, child in names.get(inode, {}).items():
            if child in folders:
                (path / name).mkdir()
                waiting.append((child, path / name))
            else:
                (path / name).write_bytes(data.get(child, b""))


def _rename(entries: dict[str, int], it: Happened) -> None:
    name = str(it.arguments[0])
    if it.kind == "link":
        entries[name] = int(it.arguments[1])  # type: ignore[call-overload]
    elif name in entries:
        inode = entries.pop(name)
        if it.kind == "rename":
            entries[str(it.arguments[1])] = inode


def _change(content: bytearray, it: Happened) -> None:
    at = int(it.arguments[0])  # type: ignore[call-overload]
    content.extend(bytes(max(0, at - len(content))))
    if it.kind == "truncate":
        del content[at:]
    else:
        piece = bytes(it.arguments[1])  # type: ignore[call-overload]
        content[at : at + len(piece)] = piece
