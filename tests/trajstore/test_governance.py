"""A version is published once, judged, reviewed, rotated out and brought back, and never lost."""

import json
from pathlib import Path

import pytest

from tests import factories
from trajstore import governance
from trajstore.contract import Contract
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
from trajstore.governance import Place, judge, plan, preview, publish, restore, review, rotate
from trajstore.integrity import verify
from trajstore.ledger import Deed
from trajstore.location import Folder, locate
from trajstore.manifest import Status
from trajstore.rotation import Action, Retention
from trajstore.status import read_verdict, status_path
from trajstore.store import Store

CONTRACT = Contract(minimum_episodes=3)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(
        tmp_path / "store" / "expert",
        Folder(tmp_path / "archive"),
        tmp_path / "reviews.json",
        clock=lambda: "2026-01-02T03:04:05+00:00",
    )


def source(tmp_path: Path, seed: int, *, count: int = 4) -> Path:
    path = tmp_path / "in" / f"s{seed}" / "expert"
    factories.dataset(path, count=count, seed=seed)
    judge(path, CONTRACT)
    return path


def fill(place: Place, tmp_path: Path, count: int) -> list[Path]:
    sources = [source(tmp_path, 100 * number) for number in range(1, count + 1)]
    for path in sources:
        publish(place, path)
    return sources


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
    with pytest.raises(QuotaExceededError, match=r"trajstore rotate expert --keep 2"):
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
    with pytest.raises(StorageError, match="expected a location that fsspec knows"):
        locate("nowhere://packs")


@pytest.mark.parametrize("name", ["", "../evil", "a/b", ".hidden", "a\\b", "c:evil", "a\nb"])
def test_names_that_lead_out_of_the_archive_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(NameRefusedError):
        Folder(tmp_path).create(name)


# --- reviews ----------------------------------------------------------------------------------


def test_a_review_wins_over_the_verdict_and_its_history_is_kept(
    place: Place, tmp_path: Path
) -> None:
    fill(place, tmp_path, 1)
    assert place.reviews is not None
    digest = place.digest(1)
    review(place.reviews, digest, Status.QUARANTINED, reason="wrong scale", name="expert@v1")
    assert place.status(1) is Status.QUARANTINED
    judge(place.path(1), CONTRACT)
    assert place.status(1) is Status.QUARANTINED
    review(place.reviews, digest, Status.VALIDATED, reason="scale was right", name="expert@v1")
    assert place.status(1) is Status.VALIDATED
    kept = json.loads(place.reviews.read_text())["reviews"]
    assert [it["reason"] for it in kept] == ["wrong scale", "scale was right"]


def test_training_from_a_quarantined_version_is_refused_and_looking_is_not(
    place: Place, tmp_path: Path
) -> None:
    fill(place, tmp_path, 2)
    store = Store(tmp_path / "store", archive=tmp_path / "archive")
    assert place.reviews is not None
    review(place.reviews, place.digest(2), Status.QUARANTINED, reason="bad", name="expert@v2")
    with pytest.raises(StatusError, match="expected a version fit for training"):
        store.open("expert@v2")
    assert len(store.open("expert@v2", purpose="inspection")) == 4
    assert store.open("expert").path.name == "v1"


def test_a_quarantined_version_is_rotated_by_its_own_count(place: Place, tmp_path: Path) -> None:
    fill(place, tmp_path, 3)
    assert place.reviews is not None
    review(place.reviews, place.digest(1), Status.QUARANTINED, reason="bad")
    rotate(place, retention=Retention(validated=1, quarantined=1))
    assert place.live() == [1, 3]
    rotate(place, retention=Retention(validated=1, quarantined=0))
    assert place.live() == [3]


@pytest.mark.parametrize(
    "text", ["", "[]", "<<<<<<< HEAD", '{"format_version": 2}', '{"reviews": 3}']
)
def test_a_damaged_reviews_file_is_an_error_and_never_ignored(
    place: Place, tmp_path: Path, text: str
) -> None:
    fill(place, tmp_path, 1)
    assert place.reviews is not None
    place.reviews.write_text(text)
    with pytest.raises(CorruptionError):
        place.status(1)
    with pytest.raises(CorruptionError):
        review(place.reviews, place.digest(1), Status.VALIDATED, reason="ok")
    assert place.reviews.read_text() == text


@pytest.mark.parametrize("reason", ["", "   "])
def test_a_review_without_a_reason_is_refused(tmp_path: Path, reason: str) -> None:
    with pytest.raises(ValueError, match="expected a reason"):
        review(tmp_path / "reviews.json", "ab", Status.VALIDATED, reason=reason)
    with pytest.raises(ValueError, match="expected validated or quarantined"):
        review(tmp_path / "reviews.json", "ab", Status.DRAFT, reason="why")


def test_a_verdict_keeps_its_history_and_stays_beside_the_version(
    place: Place, tmp_path: Path
) -> None:
    path = source(tmp_path, 1)
    files = {it: it.read_bytes() for it in path.rglob("*") if it.is_file()}
    judge(path, Contract(minimum_episodes=99), clock=lambda: "2027")
    judge(path, Contract(minimum_episodes=99), clock=lambda: "2028")
    verdict = read_verdict(path)
    assert verdict is not None
    assert [it["status"] for it in verdict.history] == ["validated", "draft"]
    assert {it: it.read_bytes() for it in path.rglob("*") if it.is_file()} == files


# --- ledger -----------------------------------------------------------------------------------


def test_a_line_that_was_changed_lost_or_put_in_is_noticed(place: Place, tmp_path: Path) -> None:
    fill(place, tmp_path, 4)
    path = place.folder / "ledger.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    forged = lines[1].replace(b'"version":2', b'"version":9')
    for spoiled in (
        [lines[0], *lines[2:]],
        lines[1:],
        [lines[0], forged, *lines[2:]],
        [*lines[:2], lines[1], *lines[2:]],
        [*lines, b"{}\n"],
        [*lines, lines[-1][:40]],
        [lines[1], lines[0], *lines[2:]],
    ):
        path.write_bytes(b"".join(spoiled))
        with pytest.raises(CorruptionError, match=r"ledger\.jsonl, line \d"):
            place.ledger()
