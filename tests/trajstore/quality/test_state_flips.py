"""Every single flipped bit of a file that holds state is harmless, or an error that names the file.

Harmless means that what is read is what was written. Old files carry no check value; they open, and
get one when they are written next.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.trajstore import lives
from tests.trajstore.lives import CONTRACT, fill, source
from trajstore.disk.files import write_json
from trajstore.disk.json_text import canonical_json
from trajstore.errors import CorruptionError, FormatError
from trajstore.lifecycle import judge, publish, review
from trajstore.lifecycle.ledger import LEDGER, read_ledger
from trajstore.quality.records import (
    Difference,
    ReplayReport,
    Verdict,
    read_report,
    read_verdict,
    report_path,
    status_path,
    write_report,
    write_verdict,
)
from trajstore.quality.reviews import read_reviews
from trajstore.version.findings import Finding, Severity
from trajstore.version.manifest import Status

DIGEST = "0123456789abcdef" * 4
MEMORY = Path("/dev/shm")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder in memory if possible: tens of thousands of files are written."""
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)


def every_flip(path: Path, read: Callable[[], object]) -> int:
    """Flip each bit of a file in turn; returns how many flips changed nothing of what is read."""
    sound, right = path.read_bytes(), read()
    harmless = 0
    for place in range(len(sound)):
        for bit in range(8):
            changed = bytes([sound[place] ^ 1 << bit])
            path.write_bytes(sound[:place] + changed + sound[place + 1 :])
            try:
                assert read() == right, (place, bit, path.read_bytes())
                harmless += 1
            except (CorruptionError, FormatError) as error:
                assert str(error).startswith(str(path)), error
                assert "; " in str(error)
    path.write_bytes(sound)
    return harmless


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.json"
    for status, reason in ((Status.QUARANTINED, "wrong scale"), (Status.VALIDATED, "è tutto ok")):
        review(path, DIGEST, status, reason=reason, name="expert@v1")
    return path


@pytest.mark.parametrize("lines", [1, 2])
def test_flips_of_reviews(reviews: Path, lines: int) -> None:
    reviews.write_bytes(b"".join(reviews.read_bytes().splitlines(keepends=True)[:lines]))
    assert len(read_reviews(reviews)) == lines
    assert every_flip(reviews, lambda: read_reviews(reviews)) == 0


@pytest.mark.parametrize("findings", [0, 1])
def test_flips_of_a_verdict(tmp_path: Path, findings: int) -> None:
    version = tmp_path / "v1"
    found = Finding(Severity.BLOCKING, "contents", "expected 1, got 2", episode=3, step=0)
    history: tuple = ({"time": "2027-01-01T00:00:00+00:00", "status": "draft", "why": "few"},)
    contract = {"minimum_episodes": 3, "policy_tolerance": 1e-4}
    write_verdict(
        version, Verdict(Status.QUARANTINED, DIGEST, (found,) * findings, history, contract)
    )
    assert every_flip(status_path(version), lambda: read_verdict(version)) == 0


def test_flips_of_a_replay_report(tmp_path: Path) -> None:
    version = tmp_path / "v1"
    difference = Difference(1, 0, "observation[0]", "0.5", "0.25")
    write_report(version, ReplayReport(DIGEST, (0, 1), 1, (difference,), 1e-9, "Hall-v1"))
    assert every_flip(report_path(version), lambda: read_report(version)) == 1  # 1e-09, 1E-09


def test_flips_of_a_ledger(tmp_path: Path) -> None:
    shelf = lives.shelf(tmp_path)
    fill(shelf, tmp_path, 2)
    assert every_flip(shelf.folder / LEDGER, shelf.ledger) == 0


FORMER = {
    "digest": DIGEST,
    "status": "quarantined",
    "reason": "bad",
    "by": "ann",
    "time": "2026-01-01",
}


def test_former_reviews_open_and_become_lines_at_the_next_review(tmp_path: Path) -> None:
    path = tmp_path / "reviews.json"
    earlier = FORMER | {"status": "validated", "time": "2025-12-31T23:00:00+00:00"}
    write_json(path, {"format_version": 1, "reviews": [FORMER, earlier]})
    before = read_reviews(path)
    assert [it.status.value for it in before] == ["quarantined", "validated"], "their order counts"
    review(path, DIGEST, Status.QUARANTINED, reason="again", clock=lambda: "2027-01-01T00:00+00:00")
    assert len(path.read_bytes().splitlines()) == 3
    assert read_reviews(path)[:2] == before
    assert every_flip(path, lambda: read_reviews(path)) == 0


