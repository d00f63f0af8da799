"""What an evaluation must show: conditions on what the task is measured by."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct

from pipelines.running.params import ParamsError, named
from pipelines.tasks.task import RETURN, SUCCESS, Task


class Condition(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A metric that is at least, or at most, a limit: ``{metric: return, at_least: 200}``."""

    metric: Annotated[str, Meta(min_length=1)]
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        """Refuse a condition without a limit, or with two."""
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("Expected at_least or at_most, one of the two")

    @property
    def limit(self) -> float:
        """That must be kept."""
        return float(self.at_most if self.at_least is None else self.at_least)  # type: ignore[arg-type]

    @property
    def sign(self) -> str:
        """As mathematics writes it."""
        return "<=" if self.at_least is None else ">="

    def holds(self, value: float) -> bool:
        """Whether a value keeps the limit."""
        return value <= self.limit if self.at_least is None else value >= self.limit


Conditions = tuple[Condition, ...]


def reach(values: Mapping[str, float]) -> Conditions:
    """Conditions that ask for at least these values; of failures, for at most.

    Example:
        >>> [(it.metric, it.sign, it.limit) for it in reach({"success": 0.9, "collision": 0.05})]
        [('success', '>=', 0.9), ('collision', '<=', 0.05)]
    """
    return tuple(
        Condition(name, at_least=value) if rises(name) else Condition(name, at_most=value)
        for name, value in values.items()
    )


def rises(measure: str) -> bool:
    """Whether more of a measure is better: of success and of the return."""
    return measure in (SUCCESS, RETURN)


def met(row: Mapping[str, Any], conditions: Iterable[Condition]) -> bool:
    """Whether an evaluation keeps every condition."""
    return all(it.holds(row[it.metric]) for it in conditions)


def check_conditions(conditions: Sequence[Condition], task: Task, *, where: str) -> None:
    """Refuse conditions on what the task is not measured by, and shares beyond 0 to 1."""
    for place, condition in enumerate(conditions):
        if wrong := named({*task.rates, RETURN})(condition.metric):
            raise ParamsError(f"{where}[{place}].metric: {wrong}")
        check_levels([condition.limit], condition.metric, where=f"{where}[{place}]")


def check_levels(levels: Iterable[float], metric: str, *, where: str) -> None:
    """Refuse levels of a rate that are no shares."""
    for level in levels if metric != RETURN else ():
        if not 0.0 <= level <= 1.0:
            side = ">= 0.0" if level < 0.0 else "<= 1.0"
            raise ParamsError(f"{where}: expected float {side}, got {level}; correct it")
