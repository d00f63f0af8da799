"""An episode whose ``add`` returned is there after any end; the version does not tell how."""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests import factories
from tests.factories import recorder
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import (
    JournalError,
    LockedError,
    NotFoundError,
    SchemaError,
    SealedError,
)
from trajstore.recording.bulk import write_dataset
from trajstore.recording.recorder import Recorder, Segment
from trajstore.recording.recover import discard_recording, seal_recording
from trajstore.recording.unfinished import open_recording, unfinished
from trajstore.version.manifest import Manifest

SCHEMA = factories.SCHEMA
EPISODES = factories.episodes(6)


def abandon(target: Path, count: int = 2) -> None:
    """Leave a recording of the first episodes behind."""
    with pytest.raises(KeyboardInterrupt), recorder(target) as begun:
        for episode in EPISODES[:count]:
            begun.add(episode)
        raise KeyboardInterrupt


def sealed_bytes(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.fixture
def plain(tmp_path: Path) -> dict[str, bytes]:
    """What all six episodes look like when they are written at once."""
    provenance = {"policy": "p"}
    write_dataset(tmp_path / "plain", EPISODES, schema=SCHEMA, provenance=provenance)
    return sealed_bytes(tmp_path / "plain")


def test_an_interrupted_recording_is_resumed_to_the_same_bytes(
    tmp_path: Path, plain: dict[str, bytes]
) -> None:
    target = tmp_path / "store" / "v1"
    abandon(target)
    assert not target.exists()
    with recorder(target) as resumed:
        assert resumed.episodes == 2
        for episode in EPISODES[resumed.episodes :]:
            resumed.add(episode)
    assert sealed_bytes(target) == plain
    assert [path.name for path in target.parent.iterdir()] == ["v1"]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_number_of_workers_leaves_no_trace(
    tmp_path: Path, plain: dict[str, bytes], workers: int
) -> None:
    target = tmp_path / "store" / "v1"
    with recorder(target):
        for worker in range(workers):
            with Segment(target, f"worker-{worker}", schema=SCHEMA) as segment:
                for order in reversed(range(worker, 6, workers)):
                    segment.add(EPISODES[order], order=order)
    assert sealed_bytes(target) == plain


def test_a_lost_worker_is_replaced(tmp_path: Path, plain: dict[str, bytes]) -> None:
    target = tmp_path / "store" / "v1"
    with recorder(target):
        with pytest.raises(RuntimeError), Segment(target, "w", schema=SCHEMA) as lost:
            lost.add(EPISODES[4], order=4)
            raise RuntimeError
        with Segment(target, "w", schema=SCHEMA) as again:
            assert again.orders == {4}
            for order in sorted(set(range(6)) - again.orders):
                again.add(EPISODES[order], order=order)
    assert sealed_bytes(target) == plain


def test_two_episodes_in_one_place_are_refused(tmp_path: Path) -> None:
    target = tmp_path / "v1"
    begun = recorder(target).__enter__()
    begun.add(EPISODES[0])
    with pytest.raises(JournalError, match="a place from 0 on that is free, got 0"):
        begun.add(EPISODES[1], order=0)
    with Segment(target, "other", schema=SCHEMA) as segment:
        segment.add(EPISODES[1], order=0)
    with pytest.raises(JournalError, match="two episodes have the place 0"):
        begun.__exit__(None, None, None)
    assert not target.exists()
    assert len(open_recording(target).scans()) == 2


def test_a_version_is_not_sealed_under_a_worker(tmp_path: Path) -> None:
    target = tmp_path / "v1"
    begun = recorder(target).__enter__()
    begun.add(EPISODES[0])
    with Segment(target, "busy", schema=SCHEMA):
        with pytest.raises(LockedError, match="recording v1 by process"):
            Segment(target, "busy", schema=SCHEMA).__enter__()
        with pytest.raises(LockedError):
            begun.__exit__(None, None, None)
    assert seal_recording(target).episodes == 1


def test_a_second_recorder_is_told_who_records(tmp_path: Path) -> None:
    with recorder(tmp_path / "v1") as first:
        first.add(EPISODES[0])
        with pytest.raises(LockedError, match=rf"recording v1 by process {os.getpid()} on"):
            recorder(tmp_path / "v1").__enter__()
        with pytest.raises(LockedError):
            seal_recording(tmp_path / "v1")
        with pytest.raises(LockedError):
            discard_recording(tmp_path / "v1")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_is_told_to_open_a_segment_of_its_own(tmp_path: Path) -> None:
    target = tmp_path / "v1"
    with recorder(target) as begun:
        begun.add(EPISODES[0])
        reading, writing = os.pipe()
        if (child := os.fork()) == 0:
            told = [refusal(begun.add, EPISODES[1]), refusal(begun.__exit__, None, None, None)]
            with Segment(target, "child", schema=SCHEMA) as own:
                own.add(EPISODES[1], order=1)
            os.write(writing, "\n".join(told).encode())
            os._exit(0)
        os.close(writing)
        assert os.waitpid(child, 0)[1] == 0
        with os.fdopen(reading) as pipe:
            told = pipe.read().splitlines()
        assert [line.count("give each worker a segment of its own") for line in told] == [1, 1]
        assert f"opened by process {os.getpid()} and is used in {child}, a fork of it" in told[0]
        with pytest.raises(LockedError):
            recorder(target).__enter__()
    assert Manifest.read(target).episodes == 2


def refusal(call: Callable[..., None], *arguments: object) -> str:
    try:
        call(*arguments)
    except JournalError as error:
        return str(error)
    return "nothing was refused"


def test_a_recorder_that_is_closed_says_so(tmp_path: Path) -> None:
    with recorder(tmp_path / "v1") as begun:
        begun.add(EPISODES[0])
    with pytest.raises(
        SealedError,
        match="its version sealed; to add episodes, record the next version with extends=",
    ):
        begun.add(EPISODES[1])
    with pytest.raises(InterruptedError), recorder(tmp_path / "v2") as begun:
        raise InterruptedError
    with pytest.raises(JournalError, match="is closed"):
        begun.add(EPISODES[1])


def test_an_extension_keeps_every_file_and_equals_one_recording(tmp_path: Path) -> None:
    whole = write_dataset(tmp_path / "whole", EPISODES, schema=SCHEMA, provenance={})
    base = write_dataset(tmp_path / "v1", EPISODES[:3], schema=SCHEMA, provenance={})
    with recorder(tmp_path / "v2", extends=tmp_path / "v1") as begun:
        begun.add(EPISODES[3])
    with recorder(tmp_path / "v3", extends=tmp_path / "v2") as begun:
        for episode in EPISODES[4:]:
            begun.add(episode)
    last = Manifest.read(tmp_path / "v3")
    assert [part.path for part in last.parts] == ["", "parts/1", "parts/2"]
    assert base.files.items() <= last.files.items()
    for what in ("content_digest", "statistics", "vocabularies", "scenario_counts", "anomalies"):
        assert getattr(last, what) == getattr(whole, what), what


def test_another_schema_is_refused(tmp_path: Path) -> None:
    wide = factories.WIDE_SCHEMA
    abandon(tmp_path / "v1")
    with pytest.raises(SchemaError, match="begun with another schema"):
        recorder(tmp_path / "v1", schema=wide).__enter__()
    with pytest.raises(SchemaError, match="begun with another schema"):
        Segment(tmp_path / "v1", "w", schema=wide).__enter__()
    with recorder(tmp_path / "v1") as begun:
        with pytest.raises(SchemaError, match="its schema is not that of the dataset"):
            begun.add(factories.episode(schema=wide))
        assert begun.episodes == 2
    with pytest.raises(SchemaError), recorder(tmp_path / "v2", schema=wide,
                                              extends=tmp_path / "v1") as begun:  # fmt: skip
        begun.add(factories.episode(schema=wide))


def test_a_resumed_recording_has_one_provenance(tmp_path: Path) -> None:
    made_by = {"policy": {"id": "p7", "layers": (64, 64)}, "env": "nav"}
    with pytest.raises(InterruptedError), recorder(tmp_path / "v1", provenance=made_by) as begun:
        begun.add(EPISODES[0])
        raise InterruptedError
    for other, named in (
        ({**made_by, "policy": {"id": "p8"}}, 'policy.id: "p7", now "p8"); record with'),
        ({**made_by, "a": 1}, "(a: nothing, now 1); record with the same one"),
    ):
        with pytest.raises(JournalError, match=re.escape(named)):
            recorder(tmp_path / "v1", provenance=other).__enter__()
    with recorder(tmp_path / "v1", provenance=dict(reversed(made_by.items()))) as again:
        assert again.episodes == 1
    assert Manifest.read(tmp_path / "v1").provenance["policy"]["id"] == "p7"


def test_a_resumed_recording_extends_the_same_version(tmp_path: Path) -> None:
    abandon(tmp_path / "v2")
    factories.dataset(tmp_path / "v1")
    with pytest.raises(JournalError, match=r"was begun to extend no version, not .*v1; end that"):
        recorder(tmp_path / "v2", extends=tmp_path / "v1").__enter__()


def test_a_version_of_another_schema_is_extended_by_nothing_that_would_be_lost(
    tmp_path: Path,
) -> None:
    """It is refused before an episode is taken, and the message says which field differs."""
    factories.dataset(tmp_path / "v1")
    first, *rest = SCHEMA.fields
    for schema, told in (
        (factories.WIDE_SCHEMA, "differs from that of the new episodes in fields camera/grid"),
        (EpisodeSchema((replace(first, unit="ft"), *rest)), f"the definition of {first.name}"),
        (EpisodeSchema((*rest, first)), "the order of fields"),
    ):
        with pytest.raises(SchemaError, match=told):
            recorder(tmp_path / "v2", schema=schema, extends=tmp_path / "v1").__enter__()
    assert unfinished(tmp_path) == []


def test_a_sealed_version_is_not_recorded(tmp_path: Path) -> None:
    factories.dataset(tmp_path / "v1")
    with pytest.raises(SealedError):
        recorder(tmp_path / "v1").__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["v1"]


def test_a_recording_without_episodes_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(JournalError, match="holds no episode"),
        recorder(tmp_path / "v1"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_unfinished_recordings_are_listed_sealed_and_discarded(tmp_path: Path) -> None:
    abandon(tmp_path / "v1")
    abandon(tmp_path / "v2", 3)
    assert [found.target.name for found in map(open_recording, unfinished(tmp_path))] == [
        "v1",
        "v2",
    ]
    assert [len(found.frames()) for found in map(open_recording, unfinished(tmp_path))] == [2, 3]
    discard_recording(tmp_path / "v1")
    assert seal_recording(tmp_path / "v2").episodes == 3
    assert [path.name for path in tmp_path.iterdir()] == ["v2"]
    with pytest.raises(NotFoundError, match="no recording is unfinished"):
        seal_recording(tmp_path / "v1")


def test_provenance_that_is_no_json_is_refused_at_once(tmp_path: Path) -> None:
    for wrong in ({"a": float("nan")}, {"a": b"bytes"}, {"a": {1, 2}}):
        with pytest.raises(SchemaError, match="provenance"):
            recorder(tmp_path / "v1", provenance=wrong)


def test_of_two_recorders_of_one_number_the_later_is_told_of_the_other(tmp_path: Path) -> None:
    one, other = (
        Recorder(tmp_path / "v1", schema=factories.SCHEMA, provenance={}) for _ in range(2)
    )
    with one:
        one.add(factories.episode(1))
    with pytest.raises(LockedError, match="another process has sealed meanwhile; record again"):
        other.__enter__()
    with pytest.raises(SealedError):
        Recorder(tmp_path / "v1", schema=factories.SCHEMA, provenance={}).__enter__()
