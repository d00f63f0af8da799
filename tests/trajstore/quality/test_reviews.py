"""A person's decision wins over the verdict of the checks, and both keep their history."""

import json
from pathlib import Path

import pytest

from tests import factories
from tests.trajstore import lives
from tests.trajstore.lives import CONTRACT, fill, source
from trajstore.cli import run
from trajstore.errors import CorruptionError, StatusError
from trajstore.lifecycle import Shelf, judge, review, rotate
from trajstore.lifecycle.rotation import Retention
from trajstore.quality.contract import Contract
from trajstore.quality.records import read_verdict, status_path
from trajstore.quality.reviews import UNREADABLE, standing
from trajstore.store import Store
from trajstore.version.manifest import Status


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return lives.shelf(tmp_path)


def test_a_review_wins_over_the_verdict_and_its_history_is_kept(
    shelf: Shelf, tmp_path: Path
) -> None:
    fill(shelf, tmp_path, 1)
    digest = shelf.digest(1)
    review(shelf.reviews, digest, Status.QUARANTINED, reason="wrong scale", name="expert@v1")
    assert shelf.status(1) is Status.QUARANTINED
    judge(shelf.path(1), CONTRACT)
    assert shelf.status(1) is Status.QUARANTINED
    review(shelf.reviews, digest, Status.VALIDATED, reason="scale was right", name="expert@v1")
    assert shelf.status(1) is Status.VALIDATED
    kept = map(json.loads, shelf.reviews.read_text().splitlines())
    assert [it["reason"] for it in kept] == ["wrong scale", "scale was right"]


def test_training_from_a_quarantined_version_is_refused_and_looking_is_not(
    shelf: Shelf, tmp_path: Path
) -> None:
    fill(shelf, tmp_path, 2)
    store = Store(tmp_path / "store", archive=tmp_path / "archive")
    review(shelf.reviews, shelf.digest(2), Status.QUARANTINED, reason="bad", name="expert@v2")
    with pytest.raises(StatusError, match="is quarantined"):
        store.open("expert@v2")
    assert len(store.open("expert@v2", purpose="inspection")) == 4
    assert store.open("expert").path.name == "v1"


def test_a_quarantined_version_is_rotated_by_its_own_count(shelf: Shelf, tmp_path: Path) -> None:
    fill(shelf, tmp_path, 3)
    review(shelf.reviews, shelf.digest(1), Status.QUARANTINED, reason="bad")
    rotate(shelf, retention=Retention(validated=1, quarantined=1))
    assert shelf.live() == [1, 3]
    rotate(shelf, retention=Retention(validated=1, quarantined=0))
    assert shelf.live() == [3]


@pytest.mark.parametrize(
    "text", ["", "[]", "<<<<<<< HEAD", '{"format_version": 2}', '{"reviews": 3}']
)
def test_a_damaged_reviews_file_is_an_error_and_never_ignored(
    shelf: Shelf, tmp_path: Path, text: str
) -> None:
    fill(shelf, tmp_path, 1)
    shelf.reviews.write_text(text)
    with pytest.raises(CorruptionError):
        shelf.status(1)
    with pytest.raises(CorruptionError):
        review(shelf.reviews, shelf.digest(1), Status.VALIDATED, reason="ok")
    assert shelf.reviews.read_text() == text


@pytest.mark.parametrize("reason", ["", "   "])
def test_a_review_without_a_reason_is_refused(tmp_path: Path, reason: str) -> None:
    with pytest.raises(ValueError, match="say why in one sentence"):
        review(tmp_path / "reviews.json", "ab", Status.VALIDATED, reason=reason)
    with pytest.raises(ValueError, match="decide validated or quarantined"):
        review(tmp_path / "reviews.json", "ab", Status.DRAFT, reason="why")


def test_a_verdict_keeps_its_history_and_stays_beside_the_version(
    shelf: Shelf, tmp_path: Path
) -> None:
    path = source(tmp_path, 1)
    files = {it: it.read_bytes() for it in path.rglob("*") if it.is_file()}
    judge(path, Contract(minimum_episodes=99), clock=lambda: "2027")
    judge(path, Contract(minimum_episodes=99), clock=lambda: "2028")
    verdict = read_verdict(path)
    assert verdict is not None
    assert [it["status"] for it in verdict.history] == ["validated", "draft"]
    assert {it: it.read_bytes() for it in path.rglob("*") if it.is_file()} == files


@pytest.mark.parametrize("text", ["garbage", "{}", "[]", '{"format_version": 2}', "null"])
def test_damaged_reviews_say_nothing_about_the_version_and_what_to_do(
    shelf: Shelf, tmp_path: Path, text: str
) -> None:
    fill(shelf, tmp_path, 1)
    assert standing(shelf.path(1), shelf.reviews, shelf.digest(1)) == ("validated", "")
    shelf.reviews.write_text(text)
    status, wrong = standing(shelf.path(1), shelf.reviews, shelf.digest(1))
    assert status == UNREADABLE
    assert wrong.startswith(f"{shelf.reviews}, line 1: expected reviews, got ")
    assert wrong.endswith(", or take the last good one from git")


@pytest.mark.parametrize("text", ["garbage", "{}", "[]", '{"format_version": 2}', "null"])
def test_a_damaged_verdict_is_removed_and_made_anew(
    shelf: Shelf, tmp_path: Path, text: str
) -> None:
    fill(shelf, tmp_path, 1)
    file = status_path(shelf.path(1))
    file.write_text(text)
    status, wrong = standing(shelf.path(1), shelf.reviews, shelf.digest(1))
    assert status == UNREADABLE
    assert wrong.startswith(f"{file}: expected a verdict of format 2, got ")
    assert wrong.endswith("; remove it and validate the version again")
    with pytest.raises(CorruptionError, match="remove it and validate the version again"):
        judge(shelf.path(1), CONTRACT)
    file.unlink()
    judge(shelf.path(1), CONTRACT)
    assert shelf.status(1) is Status.VALIDATED


def test_damaged_reviews_stop_validating_before_a_verdict_is_written(tmp_path: Path) -> None:
    factories.dataset(tmp_path / "store/expert/v1")
    (tmp_path / "reviews.json").write_text("garbage")
    assert run(["--store", str(tmp_path / "store"), "validate", "expert@v1"]) == 1
    assert not status_path(tmp_path / "store/expert/v1").exists()
