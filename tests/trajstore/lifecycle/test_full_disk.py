"""A disk without any room: what frees room goes on, and what is archived is noted afterwards."""

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import factories
from tests.trajstore.lives import fill, shelf
from trajstore.disk import locks
from trajstore.disk import system as disk
from trajstore.disk.locks import lock
from trajstore.errors import LockedError, StorageError
from trajstore.lifecycle import Shelf, rotate
from trajstore.lifecycle.ledger import Deed
from trajstore.lifecycle.moving import finish
from trajstore.lifecycle.rotation import Retention
from trajstore.recording.recover import discard_recording
from trajstore.recording.unfinished import recording_folder
from trajstore.store import Store
from trajstore.version.integrity import verify

KEEP_ONE = Retention(validated=1)


class Full(disk.Operations):
    """A disk of which one folder is full, until something in it is removed."""

    def __init__(self, folder: Path, *, stop: int = -1) -> None:
        self.folder, self.room, self.stop = folder, 0, stop

    def write(self, descriptor: int, data: bytes | bytearray | memoryview, offset: int) -> int:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_relative_to(self.folder):
            if len(data) > self.room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.room -= len(data)
        return super().write(descriptor, data, offset)

    def unlink(self, path: Path) -> None:
        if self.stop == 0:
            raise KeyboardInterrupt
        self.stop -= 1
        self.room += path.lstat().st_size if path.suffix != ".partial" else 0
        super().unlink(path)


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """Three live versions; the disk that they lie on is full now, the archive's is not."""
    both = shelf(tmp_path)
    fill(both, tmp_path, 3)
    _no_names(monkeypatch)
    monkeypatch.setattr(disk, "OPS", Full(tmp_path / "store"))
    return both


def _no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(locks, "os", SimpleNamespace(**vars(os) | {"pwrite": full}))


def test_rotating_into_another_disk_frees_a_full_one(three: Shelf) -> None:
    rotate(three, retention=KEEP_ONE)
    assert three.live() == [3]
    deeds = [(it.deed, it.version) for it in three.ledger()[3:]]
    assert deeds == [
        *((Deed.ARCHIVE, 1), (Deed.REMOVE, 1), (Deed.ARCHIVE, 2), (Deed.REMOVE, 2)),
    ]
    assert not [it for it in three.folder.iterdir() if it.name.startswith(".")]


@pytest.mark.parametrize("stop", range(0, 30, 3))
def test_it_may_be_cut_off_before_the_archived_version_is_noted(
    three: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    monkeypatch.setattr(disk, "OPS", Full(tmp_path / "store", stop=stop))
    with pytest.raises(KeyboardInterrupt):
        rotate(three, retention=KEEP_ONE)
    monkeypatch.setattr(disk, "OPS", disk.Operations())
    finish(three)
    assert sorted({*three.live(), *three.packed()}) == [1, 2, 3]
    rotate(three, retention=KEEP_ONE)
    assert three.live() == [3]
    store = Store(three.folder.parent, three.packs)
    for number in (1, 2):
        assert not verify(store.restore(f"expert@v{number}"), deep=True)


def test_an_archive_on_the_same_full_disk_keeps_every_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = shelf(tmp_path)
    fill(both, tmp_path, 3)
    before = sorted(both.folder.rglob("*"))
    monkeypatch.setattr(disk, "OPS", Full(tmp_path))
    with pytest.raises(StorageError, match="ENOSPC"):
        rotate(both, retention=KEEP_ONE)
    assert sorted(both.folder.rglob("*")) == before


def test_a_recording_is_discarded_without_room_for_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store")
    with (
        pytest.raises(KeyError),
        store.record("expert", schema=factories.SCHEMA, provenance={}) as recorder,
    ):
        recorder.add(factories.episode(1))
        raise KeyError
    _no_names(monkeypatch)
    discard_recording(recorder.target)
    assert not recording_folder(recorder.target).exists()


def test_without_room_for_a_file_a_folder_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, flags: int, *rest: int) -> int:
        if flags & os.O_CREAT and not Path(path).exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.open(path, flags, *rest)

    monkeypatch.setattr(locks, "os", SimpleNamespace(**vars(os) | {"open": full}))
    with lock(tmp_path / ".v1.lock", purpose="recording v1"):
        assert list(tmp_path.iterdir()) == []
        with (
            pytest.raises(LockedError, match="an unnamed process"),
            lock(tmp_path / ".v1.lock", purpose="recording v1"),
        ):
            pytest.fail("two held it")
    with lock(tmp_path / ".v1.lock", purpose="recording v1"):
        pass
