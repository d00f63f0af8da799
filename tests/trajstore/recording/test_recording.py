"""A damaged recording is named with what to do, is never taken for none, and can be discarded."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import factories
from trajstore.errors import CorruptionError, JournalError, NotFoundError
from trajstore.recording.recover import discard_recording, seal_recording
from trajstore.recording.unfinished import RECORD, open_recording, recording_folder
from trajstore.store import Store
from trajstore.version.manifest import Manifest

SCHEMA = factories.SCHEMA


def unfinished(store: Store, name: str = "kk", *, episodes: int = 2) -> Path:
    """Leave a recording behind; returns the folder of its version to be."""
    with (
        pytest.raises(InterruptedError),
        store.record(name, schema=SCHEMA, provenance={}) as recorder,
    ):
        for episode in factories.episodes(episodes):
            recorder.add(episode)
        raise InterruptedError
    return recorder.target


def changed(**values: object) -> Callable[[Path], object]:
    """A fault: other values in the record, which has no check value, as in the first release."""

    def change(record: Path) -> None:
        found = json.loads(record.read_text())
        del found["check"]
        record.write_text(json.dumps(found | values))

    return change


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "emptied": (lambda record: record.write_bytes(b""), "what is no JSON"),
    "a byte changed": (
        lambda record: record.write_bytes(record.read_bytes().replace(b":", b";", 1)),
        "what is no JSON",
    ),
    "gone": (Path.unlink, "put the file back"),
    "another document": (lambda record: record.write_text("[]"), "another .*JSON object"),
    "a key short": (lambda record: record.write_text("{}"), "another .*check value None"),
    "no quota": (changed(quota_bytes=None), "one that is refused .*whole number of bytes"),
    "no schema": (changed(schema=[]), "one that is refused .*'terminated'"),
}


@pytest.mark.parametrize(("fault", "complaint"), FAULTS.values(), ids=FAULTS)
def test_a_damaged_record_is_named_and_its_recording_discarded(
    tmp_path: Path, fault: Callable[[Path], object], complaint: str
) -> None:
    store = Store(tmp_path / "store")
    target = unfinished(store)
    fault(recording_folder(target) / RECORD)
    for act in (open_recording, seal_recording):
        with pytest.raises(CorruptionError, match=complaint):
            act(target)
    with pytest.raises(CorruptionError, match=r"trajstore recover kk --discard"):
        store.record("kk", schema=SCHEMA, provenance={})
    assert store.unfinished("kk") == [target]
    discard_recording(target)
    assert list(target.parent.iterdir()) == []
    with store.record("kk", schema=SCHEMA, provenance={}) as recorder:
        recorder.add(factories.episode(1))
    assert recorder.target == target


def test_a_record_that_was_put_back_gives_all_episodes(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    target = unfinished(store, episodes=3)
    record = recording_folder(target) / RECORD
    kept = record.read_bytes()
    record.unlink()
    with pytest.raises(CorruptionError, match="put the file back from a copy"):
        open_recording(target)
    record.write_bytes(kept)
    assert seal_recording(target).episodes == 3


def test_a_folder_without_record_and_journal_was_never_begun(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    target = store.folder("kk") / "v1"
    recording_folder(target).mkdir(parents=True)
    assert store.unfinished("kk") == []
    with pytest.raises(NotFoundError, match="no recording is unfinished"):
        discard_recording(target)
    with store.record("kk", schema=SCHEMA, provenance={}) as recorder:
        recorder.add(factories.episode(1))
    assert [path.name for path in target.parent.iterdir()] == ["v1"]


def test_a_recording_without_episodes_is_not_sealed_and_stays(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    target = unfinished(store, episodes=0)
    with pytest.raises(
        JournalError, match="holds no episode yet; record some, or remove it: trajstore rec"
    ):
        seal_recording(target)
    assert store.unfinished("kk") == [target]
    with store.record("kk", schema=SCHEMA, provenance={}) as recorder:
        recorder.add(factories.episode(1))
    assert Manifest.read(target).episodes == 1


def test_outside_a_dataset_the_folder_to_delete_is_named(tmp_path: Path) -> None:
    target = unfinished(Store(tmp_path / "store"))
    elsewhere = tmp_path / "current"
    recording_folder(target).rename(recording_folder(elsewhere))
    (recording_folder(elsewhere) / RECORD).unlink()
    with pytest.raises(CorruptionError, match=r"with its episodes: delete .*\.current\.recording"):
        open_recording(elsewhere)
