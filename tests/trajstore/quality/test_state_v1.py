"""Files of state that 0.1.0 wrote open, mean the same, and are written anew with a check value."""

import json
import shutil
from pathlib import Path

import pytest

from tests import factories
from trajstore.lifecycle import Shelf, judge, review
from trajstore.lifecycle.ledger import LEDGER, Deed, entry_on
from trajstore.quality.contract import Contract
from trajstore.quality.records import Difference, read_report, read_verdict, write_report
from trajstore.quality.reviews import read_reviews
from trajstore.version.manifest import Manifest, Status

FIXTURE = Path(__file__).parents[2] / "fixtures/state_v1"


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """The versions that the files are about, and the files."""
    root = tmp_path / "data"
    shutil.copytree(FIXTURE, root)
    for number in (1, 2, 3):
        factories.dataset(root / f"store/expert/v{number}", count=4, seed=100 * number)
    return Shelf(root / "store/expert", root / "archive", root / "reviews.json")


def test_they_mean_what_they_meant(shelf: Shelf) -> None:
    assert [shelf.status(it) for it in (1, 2, 3)] == [
        Status.VALIDATED,
        Status.QUARANTINED,
        Status.DRAFT,
    ]
    assert [it.reason for it in read_reviews(shelf.reviews)] == ["wrong scale é", "seen all"]
    assert [(it.deed, it.version) for it in shelf.ledger()] == [
        (Deed.PUBLISH, it) for it in (1, 2, 3)
    ]
    report, verdict = read_report(shelf.path(2)), read_verdict(shelf.path(3))
    assert report is not None
    assert report.differences == (Difference(1, 0, "observation[0]", "0.5", "0.25"),)
    assert verdict is not None
    assert [it["status"] for it in verdict.history] == ["validated", "draft"]


def test_they_are_written_anew_with_a_check_value(shelf: Shelf) -> None:
    report, before = read_report(shelf.path(2)), read_reviews(shelf.reviews)
    assert report is not None
    entries = shelf.ledger()
    write_report(shelf.path(2), report)
    judge(shelf.path(3), Contract(minimum_episodes=3))
    review(shelf.reviews, shelf.digest(3), Status.QUARANTINED, reason="new")
    shelf.note(entry_on(Manifest.read(shelf.path(3)), Deed.REMOVE, 3, "test"))
    assert read_report(shelf.path(2)) == report
    assert read_reviews(shelf.reviews)[:2] == before
    assert shelf.ledger()[:3] == entries
    records = [json.loads(it.read_text()) for it in (*shelf.folder.glob("v[23].*.json"),)]
    assert {it["format_version"] for it in records} == {1, 2}
    for written in (shelf.folder / "v2.replay.json", shelf.folder / "v3.status.json"):
        assert "check" in json.loads(written.read_text())
    lines = (shelf.folder / LEDGER).read_bytes().splitlines()
    assert lines[:3] == (FIXTURE / "store/expert" / LEDGER).read_bytes().splitlines()
    assert b'"check"' in lines[3]
    assert all(b'"check"' in it for it in shelf.reviews.read_bytes().splitlines())
