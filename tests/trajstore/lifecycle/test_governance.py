"""A version is published once, rotated out and brought back, and never lost."""

from pathlib import Path

import pytest

from tests import factories
from tests.trajstore import lives
from tests.trajstore.lives import CONTRACT, fill, source
from trajstore import lifecycle as governance
from trajstore.dataset import Dataset
from trajstore.errors import (
    ArchiveError,
    CorruptionError,
    LockedError,
    NameRefusedError,
    NotFoundError,
    QuotaExceededError,
    StatusError,
)
from trajstore.lifecycle import Place, judge, plan, preview, publish, restore, rotate
from trajstore.lifecycle.ledger import Deed
from trajstore.lifecycle.rotation import Action, Retention
from trajstore.quality.verdict import status_path
from trajstore.version.integrity import verify
from trajstore.version.location import Folder, locate
from trajstore.version.manifest import Status


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return lives.place(tmp_path)


def test_versions_get_the_next_number_and_the_fourth_pushes_the_first_out(
    place: Place, tmp_path: Path
) -> None:
    sources = fill(place, tmp_path, 4)
    assert place.live() == [2, 3, 4]
    assert [verify(place.path(it), deep=True) for it in place.live()] == [[], [], []]
    digest = Dataset.open(sources[0]).manifest.content_digest
    assert place.archive.names() == [f"expert-v1-{digest[:12]}.zip"]
    deeds = [(str(it.deed), it.version) for it in place.ledger()]
    assert deeds[-3:] == [("publish", 4), ("archive", 1), ("remove", 1)]


def test_publishing_the_same_content_again_changes_nothing(place: Place, tmp_path: Path) -> None:
    fill(place, tmp_path, 2)
    before = (place.folder / "ledger.jsonl").read_bytes()
    elsewhere = tmp_path / "elsewhere" / "expert"
    factories.dataset(elsewhere, count=4, seed=100)
    judge(elsewhere, CONTRACT)
    done = publish(place, elsewhere)
    assert (done.version, done.new) == (1, False)
    assert (place.folder / "ledger.jsonl").read_bytes() == before


def test_content_that_was_archived_keeps_its_number(place: Place, tmp_path: Path) -> None:
    sources = fill(place, tmp_path, 4)
    done = publish(place, sources[0])
    assert (done.version, done.new) == (1, False)
    assert place.live() == [2, 3, 4]


def test_a_number_is_never_used_again(place: Place, tmp_path: Path) -> None:
    fill(place, tmp_path, 4)
    for version in (2, 3):
        governance.moving.archive_version(place, version, why="test")
    done = publish(place, source(tmp_path, 900))
    assert done.version == 5


@pytest.mark.parametrize("count", [1, 2])
def test_a_draft_is_not_published(place: Place, tmp_path: Path, count: int) -> None:
    path = source(tmp_path, 1, count=count)
    with pytest.raises(StatusError, match="expected a validated version to publish, got draft"):
        publish(place, path)
    assert place.live() == []


def test_what_was_never_judged_is_not_published(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "expert"
    factories.dataset(path, count=4)
    with pytest.raises(StatusError, match="got draft, never judged"):
        publish(place, path)


def test_a_verdict_on_other_data_does_not_count(place: Place, tmp_path: Path) -> None:
    good, path = source(tmp_path, 1), tmp_path / "expert"
    factories.dataset(path, count=4, seed=7)
    status_path(path).write_bytes(status_path(good).read_bytes())
    with pytest.raises(StatusError, match="never judged"):
        publish(place, path)


def test_a_damaged_source_is_not_published(place: Place, tmp_path: Path) -> None:
    path = source(tmp_path, 1)
    target = path / "step" / "reward" / "c.0"
    data = bytearray(target.read_bytes())
    data[3] ^= 1
    target.write_bytes(data)
    with pytest.raises(CorruptionError, match="expected a sound version to publish"):
        publish(place, path)
    assert place.live() == []


def test_the_budget_of_the_store_is_kept_and_said_in_words(place: Place, tmp_path: Path) -> None:
    fill(place, tmp_path, 1)
    with pytest.raises(QuotaExceededError, match=r"^\S+: .*trajstore rotate expert --keep 2"):
        publish(place, source(tmp_path, 900), budget_bytes=10_000)
    assert place.live() == [1]
    assert publish(place, source(tmp_path, 901), budget_bytes=10**9).new


def test_a_preview_and_a_plan_change_nothing(place: Place, tmp_path: Path) -> None:
    fill(place, tmp_path, 3)
    before = sorted(str(it) for it in tmp_path.rglob("*"))
    shown = preview(place, tmp_path / "in" / "s300" / "expert")
    assert (shown.version, shown.new) == (3, False)
    decisions = plan(place, retention=Retention(validated=1))
    assert [it.action for it in decisions] == [Action.ARCHIVE, Action.ARCHIVE, Action.KEEP]
    assert sorted(str(it) for it in tmp_path.rglob("*")) == before


def test_a_version_in_use_stays(place: Place, tmp_path: Path) -> None:
    fill(place, tmp_path, 3)
    rotate(place, retention=Retention(validated=1), in_use=[1])
    assert place.live() == [1, 3]


def test_a_restored_version_is_the_one_that_left(place: Place, tmp_path: Path) -> None:
    sources = fill(place, tmp_path, 4)
    path = restore(place, 1)
    assert verify(path, deep=True) == []
    assert (path / "manifest.json").read_bytes() == (sources[0] / "manifest.json").read_bytes()
    assert place.status(1) is Status.VALIDATED
    assert restore(place, 1) == path
    assert [it.deed for it in place.ledger()].count(Deed.RESTORE) == 1


def test_a_pack_that_changed_is_not_restored(place: Place, tmp_path: Path) -> None:
    fill(place, tmp_path, 4)
    pack = next((tmp_path / "archive").iterdir())
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    with pytest.raises(ArchiveError, match="expected the pack of"):
        restore(place, 1)
    assert place.live() == [2, 3, 4]


def test_a_damaged_live_version_is_neither_archived_nor_removed(
    place: Place, tmp_path: Path
) -> None:
    fill(place, tmp_path, 2)
    target = place.path(1) / "step" / "reward" / "c.0"
    data = bytearray(target.read_bytes())
    data[3] ^= 1
    target.write_bytes(data)
    with pytest.raises(CorruptionError, match="expected a sound version to archive"):
        rotate(place, retention=Retention(validated=1))
    assert place.live() == [1, 2]
    assert place.archive.names() == []


def test_what_was_never_archived_cannot_be_restored(place: Place) -> None:
    with pytest.raises(NotFoundError, match="expected a version in the archive"):
        restore(place, 7)


def test_two_cannot_publish_at_once(place: Place, tmp_path: Path) -> None:
    path = source(tmp_path, 1)
    with (
        place.locked("rotating"),
        pytest.raises(LockedError, match="rotating expert by process"),
    ):
        publish(place, path)


def test_an_archive_at_a_url_serves_like_a_folder(place: Place, tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    away = Place(place.folder, locate("memory://packs/expert"), place.reviews, place.clock)
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
