"""An expert that was promoted or held back, for people: a table with intervals, and its curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from pipelines.comparison.stats import wilson
from pipelines.comparison.words import with_ends
from pipelines.learning.promotion import read_manifest
from pipelines.learning.runlog import RATES, read_evaluations
from pipelines.report.drawing import SHADES, WIDTH, share_axis, steps_axis, styled, write_png
from pipelines.report.tables import DENSITIES, Table
from trajstore.disk.files import replace_file

Row = Mapping[str, Any]


def write_expert(folder: Path, out: Path) -> None:
    """Write ``expert.md`` and ``expert.png`` from its manifest and the curves of every seed."""
    manifest = read_manifest(folder)
    out.mkdir(parents=True, exist_ok=True)
    replace_file(out / "expert.md", promotion(manifest).encode())
    write_png(learning_curves(folder, manifest), out / "expert.png")


def promotion(manifest: Row) -> str:
    """The decision, each seed and all together with intervals, every scenario; Markdown."""
    seeds = manifest["seeds"]
    lines = [
        "# The expert",
        f"{manifest['id']}: {manifest['state']}, seed {manifest['best_seed']}. Judged on "
        f"{seeds[0]['episodes']:,} held-out episodes a seed; 95 % intervals by Wilson.",
        *(f"- {reason}" for reason in manifest["reasons"]),
        Table(
            ["seed", "online steps", "success", "collisions"],
            [*((str(row["seed"]), f"{row['steps']:,}", *_rates([row])) for row in seeds),
             ("all", "", *_rates([manifest["pooled"]]))],
        ).markdown(),
        "## By scenario",
        "Success / collisions, all seeds together.",
        _by_scenario(seeds),
        *(["## What to try", *(f"- {line}" for line in manifest["diagnosis"])]
          if manifest["diagnosis"] else []),
        "![Learning curves of the expert](expert.png)",
    ]  # fmt: skip
    return "\n\n".join(lines) + "\n"


@styled
def learning_curves(folder: Path, manifest: Row) -> Figure:
    """Success and collisions of each seed against online steps, on the selection episodes."""
    figure = Figure(figsize=(2 * WIDTH, 4.3))
    shown = {
        f"seed {row['seed']}": read_evaluations(folder / f"seed_{row['seed']}")
        for row in manifest["seeds"]
    }
    for axes, rate, title in zip(
        figure.subplots(1, 2), RATES, ("Success", "Collisions"), strict=True
    ):
        axes.set_prop_cycle(color=SHADES)
        for words, rows in shown.items():
            axes.plot([row["steps"] for row in rows], [row[rate] for row in rows], label=words)
        share_axis(axes, 1.02 if rate == "success" else 0.4)
        steps_axis(axes)
        axes.set_title(title)
    figure.legend(handles=figure.axes[0].lines, loc="outside upper left", ncols=len(shown))
    return figure


def _by_scenario(seeds: Sequence[Row]) -> str:
    parts = [name.split("/") for name in seeds[0]["by_scenario"]]
    densities = sorted({part[-1] for part in parts}, key=lambda d: (DENSITIES.get(d, 3), d))
    rows = []
    for family in dict.fromkeys(part[0] for part in parts):
        played = [
            [row["by_scenario"].get(f"{family}/{density}") for row in seeds]
            for density in densities
        ]
        cells = (_rates([part for part in column if part], digits=2) for column in played)
        rows.append([family, *(" / ".join(cell) or "-" for cell in cells)])
    return Table(["family", *densities], rows).markdown()


def _rates(parts: Sequence[Row], digits: int = 3) -> list[str]:
    """Success and collisions over the episodes of all parts, with intervals; of none, nothing."""
    count = sum(int(part["episodes"]) for part in parts)
    totals = (sum(round(part[rate] * part["episodes"]) for part in parts) for rate in RATES)
    write = f"{{:.{digits}f}}".format
    return [with_ends(wilson(total, count), write) for total in totals] if parts else []
