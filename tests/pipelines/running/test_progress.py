"""A worker's note is whole whenever it is read; without a terminal nothing is drawn."""

import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from rich.progress import Progress

from pipelines.running import progress
from pipelines.running.progress import note, watch

ROW = {"success": 0.5, "collision": 0.25, "return": 1.0}


def test_a_note_is_read_as_it_was_written_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    note("baseline/seed_1", 100, ROW, logs=tmp_path)
    note("baseline/seed_1", 200, ROW, logs=tmp_path)
    files = list((tmp_path / "progress").iterdir())
    assert [path.name for path in files] == ["baseline-seed_1.json"]
    assert json.loads(files[0].read_text()) == {"steps": 200, "success": 0.5, "collision": 0.25}


def test_without_a_terminal_it_is_silent_and_forgets_old_notes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    note("a/seed_1", 100, ROW, logs=tmp_path)
    with watch({"a/seed_1": 200}, logs=tmp_path):
        assert list((tmp_path / "progress").iterdir()) == []
        note("a/seed_1", 50, ROW, logs=tmp_path)
    assert capsys.readouterr().err == ""


class Terminal:
    """A stream that says it is a terminal."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None: ...


def test_on_a_terminal_a_bar_is_drawn_and_its_thread_ends_with_the_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with pytest.raises(ZeroDivisionError), watch({"a/seed_1": 200}, logs=tmp_path):
        raise ZeroDivisionError
    assert "progress" not in {thread.name for thread in threading.enumerate()}
    assert "a/seed_1" in terminal.text


def test_the_bar_follows_the_note(tmp_path: Path) -> None:
    bars = Progress(disable=True)
    tasks: dict[str, Any] = {name: bars.add_task(name, total=200, note="") for name in ("a", "b")}
    note("a", 150, ROW, logs=tmp_path)

    class Once:
        turns = 0

        def wait(self, _: float) -> bool:
            self.turns += 1
            return self.turns > 1

    progress._draw(bars, tasks, tmp_path, Once())  # type: ignore[arg-type]
    assert [task.completed for task in bars.tasks] == [150, 0]
