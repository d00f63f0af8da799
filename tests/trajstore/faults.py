"""Faults at every operation that changes a disk: kills and refusals.

Every durable write of the package goes through `trajstore.disk.system.OPS`; here it is replaced.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from trajstore.disk import system as disk
from trajstore.disk.files import digest
from trajstore.episode.episode import Episode
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec
from trajstore.recording.bulk import write_dataset
from trajstore.recording.recorder import Recorder
from trajstore.recording.unfinished import open_recording, recording_folder
from trajstore.version.manifest import MANIFEST, Manifest

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
