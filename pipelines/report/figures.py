"""The figures of a comparison, each from its numbers alone."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation, Transform

from pipelines.comparison.arrival import Bound, Ratio
from pipelines.comparison.record import Comparison, Curve
from pipelines.comparison.words import (
    is_share,
    limit_words,
    measure_words,
    ratio_text,
    share_text,
    value_text,
)
from pipelines.learning.conditions import Condition
from pipelines.report.drawing import (
    BASE,
    CARD,
    CONTROL,
    INK,
    LEVEL,
    LINE,
    SOFT,
    TUNED,
    TUNED_LIGHT,
    WIDTH,
    measure_axis,
    share_axis,
    steps_axis,
    styled,
    ticks,
)

ARMS = {
    "baseline": ("PPO from scratch", BASE),
    "finetune": ("pre-trained", TUNED),
    "control": ("control (shuffled actions)", CONTROL),
    "transfer_baseline": ("from scratch, transfer", BASE),
    "transfer": ("pre-trained, transfer", TUNED),
}
"""How a reader knows an arm, and its colour."""
FEW = re.compile(r"few_(\d+)")
MAIN = ("control", "baseline", "finetune")
"""Arms of the learning curves, in the order they are drawn."""
SERIES = (
    ("control", True, CONTROL, 5.0),
    ("finetune", False, TUNED_LIGHT, -5.0),
    ("finetune", True, TUNED, 0.0),
)
"""Arm, whether collisions are limited, colour, and a shift in points so that marks stay apart."""
MARKS = {
    Bound.EXACT: ("o", "exact"),
    Bound.AT_MOST: ("v", "upper bound"),
    Bound.AT_LEAST: ("^", "lower bound"),
    Bound.UNRESOLVED: ("o", "bound in neither direction"),
}
"""Shape of a mark, filled where it is exact, and what it means."""


def arm_words(name: str) -> str:
    """An arm as a reader knows it."""
    if found := FEW.fullmatch(name):
        return f"pre-trained, {found[1]} episodes"
    return ARMS[name][0] if name in ARMS else name


def in_order(names: Collection[str]) -> list[str]:
    """Arms as a reader wants them: the main ones, few demonstrations by number, transfer."""
    few = sorted((n for n in names if FEW.fullmatch(n)), key=lambda n: int(n[4:]))
    known = ["baseline", "finetune", "control", *few, "transfer_baseline", "transfer"]
    return [n for n in known if n in names] + sorted(set(names) - set(known))


@styled
def learning_curves(
    report: Comparison, measures: Sequence[str] = (), arms: Sequence[str] = MAIN
) -> Figure:
    """Measures against online steps, a plot each: mean, 95 % band, every seed, the target."""
    curves = {name: report.curves[name] for name in arms if name in report.curves}
    rates = measures or report.measures
    figure = Figure(figsize=(WIDTH * len(rates), 4.3))
    for axes, rate in zip(figure.subplots(1, len(rates), squeeze=False)[0], rates, strict=True):
        for name, curve in curves.items():
            _curve(axes, curve, rate, name)
        asked = [it for it in report.settings.target if it.metric == rate]
        seen = [v for curve in curves.values() for seed in curve.seeds.values() for v in seed[rate]]
        measure_axis(axes, rate, [*seen, *(2 * it.limit for it in asked if it.at_most)])
        steps_axis(axes)
        axes.set_xlim(0.0, max(curve.steps[-1] for curve in curves.values()))
        for condition in asked:
            _aim(axes, condition)
        if len(rates) > 1:
            axes.set_title(measure_words(rate).capitalize())
    _legend(figure, figure.axes[0].get_legend_handles_labels()[0][::-1], columns=3)
    return figure


def _curve(axes: Axes, curve: Curve, rate: str, name: str) -> None:
    colour, shown = ARMS[name][1], curve.measures[rate]
    low, high = ([it for it in end if it is not None] for end in (shown.low, shown.high))
    if len(low) == len(high) == len(curve.steps):
        band = axes.fill_between(curve.steps, low, high, color=colour, alpha=0.16, lw=0)
        band.set_gid("band")
    for seed in curve.seeds.values():
        axes.plot(curve.steps, seed[rate], color=colour, lw=0.9, alpha=0.3)
    dashes = (3, 1.6) if name == "control" else (None, None)
    axes.plot(
        curve.steps, shown.mean, color=colour, label=arm_words(name), dashes=dashes, zorder=2.5
    )


def _aim(axes: Axes, condition: Condition) -> None:
    """The target and its name, inside the plot and clear of the curves' side of it."""
    target, success = condition.limit, condition.at_least is not None
    axes.axhline(target, **LEVEL)
    axes.annotate(
        f"target: {'at least' if success else 'at most'} {value_text(condition.metric, target)}",
        (1.0, target),
        (0, -5 if success else 5),
        xycoords=axes.get_yaxis_transform(),
        textcoords="offset points",
        ha="right",
        va="top" if success else "bottom",
        size=10.5,
        bbox={"facecolor": CARD, "edgecolor": "none", "alpha": 0.75, "pad": 1},
    )


