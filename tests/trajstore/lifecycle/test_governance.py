"""A version is published once, rotated out and brought back, and never lost."""

import os
from pathlib import Path

import pytest

from tests import factories
from tests.trajstore import lives
from tests.trajstore.lives import CONTRACT, fill, source
from trajstore.dataset import Dataset
from trajstore.errors import (
    ArchiveError,
    CorruptionError,
    LockedError,
    NameRefusedError,
    NotFoundError,
    QuotaExceededError,
    StatusError,
    StorageError,
)
from trajstore.lifecycle import Shelf, judge, plan, preview, publish, restore, rotate
from trajstore.lifecycle.ledger import Deed
from trajstore.lifecycle.moving import archive_version
from trajstore.lifecycle.rotation import Action, Retention
from trajstore.quality.records import status_path
from trajstore.store import Store
from trajstore.version.integrity import verify
from trajstore.version.location import Folder, locate
from trajstore.version.manifest import Status


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return lives.shelf(tmp_path)


def test_versions_get_the_next_number_and_the_fourth_pushes_the_first_out(
    shelf: Shelf, tmp_path: Path
) -> None:
    sources = fill(shelf, tmp_path, 4)
    assert shelf.live() == [2, 3, 4]
    assert [verify(shelf.path(it), deep=True) for it in shelf.live()] == [[], [], []]
    digest = Dataset.open(sources[0]).manifest.content_digest
    assert shelf.archive.names() == [f"expert-v1-{digest[:12]}.zip"]
    deeds = [(str(it.deed), it.version) for it in shelf.ledger()]
    assert deeds[-3:] == [("publish", 4), ("archive", 1), ("remove", 1)]


def test_publishing_the_same_content_again_changes_nothing(shelf: Shelf, tmp_path: Path) -> None:
    fill(shelf, tmp_path, 2)
    before = (shelf.folder / "ledger.jsonl").read_bytes()
    elsewhere = tmp_path / "elsewhere" / "expert"
    factories.dataset(elsewhere, count=4, seed=100)
    judge(elsewhere, CONTRACT)
    done = publish(shelf, elsewhere)
    assert (done.version, done.new) == (1, False)
    assert (shelf.folder / "ledger.jsonl").read_bytes() == before


def test_content_that_was_archived_keeps_its_number(shelf: Shelf, tmp_path: Path) -> None:
    sources = fill(shelf, tmp_path, 4)
    done = publish(shelf, sources[0])
    assert (done.version, done.new) == (1, False)
    assert shelf.live() == [2, 3, 4]


def test_a_number_is_never_used_again(shelf: Shelf, tmp_path: Path) -> None:
    fill(shelf, tmp_path, 4)
    for version in (2, 3):
        archive_version(shelf, version, why="test")
    done = publish(shelf, source(tmp_path, 900))
    assert done.version == 5


@pytest.mark.parametrize("count", [1, 2])
def test_a_draft_is_not_published(shelf: Shelf, tmp_path: Path, count: int) -> None:
    path = source(tmp_path, 1, count=count)
    with pytest.raises(
        StatusError, match=r"only a validated version can be published, .* is draft"
    ):
        publish(shelf, path)
    assert shelf.live() == []


def test_what_was_never_judged_is_not_published(shelf: Shelf, tmp_path: Path) -> None:
    path = tmp_path / "expert"
    factories.dataset(path, count=4)
    with pytest.raises(StatusError, match="this one is draft and was never validated; run"):
        publish(shelf, path)


def test_a_verdict_on_other_data_does_not_count(shelf: Shelf, tmp_path: Path) -> None:
    good, path = source(tmp_path, 1), tmp_path / "expert"
    factories.dataset(path, count=4, seed=7)
    status_path(path).write_bytes(status_path(good).read_bytes())
    with pytest.raises(StatusError, match="this one is draft and was never validated; run"):
        publish(shelf, path)


def test_a_damaged_source_is_not_published(shelf: Shelf, tmp_path: Path) -> None:
    path = source(tmp_path, 1)
    target = path / "step" / "reward" / "c.0"
    data = bytearray(target.read_bytes())
    data[3] ^= 1
    target.write_bytes(data)
    with pytest.raises(
        CorruptionError, match=r"is damaged, nothing to publish: .*step/reward/c\.0"
    ):
        publish(shelf, path)
    assert shelf.live() == []


def test_the_budget_of_the_store_is_kept_and_said_in_words(shelf: Shelf, tmp_path: Path) -> None:
    fill(shelf, tmp_path, 1)
    with pytest.raises(QuotaExceededError, match=r"^\S+: .*trajstore rotate expert --keep 2"):
        publish(shelf, source(tmp_path, 900), budget_bytes=10_000)
    assert shelf.live() == [1]
    assert publish(shelf, source(tmp_path, 901), budget_bytes=10**9).new


def test_a_preview_and_a_plan_change_nothing(shelf: Shelf, tmp_path: Path) -> None:
    fill(shelf, tmp_path, 3)
    before = sorted(str(it) for it in tmp_path.rglob("*"))
    shown = preview(shelf, tmp_path / "in" / "s300" / "expert")
    assert (shown.version, shown.new) == (3, False)
    decisions = plan(shelf, retention=Retention(validated=1))
    assert [it.action for it in decisions] == [Action.ARCHIVE, Action.ARCHIVE, Action.KEEP]
    assert sorted(str(it) for it in tmp_path.rglob("*")) == before


