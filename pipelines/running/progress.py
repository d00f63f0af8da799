"""Progress of runs in other processes: each writes a small file, the parent draws the bars."""

import json
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LOGS = Path("data/logs")
"""Where progress and wall-clock times go; never an input or output of a stage."""


def _path(run: str, logs: Path) -> Path:
    return logs / "progress" / f"{run.replace('/', '-')}.json"


def note(run: str, steps: int, row: Mapping[str, Any], *, logs: Path = LOGS) -> None:
    """Say from a worker how far ``run`` is and what its newest evaluation showed."""
    path = _path(run, logs)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"steps": steps, "success": row["success"], "collision": row["collision"]})
    beside = path.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


@contextmanager
def watch(runs: Mapping[str, int], *, logs: Path = LOGS) -> Iterator[None]:
    """Draw a bar for each run (name to online steps in all); silent where there is no terminal."""
    for run in runs:
        _path(run, logs).unlink(missing_ok=True)
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    bars = Progress(
        TextColumn("{task.description:24}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
    )
    with bars:
        drawn = {run: bars.add_task(run, total=total, note="") for run, total in runs.items()}
        thread = threading.Thread(
            target=_draw, args=(bars, drawn, logs, done), name="progress", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _draw(bars: Progress, drawn: Mapping[str, Any], logs: Path, done: threading.Event) -> None:
    while not done.wait(1.0):
        for run, bar in drawn.items():
            path = _path(run, logs)
            if path.exists():
                row = json.loads(path.read_text(encoding="utf-8"))
                words = f"success {row['success']:.3f}  collisions {row['collision']:.3f}"
                bars.update(bar, completed=row["steps"], note=words)
