"""What cannot be sealed is refused at once; a quota holds; a disk that fails is named."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from tests import factories
from tests.factories import recorder
from trajstore.dataset import Dataset
from trajstore.disk import system as disk
from trajstore.disk.files import size_bytes
from trajstore.episode.episode import Episode
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec
from trajstore.errors import (
    ArgumentError,
    JournalError,
    QuotaExceededError,
    SchemaError,
    StorageError,
)
from trajstore.recording.bulk import write_dataset
from trajstore.recording.recorder import Recorder, Segment
from trajstore.store import Store

SCHEMA = factories.SCHEMA
EPISODES = factories.episodes(6)


@pytest.mark.parametrize(
    ("schema", "quota"),
    [(SCHEMA, 30_000), (SCHEMA, 60_000), (factories.WIDE_SCHEMA, 200_000)],
    ids=["narrow", "more", "wide"],
)
def test_the_quota_is_never_overshot(tmp_path: Path, schema: EpisodeSchema, quota: int) -> None:
    sizes = []
    with recorder(tmp_path / "v1", schema=schema, quota_bytes=quota) as begun:
        for seed in range(300):
            try:
                begun.add(factories.episode(seed, schema=schema))
            except QuotaExceededError:
                break
            sizes.append(size_bytes(tmp_path))
        assert 0 < begun.episodes == len(sizes) < 300
    assert max(*sizes, size_bytes(tmp_path)) <= quota


def test_a_failed_sync_is_never_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "v1"
    with (
        pytest.raises(StorageError, match="could not be written earlier"),
        recorder(target) as begun,
    ):
        begun.add(EPISODES[0])
        with monkeypatch.context() as patch:
            patch.setattr(disk.OPS, "fdatasync", _refuse)
            with pytest.raises(StorageError, match=r"\(EIO\); check the disk"):
                begun.add(EPISODES[1])
        begun.add(EPISODES[1])
    with recorder(target) as again:
        assert again.episodes in (1, 2)


def test_a_full_disk_is_survived_by_the_same_recorder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with recorder(tmp_path / "v1") as begun:
        begun.add(EPISODES[0])
        with monkeypatch.context() as patch:
            patch.setattr(disk.OPS, "write", _refuse)
            with pytest.raises(StorageError):
                begun.add(EPISODES[5])
        begun.add(EPISODES[1])
    sealed = write_dataset(tmp_path / "plain", EPISODES[:2], schema=SCHEMA, provenance={})
    assert begun.manifest is not None
    assert begun.manifest.content_digest == sealed.content_digest


def _refuse(*_: object) -> int:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("quota", [None, 0, -1, 1.5, "1", True], ids=repr)
def test_what_is_no_quota_is_refused_at_once(tmp_path: Path, quota: object) -> None:
    wrong: dict[str, object] = {"schema": SCHEMA, "provenance": {}, "quota_bytes": quota}
    calls = (
        lambda: Store(tmp_path / "store").record("kk", **wrong),  # type: ignore[arg-type]
        lambda: Recorder(tmp_path / "v1", **wrong),  # type: ignore[arg-type]
        lambda: write_dataset(tmp_path / "v1", EPISODES, **wrong),  # type: ignore[arg-type]
    )
    for call in calls:
        with pytest.raises(ArgumentError, match=r"quota_bytes: expected a whole number .*, got "):
            call()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("length", [1, 64])
def test_the_longest_name_that_is_accepted_can_be_sealed(tmp_path: Path, length: int) -> None:
    name = "/".join(["a" * length] * 512)[:511] + "b"
    field = FieldSpec(name, Axis.STATE, (3,), "float32")
    schema = EpisodeSchema((*SCHEMA.fields, field))
    arrays = factories.arrays(1) | {name: np.zeros((8, 3), "float32")}
    with recorder(tmp_path / "v1", schema=schema) as begun:
        begun.add(Episode(schema, arrays))
    assert Dataset.open(tmp_path / "v1")[0][name].shape == (8, 3)


@pytest.mark.parametrize("wrong", [{"a": 1}, None, 3], ids=repr)
def test_what_is_no_episode_is_refused_by_every_writer(tmp_path: Path, wrong: object) -> None:
    complaint = f"expected an Episode, got {type(wrong).__name__}; make one"
    with recorder(tmp_path / "v1") as begun:
        with pytest.raises(SchemaError, match=complaint):
            begun.add(wrong)  # type: ignore[arg-type]
        begun.add(EPISODES[0])
    for episodes in ([wrong], iter([wrong])):
        with pytest.raises(SchemaError, match=complaint):
            write_dataset(tmp_path / "v2", episodes, schema=SCHEMA, provenance={})  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["v1"]


@pytest.mark.parametrize("order", ["1", 1.5, True, None, -1], ids=repr)
def test_a_place_that_is_no_whole_number_is_refused(tmp_path: Path, order: object) -> None:
    with recorder(tmp_path / "v1") as begun:
        begun.add(EPISODES[0])
        with Segment(begun.target, "w", schema=SCHEMA) as segment:
            with pytest.raises(JournalError, match="a place from 0 on that is free, got"):
                segment.add(EPISODES[1], order=order)  # type: ignore[arg-type]
            segment.add(EPISODES[1], order=np.int64(1))  # type: ignore[arg-type]


def test_what_is_no_schema_is_refused_at_once(tmp_path: Path) -> None:
    for schema in (None, [], SCHEMA.fields):
        complaint = f"must be an EpisodeSchema, got {type(schema).__name__}; make one"
        with pytest.raises(SchemaError, match=complaint):
            Store(tmp_path / "store").record("kk", schema=schema, provenance={})  # type: ignore[arg-type]
        with pytest.raises(SchemaError, match=complaint):
            recorder(tmp_path / "v1", schema=schema)
        with pytest.raises(SchemaError, match=complaint):
            Episode(schema, factories.arrays())  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
