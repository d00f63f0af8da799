"""What the table was to show, whether it does, and what has not been run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pipelines.comparison.arrival import Bound, Ratio
from pipelines.table.record import Table, TaskRow
from pipelines.table.settings import ARMS

MEAN, EACH, HALF, SHARE, DIP, TASKS = 0.08, 0.3, 0.5, 0.8, 0.1, 8


@dataclass(frozen=True, slots=True)
class Goal:
    """One goal: what was asked, what was found, and whether that is enough; none if not run."""

    asked: str
    found: str
    met: bool | None
    so_far: bool = False

    @property
    def words(self) -> tuple[str, str, str]:
        """A row of the page's table."""
        if self.met is None:
            return self.asked, self.found, "not run"
        verdict = "met" if self.met else "missed"
        return self.asked, self.found, verdict + " so far" * self.so_far


def goals(table: Table) -> list[Goal]:
    """All goals, of the tasks that count; so far, where runs of such a task are not done."""
    rows = [row for row in table.tasks if row.id in table.counted]
    so_far = any(undone(row) for row in table.tasks if row.apart is None)
    return [
        replace(it, so_far=so_far) for it in (*_of_ours(table, rows), _halved(rows), _control(rows))
    ]


def _of_ours(table: Table, rows: Sequence[TaskRow]) -> Iterator[Goal]:
    mean, ratios = table.mean_ratio, {it.id: it.ratio.estimate or 0.0 for it in rows}
    below = [it.id for it in rows if it.clones and it.clones.median < it.target]
    yield Goal(
        f"at least {TASKS} tasks whose median clone lies below the target",
        f"{len(below)} of {len(rows)}",
        len(below) >= TASKS,
    )
    yield Goal(
        f"mean ratio at most {MEAN:g}",
        "-" if mean is None else f"{mean.estimate:.3f}",
        None if mean is None else mean.estimate <= MEAN,
    )
    high = [f"{name} {value:.2f}" for name, value in ratios.items() if value > EACH]
    yield Goal(f"no ratio above {EACH:g}", ", ".join(high) or "none", not high if rows else None)
    late = [f"{it.id} {n}" for it in rows if (n := _not_arrived(it.ratio))]
    yield Goal("every seed arrives", ", ".join(late) or "all", not late if rows else None)
    deep = [
        f"{it.id} {-it.dip.share:.0%}"
        for it in rows
        if it.dip is not None and it.dip.share is not None and it.dip.share < -DIP
    ]
    yield Goal(
        f"no seed dips by more than {DIP:.0%} below its clone",
        ", ".join(deep) or "none",
        not deep if rows else None,
    )


def _not_arrived(ratio: Ratio) -> int:
    return sum(it.pretrained.censored for it in ratio.per_seed)


def _halved(rows: Sequence[TaskRow]) -> Goal:
    asked = f"at most {HALF:g} of the steps of the usual recipe"
    return _each(asked, {it.id: it.ours_over_usual for it in rows}, most=HALF)


def _control(rows: Sequence[TaskRow]) -> Goal:
    asked = f"control at least {SHARE:g} of PPO from scratch"
    return _each(asked, {it.id: it.control for it in rows}, least=SHARE)


def _each(
    asked: str, ratios: dict[str, Ratio], *, most: float | None = None, least: float | None = None
) -> Goal:
    """A goal of every task; a bound that leaves it open counts as missed."""
    known = {name: it for name, it in ratios.items() if it.estimate is not None}
    failed = []
    for name, it in known.items():
        value = it.estimate or 0.0
        sure = it.bound in (Bound.EXACT, Bound.AT_MOST if most is not None else Bound.AT_LEAST)
        if not sure or (most is not None and value > most) or (least is not None and value < least):
            failed.append(f"{name} {'' if sure else '(open) '}{value:.2f}")
    found = f"{len(known) - len(failed)} of {len(known)} tasks"
    return Goal(asked, found + (f"; not {', '.join(failed)}" * bool(failed)),
                None if not known else not failed)  # fmt: skip


def missing(table: Table) -> list[str]:
    """What is planned and has not come to its end, a line a task."""
    parts = {row.id: undone(row) for row in table.tasks}
    return [f"- {name}: {', '.join(found)}." for name, found in parts.items() if found]


def undone(row: TaskRow) -> list[str]:
    """Arms of which seeds are missing, and how many there are."""
    return [
        f"{arm} {done} of {planned} seeds"
        for arm, planned in sorted(row.planned.items(), key=_place)
        if (done := len(row.curves.get(arm, {}))) < planned
    ]


def _place(item: tuple[str, int]) -> tuple[int, str]:
    return (ARMS.index(item[0]) if item[0] in ARMS else len(ARMS), item[0])
