"""A quota is never overshot; a disk that fails is named, and what was acknowledged stays."""

import errno
import os
from pathlib import Path

import pytest

from tests import factories
from trajstore import disk
from trajstore.errors import QuotaExceededError, StorageError
from trajstore.files import size_bytes
from trajstore.recorder import Recorder
from trajstore.schema import EpisodeSchema
from trajstore.writer import write_dataset

SCHEMA = factories.SCHEMA
EPISODES = factories.episodes(6)


def recorder(target: Path, **changes: object) -> Recorder:
    plain: dict[str, object] = {"schema": SCHEMA, "provenance": {"policy": "p"}}
    return Recorder(target, **(plain | changes))  # type: ignore[arg-type]


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
    with pytest.raises(StorageError, match="got an earlier failure"), recorder(target) as begun:
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
