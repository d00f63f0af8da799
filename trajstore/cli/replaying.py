"""The part of ``verify`` that plays recorded episodes again: ``--replay N|all``."""

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trajstore.cli.environments import environment_option, simulator
from trajstore.cli.output import is_interactive, plain, print_line

if TYPE_CHECKING:
    from trajstore.replay_report import ReplayReport

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def replay_options() -> Decorator:
    """``--replay``, ``--environment`` and ``--tolerance``, for ``verify``.

    They arrive as ``replay: str | None``, ``environment: str | None``, ``tolerance: float``;
    hand them to `replay_command`.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        options: tuple[Decorator, ...] = (
            click.option(
                "--replay",
                metavar="N|all",
                callback=_checked,
                help="Play N evenly spread episodes, or all, again and compare every step.",
            ),
            environment_option(),
            click.option(
                "--tolerance",
                type=click.FloatRange(min=0.0),
                default=0.0,
                show_default="bit for bit",
                help="Largest difference that counts as equal; 1e-09 for data "
                "recorded on another processor.",
            ),
        )
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def replay_command(
    path: Path, replay: str, *, environment: str | None = None, tolerance: float = 0.0
) -> "ReplayReport":
    """Play episodes of a version again, store the report beside it, and return it.

    Args:
        path: of the version.
        replay: a number of episodes, or ``all``.
        environment: what the user allowed to simulate.
        tolerance: largest difference that counts as equal.

    Raises:
        ReplayError: if the dataset cannot be simulated here.
        CorruptionError: if it cannot be read.
        StorageError: if the report cannot be written.
    """
    from trajstore.dataset import Dataset
    from trajstore.replay import spread, verify_replay
    from trajstore.replay_report import write_report

    dataset = Dataset.open(path)
    count = len(dataset)
    wanted = list(range(count)) if replay == "all" else spread(count, int(replay))
    build = simulator(dataset.manifest.provenance, environment)
    indices = progress(wanted, "replaying")
    report = verify_replay(dataset, build, indices=indices, tolerance=tolerance)
    write_report(path, report)
    return report


def print_replay(path: Path, report: "ReplayReport") -> None:
    """Say what a replay has shown, and where the report lies."""
    from trajstore.replay_report import report_path

    colour = "green" if report.ok else "red"
    print_line(f"[{colour}]replay {plain(report)}[/]")
    print_line(f"[dim]{plain(report_path(path))}[/dim]")


def progress(items: Iterable[Any], label: str) -> Iterator[Any]:
    """Pass items through and show how far it is, if a person watches."""
    if not is_interactive():
        yield from items
        return
    shown = click.progressbar(list(items), label=label, file=sys.stderr)
    with shown:
        yield from shown


def _checked(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is None or value == "all" or (value.isascii() and value.isdigit() and int(value) > 0):
        return value
    raise click.BadParameter(f"expected a number of episodes or 'all', got {value!r}")
