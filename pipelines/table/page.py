"""``docs/tasks.md`` and the curve of each task, from the numbers alone."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pipelines.comparison.arrival import Bound, Ratio
from pipelines.comparison.stats import Estimate
from pipelines.comparison.words import steps_text
from pipelines.report.drawing import (
    BASE,
    CONTROL,
    LEVEL,
    TUNED,
    WIDTH,
    measure_axis,
    styled,
    write_png,
)
from pipelines.table.record import Curve, Table, TaskRow
from pipelines.tasks.task import RETURN

WORDS = {
    "baseline": ("PPO from scratch", BASE),
    "finetune": ("ours", TUNED),
    "usual": ("actor cloned, then PPO", "#5b5bd6"),
    "cloning": ("ours without policy gradient", "#a3395b"),
    "control": ("shuffled actions, then ours", CONTROL),
}
"""How a reader knows an arm, and its colour."""
SIGNS = {Bound.AT_MOST: "≤ ", Bound.AT_LEAST: "≥ ", Bound.UNRESOLVED: "~ ", Bound.EXACT: ""}


INTRODUCTION = (
    "Made by `make tasks` from the settings in `pipelines/table/public/`, a file a task, and "
    "from the runs; do not edit.",
    "",
    "A ratio is environment steps until the target, the mean over matched seeds, as a share of "
    "what PPO from scratch needs; 95 % intervals in brackets. The target is nine tenths of the "
    "way from a random policy's return to the teacher's, held for two evaluations. `≤` and `≥`: "
    "some seeds did not arrive within their budget, which counts in their place; `~`: in both "
    "arms.",
    "",
    "- *Ours* clones the teacher, fits a critic to the clone, and goes on with PPO in small "
    "steps near it; steps for the critic count. *Usual* clones the same actor and goes on with "
    "PPO as from scratch. *Control* is ours after demonstrations whose actions were shuffled. "
    "*Without policy gradient* is ours with the cloning term alone.",
    "- All arms of a task are evaluated at the same steps, on the same fixed episodes, without "
    "noise. Teachers have seeds of their own, and are chosen on episodes that nothing else "
    "plays.",
    "- PPO from scratch is trained until it arrives, or to its budget. The published settings "
    "were not run to their full budget beside it: where the published return is above that of "
    "PPO from scratch, they may be the stronger baseline in the end.",
)


EMPTY = (
    "No runs are published yet, and nothing is claimed. `make tasks` makes them, one task with "
    "`make tasks TASK=LunarLander-v3`: the teacher, its demonstrations, the clones, then every "
    "arm, as many side by side as there are cores. What was interrupted goes on, and the hours "
    "left are said. A task without `returns` in its settings stops after its teacher and says "
    "which numbers to write: its target is fixed before anything is compared."
)
"""What stands on the page before anything was run."""


def ratio_words(ratio: Ratio) -> str:
    """A ratio with its interval, such as ``0.08 [0.05, 0.12]``.

    Example:
        >>> from pipelines.comparison.ratios import unknown
        >>> ratio_words(unknown("not run yet"))
        'not run yet'
    """
    if ratio.estimate is None or ratio.bound is None:
        return ratio.reason or ""
    return f"{SIGNS[ratio.bound]}{ratio.estimate:.3f}{_ends(ratio.low, ratio.high)}"


def _ends(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"


def mean_words(mean: Estimate | None) -> str:
    """A mean over tasks with its interval."""
    return "not known yet" if mean is None else f"{mean.estimate:.3f}{_ends(mean.low, mean.high)}"


def _arrived(ratio: Ratio, arm: str) -> str:
    times = [getattr(row, arm) for row in ratio.per_seed]
    return f"{sum(not it.censored for it in times)} of {len(times)}" if times else "-"


def _steps(ratio: Ratio, arm: str) -> str:
    times = [getattr(row, arm) for row in ratio.per_seed]
    shown = [f"{'> ' if it.censored else ''}{steps_text(it.steps)}" for it in times]
    return ", ".join(shown) or "-"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def _main(rows: Sequence[TaskRow]) -> list[str]:
    heads = (
        "task",
        "ours / scratch",
        "usual / scratch",
        "control / scratch",
        "without policy gradient",
        "ours arrived",
        "deepest dip",
    )
    cells = []
    for row in rows:
        dip = "-" if row.dip is None or row.dip.share is None else f"{-row.dip.share:.0%}"
        cells.append(
            [
                f"[{row.id}](#{row.id.lower()})",
                ratio_words(row.ratio),
                ratio_words(row.usual),
                ratio_words(row.control),
                ratio_words(row.cloning),
                _arrived(row.ratio, "pretrained"),
                dip,
            ]
        )
    return _table(heads, cells)


def _returns(rows: Sequence[TaskRow]) -> list[str]:
    heads = ("task", "random", "teacher", "target", "median clone", "from scratch at its end",
             "published PPO")  # fmt: skip
    cells = [
        [
            row.id,
            _number(row.random_return),
            _number(row.teacher_return),
            _number(row.target),
            _number(row.clones.median if row.clones else None),
            _number(row.baseline_return),
            f"{_number(row.published_return)} ({steps_text(row.published.steps)} steps)",
        ]
        for row in rows
    ]
    return _table(heads, cells)


def _costs(rows: Sequence[TaskRow]) -> list[str]:
    heads = ("task", "shown", "steps shown", "teacher's steps", "ours / scratch",
             "with what was shown", "with the teacher")  # fmt: skip
    cells = [
        [
            row.id,
            f"{row.demonstrations} episodes" + (f", each {row.every}th step" * (row.every > 1)),
            f"{row.teacher.collection_steps:,}",
            f"{row.teacher.training_steps:,}",
            ratio_words(row.ratio),
            ratio_words(row.accounts.with_demonstrations),
            ratio_words(row.accounts.with_teacher),
        ]
        for row in rows
    ]
    return _table(heads, cells)


def _of_a_task(row: TaskRow, folder: str) -> list[str]:
    clones = "-" if row.clones is None else ", ".join(map(_number, row.clones.per_seed.values()))
    lines = [
        f"### {row.id}",
        "",
        row.why,
        "",
        f"![Returns of every arm on {row.id}]({folder}/{row.id}.png)",
        "",
        f"Clones by seed: {clones}. Published return: {row.published.source}. "
        f"Runs: {'; '.join(f'{count} with {names}' for names, count in row.made_with.items())}.",
        "",
        *_table(
            ("arm", "steps to the target, by seed", "arrived"),
            [
                [
                    "PPO from scratch",
                    _steps(row.ratio, "baseline"),
                    _arrived(row.ratio, "baseline"),
                ],
                *(
                    [words, _steps(ratio, "pretrained"), _arrived(ratio, "pretrained")]
                    for words, ratio in (
                        ("ours", row.ratio),
                        ("actor cloned, then PPO", row.usual),
                        ("ours without policy gradient", row.cloning),
                        ("shuffled actions, then ours", row.control),
                    )
                ),
            ],
        ),
        "",
    ]
    if row.few:
        cells = [
            [str(it.demonstrations), _number(it.clone), ratio_words(it.ratio)] for it in row.few
        ]
        lines += [
            *_table(("episodes shown", "median clone", "ours / scratch"), cells),
            "",
        ]
    return lines


def page(table: Table, *, folder: str = "tasks") -> str:
    """The page about all tasks; pictures lie in ``folder`` beside it."""
    if not table.tasks:
        return "\n".join(["# Public tasks", "", *INTRODUCTION, "", EMPTY]) + "\n"
    counted = [row for row in table.tasks if not row.trivial]
    trivial = [row for row in table.tasks if row.trivial]
    lines = [
        "# Public tasks",
        "",
        *INTRODUCTION,
        "",
        f"**Mean over {len(table.counted)} tasks: {mean_words(table.mean_ratio)}**; "
        f"usual recipe {mean_words(table.mean_usual)}; control {mean_words(table.mean_control)}; "
        f"without policy gradient {mean_words(table.mean_cloning)}.",
        "",
        *_main(counted),
        "",
        "The dip is how far the lowest evaluation lies below the clone, as a share of the way from "
        "the random return to the clone's; the worst seed.",
        "",
        "## Returns",
        "",
        *_returns(table.tasks),
        "",
        "## Costs",
        "",
        "What was shown, and the teacher's training, counted as steps of ours.",
        "",
        *_costs(table.tasks),
        "",
        "## Each task",
        "",
        *(line for row in counted for line in _of_a_task(row, folder)),
    ]
    if trivial:
        lines += ["## Trivial, in no mean", "", *_main(trivial), ""]
        lines += [line for row in trivial for line in _of_a_task(row, folder)]
    return "\n".join(lines).rstrip() + "\n"


@styled
def curves(row: TaskRow) -> Figure:
    """Returns against online steps, every seed thin, the mean over those still running thick."""
    figure = Figure(figsize=(1.4 * WIDTH, 4.0))
    axes = figure.subplots()
    shown = [arm for arm in reversed(WORDS) if arm in row.curves]
    first = min(
        (curve.steps[1] for arm in shown for curve in row.curves[arm].values()
         if len(curve.steps) > 1), default=1
    )  # fmt: skip
    for arm in shown:
        words, colour = WORDS[arm]
        for curve in row.curves[arm].values():
            axes.plot(curve.steps, curve.returns, color=colour, lw=0.8, alpha=0.35)
        axes.plot(*_mean(list(row.curves[arm].values())), color=colour, label=words)
    seen = [v for arm in shown for curve in row.curves[arm].values() for v in curve.returns]
    axes.axhline(row.target, **LEVEL)
    measure_axis(axes, RETURN, seen)
    axes.set_xscale("symlog", linthresh=first, linscale=0.5)
    axes.set_xlim(left=0)
    axes.set(xlabel="online environment steps (logarithmic)", ylabel="return")
    ticks_at = [first * 4**power for power in range(8)]
    last = max((curve.steps[-1] for arm in shown for curve in row.curves[arm].values()), default=1)
    axes.set_xticks([0, *(it for it in ticks_at if it <= last)])
    axes.xaxis.set_major_formatter(lambda value, _: steps_text(value))
    axes.minorticks_off()
    axes.legend(loc="lower right", fontsize=9)
    return figure


def _mean(found: Sequence[Curve]) -> tuple[list[int], list[float]]:
    """Mean at each evaluation; a seed that stopped when it had arrived counts on with its last."""
    grid = sorted({step for curve in found for step in curve.steps})
    heights = [np.interp(grid, curve.steps, curve.returns) for curve in found]
    return grid, [float(it) for it in np.mean(heights, axis=0)]


def write_pictures(table: Table, folder: Path) -> None:
    """A picture of each task that has curves."""
    for row in table.tasks:
        if row.curves:
            write_png(curves(row), folder / f"{row.id}.png")
