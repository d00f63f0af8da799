"""Whatever stops a recording, and wherever, nothing that was acknowledged is lost.

Nothing sealed changes, nothing half is visible, and the next recorder finishes the job to the
same bytes.

``TORTURE=10`` in the environment makes the sweeps ten times as dense.
"""

import errno
import itertools
import math
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from tests.trajstore import faults, power_cuts
from trajstore.errors import SealedError, StorageError, TrajStoreError
from trajstore.recording.bulk import write_dataset
from trajstore.version.manifest import Manifest

DENSITY = int(os.environ.get("TORTURE", "1"))
ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.EACCES)
EXTENDS = pytest.mark.parametrize("extends", [False, True], ids=["fresh", "extension"])


def silent(_order: int) -> None:
    """Acknowledge to nobody."""


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder in memory where there is one: the faults are made here, not by a disk."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def start(tmp_path: Path) -> Path:
    faults.prepare(tmp_path / "start")
    return tmp_path / "start"


def open_files() -> int:
    """How many this process has."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def reference(start: Path, extends: bool) -> tuple[bytes, int]:
    """The manifest of an undisturbed recording, and its number of operations."""
    folder = start.with_name("reference")
    shutil.copytree(start, folder)
    count = faults.count_operations(lambda: faults.record(folder, silent, extends=extends))
    return Manifest.read(folder / "v2").to_bytes(), count


def finish(folder: Path, expected: bytes, extends: bool) -> None:
    """Record to the end, and find what an undisturbed recording makes, and nothing else."""
    with faults.replaced(faults.Quick()):
        if not (folder / "v2").exists():
            faults.record(folder, silent, extends=extends)
        else:
            with pytest.raises(SealedError, match="is sealed already"):
                faults.record(folder, silent, extends=extends)
    faults.check_version(folder / "v1")
    assert faults.check_version(folder / "v2").to_bytes() == expected
    assert {path.name for path in folder.iterdir()} == {"v1", "v2"}


def points(count: int, kinds: int, floor: int) -> list[tuple[int, int]]:
    """(operation, kind) pairs, evenly spread; at least ``floor`` times the density, or all.

    The step shares no factor with the number of kinds, so that it comes past each of them.
    """
    every = [(number, kind) for number in range(1, count + 1) for kind in range(kinds)]
    step = max(1, len(every) // (floor * DENSITY))
    while math.gcd(step, kinds) > 1:
        step -= 1
    return every[::step]


@pytest.mark.parametrize("kinds", [3, len(ERRORS)])
def test_a_sweep_of_any_length_tries_every_kind_of_fault_equally_often(kinds: int) -> None:
    for count in range(100, 400):
        swept = points(count, kinds, floor=160)
        tried = Counter(kind for _, kind in swept)
        assert len(swept) >= 160
        assert tried.keys() == set(range(kinds))
        assert max(tried.values()) - min(tried.values()) <= 1


@pytest.mark.slow
@EXTENDS
def test_a_kill_at_any_operation_loses_nothing(start: Path, tmp_path: Path, extends: bool) -> None:
    expected, count = reference(start, extends)
    swept = points(count, 3, floor=500)
    assert {kind for _, kind in swept} == {0, 1, 2}
    for number, kind in swept:
        folder = tmp_path / "killed"
        shutil.copytree(start, folder)
        how = ("before", "torn", "after")[kind]
        work = partial(faults.record, folder, extends=extends)
        acknowledged = faults.killed_at(number, how, work)
        faults.check_promises(folder, acknowledged)
        if (number + kind) % 4 == 0:
            finish(folder, expected, extends)
        shutil.rmtree(folder)


@pytest.mark.slow
def test_a_kill_while_recovering_loses_nothing(start: Path, tmp_path: Path) -> None:
    expected, count = reference(start, extends=False)
    rng = np.random.default_rng(0)
    for _ in range(40 * DENSITY):
        folder = tmp_path / "killed"
        shutil.copytree(start, folder)
        acknowledged = 0
        for _ in range(3):
            number = int(rng.integers(1, count))
            try:
                found = faults.killed_at(number, "torn", partial(faults.record, folder))
            except AssertionError:
                break
            acknowledged = max(acknowledged, found)
            faults.check_promises(folder, acknowledged)
        finish(folder, expected, extends=False)
        shutil.rmtree(folder)


@pytest.mark.slow
@EXTENDS
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
def test_a_refusal_at_any_operation_is_named_and_survived(
    start: Path, tmp_path: Path, extends: bool, lasting: bool
) -> None:
    expected, count = reference(start, extends)
    swept = points(count, len(ERRORS), floor=160)
    assert {ERRORS[kind] for _, kind in swept} == set(ERRORS)
    before = open_files()
    tried = set()
    for number, kind in swept:
        folder = tmp_path / "refused"
        shutil.copytree(start, folder)
        acknowledged = [0]
        fault = _refusal(number, ERRORS[kind], lasting)
        with faults.replaced(faults.Counted(fault)):
            try:
                faults.record(folder, acknowledged.append, extends=extends)
            except StorageError as error:
                tried.add(ERRORS[kind])
                assert errno.errorcode[ERRORS[kind]] in str(
                    error
                ) or "could not be written earlier" in str(error)
        faults.check_promises(folder, acknowledged[-1])
        if (number + kind) % 4 == 0:
            finish(folder, expected, extends)
        shutil.rmtree(folder)
    assert tried == set(ERRORS)
    assert open_files() == before


def _refusal(number: int, code: int, lasting: bool) -> Callable[..., object]:
    def fault(at: int, _name: str, run: Callable[[], object], *_: object) -> object:
        if at == number or (lasting and at > number):
            raise OSError(code, os.strerror(code))
        return run()

    return fault


def crashes(start: Path, tmp_path: Path, *, most: int, skip: Callable[[Path], bool]) -> int:
    """Check states that a power cut may leave; returns how many. Each is checked on files."""
    folder = tmp_path / "traced"
    shutil.copytree(start, folder)
    trace = power_cuts.Trace(folder, skip)
    trace.inode(folder)
    with faults.replaced(trace):
        faults.record(folder, trace.acknowledge)
    every = list(trace.states())
    step = max(1, len(every) // most)
    disk = tmp_path / "disk"
    for number, (end, kept) in enumerate(itertools.islice(every, 0, None, step)):
        disk.mkdir()
        try:
            power_cuts.materialise(trace, kept, disk)
            faults.check_promises(disk, trace.acknowledged(end))
            if number % 100 == 0 and not (disk / "v2").exists():
                faults.record(disk, silent)
                faults.check_version(disk / "v2")
        finally:
            shutil.rmtree(disk)
    return len(every[::step])


@pytest.mark.slow
def test_a_power_cut_at_any_operation_loses_nothing(start: Path, tmp_path: Path) -> None:
    count = crashes(start, tmp_path, most=3000 * DENSITY, skip=lambda _: False)
    assert count >= 2500


MUTANTS: dict[str, Callable[[Path], bool]] = {
    "journals": lambda path: path.name.startswith("journal-"),
    "folder of the recording": lambda path: path.name == ".v2.recording",
    "record of the recording": lambda path: path.name.startswith(".recording.json"),
    "files of the version": lambda path: ".v2.sealing" in path.parts and not path.is_dir(),
    "folders of the version": lambda path: ".v2.sealing" in path.parts and path.is_dir(),
    "folder of the dataset": lambda path: path.name == "traced",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_each_sync_that_is_left_out_is_noticed(start: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises((AssertionError, TrajStoreError)):
        crashes(start, tmp_path, most=1500, skip=MUTANTS[name])


@pytest.mark.slow
def test_any_flipped_bit_of_a_version_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "v1"
    write_dataset(folder, faults.EPISODES, schema=faults.SCHEMA, provenance=faults.PROVENANCE)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    sizes = np.array([path.stat().st_size for path in paths])
    rng = np.random.default_rng(0)
    for place in rng.integers(0, sizes.sum(), 1000 * DENSITY):
        number = int(np.searchsorted(np.cumsum(sizes), place, side="right"))
        data = paths[number].read_bytes()
        flipped = bytearray(data)
        offset = int(place - sizes[:number].sum())
        flipped[offset] ^= 1 << int(rng.integers(8))
        paths[number].write_bytes(flipped)
        with pytest.raises((AssertionError, TrajStoreError)):
            faults.check_version(folder)
        paths[number].write_bytes(data)
    faults.check_version(folder)
