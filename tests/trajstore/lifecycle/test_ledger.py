"""The ledger notices every line that was changed, lost, or put in between."""

import shlex
import subprocess
from pathlib import Path

import pytest

from tests.trajstore import lives
from tests.trajstore.lives import fill
from trajstore.errors import CorruptionError
from trajstore.lifecycle import Shelf


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return lives.shelf(tmp_path)


def test_a_line_that_was_changed_lost_or_put_in_is_noticed(shelf: Shelf, tmp_path: Path) -> None:
    fill(shelf, tmp_path, 4)
    path = shelf.folder / "ledger.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    forged = lines[1].replace(b'"version":2', b'"version":9')
    for spoiled in (
        [lines[0], *lines[2:]],
        lines[1:],
        [lines[0], forged, *lines[2:]],
        [*lines[:2], lines[1], *lines[2:]],
        [*lines, b"{}\n"],
        [*lines, lines[-1][:40]],
        lines[:-1],
        [*lines[:-2], lines[-1]],
        lines[:2],
        [lines[-1]],
        [],
        [lines[1], lines[0], *lines[2:]],
    ):
        path.write_bytes(b"".join(spoiled))
        with pytest.raises(CorruptionError, match=r"ledger\.jsonl, line \d"):
            shelf.ledger()


def test_a_ledger_without_its_count_says_what_to_add(shelf: Shelf, tmp_path: Path) -> None:
    fill(shelf, tmp_path, 2)
    path, entries = shelf.folder / "ledger.jsonl", shelf.ledger()
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(CorruptionError) as refused:
        shelf.ledger()
    told = str(refused.value)
    assert "\n" not in told
    added = told.partition("add it: ")[2]
    assert shlex.split(added)[2:] == [">>", str(path)]
    subprocess.run(added, shell=True, check=True)
    assert shelf.ledger() == entries
