"""The rows that a run leaves: the keys that all have, and beside them the rates of the task."""

from collections.abc import Mapping
from typing import Any, TypedDict, get_type_hints

from pipelines.running.params import Amount, Count, Share, fit
from pipelines.tasks.task import RETURN, SUCCESS
from trajstore.errors import TrajStoreError


class RunError(TrajStoreError):
    """A run folder, or a line of one, is not what it should be."""


Row = Mapping[str, Any]
Evaluation = TypedDict(
    "Evaluation",
    {
        "steps": Amount,
        "episodes": Count,
        "return": float,
        "by_scenario": dict[str, dict[str, float]],
    },
)
"""A line of ``evaluations.jsonl``; ``steps`` are the online ones before it.

Beside these keys stand the task's rates by name, shares such as ``success``; a part of
``by_scenario`` has ``episodes`` and the rates, or the return where there are none.
"""


def rates_of(row: Row, kind: Any = Evaluation) -> tuple[str, ...]:  # noqa: ANN401 - a TypedDict
    """The rates that a row has beside the keys of its kind, success first.

    Example:
        >>> rates_of({"steps": 0, "collision": 0.0, "success": 1.0})
        ('success', 'collision')
    """
    return tuple(sorted(set(row) - _FIXED - set(kind.__annotations__), key=_order))


_FIXED = {"seed", "policy", "selection", "steps", "episodes", RETURN, "by_scenario"}


def _order(name: str) -> tuple[bool, str]:
    return name != SUCCESS, name


def measures_of(row: Row) -> tuple[str, ...]:
    """What an evaluation is judged by: its rates; the return where it has none."""
    return rates_of(row) or (RETURN,)


def fit_row(row: Row, kind: Any, where: str, rate: Any = Share) -> tuple[str, ...]:  # noqa: ANN401
    """Refuse a row that does not fit its kind or whose rates are none; return their names."""
    fixed = get_type_hints(kind, include_extras=True)
    fit({key: row[key] for key in row if key in fixed}, kind, where, RunError)
    rates = rates_of(row, kind)
    for name in rates:
        if not name.isidentifier() or (name not in (SUCCESS,) and SUCCESS not in rates):
            raise RunError(
                f"{where}: expected keys among {sorted(fixed)} and rates beside success, got "
                f"{name!r}; remove or rename it"
            )
        fit(row[name], rate, f"{where}.{name}", RunError)
    return rates
