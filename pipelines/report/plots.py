"""PNG plots of a comparison for ``dvc plots`` and the summary, byte for byte repeatable."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipelines.comparison.arrival import Bound
from pipelines.report.figures import MAIN, arm_words

Report = Mapping[str, Any]

MARKS: dict[Bound, tuple[str, str | None]] = {
    Bound.EXACT: ("o", None),
    Bound.AT_MOST: ("v", "white"),
    Bound.AT_LEAST: ("^", "white"),
    Bound.UNRESOLVED: ("o", "white"),
}
"""Shape of a point, and its inside where that is not its own colour."""
COLOURS = {"baseline": "#6b7480", "finetune": "#0a7a72", "control": "#c2641a"}


def write_plots(report: Report, out: Path) -> None:
    """Write ``curves.png`` and ``ratio_over_targets.png``."""
    save(_curves(report), out / "curves.png")
    save(_ratios(report), out / "ratio_over_targets.png")


def _curves(report: Report) -> Figure:
    figure = Figure(figsize=(10.5, 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, rate in zip(figure.subplots(1, 2), ("success", "collision"), strict=True):
        for name in MAIN:
            if name in report["curves"]:
                _curve(axes, report["curves"][name], rate, name)
        axes.axhline(report["settings"][f"target_{rate}"], color="black", lw=1, ls="--")
        axes.set(xlabel="online environment steps", ylabel=rate)
        axes.set_ylim(0, 1.02 if rate == "success" else 0.4)
        plain(axes)
    figure.axes[0].legend(frameon=False, loc="lower right")
    return figure


def _curve(axes: Axes, curve: Report, rate: str, name: str) -> None:
    steps, shown = curve["steps"], curve[rate]
    if None not in shown["low"] and None not in shown["high"]:
        axes.fill_between(steps, shown["low"], shown["high"], color=COLOURS[name], alpha=0.16, lw=0)
    axes.plot(steps, shown["mean"], color=COLOURS[name], lw=2, label=arm_words(name))


def _ratios(report: Report) -> Figure:
    figure = Figure(figsize=(6.0, 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name, limited, words in (
        ("finetune", True, "pre-trained, collisions limited"),
        ("finetune", False, "pre-trained, success alone"),
        ("control", True, "control, collisions limited"),
    ):
        rows = [
            row
            for row in report["over_targets"]
            if row["arms"]["pretrained"] == name
            and (row["target"]["collision"] < 1.0) == limited
            and row["estimate"] is not None
        ]
        axes.plot(
            [row["target"]["success"] for row in rows],
            [row["estimate"] for row in rows],
            color=COLOURS[name],
            ls="-" if limited else ":",
            label=words,
        )
        for row in rows:
            marker, face = MARKS[Bound(row["bound"])]
            axes.plot(
                row["target"]["success"],
                row["estimate"],
                marker=marker,
                color=COLOURS[name],
                markerfacecolor=face or COLOURS[name],
            )
    axes.axhline(1.0, color="black", lw=1, ls="--")
    axes.set(xlabel="target success", ylabel="ratio of online steps", ylim=(-0.03, None))
    axes.set_title("arrowheads: true ratio lies that way; open disc: unknown", fontsize=9)
    axes.legend(frameon=False)
    plain(axes)
    return figure


def plain(axes: Axes) -> None:
    """A faint grid, no box."""
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def save(figure: Figure, path: Path) -> None:
    """Write a PNG without anything that differs between two runs."""
    figure.savefig(path, dpi=110, metadata={"Software": None})
