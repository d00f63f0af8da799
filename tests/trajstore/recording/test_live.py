"""A loop that belongs to others is recorded: bounded in memory, and nothing is dropped."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from loguru import logger

from tests import factories
from trajstore.disk import system
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import (
    JournalError,
    QuotaExceededError,
    SchemaError,
    SealedError,
    StorageError,
)
from trajstore.recording import beside, frames, live
from trajstore.recording.journal import Journal, scan
from trajstore.recording.unfinished import recording_folder
from trajstore.store import Store

SCHEMA = EpisodeSchema(
    (
        FieldSpec("observation/front", Axis.STATE, (24, 32, 3), "uint8", low=0, high=255),
        FieldSpec("observation/joints", Axis.STATE, (3,), "float32", low=-4, high=4),
        FieldSpec("action", Axis.STEP, (3,), "float32", low=-1, high=1),
        FieldSpec("terminated", Axis.STEP, (), "bool"),
        FieldSpec("truncated", Axis.STEP, (), "bool"),
        FieldSpec("operator", Axis.EPISODE, (), "str"),
        FieldSpec("success", Axis.EPISODE, (), "bool"),
    )
)
STILL = np.zeros(3, "float32")


def seen(number: int) -> dict:
    front = np.full((24, 32, 3), number % 251, "uint8")
    return {"observation": {"front": front, "joints": np.full(3, number % 4, "float32")}}


def recorder(store: Path, **more: object):
    return Store(store).record("arm", schema=SCHEMA, provenance={"robot": "fake"}, **more)


def played(recorder, steps: int, first: int = 0):
    episode = recorder.begin(seen(first) | {"operator": "ana"})
    for step in range(steps):
        episode.step({"action": STILL + step % 90 / 99} | seen(first + step + 1))
    return episode


def check_played(episode, steps: int, first: int = 0) -> None:
    assert len(episode) == steps
    expected = [(first + step) % 251 for step in range(steps + 1)]
    assert episode["observation/front"][:, 3, 4, 1].tolist() == expected
    assert episode["action"][:, 0].tolist() == [np.float32(step % 90 / 99) for step in range(steps)]


def test_what_a_loop_gives_is_recorded(tmp_path: Path) -> None:
    with recorder(tmp_path) as open_recorder:
        played(open_recorder, 5).end({"success": True})
        played(open_recorder, 7, 100).end({"success": False}, truncated=True)
        open_recorder.wait()
        assert open_recorder.episodes == 2
    first, second = Store(tmp_path).open("arm@v1")
    check_played(first, 5)
    check_played(second, 7, 100)
    assert first["operator"] == "ana" and first["success"] and not second["success"]
    assert first["terminated"].tolist() == [False] * 4 + [True] and not first["truncated"].any()
    assert second["truncated"].tolist() == [False] * 6 + [True] and not second["terminated"].any()


def test_values_are_copied_when_they_come(tmp_path: Path) -> None:
    buffer, action = seen(0), STILL.copy()
    with recorder(tmp_path) as open_recorder:
        episode = open_recorder.begin(buffer | {"operator": "ana", "success": True})
        for step in range(3):
            buffer["observation"]["front"][:] = step + 1
            episode.act({"action": action})
            action[:] = (step + 1) / 99
            episode.step(buffer)
        episode.end()
        buffer["observation"]["front"][:] = 99
    check_played(Store(tmp_path).open("arm@v1")[0], 3)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"action": STILL + 2} | seen(2), r"'action': row 1: expected values in \[-1"),
        ({"action": STILL}, "'observation/front': expected it as a part .* at step 1 of episode 0"),
        ({"action": STILL, "observation": {"front": np.zeros(3), "joints": STILL}}, "front.*shape"),
        ({"action": STILL, "observation": {"joints": STILL + np.nan} | seen(1)["observation"]}, ""),
        ({"action": STILL, "light": 1.0} | seen(2), "'light': expected no such part of an episode"),
        ({"action": STILL, "operator": 3} | seen(2), "'operator': expected str"),
    ],
    ids=["range", "missing", "shape", "fine", "unknown", "text"],
)
def test_a_call_that_is_refused_leaves_the_episode_as_it_was(
    tmp_path: Path, values: dict, complaint: str
) -> None:
    with recorder(tmp_path) as open_recorder:
        episode = played(open_recorder, 1)
        if complaint:
            with pytest.raises(SchemaError, match=complaint):
                episode.step(values)
        episode.step({"action": STILL + 1 / 99} | seen(2))
        with pytest.raises(SchemaError, match="'success': expected a value for it"):
            episode.end()
        episode.end({"success": True})
        with pytest.raises(JournalError, match="this episode is ended or dropped; begin another"):
            episode.step({"action": STILL} | seen(2))
    check_played(Store(tmp_path).open("arm@v1")[0], 2)


def test_an_end_that_a_step_tells_ends_the_episode(tmp_path: Path) -> None:
    with recorder(tmp_path) as open_recorder:
        episode = played(open_recorder, 2)
        episode.step({"action": STILL, "truncated": True} | seen(3))
        with pytest.raises(JournalError, match="this episode is over at step 2; begin another"):
            episode.step({"action": STILL} | seen(4))
        episode.end({"success": False})
        empty = open_recorder.begin(seen(0))
        with pytest.raises(JournalError, match="an episode without a step cannot be recorded"):
            empty.end({"operator": "bo", "success": True})
        empty.drop()
    (episode,) = Store(tmp_path).open("arm@v1")
    assert episode["truncated"].tolist() == [False, False, True]
    assert not episode["terminated"].any()


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that a few frames of 2,304 bytes pass."""
    monkeypatch.setattr(live, "BLOCK_BYTES", 20_000)
    monkeypatch.setattr(live, "LEAST_BLOCK_BYTES", 5_000)
    monkeypatch.setattr(frames, "PIECE_BYTES", 10_000)


