"""An expert that was promoted or held back, for people: a table with intervals, and its curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from pipelines.comparison.stats import wilson
from pipelines.comparison.words import measure_words, value_text, with_ends
from pipelines.learning.promotion import read_manifest
from pipelines.learning.rows import measures_of, rates_of
from pipelines.learning.runlog import read_evaluations, read_run
from pipelines.report.drawing import SHADES, WIDTH, measure_axis, steps_axis, styled, write_png
from pipelines.report.tables import Table
from trajstore.disk.files import replace_file

Row = Mapping[str, Any]


def write_expert(folder: Path, out: Path) -> None:
    """Write ``expert.md`` and ``expert.png`` from its manifest and the curves of every seed."""
    manifest = read_manifest(folder)
    out.mkdir(parents=True, exist_ok=True)
    levels = read_run(folder / f"seed_{manifest['best_seed']}").task.get("levels", ())
    replace_file(out / "expert.md", promotion(manifest, levels).encode())
    write_png(learning_curves(folder, manifest), out / "expert.png")


def write_no_expert(out: Path) -> None:
    """Write ``expert.md`` and ``expert.png`` that say that there is none."""
    words = "No expert was trained: others showed what was cloned."
    replace_file(out / "expert.md", f"# The expert\n\n{words}\n".encode())
    figure = Figure(figsize=(WIDTH, 1.0))
    figure.text(0.5, 0.5, words, ha="center", va="center")
    write_png(figure, out / "expert.png")


def promotion(manifest: Row, levels: Sequence[str] = ()) -> str:
    """The decision, each seed and all together with intervals, every scenario; Markdown."""
    seeds = manifest["seeds"]
    measures = measures_of(seeds[0])
    names = [measure_words(it) for it in measures]
    lines = [
        "# The expert",
        f"{manifest['id']}: {manifest['state']}, seed {manifest['best_seed']}. Judged on "
        f"{seeds[0]['episodes']:,} held-out episodes a seed; 95 % intervals by Wilson.",
        *(f"- {reason}" for reason in manifest["reasons"]),
        Table(
            ["seed", "online steps", *names],
            [*((str(row["seed"]), f"{row['steps']:,}", *_rates([row])) for row in seeds),
             ("all", "", *_rates([manifest["pooled"]]))],
        ).markdown(),
        "## By scenario",
        f"{' / '.join(names).capitalize()}, all seeds together.",
        _by_scenario(seeds, levels),
        *(["## What to try", *(f"- {line}" for line in manifest["diagnosis"])]
          if manifest["diagnosis"] else []),
        "![Learning curves of the expert](expert.png)",
    ]  # fmt: skip
    return "\n\n".join(lines) + "\n"


@styled
def learning_curves(folder: Path, manifest: Row) -> Figure:
    """Every measure of each seed against online steps, on the selection episodes."""
    measures = measures_of(manifest["seeds"][0])
    figure = Figure(figsize=(len(measures) * WIDTH, 4.3))
    shown = {
        f"seed {row['seed']}": read_evaluations(folder / f"seed_{row['seed']}")
        for row in manifest["seeds"]
    }
    plots = figure.subplots(1, len(measures), squeeze=False)[0]
    for axes, rate in zip(plots, measures, strict=True):
        axes.set_prop_cycle(color=SHADES)
        for words, rows in shown.items():
            axes.plot([row["steps"] for row in rows], [row[rate] for row in rows], label=words)
        seen = [row[rate] for rows in shown.values() for row in rows]
        measure_axis(axes, rate, seen)
        steps_axis(axes)
        axes.set_title(measure_words(rate).capitalize())
    figure.legend(handles=figure.axes[0].lines, loc="outside upper left", ncols=len(shown))
    return figure


def _by_scenario(seeds: Sequence[Row], levels: Sequence[str]) -> str:
    parts = [name.split("/") for name in seeds[0]["by_scenario"]]
    if {len(part) for part in parts} == {1}:
        whole = [[name, " / ".join(_rates([row["by_scenario"][name] for row in seeds]))]
                 for name in seeds[0]["by_scenario"]]  # fmt: skip
        return Table(["scenario", "all"], whole).markdown()
    ranks = {level: place for place, level in enumerate(levels)}
    densities = sorted({part[-1] for part in parts}, key=lambda d: (ranks.get(d, 3), d))
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
    """Every measure over the episodes of all parts, rates with intervals; of none, nothing."""
    if not parts:
        return []
    count = sum(int(part["episodes"]) for part in parts)
    rates = rates_of(parts[0])
    if not rates:
        total = sum(part["return"] * part["episodes"] for part in parts)
        return [value_text("return", total / count)]
    totals = (sum(round(part[rate] * part["episodes"]) for part in parts) for rate in rates)
    write = f"{{:.{digits}f}}".format
    return [with_ends(wilson(total, count), write) for total in totals]
