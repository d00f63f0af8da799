"""One way to draw: how figures look, and their two forms, PNG and SVG for a page.

Both are byte for byte repeatable. Colours in the SVG are variables of the page's own style, so that
one figure serves light and dark.
"""

import re
from collections.abc import Callable, Sequence
from html import escape
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pipelines.comparison.words import is_share, share_text, steps_text
from pipelines.learning.conditions import rises
from trajstore.disk.files import replace_file

INK, SOFT, LINE, CARD = "#1d2125", "#5b646d", "#dfe2e4", "#ffffff"
BASE, TUNED, TUNED_LIGHT, CONTROL = "#6b7480", "#0a7a72", "#63b7ae", "#c2641a"
VARIABLES = {
    INK: "ink",
    SOFT: "soft",
    LINE: "line",
    CARD: "card",
    BASE: "base",
    TUNED: "tuned",
    TUNED_LIGHT: "tuned-light",
    CONTROL: "control",
}
"""Colours by their name in the page's style, which has them for light and for dark."""
SHADES = (TUNED, CONTROL, BASE, "#5b5bd6", "#a3395b", "#3a7d34")
"""Colours of seeds side by side."""
WIDTH = 6.4
"""Of one plot, in inches; a page shows an inch as 72 pixels or more."""
STYLE = Path(__file__).with_name("report.mplstyle")
LEVEL: dict[str, Any] = {"color": INK, "lw": 1.1, "dashes": (4, 3), "alpha": 0.75}
"""How a line across a plot looks that curves are held against."""
ROUND = [1, 2, 2.5, 5, 10]

styled = style.context(STYLE)
"""Lets a function draw in the style of the report."""


def ticks(axis: Axis, most: int, words: Callable[[float], str]) -> None:
    """Round ticks, and what a reader sees at them."""
    axis.set_major_locator(MaxNLocator(most, steps=ROUND))
    axis.set_major_formatter(FuncFormatter(lambda value, _: words(value)))


def share_axis(axes: Axes, high: float) -> None:
    """A vertical axis in per cent from zero."""
    axes.set_ylim(0.0, high)
    ticks(axes.yaxis, 6, share_text)


def measure_axis(axes: Axes, measure: str, seen: Sequence[float]) -> None:
    """An axis that holds all that is seen: success to 100 %, failures as high as they rise."""
    if is_share(measure):
        share_axis(axes, 1.02 if rises(measure) else min(1.02, 1.05 * max([*seen, 0.02])))
    else:
        ticks(axes.yaxis, 6, lambda value: f"{value:,.5g}")


def steps_axis(axes: Axes, title: str = "online environment steps") -> None:
    """A horizontal axis of environment steps."""
    axes.set_xlabel(title)
    ticks(axes.xaxis, 5, steps_text)


def write_png(figure: Figure, path: Path) -> None:
    """Write a PNG without anything that differs between two runs."""
    data = BytesIO()
    with style.context(STYLE):
        figure.savefig(data, format="png", dpi=110, metadata={"Software": None})
    replace_file(path, data.getvalue())


def svg(figure: Figure, label: str) -> str:
    """A figure as part of a page; ``label`` is what a screen reader says."""
    text = StringIO()
    with style.context([STYLE, {"svg.hashsalt": label}]):
        figure.savefig(text, format="svg", metadata={"Date": None})
    body = text.getvalue()
    box = re.search(r'viewBox="([^"]*)"', body)
    body = body.split("</metadata>")[1].split("</defs>", 1)[1]
    for pattern, new in (
        (r"\s+", " "),
        (r"(\.\d\d)\d+", r"\1"),
        (r" font-family: [^;]*;", ""),
        (r' transform="rotate\(-0 [^"]*"', ""),
        (r'<g id="title\|([^"]*)">', r"<g><title>\1</title>"),
        (r'<g id="band">', '<g class="band">'),
        (r"<g id=[^>]*/>", ""),
        (r"<g id=[^>]*>", "<g>"),
        *((colour, f"var(--{name})") for colour, name in VARIABLES.items()),
    ):
        body = re.sub(pattern, new, body)
    head = f'<svg class="chart" viewBox="{box[1] if box else ""}" role="img"'
    return f'{head} aria-label="{escape(label)}">{body.strip()}'
