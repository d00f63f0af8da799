"""Threads beside the writer change nothing but the time, and end with it, well or not."""

import threading
from pathlib import Path

import numpy as np
import pytest

from trajstore.disk import system
from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import StorageError
from trajstore.recording.bulk import write_dataset
from trajstore.version import writer
from trajstore.version.lanes import AHEAD, Lane

SCHEMA = EpisodeSchema(
    (
        FieldSpec("observation", Axis.STATE, (64,), "float32"),
        FieldSpec("grid", Axis.STEP, (40, 40), "uint8"),
        FieldSpec("terminated", Axis.STEP, (), "bool"),
        FieldSpec("truncated", Axis.STEP, (), "bool"),
        FieldSpec("word", Axis.EPISODE, (), "str"),
    )
)


def episodes(count: int = 60, steps: int = 200) -> list[Episode]:
    rng, ends = np.random.default_rng(0), np.arange(steps) == steps - 1
    return [
        Episode(
            SCHEMA,
            {
                "observation": rng.normal(size=(steps + 1, 64)).cumsum(axis=0).astype("f4"),
                "grid": rng.integers(0, 3, (steps, 40, 40)).astype("u1"),
                "terminated": ends,
                "truncated": np.zeros(steps, bool),
                "word": f"{number % 7}",
            },
        )
        for number in range(count)
    ]


def content(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_the_same_bytes_are_written_with_and_without_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = threading.active_count()
    write_dataset(tmp_path / "beside", episodes(), schema=SCHEMA, provenance={})
    assert threading.active_count() == before
    monkeypatch.setattr(writer, "BATCH_BYTES", 2**40)
    monkeypatch.setattr(system, "SYNC_THREADS", 1)
    write_dataset(tmp_path / "alone", episodes(), schema=SCHEMA, provenance={})
    assert content(tmp_path / "beside") == content(tmp_path / "alone")


@pytest.mark.parametrize("call", ["write", "fsync", "open"])
@pytest.mark.parametrize("number", [1, 10, 22])
def test_a_refusal_beside_is_named_and_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    left = [number]
    plain = getattr(system.Operations, call)

    def refuse(self: system.Operations, *arguments: object) -> object:
        left[0] -= 1
        if left[0] == 0:
            raise OSError(28, "No space left on device")
        return plain(self, *arguments)

    monkeypatch.setattr(system.Operations, call, refuse)
    before = threading.active_count()
    with pytest.raises(StorageError, match="No space left"):
        write_dataset(tmp_path / "v1", episodes(), schema=SCHEMA, provenance={})
    assert threading.active_count() == before
    assert list(tmp_path.iterdir()) == []


def test_work_is_done_in_order_a_few_pieces_ahead() -> None:
    done: list[int] = []
    gate = threading.Event()
    lane = Lane(beside=True)
    lane.give(gate.wait)
    for number in range(AHEAD - 1):
        lane.give(done.append, number)
    assert done == []
    timer = threading.Timer(0.05, gate.set)
    timer.start()
    lane.give(done.append, AHEAD - 1)
    lane.wait()
    assert done == list(range(AHEAD))
    timer.join()
    lane.abandon()


@pytest.mark.parametrize("beside", [False, True])
def test_an_error_in_a_lane_comes_out(beside: bool) -> None:
    lane = Lane(beside=beside)
    with pytest.raises(ZeroDivisionError):
        lane.give(divmod, 1, 0)
        lane.wait()
    lane.abandon()
