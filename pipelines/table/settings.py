"""The settings of one public task: a parameter file as any other, with one more section."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.learning.cloning import PretrainParams
from pipelines.learning.conditions import check_conditions
from pipelines.learning.job import FinetuneParams
from pipelines.learning.ppo import PpoParams
from pipelines.learning.training import Budget
from pipelines.learning.world import Played, World, read_world
from pipelines.running.params import Amount, Count, ParamsError, Seeds, named, read_section
from pipelines.tasks.task import RETURN

PUBLIC = Path(__file__).with_name("public")
"""Where the settings of the table lie, one file a task, by its id."""
ARMS = ("baseline", "finetune", "usual", "cloning", "control")
"""What is compared on every task, what matters most first."""
Apart = Literal["trivial", "quick"]
WARM = ARMS[1:]
"""Arms that begin with a clone."""


@dataclass(frozen=True, slots=True)
class TeacherParams:
    """Who shows the task; its policy is chosen on episodes that nothing else plays.

    Attributes:
        function: ``package.module:function`` from an observation to an action, or
        policy: folder of a policy beside the settings; null for both where PPO is trained with the
            seed, the settings and the budget.
        seed: none that is compared.
    """

    function: str | None
    policy: str | None
    seed: Amount
    ppo: PpoParams | None
    budget: Budget | None
    select_each: Played

    @property
    def is_trained(self) -> bool:
        """Whether it is to be made here."""
        return self.function is None and self.policy is None


@dataclass(frozen=True, slots=True)
class Returns:
    """Mean returns over the judging episodes, as the target was fixed from them."""

    random: float
    teacher: float


@dataclass(frozen=True, slots=True)
class Published:
    """What others report for PPO with tuned settings; null where there is nothing."""

    value: float | None
    steps: Amount
    source: str


@dataclass(frozen=True, slots=True)
class TableParams:
    """What the table adds to a parameter file.

    Attributes:
        apart: why it is shown apart, and in no mean that counts: ``trivial``, a clone solves it;
            ``quick``, PPO from scratch does within 50,000 steps with the teacher's seed.
        demonstrations: episodes that the teacher records.
        returns: null until they were measured.
        why: what was chosen how, a sentence or two for the reader.
    """

    apart: Apart | None
    teacher: TeacherParams
    demonstrations: Count
    returns: Returns | None
    published: Published
    why: str


@dataclass(frozen=True, slots=True)
class Settings:
    """One task of the table."""

    path: Path
    world: World
    pretrain: PretrainParams
    finetune: FinetuneParams
    table: TableParams

    @property
    def id(self) -> str:
        """As Gymnasium registers it, and as the file is called."""
        return self.path.stem

    @property
    def seeds(self) -> Seeds:
        """Matched over the arms."""
        return self.finetune.seeds

    @property
    def target(self) -> float:
        """Return that is to be reached."""
        return self.finetune.arrival.conditions[0].limit

    @property
    def arms(self) -> tuple[str, ...]:
        """Those with a budget, in the order of their importance."""
        return tuple(it for it in ARMS if it in self.finetune.budgets)


def known_ids(folder: Path = PUBLIC) -> list[str]:
    """The tasks that have settings."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def read_settings(ids: Sequence[str], folder: Path = PUBLIC) -> list[Settings]:
    """The settings of these tasks; of all there are where none is named.

    Raises:
        ParamsError: there is no such file, or one does not fit its records.
    """
    known = known_ids(folder)
    for name in ids:
        if wrong := named(known)(name):
            raise ParamsError(f"task: {wrong}")
    if not known:
        raise ParamsError(f"{folder}: expected a settings file of a task, got none")
    return [_read(folder / f"{name}.yaml") for name in ids or known]


def _read(path: Path) -> Settings:
    world = read_world(path)
    settings = Settings(
        path,
        world,
        read_section(path, "pretrain", PretrainParams),
        read_section(path, "finetune", FinetuneParams),
        read_section(path, "table", TableParams),
    )
    check_conditions(settings.finetune.arrival.conditions, world.task, where=str(path))
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    """Refuse what would make a comparison unfair, or no comparison."""
    for place, wanted, got, remedy in (*_of_the_table(settings), *_of_the_arms(settings)):
        raise ParamsError(f"{settings.path}: {place}: expected {wanted}, got {got}; {remedy}")


Wrong = Iterator[tuple[str, str, object, str]]
"""Places that do not fit: what was expected there, what came, what to do."""


def _of_the_table(settings: Settings) -> Wrong:
    teacher, told = settings.table.teacher, settings.table.returns
    if teacher.seed in settings.seeds:
        yield "table.teacher.seed", "one that is not compared", teacher.seed, "choose another"
    if teacher.is_trained and not (teacher.ppo and teacher.budget):
        yield "table.teacher", "a function, a policy, or ppo and budget", "none", "say one"
    if told is not None and settings.target != (right := fixed_target(told.random, told.teacher)):
        yield (
            "finetune.arrival.conditions[0].at_least",
            f"{right}, nine tenths of the way from random to teacher",
            settings.target,
            "correct one of them",
        )


def _of_the_arms(settings: Settings) -> Wrong:
    finetune = settings.finetune
    conditions, budgets = finetune.arrival.conditions, finetune.budgets
    if len(conditions) > 1 or conditions[0].metric != RETURN or conditions[0].at_least is None:
        wanted = "one, on the return, which the table compares"
        yield "finetune.arrival.conditions", wanted, len(conditions), "correct them"
    if settings.pretrain.seeds != finetune.seeds:
        seeds = list(settings.pretrain.seeds)
        yield "pretrain.seeds", f"{list(finetune.seeds)}, those of finetune", seeds, "match them"
    for arm in sorted(set(budgets) - {"baseline"} - set(finetune.from_clone)):
        yield "finetune.from_clone", f"settings for arm {arm!r}", "none", "add them"
    if len({str(it.evaluate_every) for it in budgets.values()}) > 1:
        yield (
            "finetune.budgets",
            "the same evaluate_every for all arms, which are evaluated on one grid",
            "several",
            "choose one",
        )


def fixed_target(random: float, teacher: float, share: float = 0.9) -> float:
    """What is to be reached: so far from a random policy's return to the teacher's.

    Example:
        >>> fixed_target(-200.0, 300.0)
        250.0
    """
    return round(random + share * (teacher - random), 1)
