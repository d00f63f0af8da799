"""The ledger notices every line that was changed, lost, or put in between."""

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
