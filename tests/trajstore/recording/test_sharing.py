"""A recorder is shared by threads, moved with its store, rerun after a kill, and stays fast."""

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import factories
from trajstore.dataset import Dataset
from trajstore.disk import system
from trajstore.episode.episode import Episode
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import (
    CorruptionError,
    JournalError,
    LockedError,
    SchemaError,
    SealedError,
    TrajStoreError,
)
from trajstore.recording.bulk import write_dataset
from trajstore.recording.recorder import Segment
from trajstore.recording.recover import seal_recording
from trajstore.recording.unfinished import RECORD, open_recording, recording_folder
from trajstore.store import Store

SCHEMA = factories.SCHEMA
EPISODES = [factories.episode(seed, steps=1 + seed % 3) for seed in range(40)]


class NoSyncs(system.Operations):
    """Where time is measured, the disk is none of it."""

    def fdatasync(self, descriptor: int) -> None:
        """Do nothing."""


def together(*actions: Callable[[], object]) -> list[TrajStoreError]:
    """Run actions in threads of their own; returns what was refused."""
    refused: list[TrajStoreError] = []

    def run(action: Callable[[], object]) -> None:
        try:
            action()
        except TrajStoreError as error:
            refused.append(error)

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return refused


@pytest.mark.slow
def test_what_four_threads_add_is_all_there_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "OPS", NoSyncs())
    with factories.recorder(tmp_path / "v1") as recorder:

        def add() -> None:
            for number in range(2500):
                recorder.add(EPISODES[number % len(EPISODES)])

        assert together(add, add, add, add) == []
        assert recorder.episodes == 10_000
    assert recorder.manifest is not None and recorder.manifest.episodes == 10_000


def test_threads_share_a_segment_and_its_places(tmp_path: Path) -> None:
    with factories.recorder(tmp_path / "v1"), Segment(tmp_path / "v1", "w", schema=SCHEMA) as one:

        def add(first: int) -> None:
            for order in range(first, 40, 4):
                one.add(EPISODES[order], order=order)

        assert together(*[lambda first=first: add(first) for first in range(4)]) == []
        refused = together(*[lambda: one.add(EPISODES[0], order=40)] * 4)
        assert [type(error) for error in refused] == [JournalError] * 3
    digests = [episode.digest for episode in Dataset.open(tmp_path / "v1")]
    assert digests == [episode.digest for episode in (*EPISODES, EPISODES[0])]


@pytest.mark.parametrize("repeat", range(5))
def test_what_was_acknowledged_before_the_end_is_sealed_and_the_rest_is_told(
    tmp_path: Path, repeat: int
) -> None:
    acknowledged: list[str] = []
    recorder = factories.recorder(tmp_path / "v1").__enter__()
    recorder.add(EPISODES[0])

    def add() -> None:
        for episode in EPISODES * 100:
            recorder.add(episode)
            acknowledged.append(episode.digest)

    def end() -> None:
        while len(acknowledged) < 5 + 3 * repeat:
            time.sleep(0)
        recorder.__exit__(None, None, None)

    refused = together(add, add, end)
    assert len(refused) == 2 and {type(it) for it in refused} <= {JournalError, SealedError}
    sealed = [episode.digest for episode in Dataset.open(tmp_path / "v1")]
    assert sorted(sealed) == sorted([*acknowledged, EPISODES[0].digest])


def test_a_recorder_that_two_threads_end_is_sealed_once(tmp_path: Path) -> None:
    recorder = factories.recorder(tmp_path / "v1").__enter__()
    recorder.add(EPISODES[0])
    refused = together(*[lambda: recorder.__exit__(None, None, None)] * 3)
    assert len(refused) == 2 and {type(it) for it in refused} <= {JournalError, SealedError}
    assert len(Dataset.open(tmp_path / "v1")) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["v1"]


def test_of_two_threads_that_begin_one_recording_one_is_told_who_records(tmp_path: Path) -> None:
    recorders = [factories.recorder(tmp_path / "v1") for _ in range(2)]
    refused = together(*[recorder.__enter__ for recorder in recorders])
    assert [type(error) for error in refused] == [LockedError]


