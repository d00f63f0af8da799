"""The settings of one public task: a parameter file as any other, with one more section."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.learning.cloning import PretrainParams
from pipelines.learning.conditions import Condition, check_conditions
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
WARM = ARMS[1:]
"""Arms that begin with a clone."""


@dataclass(frozen=True, slots=True)
class TeacherParams:
    """Who shows the task; its policy is chosen on episodes that nothing else plays.

    Attributes:
        function: ``package.module:function`` from an observation to an action; null where PPO is
            trained with the seed, the settings and the budget.
        seed: none that is compared.
    """

    function: str | None
    seed: Amount
    ppo: PpoParams | None
    budget: Budget | None
    select_each: Played


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
        trivial: shown apart, and in no mean.
        demonstrations: episodes that the teacher records.
        returns: null until they were measured.
        why: what was chosen how, a sentence or two for the reader.
    """

    trivial: bool
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
    where, finetune, teacher = settings.path, settings.finetune, settings.table.teacher
    first = finetune.arrival.conditions[0]
    if len(finetune.arrival.conditions) > 1 or first.metric != RETURN or first.at_least is None:
        raise ParamsError(
            f"{where}: finetune.arrival.conditions: expected one, on the return, got others; the "
            "table compares returns"
        )
    if settings.pretrain.seeds != finetune.seeds:
        raise ParamsError(
            f"{where}: pretrain.seeds: expected {list(finetune.seeds)}, those of finetune, got "
            f"{list(settings.pretrain.seeds)}; match them"
        )
    if teacher.seed in finetune.seeds:
        raise ParamsError(
            f"{where}: table.teacher.seed: expected one that is not compared, got {teacher.seed}; "
            "choose another"
        )
    if teacher.function is None and not (teacher.ppo and teacher.budget):
        raise ParamsError(
            f"{where}: table.teacher: expected a function, or ppo and budget, got neither; say one"
        )
    for arm in finetune.budgets:
        if arm != "baseline" and arm not in finetune.from_clone:
            raise ParamsError(
                f"{where}: finetune.from_clone: expected settings for arm {arm!r}, got none"
            )
    if len({str(it.evaluate_every) for it in finetune.budgets.values()}) > 1:
        raise ParamsError(
            f"{where}: finetune.budgets: expected the same evaluate_every for all arms, got "
            "several; the arms are evaluated on one grid"
        )


def fixed_target(random: float, teacher: float, share: float = 0.9) -> Condition:
    """What is to be reached: so far from a random policy's return to the teacher's.

    Example:
        >>> fixed_target(-200.0, 300.0).at_least
        250.0
    """
    return Condition(RETURN, at_least=round(random + share * (teacher - random), 1))
