"""A dataset under another name, and a version in another store: whole, compared, once."""

from pathlib import Path

import fsspec
import pytest

from tests import factories
from tests.trajstore import faults
from trajstore.dataset import Dataset
from trajstore.disk.system import FileRecord
from trajstore.errors import (
    CorruptionError,
    LockedError,
    NameRefusedError,
    NotFoundError,
    SealedError,
    StorageError,
)
from trajstore.lifecycle import judge, restore
from trajstore.lifecycle.moving import archive_version
from trajstore.quality.contract import Contract
from trajstore.quality.records import read_verdict
from trajstore.store import Store
from trajstore.version.manifest import Status
from trajstore.version.remote import RemoteFolder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "here" / "store")
    for number in (1, 2):
        factories.dataset(store.root / "expert" / f"v{number}", seed=number, count=4)
    judge(store.root / "expert" / "v2", Contract(minimum_episodes=3))
    return store


def content(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_a_dataset_gets_another_name_with_all_that_is_decided(store: Store) -> None:
    archive_version(store.shelf("expert"), 1, why="test")
    before = content(store.root / "expert")
    store.rename("expert", "teleop", dry_run=True)
    assert store.datasets() == ["expert"]
    store.rename("expert", "teleop")
    assert store.datasets() == ["teleop"]
    assert content(store.root / "teleop") == before
    assert store.status("teleop@v2") is Status.VALIDATED
    assert restore(store.shelf("teleop"), 1) == store.root / "teleop" / "v1"
    assert store.shelf("teleop").next_version() == 3
    assert store.shelf("expert").next_version() == 2


def test_a_name_is_given_only_where_it_is_free_and_nobody_is_at_work(store: Store) -> None:
    factories.dataset(store.root / "other" / "v1")
    with pytest.raises(NotFoundError, match="none: no dataset of that name"):
        store.rename("none", "x")
    with pytest.raises(SealedError, match="other: a dataset of that name exists"):
        store.rename("expert", "other")
    with pytest.raises(SealedError, match="has that name already"):
        store.rename("expert", "expert")
    with pytest.raises(NameRefusedError):
        store.rename("expert", "../x")
    (store.root / "x").mkdir()
    (store.root / "x" / "notes.txt").write_text("mine")
    with pytest.raises(SealedError, match="exists already and is not empty"):
        store.rename("expert", "x")
    with store.shelf("expert").locked("testing"), pytest.raises(LockedError, match="testing"):
        store.rename("expert", "y")
    assert not (store.root / "y").exists()
    assert store.datasets() == ["expert", "other"]


def test_a_dataset_in_which_or_from_which_is_recorded_keeps_its_name(store: Store) -> None:
    with store.record("expert", schema=factories.SCHEMA, provenance={}) as recorder:
        recorder.add(factories.episode(9))
        with pytest.raises(LockedError, match="expert@v3: its "):
            store.rename("expert", "x")
    recipe = {"schema": factories.SCHEMA, "provenance": {}, "extends": "expert@v3"}
    with store.record("other", **recipe) as recorder:
        recorder.add(factories.episode(10))
        with pytest.raises(LockedError, match="the unfinished recording other@v1 extends it"):
            store.rename("expert", "x")
    store.rename("expert", "x")


def test_a_version_is_copied_with_its_verdict_once(store: Store, tmp_path: Path) -> None:
    there = tmp_path / "there" / "store"
    planned = store.copy("expert@v2", there, dry_run=True)
    assert not there.exists()
    done = store.copy("expert@v2", there)
    assert done == planned
    assert done.new
    assert content(there / "expert" / "v2") == content(store.root / "expert" / "v2")
    assert read_verdict(there / "expert" / "v2") == read_verdict(store.root / "expert" / "v2")
    assert Store(there).status("expert@v2") is Status.VALIDATED
    assert not store.copy("expert@v2", there).new
    assert store.copy("expert@v1", there, name="first").reference == "first@v1"
    factories.dataset(there / "taken" / "v1", seed=40)
    assert store.copy("expert@v1", there, name="taken").reference == "taken@v2"


def test_a_damaged_version_is_not_copied(store: Store, tmp_path: Path) -> None:
    path = store.root / "expert" / "v1" / "step" / "action" / "c.0.0"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(CorruptionError, match="step/action"):
        store.copy("expert@v1", tmp_path / "there")
    assert not (tmp_path / "there" / "expert").exists()


def test_an_archived_version_is_copied_from_its_pack(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAJSTORE_CACHE", str(tmp_path / "cache"))
    before = content(store.root / "expert" / "v1")
    archive_version(store.shelf("expert"), 1, why="test")
    store.copy("archive:expert@v1", f"file://{tmp_path}/there")
    assert content(tmp_path / "there" / "expert" / "v1") == before


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.setenv("TRAJSTORE_CACHE", str(tmp_path / "cache"))
    memory = fsspec.filesystem("memory")
    if memory.exists("/moving"):
        memory.rm("/moving", recursive=True)
    return "memory://moving/store"


def test_a_version_is_copied_to_a_url_and_back(store: Store, bucket: str, tmp_path: Path) -> None:
    planned = store.copy("expert@v2", bucket, dry_run=True)
    assert not fsspec.filesystem("memory").exists("/moving")
    done = store.copy("expert@v2", bucket)
    assert done == planned
    assert done.where == f"{bucket}/expert/v2"
    there = Dataset.open(done.where)
    assert there.findings(deep=True) == []
    assert store.status_of_dataset(there) is Status.VALIDATED
    assert not store.copy("expert@v2", bucket).new
    assert store.copy("expert@v1", bucket).reference == "expert@v1"
    back = store.copy(done.where, tmp_path / "back")
    assert content(Path(back.where)) == content(store.root / "expert" / "v2")


def test_a_copy_that_is_cut_off_is_no_version_and_is_made_anew(
    store: Store, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = RemoteFolder.commit
    sent: list[str] = []

    def failing(self: RemoteFolder, name: str) -> None:
        sent.append(name)
        if len(sent) == 9:
            raise StorageError("cut off")
        commit(self, name)

    monkeypatch.setattr(RemoteFolder, "commit", failing)
    with pytest.raises(StorageError, match="cut off"):
        store.copy("expert@v2", bucket)
    with pytest.raises(NotFoundError):
        Dataset.open(f"{bucket}/expert/v2")
    done = store.copy("expert@v2", bucket)
    assert done.reference == "expert@v2"
    assert Dataset.open(done.where).findings(deep=True) == []


def test_what_comes_back_otherwise_is_no_copy(
    store: Store, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(self: RemoteFolder, key: str, record: FileRecord, write: object) -> None:
        raise CorruptionError(f"{key}: expected others")

    monkeypatch.setattr(RemoteFolder, "copy", other)
    with pytest.raises(CorruptionError, match="expected others"):
        store.copy("expert@v2", bucket)
    with pytest.raises(NotFoundError):
        Dataset.open(f"{bucket}/expert/v2")


def test_a_copy_that_was_killed_is_made_anew_under_its_number(store: Store, tmp_path: Path) -> None:
    total = faults.count_operations(lambda: store.copy("expert@v2", tmp_path / "first"))
    for number in range(1, total + 1, 11):
        there = tmp_path / f"to{number}"
        faults.killed_at(number, "before", lambda _, to=there: store.copy("expert@v2", to))
        assert store.copy("expert@v2", there).reference == "expert@v2"
        left = {it.name for it in (there / "expert").iterdir() if it.suffix != ".partial"}
        assert left == {"v2", "v2.status.json"}
        assert content(there / "expert/v2") == content(store.root / "expert/v2")
