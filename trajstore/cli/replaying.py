"""The part of ``verify`` that plays recorded episodes again: ``--replay N|all``."""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from trajstore.cli.environments import environment_option, simulator
from trajstore.cli.options import Decorator, FiniteRange
from trajstore.cli.output import is_interactive, plain, print_line
from trajstore.dataset import Dataset
from trajstore.errors import ReplayError, StorageError
from trajstore.quality.records import ReplayReport, report_path, write_report
from trajstore.quality.replay import spread, verify_replay


def replay_options() -> Decorator:
    """``--replay``, ``--environment`` and ``--tolerance``, for ``verify``.

    They arrive as ``replay: str | None``, ``environment: str | None``, ``tolerance: float``;
    hand them to `replay_command`.
    """
    replay = click.option(
        "--replay",
        metavar="N|all",
        callback=_checked,
        help="Play N evenly spread episodes, or all, again and compare every step.",
    )
    tolerance = click.option(
        "--tolerance",
        type=FiniteRange(min=0.0),
        default=0.0,
        show_default="bit for bit",
        help="Largest difference that counts as equal; 1e-09 for data "
        "recorded on another processor.",
    )
    return lambda command: replay(environment_option()(tolerance(command)))


def replay_command(
    dataset: Dataset, replay: str, *, environment: str | None = None, tolerance: float = 0.0
) -> ReplayReport:
    """Play episodes of a version again.

    Args:
        dataset: the version.
        replay: a number of episodes, or ``all``.
        environment: what the user allowed to simulate.
        tolerance: largest difference that counts as equal.

    Raises:
        ReplayError: if the dataset cannot be simulated here.
        CorruptionError: if it cannot be read.
        click.UsageError: if nothing that may simulate fits the dataset.
    """
    count = len(dataset)
    wanted = list(range(count)) if replay == "all" else spread(count, int(replay))
    try:
        build = simulator(dataset.manifest.provenance, environment)
    except ReplayError as error:
        raise click.UsageError(f"--replay: {error}") from error
    indices = progress(wanted, "replaying")
    return verify_replay(dataset, build, indices=indices, tolerance=tolerance)


def print_replay(report: ReplayReport) -> None:
    """Say what a replay has shown."""
    colour = "green" if report.ok else "red"
    print_line(f"[{colour}]replay {plain(report)}[/]")


def store_replay(path: Path, report: ReplayReport) -> None:
    """Put the report beside the version.

    Raises:
        StorageError: if the operating system refuses; it says that the replay itself was made.
    """
    try:
        write_report(path, report)
    except StorageError as error:
        raise StorageError(
            f"{report_path(path)}: expected to keep the report of the replay, which is printed "
            f"above, got a refusal ({error.__cause__}); make its folder writable, or do without it"
        ) from error


def progress(items: Iterable[Any], label: str) -> Iterator[Any]:
    """Pass items through and show how far it is, if a person watches."""
    if not is_interactive():
        yield from items
        return
    with click.progressbar(list(items), label=label, file=sys.stderr) as shown:
        yield from shown


def _checked(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is None or value == "all" or re.fullmatch(r"[1-9][0-9]{0,17}", value):
        return value
    raise click.BadParameter(f"expected a number of episodes or 'all', got {value[:40]!r}")
