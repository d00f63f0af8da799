"""The table as a picture: one row of panels a data set, our bars in colour, the limit as a line."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from benchmarks.peers import PEERS
from benchmarks.report import Results, Spread, figures, short

_PANELS = (
    ("transitions", "Random steps", "steps/s", True),
    ("windows", "Windows 64 x 16", "steps/s", True),
    ("sequential", "Every episode in order", "MB/s", True),
    ("write_mb_s", "Write, until on the disk", "MB/s", True),
    ("size_ratio", "Size on disk / raw", "", False),
)
_OURS, _LIMIT, _OTHER = "#d1495b", "#3d405b", "#9db4c0"
_INK, _FAINT = "#22223b", "#e6e8ec"


def _colour(peer: str) -> str:
    if peer.startswith("trajstore"):
        return _OURS
    return _LIMIT if peer == "memmap" else _OTHER


def _panel(axes: Axes, results: Results, dataset: str, panel: tuple[str, str, str, bool]) -> None:
    key, title, unit, logarithmic = panel
    peers = [peer for peer in PEERS if peer in results["datasets"][dataset]["peers"]]
    found: dict[str, Spread | None] = {peer: figures(results, dataset, peer, key) for peer in peers}
    values = [spread.middle for spread in found.values() if spread is not None]
    if logarithmic:
        axes.set_xscale("log")
        axes.set_xlim(min(values) / 3, max(values) * 12)
    else:
        axes.set_xlim(0, max(values) * 1.35)
    for row, (peer, spread) in enumerate(found.items()):
        if spread is None:
            status = results["datasets"][dataset]["peers"][peer]["status"]
            axes.text(axes.get_xlim()[0], row, f"  {status}", va="center", fontsize=8, color="#999")
            continue
        axes.barh(row, spread.middle, height=0.68, color=_colour(peer), zorder=3)
        axes.plot([spread.low, spread.high], [row, row], color=_INK, lw=1, zorder=4)
        axes.text(
            max(spread.middle, spread.high) * (1.25 if logarithmic else 1.0),
            row,
            ("" if logarithmic else " ") + short(spread.middle),
            va="center",
            fontsize=8,
            color=_INK,
            fontweight="bold" if peer.startswith("trajstore") else "normal",
        )
    limit = found.get("memmap")
    if limit is not None:
        axes.axvline(limit.middle, color=_LIMIT, lw=1, ls=(0, (4, 3)), zorder=2)
    axes.set_yticks(range(len(peers)), [PEERS[peer].title for peer in peers], fontsize=9)
    for label, peer in zip(axes.get_yticklabels(), peers, strict=True):
        label.set_fontweight("bold" if peer.startswith("trajstore") else "normal")
        label.set_color(_colour(peer) if peer.startswith("trajstore") else _INK)
    axes.invert_yaxis()
    axes.set_title(title + (f", {unit}" if unit else ""), fontsize=10, loc="left", color=_INK)
    axes.grid(axis="x", color=_FAINT, zorder=0)
    axes.tick_params(length=0, labelsize=8, colors=_INK)
    axes.minorticks_off()
    axes.spines[:].set_visible(False)


def draw(results: Results, target: Path) -> None:
    """Write the picture of all data sets to ``target`` (PNG)."""
    datasets = sorted(results["datasets"])
    figure, grid = plt.subplots(
        len(datasets),
        len(_PANELS),
        figsize=(19, 0.6 + 4.2 * len(datasets)),
        squeeze=False,
        layout="constrained",
    )
    for row, dataset in enumerate(datasets):
        facts = results["datasets"][dataset]
        for column, panel in enumerate(_PANELS):
            _panel(grid[row, column], results, dataset, panel)
            if column:
                grid[row, column].set_yticklabels([])
        grid[row, 0].set_ylabel(
            f"Data set {dataset}\n{facts['episodes']:,} episodes, {facts['raw_mb']:,.0f} MB",
            fontsize=10,
            color=_INK,
        )
    figure.suptitle(
        "trajstore beside its peers: one process, one thread, file cache warm; "
        "bars are medians, lines lowest to highest, dashes the memory map",
        fontsize=12,
        color=_INK,
    )
    figure.savefig(target, dpi=130, facecolor="white")
    plt.close(figure)
