"""Every changed bit of a journal is harmless or named; what a crash leaves is neither."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger

from tests import factories
from trajstore.dataset import Dataset
from trajstore.disk import system
from trajstore.errors import JournalError
from trajstore.recording import journal as journals
from trajstore.recording.frames import FRAME, MARK
from trajstore.recording.journal import Journal, read_episodes, scan

SCHEMA = factories.SCHEMA
EPISODES = [factories.episode(seed, steps=1) for seed in range(4)]
HEAD = 56


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.log"


def write(path: Path, *, sync: bool = True, count: int = 4) -> bytes:
    """A journal of some episodes, left as a kill leaves it; returns its content."""
    path.unlink(missing_ok=True)
    journal = Journal(path, SCHEMA)
    for order, episode in enumerate(EPISODES[:count]):
        journal.append(episode, order=order, sync=sync)
    journal.close()
    return path.read_bytes()


def found(path: Path, *, damaged: bool = False) -> list[str]:
    frames = scan(path, SCHEMA, damaged=damaged).frames
    return [episode.digest for episode in read_episodes(path, SCHEMA, frames)]


ALL = [episode.digest for episode in EPISODES]


def flips(content: bytes) -> Iterator[tuple[int, bytes]]:
    for bit in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bit // 8, bytes(flipped)


@pytest.mark.slow
def test_every_changed_bit_is_harmless_or_named_and_salvage_loses_one_episode_at_most(
    path: Path,
) -> None:
    content = write(path, count=2)
    stops = [frame.offset + frame.size for frame in scan(path, SCHEMA).frames]
    outcomes: Counter[str] = Counter()
    whole = ALL[:2]
    for byte, flipped in flips(content):
        path.write_bytes(flipped)
        in_mark = any(stop <= byte < stop + MARK.size for stop in stops)
        if in_mark:
            assert found(path) == whole
        else:
            with pytest.raises(JournalError, match="trajstore recover NAME --salvage"):
                scan(path, SCHEMA)
        hit = next(place for place, stop in enumerate(stops) if byte < stop + MARK.size)
        lost = [] if in_mark or byte < HEAD else [ALL[hit]]
        assert found(path, damaged=True) == [one for one in whole if one not in lost]
        outcomes["harmless" if in_mark else "named"] += 1
    assert outcomes == {
        "harmless": 8 * MARK.size * 2,
        "named": 8 * (len(content) - MARK.size * 2),
    }


def test_a_damaged_journal_is_not_gone_on_with_and_stays(path: Path) -> None:
    content = bytearray(write(path))
    content[-60] ^= 1
    path.write_bytes(content)
    with pytest.raises(JournalError, match="trajstore recover NAME --salvage"):
        Journal(path, SCHEMA)
    assert path.read_bytes() == content


def test_a_damaged_mark_is_mended_when_the_recording_goes_on(path: Path) -> None:
    content = write(path)
    path.write_bytes(content[:-3] + b"\xff" + content[-2:])
    Journal(path, SCHEMA).close()
    assert path.read_bytes() == content


def test_a_torn_tail_is_counted_and_cut(path: Path) -> None:
    whole = write(path, count=3)
    more = write(path)[len(whole) :]
    for kept in (1, FRAME.size, len(more) - MARK.size - 1):
        path.write_bytes(whole + more[:kept])
        assert scan(path, SCHEMA).torn == kept
        journal = Journal(path, SCHEMA)
        assert (journal.torn, len(journal.frames)) == (kept, 3)
        journal.close()
        assert path.read_bytes() == whole


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_of_a_group_that_no_sync_acknowledged_a_hole_is_a_torn_tail(path: Path, lost: int) -> None:
    """A power cut may take the middle of what was written, and leave what was written later."""
    first = write(path, count=1)
    journal = Journal(path, SCHEMA)
    for order in (1, 2, 3):
        journal.append(EPISODES[order], order=order, sync=False)
    journal.close()
    frame = scan(path, SCHEMA).frames[1 + lost]
    content = bytearray(path.read_bytes())
    content[frame.offset : frame.offset + 60] = bytes(60)
    path.write_bytes(content)
    if lost == 0:  # the first of a group says only that all before it was durable
        assert scan(path, SCHEMA).end == len(first)
    assert found(path) == ALL[: 1 + lost]
    assert scan(path, SCHEMA).torn == len(content) - frame.offset + FRAME.size
    assert len(found(path, damaged=True)) == 3
    Journal(path, SCHEMA).close()
    assert found(path) == ALL[: 1 + lost]


def test_a_group_is_acknowledged_by_its_sync(path: Path) -> None:
    journal = Journal(path, SCHEMA)
    for order, episode in enumerate(EPISODES):
        journal.append(episode, order=order, sync=False)
    journal.sync()
    journal.close()
    content = path.read_bytes()
    frames = scan(path, SCHEMA).frames
    for frame in frames:
        damaged = bytearray(content)
        damaged[frame.offset + 50] ^= 8
        path.write_bytes(damaged)
        with pytest.raises(JournalError, match="an episode that was recorded"):
            scan(path, SCHEMA)
        assert len(found(path, damaged=True)) == 3


def test_a_group_is_synced_by_size_and_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Counted(system.Operations):
        synced = 0

        def fdatasync(self, descriptor: int) -> None:
            self.synced += 1
            super().fdatasync(descriptor)

    def syncs(size: int, seconds: float) -> int:
        monkeypatch.setattr(journals, "SYNC_BYTES", size)
        monkeypatch.setattr(journals, "SYNC_SECONDS", seconds)
        monkeypatch.setattr(system, "OPS", operations := Counted())
        write(path, sync=False)
        return operations.synced

    assert syncs(10**9, 10**9) == 0
    assert syncs(1, 10**9) == 4
    assert syncs(10**9, -1.0) == 4
    assert 1 <= syncs(300, 10**9) <= 3


def test_a_mark_that_cannot_be_written_does_not_hide_that_the_episode_is_durable(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Marks(system.Operations):
        def write(self, descriptor: int, data: bytes | bytearray | memoryview, offset: int) -> int:
            if len(data) == MARK.size:
                raise OSError(28, "No space left on device")
            return super().write(descriptor, data, offset)

    monkeypatch.setattr(system, "OPS", Marks())
    write(path)
    assert found(path) == ALL


def test_a_journal_of_the_first_release_is_read_and_gone_on_with(path: Path) -> None:
    content = write(path)
    old = bytearray(content[:HEAD])
    for frame in scan(path, SCHEMA).frames:
        old += content[frame.offset - FRAME.size : frame.offset + frame.size]
    path.write_bytes(old)
    assert found(path) == ALL
    journal = Journal(path, SCHEMA)
    journal.append(EPISODES[0], order=4)
    journal.close()
    assert found(path) == [*ALL, ALL[0]]
    damaged = bytearray(path.read_bytes())
    damaged[HEAD + FRAME.size + 50] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(JournalError, match="trajstore recover NAME --salvage"):
        scan(path, SCHEMA)


def test_going_on_says_how_many_bytes_are_dropped(tmp_path: Path) -> None:
    with pytest.raises(InterruptedError), factories.recorder(tmp_path / "v1") as begun:
        begun.add(EPISODES[0])
        raise InterruptedError
    journal = tmp_path / ".v1.recording" / "journal-main.log"
    journal.write_bytes(journal.read_bytes() + b"\xf5EP1" + bytes(96))
    told: list[str] = []
    sink = logger.add(told.append, level="WARNING", format="{message}")
    logger.enable("trajstore")
    try:
        with factories.recorder(tmp_path / "v1") as again:
            assert (again.episodes, again.torn) == (1, 100)
    finally:
        logger.disable("trajstore")
        logger.remove(sink)
    assert "dropped 100 bytes that were never acknowledged" in told[0]
    assert len(Dataset.open(tmp_path / "v1")) == 1
