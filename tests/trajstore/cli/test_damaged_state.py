"""One damaged file of state stops nothing but what needs it, and ends in one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trajstore import lives
from tests.trajstore.lives import fill
from trajstore.cli import run
from trajstore.lifecycle.ledger import LEDGER
from trajstore.quality.records import report_path, status_path
from trajstore.quality.reviews import read_reviews
from trajstore.store import Store


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store of three datasets of one published version each."""
    for name in ("able", "baker", "expert"):
        shelf = lives.shelf(tmp_path)
        place = shelf.folder.with_name(name)
        fill(shelf.__class__(place, shelf.packs, shelf.reviews), tmp_path / name, 1)
    return tmp_path / "store"


def facts(root: Path, capsys: pytest.CaptureFixture[str], *line: str) -> tuple[int, str, str]:
    status = run(["--store", str(root), *line])
    told = capsys.readouterr()
    return status, told.out, told.err


@pytest.mark.parametrize("damage", [b"garbage\n", b"", b"\xff", b"{}\n" * 3])
def test_a_damaged_ledger_is_a_row_and_stops_no_listing(
    root: Path, capsys: pytest.CaptureFixture[str], damage: bytes
) -> None:
    file = root / "baker" / LEDGER
    file.write_bytes(damage or file.read_bytes()[9:])
    for command in ("list", "du", "doctor"):
        status, out, err = facts(root, capsys, command)
        assert status == 1
        assert all(name in out for name in ("able", "baker", "expert"))
        assert "ledger" in out + err
        status, out, err = facts(root, capsys, command, "--json")
        assert f"{file}, line 1" in out + err
    rows = json.loads(facts(root, capsys, "list", "--json")[1])
    assert [it["status"] for it in rows] == ["validated", "damaged", "validated", "validated"]
    assert rows[1]["dataset"] == "baker"
    assert facts(root, capsys, "list", "able")[0] == 0
    assert len(Store(root).open("baker@v1")) == 4
    status, _, err = facts(root, capsys, "rotate", "baker")
    assert (status, len(err.splitlines())) == (1, 1)
    assert err.endswith("; take the ledger from a good copy\n")


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "3", "{}", "x\xff", '{"format_version": 9}', "[[[["]
)
@pytest.mark.parametrize("which", ["reviews", "verdict", "report"])
def test_whatever_stands_in_a_file_of_state_every_command_ends_in_one_line(
    root: Path, capsys: pytest.CaptureFixture[str], text: str, which: str
) -> None:
    version = root / "able/v1"
    paths = {
        "reviews": root.parent / "reviews.json",
        "verdict": status_path(version),
        "report": report_path(version),
    }
    paths[which].write_bytes(text.encode("latin-1"))
    before = sorted(it.read_bytes() for it in root.parent.rglob("*.json"))
    for line in (
        ("list",), ("du",), ("doctor",), ("inspect", "able@v1"),
        ("validate", "able@v1", "--dry-run"),
        ("play", "able@v1", "--no-open", "--out", f"{root.parent}/page.html"),
        ("rotate", "able", "--dry-run"),
    ):  # fmt: skip
        status, _, err = facts(root, capsys, *line)
        assert status in (0, 1)
        assert len(err.splitlines()) <= 1
        assert "Traceback" not in err
    assert sorted(it.read_bytes() for it in root.parent.rglob("*.json")) == before


@pytest.mark.parametrize("kind", ["pipe", "folder", "loop", "device"])
@pytest.mark.parametrize(
    "which", ["reviews.json", "able.contract.json", "store/able/v1.status.json",
              "store/able/v1.replay.json", "store/able/ledger.jsonl"]
)  # fmt: skip
def test_what_is_no_file_in_the_place_of_one_is_told_and_never_waited_for(
    root: Path, capsys: pytest.CaptureFixture[str], which: str, kind: str
) -> None:
    path = root.parent / which
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(path if kind == "loop" else "/dev/zero")
    for line in (
        ("list",), ("du",), ("doctor",), ("inspect", "able@v1"), ("validate", "able@v1"),
        ("rotate", "able"), ("quarantine", "able@v1", "--reason", "x"),
    ):  # fmt: skip
        status, out, err = facts(root, capsys, *line)
        assert status in (0, 1)
        assert len(err.splitlines()) <= 1
        assert line[0] not in ("list", "du") or "expert" in out


@pytest.mark.parametrize("word", [b"\xff", b"a\xffb", b"\xed\xa0\x80"])
@pytest.mark.parametrize("command", ["approve", "quarantine"])
def test_a_reason_that_is_no_text_is_wrong_use(root: Path, command: str, word: bytes) -> None:
    line = [sys.executable, "-m", "trajstore", "--store", str(root), command, "able@v1", "--reason"]
    ran = subprocess.run([*line, word], capture_output=True, check=False)
    assert ran.returncode == 2
    assert b"--reason: expected text that UTF-8 can hold" in ran.stderr
    assert b"Traceback" not in ran.stderr
    assert not (root.parent / "reviews.json").exists()


def test_who_decides_may_have_any_name_or_none(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", os.fsdecode(b"x\xff\n"))
    for reason in ("bad\x1b[31m", "two\nlines", "[bold]markup[/]"):
        assert run(["--store", str(root), "quarantine", "able@v1", "--reason", reason]) == 0
    monkeypatch.setattr("getpass.getuser", lambda: {}["uid"])
    assert run(["--store", str(root), "quarantine", "able@v1", "--reason", "none"]) == 0
    found = read_reviews(root.parent / "reviews.json")
    assert [it.by for it in found] == ["x\\udcff\\n"] * 3 + [f"user {os.getuid()}"]
    assert [it.reason for it in found][1] == "two\nlines"
    for line in (["list"], ["inspect", "able@v1"], ["inspect", "able@v1", "--json"]):
        assert run(["--store", str(root), *line]) == 0
