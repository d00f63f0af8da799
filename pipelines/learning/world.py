"""What is played: the sections of ``params.yaml`` that speak of the task, for every stage."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from pipelines.running.params import ParamsError, distinct, named, read_section
from pipelines.tasks.reading import read_task
from pipelines.tasks.task import LISTED, Task

Played = Annotated[int, Meta(ge=1, le=LISTED)]
"""Episodes a scenario; so few that no list of episodes runs into the seeds of the next."""


@dataclass(frozen=True, slots=True)
class EvaluationParams:
    """Episodes a scenario, to track online training and to judge at the gate and every run's end.

    The scenarios for evaluation only are played beside the others at the end of a run.
    """

    track_each: Played
    judge_each: Played


@dataclass(frozen=True, slots=True)
class TransferParams:
    """Demonstrations of some scenarios, online training on others.

    Attributes:
        undemonstrated: family that no demonstration shows.
        demonstrated: levels, as the densities of social navigation, that demonstrations show; the
            others are trained on.
    """

    undemonstrated: str
    demonstrated: Annotated[tuple[str, ...], Meta(min_length=1), distinct]

    def check(self, task: Task, where: str = "params") -> None:
        """Refuse families and levels that the task does not have."""
        if not task.levels:
            raise ParamsError(
                f"{where}: transfer: expected a task whose scenarios are family/level, got "
                f"{task.version}; leave transfer out of the arms"
            )
        families = {name.partition("/")[0] for name in task.known}
        levels = set(task.levels)
        parts = [("undemonstrated", self.undemonstrated, families)]
        parts += [(f"demonstrated[{i}]", it, levels) for i, it in enumerate(self.demonstrated)]
        for place, name, known in parts:
            if wrong := named(known)(name):
                raise ParamsError(f"{where}: transfer.{place}: {wrong}")

    def is_demonstrated(self, scenario: str) -> bool:
        """Whether demonstrations may show a scenario ``family/level``."""
        family, _, level = scenario.partition("/")
        return family != self.undemonstrated and level in self.demonstrated


@dataclass(frozen=True, slots=True)
class World:
    """What is played, and how often policies are looked at."""

    task: Task
    evaluation: EvaluationParams


def check_each(each: int, task: Task, *, where: str, most: int = LISTED) -> None:
    """Refuse so many episodes a scenario that a list runs into the seeds of the next."""
    limit = most // max(len(task.names), len(task.held_out))
    if each > limit:
        raise ParamsError(
            f"{where}: expected int <= {limit}, got {each}; seeds must stay apart: lower it"
        )


def read_world(path: Path, *, transfer: bool = False) -> World:
    """The world of the parameter file; with ``transfer`` only what is not demonstrated."""
    task = read_task(path)
    evaluation = read_section(path, "evaluation", EvaluationParams)
    for key in ("track_each", "judge_each"):
        check_each(getattr(evaluation, key), task, where=f"{path}: evaluation.{key}")
    if transfer:
        task = task.only(_undemonstrated(path, task))
    return World(task, evaluation)


def read_transfer(path: Path, task: Task) -> TransferParams:
    """The section ``transfer``, whose names are the task's."""
    shown = read_section(path, "transfer", TransferParams)
    shown.check(task, str(path))
    return shown


def _undemonstrated(path: Path, task: Task) -> Sequence[str]:
    shown = read_transfer(path, task)
    names = [name for name in task.names if not shown.is_demonstrated(name)]
    if not names:
        raise ParamsError(
            f"{path}: transfer: expected a scenario of env.scenarios that is not "
            f"demonstrated, got none of {list(task.names)}; demonstrate less"
        )
    return names