def test_what_does_not_fit_into_memory_is_recorded_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    with recorder(tmp_path) as open_recorder:
        folder = recording_folder(open_recorder.target)
        together = [played(open_recorder, 60, first) for first in (0, 100)]
        assert all(it._rows.fresh_bytes < 20_000 for it in together)
        together[1].end({"success": True})
        together[0].end({"success": True})
        open_recorder.wait()
        assert sorted(it.name for it in folder.iterdir() if it.suffix == ".part") == []
    one, other = Store(tmp_path).open("arm@v1")
    check_played(one, 60, 100)
    check_played(other, 60)


class Slow(system.Operations):
    """A disk that takes 2 ms for a write."""

    def write(self, descriptor: int, data: bytes | bytearray | memoryview, offset: int) -> int:
        time.sleep(0.002)
        return super().write(descriptor, data, offset)


def test_a_slow_disk_holds_the_loop_up_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    monkeypatch.setattr(beside, "WAITING_BYTES", 30_000)
    told: list[str] = []
    logger.enable("trajstore")
    sink = logger.add(told.append, level="WARNING")
    try:
        with recorder(tmp_path) as open_recorder:
            monkeypatch.setattr(system, "OPS", Slow())
            episode = played(open_recorder, 300)
            episode.end({"success": True})
            monkeypatch.setattr(system, "OPS", system.Operations())
            assert episode.lag > 0.05 and open_recorder.lag >= episode.lag
            assert episode.slowest > 0.001
    finally:
        logger.remove(sink)
        logger.disable("trajstore")
    check_played(Store(tmp_path).open("arm@v1")[0], 300)
    assert "the disk is behind" in told[0] and "nothing was dropped" in told[0]
    assert len(told) < 12