def test_a_former_verdict_and_ledger_open_and_get_a_check_value_when_written(
    tmp_path: Path,
) -> None:
    shelf = lives.shelf(tmp_path)
    fill(shelf, tmp_path, 1)
    verdict, file = read_verdict(shelf.path(1)), status_path(shelf.path(1))
    assert verdict is not None
    former = json.loads(file.read_text()) | {"format_version": 1}
    del former["check"]
    write_json(file, former)
    line = json.loads((shelf.folder / LEDGER).read_text().splitlines()[0])
    del line["check"]
    bare = canonical_json(line) + b"\n"
    (shelf.folder / LEDGER).write_bytes(bare)
    assert read_verdict(shelf.path(1)) == verdict
    assert shelf.status(1) is Status.VALIDATED
    (entry,) = shelf.ledger()
    judge(shelf.path(1), CONTRACT)
    assert json.loads(file.read_text())["format_version"] == 2
    publish(shelf, source(tmp_path, 7))
    lines = (shelf.folder / LEDGER).read_bytes().splitlines(keepends=True)
    assert (lines[0], shelf.ledger()[0]) == (bare, entry)
    assert all(b'"check"' in line for line in lines[1:])
    assert every_flip(shelf.folder / LEDGER, shelf.ledger) == 0


def test_every_flip_of_a_file_of_format_1_is_read_or_named(tmp_path: Path) -> None:
    """What has no check value cannot tell all; but it never ends in another exception."""
    path = tmp_path / "reviews.json"
    write_json(path, {"format_version": 1, "reviews": [FORMER]})
    sound = path.read_bytes()
    for place in range(len(sound)):
        for bit in range(8):
            flipped = bytes([sound[place] ^ 1 << bit])
            path.write_bytes(sound[:place] + flipped + sound[place + 1 :])
            try:
                read_reviews(path)
            except (CorruptionError, FormatError) as error:
                assert str(error).startswith(str(path))


@pytest.mark.parametrize("text", ["A" * 64, "ab" * 31, "ab" * 32 + "\n", "", 7])
def test_a_digest_is_64_small_hexadecimal_digits(tmp_path: Path, text: object) -> None:
    path = tmp_path / "reviews.json"
    write_json(path, {"format_version": 1, "reviews": [FORMER | {"digest": text}]})
    with pytest.raises(CorruptionError, match="expected reviews"):
        read_reviews(path)
    status = status_path(tmp_path / "v1")
    write_json(status, {"format_version": 1, "status": "validated", "digest": text})
    with pytest.raises(CorruptionError, match=r"v1\.status\.json: expected a verdict"):
        read_verdict(tmp_path / "v1")
    (tmp_path / LEDGER).write_bytes(
        canonical_json({"deed": "publish", "version": 1, "digest": text}) + b"\n"
    )
    with pytest.raises(CorruptionError, match=r"ledger\.jsonl, line 1"):
        read_ledger(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"reason": 5}, {"reason": None}, {"reason": " "}, {"reason": "\ud800"}, {"by": ["x"]},
        {"status": "draft"}, {"status": "good"}, {"time": 3}, {"more": 1},
    ],
)  # fmt: skip
@pytest.mark.parametrize("former", [True, False])
def test_a_review_that_is_none_is_named(
    tmp_path: Path, change: dict[str, object], former: bool
) -> None:
    path = tmp_path / "reviews.json"
    line = {"format_version": 2, "kind": "review"} | FORMER | change
    told = {"format_version": 1, "reviews": [FORMER | change]} if former else line
    path.write_text(json.dumps(told) + "\n")
    unlike = "was changed after it was written" if "\ud800" not in change.values() else "expected "
    wrong = "expected reviews" if former else unlike
    with pytest.raises(CorruptionError, match=rf"reviews\.json, line 1: {wrong}"):
        read_reviews(path)


def test_a_verdict_whose_history_is_none_is_named(tmp_path: Path) -> None:
    record = {"format_version": 1, "status": "draft", "digest": DIGEST, "history": [{"time": "x"}]}
    write_json(status_path(tmp_path / "v1"), record)
    with pytest.raises(CorruptionError, match="expected a verdict"):
        read_verdict(tmp_path / "v1")


def test_a_damaged_dataset_digest_is_refused_before_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "reviews.json"
    for digest in ("ab", "A" * 64):
        with pytest.raises(Exception, match="expected a content digest"):
            review(path, digest, Status.VALIDATED, reason="fine")
    assert not path.exists()
