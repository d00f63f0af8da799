"""How far runs and the whole experiment are, and how long it may still take.

Runs in other processes each write a small file, of which the parent draws the bars.
"""

import json
import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
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
RUNNING = re.compile(r"^Running stage '(?P<stage>[^']+)':")


def _path(run: str, logs: Path) -> Path:
    return logs / "progress" / f"{run.replace('/', '-')}.json"


def note(run: str, steps: int, row: Mapping[str, Any], *, logs: Path = LOGS) -> None:
    """Say from a worker how far ``run`` is and what its newest evaluation showed."""
    path = _path(run, logs)
    path.parent.mkdir(parents=True, exist_ok=True)
    rates = [key for key in row if key not in ("steps", "episodes", "return", "by_scenario")]
    shown = {key: row[key] for key in rates or ["return"]}
    text = json.dumps({"steps": steps, **shown})
    beside = path.with_suffix(f".{os.getpid()}.new")
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
                steps = row.pop("steps")
                words = "  ".join(f"{name} {value:.3f}" for name, value in row.items())
                bars.update(bar, completed=steps, note=words)


def stages_of(pipeline: Path, params: Path) -> list[str]:
    """The stages of a ``dvc.yaml`` in their order, as DVC calls them; DVC says why there is none.

    One with ``foreach`` stands once an item of the parameters, such as ``arms@control``.
    """
    if not pipeline.is_file():
        return []
    try:
        stages = yaml.safe_load(pipeline.read_text(encoding="utf-8"))["stages"]
        document = yaml.safe_load(params.read_text(encoding="utf-8")) if params.is_file() else {}
        found = []
        for name, stage in stages.items():
            source = stage.get("foreach")
            found += [f"{name}@{item}" for item in _items(source, document)] if source else [name]
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError):
        return []
    return found


def _items(source: str, document: Any) -> list[str]:  # noqa: ANN401 - what a parameter file holds
    for part in source.strip("${} ").split("."):
        document = document[part]
    return list(document)


def online_steps(params: Path) -> dict[str, int]:
    """Online steps that each training stage takes at most, all seeds together.

    None if the file does not say; the stages refuse such a file themselves, with a reason.
    """
    if not params.is_file():
        return {}
    try:
        document = yaml.safe_load(params.read_text(encoding="utf-8"))
        expert, arms = document.get("expert", {}), document.get("finetune", {})
        steps = {arm: _steps(arms, budget) for arm, budget in arms.get("budgets", {}).items()}
        return steps | ({"expert": _steps(expert, expert["budget"])} if expert else {})
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError):
        return {}


def _steps(section: Mapping[str, Any], budget: Mapping[str, Any]) -> int:
    return len(section["seeds"]) * int(budget["steps"])


class Forecast:
    """Counts stages, and from the speed of those that trained how long the rest may take.

    ``steps`` are online ones at most, by stage; one that trains nothing is taken to cost nothing.
    """

    def __init__(self, stages: Sequence[str], steps: Mapping[str, int]) -> None:
        self._stages, self._steps = list(stages), dict(steps)
        self._running, self._since = "", 0.0
        self._trained, self._seconds = 0, 0.0

    def _steps_of(self, stage: str) -> int:
        """Of a stage, which may be one of several arms: ``arms@control``."""
        name, _, arm = stage.partition("@")
        if name == "transfer_baseline":
            arm = f"{arm}_{name.removeprefix('transfer_')}"
        return 0 if name.startswith("clone") else self._steps.get(arm or name, 0)

    def begin(self, stage: str, now: float) -> str:
        """Say that a stage begins at ``now``, s; return a line for the reader."""
        if trained := self._steps_of(self._running):
            self._trained += trained
            self._seconds += now - self._since
        self._running, self._since = stage, now
        if stage not in self._stages:
            return f"[{stage}]"
        place = self._stages.index(stage)
        line = f"[{place + 1} of {len(self._stages)}] {stage}"
        left = sum(self._steps_of(name) for name in self._stages[place:])
        if not self._trained or not left:
            return line
        minutes = left * self._seconds / self._trained / 60.0
        return f"{line}, at most about {max(1, round(minutes))} min left"
