"""The expert's promotion for people: a table with intervals, and the learning curves.

It shows a promoted expert as well as one that was held back.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from pipelines.comparison.stats import wilson
from pipelines.comparison.words import with_ends
from pipelines.learning.runlog import RATES, read_evaluations
from pipelines.report.drawing import SHADES, WIDTH, share_axis, steps_axis, styled, write_png
from pipelines.report.tables import DENSITIES, Table
from trajstore.disk.files import read_json, replace_file

Row = Mapping[str, Any]


def write_expert(folder: Path, out: Path) -> None:
    """Write ``expert.md`` and ``expert.png`` from its manifest and the curves of every seed."""
    manifest = read_json(folder / "manifest.json")
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
            [*((str(row["seed"]), f"{row['steps']:,}", *_rates(row)) for row in seeds),
             ("all", "", *_rates(manifest["pooled"]))],
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


def _rates(row: Row) -> list[str]:
    count = int(row["episodes"])
    return [_share(round(row[rate] * count), count, digits=3) for rate in RATES]


def _share(successes: int, count: int, *, digits: int) -> str:
    return with_ends(wilson(successes, count), lambda share: f"{share:.{digits}f}")


def _by_scenario(seeds: Sequence[Row]) -> str:
    parts = [name.split("/") for name in seeds[0]["by_scenario"]]
    densities = sorted({part[-1] for part in parts}, key=lambda d: (DENSITIES.get(d, 3), d))
    rows = [
        [family, *(_cell(seeds, f"{family}/{density}") for density in densities)]
        for family in dict.fromkeys(part[0] for part in parts)
    ]
    return Table(["family", *densities], rows).markdown()


def _cell(seeds: Sequence[Row], name: str) -> str:
    parts = [row["by_scenario"][name] for row in seeds if name in row["by_scenario"]]
    if not parts:
        return "-"
    count = sum(int(part["episodes"]) for part in parts)
    totals = (sum(round(part[rate] * part["episodes"]) for part in parts) for rate in RATES)
    return " / ".join(_share(total, count, digits=2) for total in totals)
