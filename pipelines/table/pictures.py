"""The curves of every task in one picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.comparison.words import steps_text
from pipelines.report.drawing import BASE, CONTROL, LEVEL, TUNED, WIDTH, styled, write_png
from pipelines.table.record import Curve, Table, TaskRow

WORDS = {
    "baseline": ("PPO from scratch", BASE),
    "finetune": ("ours", TUNED),
    "usual": ("actor cloned, then PPO", "#5b5bd6"),
    "cloning": ("ours without policy gradient", "#a3395b"),
    "control": ("shuffled actions, then ours", CONTROL),
}
"""How a reader knows an arm, and its colour."""
COLUMNS = 2


@styled
def curves(rows: Sequence[TaskRow]) -> Figure:
    """Returns against online steps, a small picture a task; the mean over seeds is thick."""
    height = -(-len(rows) // COLUMNS)
    figure = Figure(figsize=(1.6 * WIDTH, 2.6 * height), layout="constrained")
    places = figure.subplots(height, COLUMNS, squeeze=False).flatten()
    for axes, row in zip(places, rows, strict=False):
        _draw(axes, row)
    for axes in places[len(rows) :]:
        axes.set_axis_off()
    shown = dict(
        pair
        for axes in places
        for pair in zip(*axes.get_legend_handles_labels()[::-1], strict=True)
    )
    figure.legend(shown.values(), shown.keys(), loc="outside upper center", ncols=3, fontsize=9)
    figure.supxlabel("online environment steps (logarithmic)", fontsize=10)
    return figure


def _draw(axes: Axes, row: TaskRow) -> None:
    shown = [arm for arm in reversed(WORDS) if arm in row.curves]
    found = [curve for arm in shown for curve in row.curves[arm].values()]
    first = min((it.steps[1] for it in found if len(it.steps) > 1), default=1)
    for arm in shown:
        words, colour = WORDS[arm]
        for curve in row.curves[arm].values():
            axes.plot(curve.steps, curve.returns, color=colour, lw=0.6, alpha=0.3)
        axes.plot(*_mean(list(row.curves[arm].values())), color=colour, lw=1.4, label=words)
    axes.axhline(row.target, **LEVEL)
    axes.set_xscale("symlog", linthresh=first, linscale=0.5)
    axes.set_xlim(left=0)
    axes.set_title(row.id, fontsize=10)
    last = max((curve.steps[-1] for curve in found), default=1)
    axes.set_xticks([0, *(it for it in (first * 4**power for power in range(8)) if it <= last)])
    axes.xaxis.set_major_formatter(lambda value, _: steps_text(value))
    axes.minorticks_off()


def _mean(found: Sequence[Curve]) -> tuple[list[int], list[float]]:
    """Mean at each evaluation; a seed that stopped when it had arrived counts on with its last."""
    grid = sorted({step for curve in found for step in curve.steps})
    heights = [np.interp(grid, curve.steps, curve.returns) for curve in found]
    return grid, [float(it) for it in np.mean(heights, axis=0)]


def write_pictures(table: Table, path: Path) -> None:
    """The picture of all tasks that have curves."""
    if rows := [row for row in table.tasks if row.curves]:
        write_png(curves(rows), path)