def test_a_version_in_use_stays(shelf: Shelf, tmp_path: Path) -> None:
    fill(shelf, tmp_path, 3)
    rotate(shelf, retention=Retention(validated=1), in_use=[1])
    assert shelf.live() == [1, 3]


def test_a_restored_version_is_the_one_that_left(shelf: Shelf, tmp_path: Path) -> None:
    sources = fill(shelf, tmp_path, 4)
    path = restore(shelf, 1)
    assert verify(path, deep=True) == []
    assert (path / "manifest.json").read_bytes() == (sources[0] / "manifest.json").read_bytes()
    assert shelf.status(1) is Status.VALIDATED
    assert restore(shelf, 1) == path
    assert [it.deed for it in shelf.ledger()].count(Deed.RESTORE) == 1


def test_a_pack_that_changed_is_not_restored(shelf: Shelf, tmp_path: Path) -> None:
    fill(shelf, tmp_path, 4)
    pack = next((tmp_path / "archive").iterdir())
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    with pytest.raises(
        ArchiveError, match=r"expert-v1-\w+\.zip: is not the pack that was archived"
    ):
        restore(shelf, 1)
    assert shelf.live() == [2, 3, 4]


def test_a_damaged_live_version_is_neither_archived_nor_removed(
    shelf: Shelf, tmp_path: Path
) -> None:
    fill(shelf, tmp_path, 2)
    target = shelf.path(1) / "step" / "reward" / "c.0"
    data = bytearray(target.read_bytes())
    data[3] ^= 1
    target.write_bytes(data)
    with pytest.raises(
        CorruptionError, match=r"is damaged, nothing to archive: .*step/reward/c\.0"
    ):
        rotate(shelf, retention=Retention(validated=1))
    assert shelf.live() == [1, 2]
    assert shelf.archive.names() == []


def test_what_was_never_archived_cannot_be_restored(shelf: Shelf) -> None:
    with pytest.raises(NotFoundError, match="is not in the archive"):
        restore(shelf, 7)


def test_two_cannot_publish_at_once(shelf: Shelf, tmp_path: Path) -> None:
    path = source(tmp_path, 1)
    with (
        shelf.locked("rotating"),
        pytest.raises(LockedError, match="rotating expert by process"),
    ):
        publish(shelf, path)


def test_an_archive_at_a_url_serves_like_a_folder(shelf: Shelf, tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    away = Shelf(shelf.folder, "memory://packs/expert", shelf.reviews, shelf.clock)
    sources = fill(away, tmp_path, 4)
    assert away.live() == [2, 3, 4]
    path = restore(away, 1)
    assert Dataset.open(path).manifest.digest == Dataset.open(sources[0]).manifest.digest


def test_a_url_that_nothing_reaches_is_refused_by_name() -> None:
    with pytest.raises(NameRefusedError, match="expected a scheme that fsspec has a driver for"):
        locate("nowhere://packs")


@pytest.mark.parametrize("name", ["", "../evil", "a/b", ".hidden", "a\\b", "c:evil", "a\nb"])
def test_names_that_lead_out_of_the_archive_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(NameRefusedError):
        Folder(tmp_path).create(name)


TRACES = [
    "v7/manifest.json", "v7/step/reward/c.0", "v7.status.json", ".v7.recording/recording.json",
    ".v7.dropped/journal-main.log", ".v7.sealing/manifest.json", ".v7.removing/c.0",
    f"../../archive/expert-v7-{'ab' * 6}.zip",
]  # fmt: skip


@pytest.mark.parametrize("trace", TRACES)
def test_a_number_that_left_any_trace_is_taken_by_nothing_new(shelf: Shelf, trace: str) -> None:
    assert shelf.next_version() == 1
    file = Path(os.path.normpath(shelf.folder / trace))
    file.parent.mkdir(parents=True)
    file.touch()
    assert shelf.next_version() == 8


def test_an_archive_out_of_reach_stops_no_recording(tmp_path: Path) -> None:
    """The ledger knows what left this store, whatever the archive may say."""
    store = Store(tmp_path / "store", archive="memory://")
    shelf = store.shelf("expert")

    class Gone(Folder):
        def names(self) -> list[str]:
            raise StorageError("archive: the service does not answer: none")

    shelf.__dict__["archive"] = Gone(tmp_path)
    (shelf.folder / "v3").mkdir(parents=True)
    (shelf.folder / "v3" / "manifest.json").touch()
    assert shelf.next_version() == 4


def test_recording_and_publishing_count_alike(shelf: Shelf, tmp_path: Path) -> None:
    """A pack of another branch, whose ledger is not here, has its number too."""
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / shelf.pack_name(7, "ab" * 32)).touch()
    (tmp_path / "archive" / f"other-v99-{'ab' * 6}.zip").touch()
    store = Store(tmp_path / "store")
    with store.record("expert", schema=factories.SCHEMA, provenance={}) as recorder:
        recorder.add(factories.episode(1))
    assert store.versions("expert") == [8]
    assert publish(shelf, source(tmp_path, 900)).version == 9
