"""Pieces of inline SVG: scales, axes, lines, bands and marks, coloured by the page's own styles."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 520, 330
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 16, 46


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to pixels, linearly.

    Example:
        >>> Scale(0.0, 10.0, 100.0, 200.0)(5.0)
        150.0
    """

    low: float
    high: float
    first: float
    last: float

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        share = (value - self.low) / (self.high - self.low or 1.0)
        return self.first + share * (self.last - self.first)

    def inside(self, value: float) -> float:
        """The pixel of a value; beyond the ends it stops at the frame."""
        return self(min(max(value, self.low), self.high))


def across(low: float, high: float) -> Scale:
    """A horizontal scale over the plot's width."""
    return Scale(low, high, LEFT, WIDTH - RIGHT)


def upwards(low: float, high: float, height: int = HEIGHT) -> Scale:
    """A vertical scale over the plot's height."""
    return Scale(low, high, height - BOTTOM, TOP)


def ticks(low: float, high: float, *, most: int = 6) -> list[float]:
    """Round values from ``low`` to ``high``, at most ``most`` + 1 of them.

    Example:
        >>> ticks(0, 400_000, most=4)
        [0.0, 100000.0, 200000.0, 300000.0, 400000.0]
    """
    raw = (high - low) / most
    unit = 10.0 ** math.floor(math.log10(raw)) if raw > 0 else 1.0
    step = next(unit * k for k in (1, 2, 2.5, 5, 10) if unit * k >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(k * step, 10) for k in range(first, last + 1)]


def steps_text(steps: float) -> str:
    """Steps in short: 0, 8 k, 1.5 M."""
    if steps >= 1e6:
        return f"{steps / 1e6:.3g} M"
    return f"{steps / 1e3:.3g} k" if steps else "0"


def share_text(share: float) -> str:
    """A share in per cent, as short as it can be told apart."""
    return f"{share * 100:.4g} %"


def svg(parts: Sequence[str], *, label: str, height: int = HEIGHT) -> str:
    """One chart; ``label`` is what a screen reader says."""
    body = "".join(parts)
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(label)}">{body}</svg>'
    )


def frame(
    x: Scale,
    y: Scale,
    *,
    x_ticks: Sequence[tuple[float, str]],
    y_ticks: Sequence[tuple[float, str]],
    x_title: str,
) -> str:
    """Grid, tick labels and the title of the horizontal axis."""
    return "".join(_frame(x, y, x_ticks, y_ticks, x_title))


def _frame(
    x: Scale,
    y: Scale,
    x_ticks: Sequence[tuple[float, str]],
    y_ticks: Sequence[tuple[float, str]],
    x_title: str,
) -> Iterator[str]:
    for value, words in y_ticks:
        at = y(value)
        yield f'<line class="grid" x1="{x.first}" x2="{x.last}" y1="{at:.1f}" y2="{at:.1f}"/>'
        yield text(x.first - 7, at + 4, words, anchor="end")
    for value, words in x_ticks:
        yield text(x(value), y.first + 20, words)
    yield f'<line class="axis" x1="{x.first}" x2="{x.last}" y1="{y.first}" y2="{y.first}"/>'
    yield text((x.first + x.last) / 2, y.first + 41, x_title, style="title")


def text(x: float, y: float, words: str, *, anchor: str = "middle", style: str = "") -> str:
    """Words at a point."""
    return (
        f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{escape(words)}</text>"
    )


def line(x: Scale, y: Scale, points: Sequence[tuple[float, float]], *, style: str) -> str:
    """A line through points."""
    way = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in points)
    return f'<polyline class="{style}" points="{way}"/>'


def band(
    x: Scale,
    y: Scale,
    steps: Sequence[float],
    low: Sequence[float | None],
    high: Sequence[float | None],
    *,
    style: str,
) -> str:
    """The area between two lines; nothing where the ends are unknown."""
    if any(value is None for value in (*low, *high)):
        return ""
    there = [f"{x(s):.1f},{y(v or 0.0):.1f}" for s, v in zip(steps, high, strict=True)]
    back = [f"{x(s):.1f},{y(v or 0.0):.1f}" for s, v in zip(steps, low, strict=True)]
    return f'<polygon class="{style}" points="{" ".join([*there, *reversed(back)])}"/>'


def clipped(x: Scale, y: Scale, parts: Sequence[str], *, name: str) -> str:
    """Parts cut off at the frame; ``name`` is unique on the page."""
    return (
        f'<clipPath id="{name}"><rect x="{x.first}" y="{y.last - 3}" '
        f'width="{x.last - x.first + 3}" height="{y.first - y.last + 3}"/></clipPath>'
        f'<g clip-path="url(#{name})">{"".join(parts)}</g>'
    )


def level(
    x: Scale, y: Scale, value: float, words: str, *, above: bool = True, anchor: str = "end"
) -> str:
    """A dashed line across the plot with its name at the right end, or the left (``start``)."""
    at = y(value)
    end = x.last if anchor == "end" else x.first + 4
    return (
        f'<line class="target" x1="{x.first}" x2="{x.last}" y1="{at:.1f}" y2="{at:.1f}"/>'
        + text(end, at - 5 if above else at + 14, words, anchor=anchor, style="note")
    )


def spread(x: float, y: Scale, low: float | None, high: float | None, *, style: str) -> str:
    """A vertical interval; an unknown upper end runs to the frame."""
    if low is None:
        return ""
    top = y.inside(high) if high is not None else y.last
    foot = y.inside(low)
    return f'<line class="{style}" x1="{x:.1f}" x2="{x:.1f}" y1="{foot:.1f}" y2="{top:.1f}"/>'


def mark(x: float, y: float, *, style: str, words: str, bound: str | None = "exact") -> str:
    """A point: a disc where it is exact, an arrowhead towards where the truth lies otherwise."""
    title = f"<title>{escape(words)}</title>"
    shapes = {"at_most": (1, 7), "at_least": (-1, 7)}
    if bound in shapes:
        sign, size = shapes[bound]
        way = (
            f"M{x - size:.1f},{y - sign * size / 2:.1f} L{x + size:.1f},{y - sign * size / 2:.1f} "
            f"L{x:.1f},{y + sign * size:.1f} Z"
        )
        return f'<path class="{style} open" d="{way}">{title}</path>'
    hollow = " open" if bound == "unresolved" else ""
    return f'<circle class="{style}{hollow}" cx="{x:.1f}" cy="{y:.1f}" r="5.5">{title}</circle>'
