"""Publishing, rotating and restoring may be cut off anywhere, and no version is ever lost.

A verified copy of every version is there all the time, and the next run finishes.

The operations are those of ``disk.system.OPS``; the n-th one kills the process, before it or
after it, or refuses with an error, for n = 1, 2, ... until a run gets through without a fault.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.trajstore.lifecycle_faults import (
    KINDS,
    VERSIONS,
    at,
    copies,
    digests,
    do_publish,
    do_restore,
    do_rotate,
    make,
    sweep,
)
from trajstore.lifecycle import Shelf, finish
from trajstore.lifecycle.archive import compare_file
from trajstore.lifecycle.ledger import Deed
from trajstore.version.integrity import verify

MEMORY = Path("/dev/shm")


@pytest.fixture(scope="module")
def fast() -> Iterator[Path]:
    """A folder in memory if possible: thousands of syncs are waited for."""
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def work(fast: Path) -> Path:
    folder = fast / "work"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def published(fast: Path) -> Path:
    """Before the publication that makes the first version leave."""
    root = fast / "published"
    make(root)
    return root


@pytest.fixture(scope="module")
def archived(published: Path, fast: Path) -> Path:
    """After it: the first version is in the archive only."""
    root = fast / "archived"
    shutil.copytree(published, root)
    do_publish(root)
    return root


CASES = [
    *(pytest.param(kind, 5, id=f"{kind}, every fifth") for kind in KINDS),
    *(pytest.param(kind, 1, id=f"{kind}, every one", marks=pytest.mark.torture) for kind in KINDS),
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "stride"), CASES)
def test_publishing_cut_off_anywhere_loses_nothing_and_finishes(
    published: Path, work: Path, kind: str, stride: int
) -> None:
    wanted = digests(published)
    points = 0
    for root in sweep(published, work, do_publish, kind, stride):
        points += 1
        shelf = at(root)
        live_before = {wanted[number] for number in range(1, VERSIONS)}
        assert live_before <= copies(shelf), f"operation {points}: a version has no whole copy"
        do_publish(root)
        assert shelf.live() == [2, 3, 4]
        compare_file(shelf.archive, shelf.ledger()[-1])
        _assert_tidy(shelf)
        deeds = [(it.deed, it.version) for it in shelf.ledger()]
        assert deeds.count((Deed.PUBLISH, 4)) == 1
        assert deeds.count((Deed.REMOVE, 1)) == 1
    assert points * stride > 100


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "stride"), CASES)
def test_restoring_cut_off_anywhere_loses_nothing_and_finishes(
    archived: Path, work: Path, kind: str, stride: int
) -> None:
    wanted = digests(archived)
    points = 0
    for root in sweep(archived, work, do_restore, kind, stride):
        points += 1
        shelf = at(root)
        assert set(wanted.values()) <= copies(shelf)
        do_restore(root)
        assert shelf.live() == [1, 2, 3, 4]
        assert verify(shelf.path(1), deep=True) == []
        _assert_tidy(shelf)
        assert [it.deed for it in shelf.ledger()].count(Deed.RESTORE) == 1
    assert points * stride > 60


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "stride"), CASES)
def test_rotating_a_restored_version_cut_off_anywhere_loses_nothing_and_finishes(
    archived: Path, work: Path, kind: str, stride: int
) -> None:
    template = work / "template"
    shutil.copytree(archived, template)
    do_restore(template)
    wanted = digests(archived)
    points = 0
    for root in sweep(template, work, do_rotate, kind, stride):
        points += 1
        shelf = at(root)
        assert set(wanted.values()) <= copies(shelf)
        do_rotate(root)
        assert shelf.live() == [2, 3, 4]
        compare_file(shelf.archive, shelf.ledger()[-1])
        _assert_tidy(shelf)
    assert points * stride > 25


@pytest.mark.slow
def test_an_archive_damaged_between_the_steps_never_costs_the_live_copy(
    published: Path, work: Path
) -> None:
    """Every pack, finished or not, is damaged after each kill; what is live must carry on."""
    wanted = digests(published)
    points = 0
    for root in sweep(published, work, do_publish, "kill after", 2):
        shelf = at(root)
        whole = {it for it in shelf.live() if not verify(shelf.path(it))}
        removing = shelf.in_work("removing")
        if 1 not in whole and not removing:
            continue
        left = shelf.removing(1)
        if removing and (not (left / "manifest.json").exists() or verify(left)):
            continue
        points += 1
        for pack in (root / "archive").glob("*"):
            damaged = bytearray(pack.read_bytes())
            if damaged:
                damaged[len(damaged) // 2] ^= 0xFF
                pack.write_bytes(damaged)
        do_publish(root)
        assert set(wanted.values()) <= copies(shelf)
        assert verify(shelf.path(1)) == [] if 1 in shelf.live() else True
    assert points > 10


@pytest.mark.slow
def test_finishing_itself_may_be_cut_off(published: Path, work: Path) -> None:
    wanted = digests(published)
    points = 0
    for first in sweep(published, work / "first", do_publish, "kill after", 10):
        if not at(first).in_work("removing") and not at(first).in_work("sealing"):
            continue
        kept = work / "kept"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(first, kept)
        for root in sweep(kept, work / "second", lambda it: finish(at(it)), "kill after"):
            points += 1
            assert {wanted[1], wanted[2], wanted[3]} <= copies(at(root))
            do_publish(root)
            assert set(wanted.values()) <= copies(at(root))
            if points >= 40:
                break
        if points >= 40:
            break
    assert points > 10


def _assert_tidy(shelf: Shelf) -> None:
    allowed = {"ledger.jsonl", *(f"v{it}" for it in shelf.live())}
    allowed |= {f"v{number}.status.json" for number in range(1, VERSIONS + 1)}
    assert {it.name for it in shelf.folder.iterdir()} <= allowed
