"""How far an experiment is, and how long it may still take."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

RUNNING = re.compile(r"^Running stage '(?P<stage>[^']+)':")


def stages_of(pipeline: Path) -> list[str]:
    """The stages of a ``dvc.yaml`` in their order, none if there is no such file."""
    if not pipeline.is_file():
        return []
    return list(yaml.safe_load(pipeline.read_text(encoding="utf-8"))["stages"])


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

    Args:
        stages: in their order.
        steps: online steps at most, by stage; one that trains nothing is taken to cost nothing.
    """

    def __init__(self, stages: Sequence[str], steps: Mapping[str, int]) -> None:
        self._stages = list(stages)
        self._steps = dict(steps)
        self._running: tuple[str, float] | None = None
        self._trained = 0
        self._seconds = 0.0

    def begin(self, stage: str, now: float) -> str:
        """Say that a stage begins at ``now``, s; return a line for the reader."""
        self._end(now)
        self._running = stage, now
        if stage not in self._stages:
            return f"[{stage}]"
        place = self._stages.index(stage)
        line = f"[{place + 1} of {len(self._stages)}] {stage}"
        left = sum(self._steps.get(name, 0) for name in self._stages[place:])
        if not self._trained or not left:
            return line
        minutes = left * self._seconds / self._trained / 60.0
        return f"{line}, at most about {max(1, round(minutes))} min left"

    def _end(self, now: float) -> None:
        if self._running is None:
            return
        stage, since = self._running
        if self._steps.get(stage):
            self._trained += self._steps[stage]
            self._seconds += now - since