@styled
def ratio_over_targets(report: Comparison) -> Figure:
    """The ratio at every target, with and without the limit on collisions."""
    rows = [
        (row.target[0].limit, row)
        for row in report.over_targets
        if row.target and row.estimate is not None
    ]
    figure, axes = _plot(4.6)
    if not rows:
        return _nothing(figure)
    known, successes = [row for _, row in rows], [at for at, _ in rows]
    _ratio_axis(axes, known, {1.0: "as long as\nfrom scratch", 0.7: "required:\nat most 70 %"})
    main, *rest = report.settings.target
    ticks(axes.xaxis, 6, lambda value: value_text(main.metric, value))
    least = 0.004 if is_share(main.metric) else 0.01 * abs(max(successes)) or 1.0
    pad = max(least, 0.06 * (max(successes) - min(successes)))
    axes.set(xlabel=f"target {main.metric}", xlim=(min(successes) - pad, max(successes) + pad))
    keys = []
    for arm, limited, colour, shift in SERIES if rest else [it for it in SERIES if it[1]]:
        points = [
            (f"{main.metric} {value_text(main.metric, at)}", at, row)
            for at, row in rows
            if row.arms.pretrained == arm
            and (len(row.target or ()) > 1) == (limited and bool(rest))
        ]
        if points:
            _ratios(axes, points, colour, shift=shift)
            words = f"{main.metric} alone" if rest else main.metric
            if limited and rest:
                words = ", ".join(limit_words(it, " ") for it in rest)
            words, dashes = (f"control, {words}", "--") if arm == "control" else (words, "-")
            keys.append(Line2D([], [], color=colour, label=words, ls=dashes))
    _legend(figure, [*keys[::-1], *_bound_keys(known)])
    return figure


@styled
def ratio_over_demonstrations(report: Comparison) -> Figure:
    """The ratio at the gate by number of demonstrated episodes."""
    rows = [row for row in report.demonstrations if row.estimate is not None]
    figure, axes = _plot(4.3)
    if not rows:
        return _nothing(figure)
    _ratio_axis(axes, rows, {1.0: "as long as\nfrom scratch"})
    axes.set_xticks(range(len(rows)), [str(row.episodes) for row in rows])
    axes.set(xlabel="demonstrated episodes", xlim=(-0.5, len(rows) - 0.5))
    _ratios(axes, [(f"{row.episodes} episodes", i, row) for i, row in enumerate(rows)], TUNED)
    for i, row in enumerate(rows):
        height = min(row.estimate or 0.0, axes.get_ylim()[1])
        words = share_text(round(row.estimate or 0.0, 2))
        axes.annotate(words, (i, height), (9, 6), textcoords="offset points", color=INK)
    _legend(figure, _bound_keys(rows))
    return figure