def test_threads_have_episodes_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    with recorder(tmp_path) as open_recorder:

        def work(first: int) -> None:
            for length in range(1, 12):
                played(open_recorder, length, first).end({"success": True})

        threads = [threading.Thread(target=work, args=(first,)) for first in (0, 50, 100, 150)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    dataset = Store(tmp_path).open("arm@v1")
    assert len(dataset) == 44
    for episode in dataset:
        check_played(episode, len(episode), int(episode["observation/front"][0, 0, 0, 0]))


class Full(system.Operations):
    """A disk that is full for files of rows and journals alike."""

    def write(self, descriptor: int, data: bytes | bytearray | memoryview, offset: int) -> int:
        raise OSError(28, "No space left on device")


def test_a_full_disk_is_told_and_loses_one_episode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    with pytest.raises(StorageError, match="free some space"), recorder(tmp_path) as open_recorder:
        played(open_recorder, 3).end({"success": True})
        open_recorder.wait()
        monkeypatch.setattr(system, "OPS", Full())
        played(open_recorder, 4).end({"success": True})
        try:
            open_recorder.wait()
        finally:
            monkeypatch.setattr(system, "OPS", system.Operations())
    with recorder(tmp_path) as open_recorder:
        assert open_recorder.episodes == 1
        played(open_recorder, 5).end({"success": True})
    assert [len(it) for it in Store(tmp_path).open("arm@v1")] == [3, 5]


def test_a_block_of_rows_that_is_lost_loses_its_episode_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    with recorder(tmp_path) as open_recorder:
        episode = played(open_recorder, 3)
        monkeypatch.setattr(system, "OPS", Full())
        with pytest.raises(StorageError, match="free some space"):
            for step in range(3, 9):
                episode.step({"action": STILL} | seen(step))
            open_recorder.wait()
        monkeypatch.setattr(system, "OPS", system.Operations())
        episode.end({"success": True})
        with pytest.raises(StorageError, match="that episode is lost"):
            open_recorder.wait()
        played(open_recorder, 2).end({"success": True})
    assert [len(it) for it in Store(tmp_path).open("arm@v1")] == [2]


def test_an_episode_past_the_quota_is_refused_while_it_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    with (
        pytest.raises(QuotaExceededError),
        recorder(tmp_path, quota_bytes=400_000) as open_recorder,
    ):
        episode = open_recorder.begin(seen(0))
        for step in range(2000):
            episode.step({"action": STILL} | seen(step))
            open_recorder.wait()
    assert step < 200


def test_what_is_under_way_at_the_end_is_dropped_and_told(tmp_path: Path) -> None:
    told: list[str] = []
    logger.enable("trajstore")
    sink = logger.add(told.append, level="WARNING")
    try:
        with recorder(tmp_path) as open_recorder:
            played(open_recorder, 3).end({"success": True})
            left = played(open_recorder, 4)
    finally:
        logger.remove(sink)
        logger.disable("trajstore")
    assert len(Store(tmp_path).open("arm@v1")) == 1
    assert "dropped 4 steps" in told[0]
    with pytest.raises(SealedError, match="closed"):
        left.step({"action": STILL} | seen(5))


def test_an_error_in_the_loop_keeps_what_was_ended(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), recorder(tmp_path) as open_recorder:
        for length in (3, 4):
            played(open_recorder, length).end({"success": True})
        played(open_recorder, 5)
        raise KeyboardInterrupt
    with recorder(tmp_path) as open_recorder:
        assert open_recorder.episodes == 2
    assert [len(it) for it in Store(tmp_path).open("arm@v1")] == [3, 4]


KILLED = """
import os, signal, sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from tests.trajstore.recording import test_live as here
here.live.BLOCK_BYTES = 20_000
with here.recorder(Path(sys.argv[1])) as recorder:
    for length in (30, 40):
        here.played(recorder, length).end({"success": True})
    recorder.wait()
    here.played(recorder, 50)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_loses_the_episode_under_way_alone(tmp_path: Path) -> None:
    root = str(Path(__file__).parents[3])
    command = [sys.executable, "-c", KILLED, str(tmp_path), root]
    done = subprocess.run(command, check=False, capture_output=True, cwd=root)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    with recorder(tmp_path) as open_recorder:
        assert open_recorder.episodes == 2
        assert not list(recording_folder(open_recorder.target).glob("*.part"))
        played(open_recorder, 60).end({"success": True})
    for episode, steps in zip(Store(tmp_path).open("arm@v1"), (30, 40, 60), strict=True):
        check_played(episode, steps)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_is_refused(tmp_path: Path) -> None:
    with recorder(tmp_path) as open_recorder:
        episode = played(open_recorder, 2)
        child = os.fork()
        if not child:
            try:
                episode.step({"action": STILL} | seen(5))
            except JournalError as error:
                os._exit(7 if "a fork of it" in str(error) else 8)
            os._exit(9)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        episode.end({"success": True})
    assert len(Store(tmp_path).open("arm@v1")) == 1


def test_a_large_episode_is_no_frame_before_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "PIECE_BYTES", 4_000)
    episodes = [factories.episode(seed, steps=9, schema=factories.WIDE_SCHEMA) for seed in range(3)]
    path = tmp_path / "journal.log"
    journal = Journal(path, factories.WIDE_SCHEMA)
    for order, episode in enumerate(episodes):
        journal.append(episode, order=order)
    assert [it.digest for it in journal.episodes()] == [it.digest for it in episodes]
    before, whole = journal.frames[2].offset - frames.FRAME.size, path.read_bytes()
    journal.close()
    for written in (1, 4_000, 20_000):
        body = before + frames.FRAME.size
        path.write_bytes(whole[:before] + bytes(frames.FRAME.size) + whole[body : body + written])
        assert len(scan(path, factories.WIDE_SCHEMA).frames) == 2
