"""The expert's promotion for people: a table with intervals, and the learning curves.

    python -m pipelines.report.expert data/models/expert --out data/reports

It reads a promoted expert as well as one that was held back.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loguru import logger
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipelines.comparison.stats import wilson
from pipelines.learning.runlog import read_evaluations
from pipelines.report.plots import plain, save
from trajstore.disk.files import read_json, replace_file
from trajstore.errors import TrajStoreError

Row = Mapping[str, Any]

RATES = ("success", "collision")
SHADES = ("#0a7a72", "#c2641a", "#6b7480", "#5b5bd6", "#a3395b", "#3a7d34")


def write_expert(folder: Path, out: Path) -> None:
    """Write ``expert.md`` and ``expert.png``.

    Args:
        folder: of the expert, with its manifest and a folder of curves for each seed.
        out: is made if it is not there.
    """
    manifest = read_json(folder / "manifest.json")
    out.mkdir(parents=True, exist_ok=True)
    replace_file(out / "expert.md", promotion(manifest).encode())
    save(learning_curves(folder, manifest), out / "expert.png")


def promotion(manifest: Row) -> str:
    """The decision, each seed and all together with intervals, every scenario; Markdown."""
    seeds = manifest["seeds"]
    pooled = manifest["pooled"]
    lines = [
        "# The expert",
        f"{manifest['id']}: {manifest['state']}, seed {manifest['best_seed']}. Judged on "
        f"{seeds[0]['episodes']:,} held-out episodes a seed; 95 % intervals by Wilson.",
        *(f"- {reason}" for reason in manifest["reasons"]),
        "| seed | online steps | success | collisions |\n| --- | --- | --- | --- |\n"
        + "\n".join(
            [
                *(f"| {row['seed']} | {row['steps']:,} | {_rates(row)} |" for row in seeds),
                f"| all | | {_rates(pooled)} |",
            ]
        ),
        "## By scenario",
        "Success / collisions, all seeds together.",
        _by_scenario(seeds),
        *(["## What to try", *(f"- {line}" for line in manifest["diagnosis"])]
          if manifest["diagnosis"] else []),
        "![Learning curves of the expert](expert.png)",
    ]  # fmt: skip
    return "\n\n".join(lines) + "\n"


def learning_curves(folder: Path, manifest: Row) -> Figure:
    """Success and collisions of each seed against online steps, on the selection episodes."""
    figure = Figure(figsize=(10.5, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, rate in zip(figure.subplots(1, 2), RATES, strict=True):
        for index, row in enumerate(manifest["seeds"]):
            shown = read_evaluations(folder / f"seed_{row['seed']}")
            axes.plot(
                [evaluation["steps"] for evaluation in shown],
                [evaluation[rate] for evaluation in shown],
                color=SHADES[index % len(SHADES)],
                lw=2,
                label=f"seed {row['seed']}",
            )
        axes.set(xlabel="online environment steps", ylabel=rate)
        axes.set_ylim(0, 1.02 if rate == "success" else 0.4)
        plain(axes)
    figure.axes[0].legend(frameon=False, loc="lower right")
    return figure


def _rates(row: Row) -> str:
    count = int(row["episodes"])
    return " | ".join(_share(round(row[rate] * count), count, digits=3) for rate in RATES)


def _share(successes: int, count: int, *, digits: int) -> str:
    found = wilson(successes, count)
    shown = (f"{value:.{digits}f}" for value in (found.estimate, found.low, found.high))
    return "{} [{}, {}]".format(*shown)


def _by_scenario(seeds: Sequence[Row]) -> str:
    names = list(seeds[0]["by_scenario"])
    parts = [name.split("/") for name in names]
    families = list(dict.fromkeys(part[0] for part in parts))
    known = ("low", "medium", "high")
    densities = sorted(
        {part[-1] for part in parts}, key=lambda d: (known.index(d) if d in known else 3, d)
    )
    lines = [
        "| family | " + " | ".join(densities) + " |",
        "| --- |" + " --- |" * len(densities),
    ]
    for family in families:
        cells = [_cell(seeds, f"{family}/{density}") for density in densities]
        lines.append(f"| {family} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(seeds: Sequence[Row], name: str) -> str:
    parts = [row["by_scenario"][name] for row in seeds if name in row["by_scenario"]]
    if not parts:
        return "-"
    count = sum(int(part["episodes"]) for part in parts)
    totals = (sum(round(part[rate] * part["episodes"]) for part in parts) for rate in RATES)
    return " / ".join(_share(total, count, digits=2) for total in totals)


def main(argv: Sequence[str] | None = None) -> int:
    """Write both; exit status 1 when the folder holds no expert."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.report.expert",
        description="Show the promotion of an expert: table and learning curves.",
        epilog="example: python -m pipelines.report.expert data/models/expert --out data/reports",
    )
    parser.add_argument("expert", type=Path, help="folder of the expert")
    parser.add_argument(
        "--out", type=Path, default=Path("data/reports"), help="folder of the reports"
    )
    arguments = parser.parse_args(argv)
    try:
        write_expert(arguments.expert, arguments.out)
    except TrajStoreError as error:
        logger.error("{}", error)
        return 1
    print(arguments.out / "expert.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
