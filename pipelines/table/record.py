"""What the table found, as ``docs/tasks.json`` holds it."""

from typing import Literal

from pipelines.comparison.arrival import Part, Ratio
from pipelines.comparison.record import Dip
from pipelines.comparison.stats import Estimate
from pipelines.table.settings import Apart


class Clones(Part, frozen=True):
    """Returns of the clones before the first online step."""

    median: float
    per_seed: dict[str, float]


class Teacher(Part, frozen=True, kw_only=True):
    """Who showed the task, and what that cost."""

    id: str
    digest: str | None
    training_steps: int
    collection_steps: int


class Accounts(Part, frozen=True):
    """The ratio of steps with all that was paid for it."""

    with_demonstrations: Ratio
    with_teacher: Ratio


class Few(Part, frozen=True):
    """The ratio with another number of demonstrations."""

    demonstrations: int
    clone: float
    ratio: Ratio


class Published(Part, frozen=True, kw_only=True):
    """What others report for PPO, after so many steps."""

    steps: int
    source: str


class Curve(Part, frozen=True):
    """Returns of one seed of an arm at its evaluations."""

    steps: tuple[int, ...]
    returns: tuple[float, ...]


class TaskRow(Part, frozen=True, kw_only=True):
    """One task.

    Attributes:
        apart: why it is in no mean that counts; null where it is.
        ratio: steps of ours over those of PPO from scratch.
        usual: of the usual recipe over those from scratch.
        control: of ours after shuffled demonstrations over those from scratch.
        cloning: of ours without the policy gradient over those from scratch.
        ours_over_usual: what ours saves where the actor was cloned anyway.
        baseline_return: final return of PPO from scratch, when it ended.
        demonstrations: episodes shown to a clone.
        every: of these each so many-th step.
        dip: loss of return after the clone; ``share`` is of the way from random to the clone.
        made_with: runs by the versions of the packages they were made with.
        planned: seeds that each arm is to have.
    """

    id: str
    apart: Apart | None
    target: float
    random_return: float
    teacher_return: float
    teacher: Teacher
    demonstrations: int
    every: int
    clones: Clones | None
    ratio: Ratio
    usual: Ratio
    control: Ratio
    cloning: Ratio
    ours_over_usual: Ratio
    accounts: Accounts
    dip: Dip | None
    baseline_return: float | None
    published_return: float | None
    published: Published
    few: tuple[Few, ...]
    curves: dict[str, dict[str, Curve]]
    made_with: dict[str, int]
    planned: dict[str, int]
    why: str


class Table(Part, frozen=True, kw_only=True):
    """All tasks, and what they say together.

    Attributes:
        mean_ratio: of the tasks that are not shown apart; null without any.
        mean_all: the same with those that PPO from scratch solves quickly.
        counted: these tasks.
    """

    version: Literal[1] = 1
    tasks: tuple[TaskRow, ...]
    counted: tuple[str, ...]
    mean_ratio: Estimate | None
    mean_all: Estimate | None
    mean_usual: Estimate | None
    mean_control: Estimate | None
    mean_cloning: Estimate | None
