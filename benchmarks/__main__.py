"""``python -m benchmarks``: run the peers, write the table, the picture and the figures."""

import json
import os
import platform
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from benchmarks.data import CAMERA_EPISODES, EPISODES, QUICK_CAMERA_EPISODES, QUICK_EPISODES
from benchmarks.extras import EXTRAS, Extra
from benchmarks.goals import GOALS
from benchmarks.peers import PEERS
from benchmarks.report import markdown
from benchmarks.runner import MeasurementError, Plan, run_dataset, run_module

OUT = Path(__file__).parent / "out"


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


def _machine(plan: Plan) -> dict[str, Any]:
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
        "repeats": plan.repeats,
        "seconds": plan.seconds,
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    names = (
        "numpy",
        "zarr",
        "zstandard",
        "torch",
        "torchrl",
        "pylance",
        "minari",
        "h5py",
        "av",
        "simplejpeg",
    )
    for name in (*names, "imitation", "trajstore"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def run_extras(plan: Plan, datasets: tuple[str, ...]) -> dict[str, float | str]:
    """The store by itself; what cannot be measured is listed with its error."""
    facts: dict[str, float | str] = {}
    for name, (_, wanted) in EXTRAS.items():
        for dataset in wanted:
            if dataset not in datasets:
                continue
            answer = plan.scratch / "answer.json"
            plan.scratch.mkdir(parents=True, exist_ok=True)
            request = Extra(name, dataset, str(plan.out / "data"), str(plan.scratch), plan.episodes)
            try:
                run_module("benchmarks.extras", json.dumps(asdict(request)))
                found = json.loads(answer.read_text())
            except MeasurementError as error:
                found = {f"{dataset}: {name}": f"failed: {error}"}
            facts |= found
            for label, value in found.items():
                click.echo(f"{label}: {value}")
    shutil.rmtree(plan.scratch, ignore_errors=True)
    return facts


def write_results(out: Path, results: dict[str, Any]) -> None:
    """``results.json``, ``results.md`` and, where matplotlib is installed, ``results.png``."""
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (out / "results.md").write_text(markdown(results, GOALS))
    try:
        from benchmarks.picture import draw
    except ModuleNotFoundError as error:
        click.echo(f"picture: skipped, not installed: {error.name}")
        return
    draw(results, out / "results.png")


def _plan(chosen: dict[str, Any]) -> Plan:
    names = tuple(name.strip() for name in chosen["peers"].split(",") if name.strip())
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        raise click.BadParameter(f"expected some of {', '.join(PEERS)}, got {unknown[0]}")
    quick = chosen["quick"]
    return Plan(
        out=chosen["out"].resolve(),
        peers=names,
        repeats=chosen["repeats"] or (1 if quick else 3),
        seconds=chosen["seconds"] or (0.2 if quick else 1.0),
        episodes=QUICK_EPISODES if quick else EPISODES,
        camera_episodes=chosen["cameras"] or (QUICK_CAMERA_EPISODES if quick else CAMERA_EPISODES),
        patience=chosen["patience"],
    )


@click.command()
@click.option(
    "--dataset", type=click.Choice(["A", "B", "C", "all"]), default="all", show_default=True
)
@click.option("--peers", default=",".join(PEERS), help="Names with commas between; all by default.")
@click.option("--quick", is_flag=True, help="A hundred episodes, one short repeat.")
@click.option("--cameras", type=click.IntRange(4), help="Episodes of data set C; 100 by default.")
@click.option("--repeats", type=click.IntRange(1), help="Of every measurement; 3 by default.")
@click.option("--seconds", type=float, help="To measure a rate; 1 by default.")
@click.option("--patience", default=60.0, help="A peer that takes more seconds is run once.")
@click.option("--extras/--no-extras", default=True, help="Measure the store by itself, too.")
@click.option("--out", type=click.Path(path_type=Path), default=OUT, help="Folder of the results.")
def main(**chosen: Any) -> None:
    """Measure the store beside its peers: one process a measurement, one thread a process.

    \b
    Examples:
      python -m benchmarks --quick
      python -m benchmarks --dataset B --peers memmap,trajstore,lance --repeats 5
    """
    plan = _plan(chosen)
    datasets = ("A", "B", "C") if chosen["dataset"] == "all" else (chosen["dataset"],)
    results: dict[str, Any] = {"machine": _machine(plan), "datasets": {}, "extra": {}}
    for name in datasets:
        results["datasets"][name] = run_dataset(name, plan)
        write_results(plan.out, results)
    if chosen["extras"]:
        results["extra"] = run_extras(plan, datasets)
    write_results(plan.out, results)
    click.echo(f"results: {plan.out}")


if __name__ == "__main__":
    main()