@styled
def steps_by_seed(ratio: Ratio) -> Figure:
    """Steps to the target of both arms, a row a seed; an open mark never arrived."""
    rows = ratio.per_seed
    figure, axes = _plot(1.5 + 0.46 * len(rows))
    if not rows:
        return _nothing(figure)
    for i, row in enumerate(rows):
        ends = row.pretrained.steps, row.baseline.steps
        axes.plot(ends, (i, i), color=LINE, lw=5, solid_capstyle="round")
        apart = 0.2 if ends[0] == ends[1] else 0.0
        for arm, arrival, at in (
            ("baseline", row.baseline, i - apart),
            ("finetune", row.pretrained, i + apart),
        ):
            words = f"{arm_words(arm)}, seed {row.seed}: {arrival.steps:,} steps"
            words += ", target never met" if arrival.censored else ""
            bound = Bound.UNRESOLVED if arrival.censored else Bound.EXACT
            _mark(axes, (arrival.steps, at), ARMS[arm][1], bound, words)
    axes.xaxis.grid(visible=True)
    axes.yaxis.grid(visible=False)
    axes.set_yticks(range(len(rows)), [f"seed {row.seed}" for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    steps_axis(axes, "online steps until the target holds")
    arms = ("finetune", "baseline")
    keys = [Line2D([], [], color=ARMS[arm][1], label=ARMS[arm][0]) for arm in arms]
    if ratio.censored:
        keys.append(Line2D([], [], label="never arrived", **_shape(SOFT, Bound.UNRESOLVED)))
    _legend(figure, keys, columns=3)
    return figure


def _plot(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height))
    return figure, figure.subplots()


def _nothing(figure: Figure) -> Figure:
    """A figure that says why it is empty."""
    figure.axes[0].set_axis_off()
    figure.text(0.5, 0.5, "No ratio could be computed.", ha="center")
    return figure


def _ratio_axis(axes: Axes, rows: Sequence[Ratio], levels: Mapping[float, str]) -> None:
    """Ratios upwards, up to 200 % at most, with levels named beside the plot."""
    highest = max(row.high or row.estimate or 0.0 for row in rows)
    share_axis(axes, min(2.0, max(1.1, 1.04 * highest)))
    axes.set_ylabel("ratio of online steps")
    for level, words in levels.items():
        axes.axhline(level, **LEVEL)
        axes.text(1.02, level, words, va="center", size=10.5, transform=axes.get_yaxis_transform())


def _ratios(
    axes: Axes, points: Sequence[tuple[str, float, Ratio]], colour: str, *, shift: float = 0.0
) -> None:
    """Ratios with whiskers and marks of their bounds; what lies above the frame stops there.

    A point is words, place across, ratio; a shift, in points, keeps marks of two series apart.
    """
    moved = axes.transData + ScaledTranslation(shift / 72, 0, axes.figure.dpi_scale_trans)
    top = axes.get_ylim()[1]
    heights = [min(row.estimate or 0.0, top) for *_, row in points]
    dashes = (4, 2.5) if colour == CONTROL else (None, None)
    line: dict[str, Any] = {"color": colour, "transform": moved}
    axes.plot([at for _, at, _ in points], heights, lw=1.4, alpha=0.6, dashes=dashes, **line)
    for (words, at, row), height in zip(points, heights, strict=True):
        if row.low is not None:
            ends = min(row.low, top), top if row.high is None else min(row.high, top)
            axes.plot((at, at), ends, lw=1.8, alpha=0.55, **line)
        _mark(axes, (at, height), colour, row.bound, f"{words}: {ratio_text(row)}", moved)


def _mark(
    axes: Axes,
    place: tuple[float, float],
    colour: str,
    bound: Bound | None,
    words: str,
    moved: Transform | None = None,
) -> None:
    """A disc where a value is exact, an arrowhead towards where the truth lies otherwise.

    A page shows the words under the pointer, and a screen reader says them.
    """
    (mark,) = axes.plot(*([value] for value in place), **_shape(colour, bound))
    mark.set(transform=moved or axes.transData, clip_on=False, zorder=3, gid=f"title|{words}")


def _shape(colour: str, bound: Bound | None) -> dict[str, Any]:
    shape, exact = MARKS[bound or Bound.EXACT][0], bound in (None, Bound.EXACT)
    face = colour if exact else CARD
    return {"marker": shape, "ms": 8, "mew": 1.8, "color": colour, "mfc": face, "ls": "none"}


def _bound_keys(rows: Sequence[Ratio]) -> list[Line2D]:
    """What the open marks of a figure mean."""
    return [
        Line2D([], [], label=words, **_shape(SOFT, bound))
        for bound, (_, words) in MARKS.items()
        if bound != Bound.EXACT and any(row.bound == bound for row in rows)
    ]


def _legend(figure: Figure, keys: Sequence[Artist], columns: int = 2) -> None:
    if keys:
        figure.legend(handles=keys, loc="outside upper left", ncols=columns)