def test_adding_takes_the_same_time_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the processor; the least of several blocks, for other work on the machine adds to it."""
    monkeypatch.setattr(system, "OPS", NoSyncs())
    with factories.recorder(tmp_path / "v1") as recorder:

        def block() -> float:
            before = time.process_time()
            for number in range(400):
                recorder.add(EPISODES[number % len(EPISODES)])
            return time.process_time() - before

        spent = [block() for _ in range(12)]
        assert min(spent[-3:]) < 1.5 * min(spent[:3])
        assert len([order for order in range(4800) if order in recorder.orders]) == 4800


def test_many_at_once_are_durable_together_and_equal_to_one_by_one(tmp_path: Path) -> None:
    def broken() -> Iterator[Episode]:
        yield from EPISODES[:3]
        raise InterruptedError

    with pytest.raises(InterruptedError), factories.recorder(tmp_path / "v1") as recorder:
        recorder.add_all(broken())
    recording = open_recording(tmp_path / "v1")
    assert len(recording.frames()) == 3
    with factories.recorder(tmp_path / "v1") as recorder:
        assert recorder.add_all(EPISODES[3:]) == len(EPISODES) - 3
    plain = write_dataset(tmp_path / "v2", EPISODES, schema=SCHEMA, provenance={"policy": "p"})
    assert recorder.manifest == plain


def begin(store: Store, *, extends: str | None = None, seeds: range = range(3)) -> Path:
    """A recording that was killed; returns the folder of its version to be."""
    with (
        pytest.raises(InterruptedError),
        store.record("kk", schema=SCHEMA, provenance={}, extends=extends) as recorder,
    ):
        for seed in seeds:
            recorder.add(EPISODES[seed])
        raise InterruptedError
    return recorder.target


@pytest.mark.parametrize("base", ["kk@v1", "other@v1"])
def test_a_recording_that_extends_a_version_moves_with_its_store(tmp_path: Path, base: str) -> None:
    store = Store(tmp_path / "store")
    factories.dataset(store.folder("kk") / "v1", provenance={"made": "kk"})
    factories.dataset(store.folder("other") / "v1", provenance={"made": "other"})
    target = begin(store, extends=base)
    assert str(tmp_path) not in (recording_folder(target) / RECORD).read_text()
    (tmp_path / "store").rename(tmp_path / "moved")
    (tmp_path / "link").symlink_to(tmp_path / "moved")
    assert begin(Store(tmp_path / "link"), extends=base, seeds=range(3, 5)).name == target.name
    moved = Store(tmp_path / "moved").unfinished("kk")
    assert [open_recording(it).extends for it in moved] == [
        (tmp_path / "moved" / base.replace("@", "/")).resolve()
    ]
    assert seal_recording(moved[0]).episodes == 5 + 5


def test_a_version_of_another_store_is_extended_wherever_this_one_is_moved(tmp_path: Path) -> None:
    factories.dataset(tmp_path / "elsewhere" / "v7")
    target = begin(Store(tmp_path / "store"), extends=str(tmp_path / "elsewhere" / "v7"))
    (tmp_path / "deep").mkdir()
    (tmp_path / "store").rename(tmp_path / "deep" / "store")
    target = tmp_path / "deep" / "store" / "kk" / target.name
    assert open_recording(target).extends == (tmp_path / "elsewhere" / "v7").resolve()
    assert seal_recording(target).episodes == 5 + 3


def test_the_example_that_is_killed_and_run_again_records_each_seed_once(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    program = readme.split("<!-- run: mine.py -->\n```python\n")[1].split("```")[0]
    killed = program.replace(
        "    recorder.add_all(record(env, policy, seeds=seeds, schema=schema))",
        "    for episode in record(env, policy, seeds=seeds, schema=schema):\n"
        "        recorder.add(episode)\n        recorder.episodes == 7 and os._exit(9)",
    )
    ran = [
        subprocess.run(
            [sys.executable, "-c", f"import os\n{text}"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
            check=False,
        )
        for text in (killed, program)
    ]
    assert [one.returncode for one in ran] == [9, 0]
    episodes = Store(tmp_path / "data/store").open("mine@v1")
    assert [int(episode["seed"]) for episode in episodes] == list(range(20))


def seed_of(episode: Episode) -> tuple[int, str]:
    return int(episode["seed"]), str(episode["scenario"])


def test_a_program_that_is_run_again_goes_on_by_seed_and_scenario(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    begin(store, seeds=range(7))
    with store.record("kk", schema=SCHEMA, provenance={}) as recorder:
        left = recorder.missing(range(10))
        assert left == [7, 8, 9]
        assert recorder.missing(range(10), scenario=factories.SCENARIOS[1]) == [
            0,
            2,
            3,
            5,
            6,
            7,
            8,
            9,
        ]
        for seed in left:
            recorder.add(EPISODES[seed])
        assert recorder.missing([9, 9, 30, 30]) == [30]
    sealed = [seed_of(episode) for episode in store.open("kk@v1")]
    assert sealed == [seed_of(EPISODES[seed]) for seed in range(10)]
    with store.record("kk", schema=SCHEMA, provenance={}, extends="kk@v1") as recorder:
        assert recorder.missing(range(12)) == [10, 11]
        assert recorder.missing(range(3), scenario=factories.SCENARIOS[0]) == [1, 2]
        with Segment(recorder.target, "w", schema=SCHEMA) as worker:
            worker.add(EPISODES[11], order=0)
        assert recorder.missing(range(12)) == [10]
    with pytest.raises(SealedError, match="closed"):
        recorder.missing(range(3))


def test_seeds_are_looked_for_where_there_is_a_field_for_them(tmp_path: Path) -> None:
    schema = EpisodeSchema(tuple(it for it in SCHEMA.fields if it.name not in ("seed", "scenario")))
    with factories.recorder(tmp_path / "v1", schema=schema) as recorder:
        with pytest.raises(SchemaError, match="no field 'seed'; there are observation, action"):
            recorder.missing(range(3))
        recorder.add(factories.episode(1, schema=schema))


def test_a_recording_of_the_first_release_is_gone_on_with(tmp_path: Path) -> None:
    """Its record has no check value, and an absolute path."""
    store = Store(tmp_path / "store")
    factories.dataset(store.folder("kk") / "v1")
    record = recording_folder(begin(store, extends="kk@v1")) / RECORD
    old = json.loads(record.read_text())
    del old["check"]
    record.write_text(json.dumps(old | {"extends": str(store.folder("kk").absolute() / "v1")}))
    begin(store, extends="kk@v1", seeds=range(3, 5))
    assert "check" in json.loads(record.read_text())
    assert seal_recording(store.folder("kk") / "v2").episodes == 5 + 5


def test_every_changed_bit_of_the_record_is_named(tmp_path: Path) -> None:
    target = begin(Store(tmp_path / "store"))
    path = recording_folder(target) / RECORD
    content, begun = path.read_bytes(), open_recording(target)
    outcomes: Counter[str] = Counter()
    for bit in range(0, 8 * len(content), 11):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            same = open_recording(target) == begun
        except CorruptionError:
            outcomes["named"] += 1
        else:
            assert same
            outcomes["harmless"] += 1
    assert outcomes["named"] > 0.99 * outcomes.total()
