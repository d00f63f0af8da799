"""``verify``: is a version what was sealed, and does it play again as recorded?"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from trajstore.cli.environments import environment_option, simulator
from trajstore.cli.options import (
    FiniteRange,
    command,
    is_elsewhere,
    look,
    reference_argument,
    version_path,
)
from trajstore.cli.output import (
    is_interactive,
    plain,
    print_json,
    print_line,
    print_table,
    progress,
    size,
)
from trajstore.dataset import Dataset
from trajstore.errors import ReplayError, StorageError
from trajstore.quality.records import ReplayReport, report_path, write_report
from trajstore.quality.replay import spread, verify_replay
from trajstore.store import Store
from trajstore.version import integrity
from trajstore.version.findings import Finding
from trajstore.version.manifest import Manifest


def _count(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Callback of ``--replay``: a number of episodes, or all."""
    if value is None or value == "all" or re.fullmatch(r"[1-9][0-9]{0,17}", value):
        return value
    raise click.BadParameter(f"write a number of episodes or 'all', not {value[:40]!r}")


@command(
    "trajstore verify expert@v3",
    "trajstore verify data/current/expert --deep",
    "trajstore verify expert@v3 --replay 20",
    "trajstore verify archive:expert@v1",
    "trajstore verify s3://bucket/folder/expert/v1",
)
@reference_argument()
@click.option("--deep", is_flag=True, help="Also read every episode and compute its digest again.")
@click.option(
    "--replay",
    metavar="N|all",
    callback=_count,
    help="Play N evenly spread episodes, or all, once more and compare every step.",
)
@environment_option
@click.option(
    "--leave-out",
    metavar="FIELD",
    multiple=True,
    help="Do not compare this field, which did not come from the environment; may be repeated.",
)
@click.option(
    "--tolerance",
    type=FiniteRange(min=0.0),
    default=0.0,
    show_default="bit for bit",
    help="Largest difference that counts as equal; 1e-09 for data recorded on another processor.",
)
def verify(
    store: Store,
    reference: str,
    deep: bool,
    as_json: bool,
    **replaying: Any,  # noqa: ANN401
) -> int:
    """Compare every byte of a version with what its manifest records.

    Exit status 1 says that there are findings, or that an episode plays differently.
    Only --replay writes: its report, beside the version; nothing for one in the archive or at a
    URL.
    """
    path = None if is_elsewhere(reference) else version_path(store, reference)
    if path is None:
        dataset = look(store, reference)
        where, findings = dataset.where, dataset.findings(deep=deep)
    else:
        where, findings = str(path), _verified(path, deep=deep, quiet=as_json)
    report = None
    if replaying["replay"] is not None and not findings:
        report = replay_command(dataset if path is None else Dataset.open(path), **replaying)
    if as_json:
        found = [finding.to_json() for finding in findings]
        replayed = None if report is None else report.to_json()
        print_json({"path": where, "findings": found, "replay": replayed})
    else:
        _print(reference, findings, report)
    if report is not None and path is not None:
        _keep(path, report)
    return 1 if findings or not (report is None or report.ok) else 0


def _verified(path: Path, *, deep: bool, quiet: bool) -> list[Finding]:
    if quiet or not is_interactive():
        return integrity.verify(path, deep=deep)
    total = Manifest.read(path).size_bytes
    shown = click.progressbar(length=total, label=f"reading {size(total)}", file=sys.stderr)
    with shown:
        return integrity.verify(path, deep=deep, progress=shown.update)


def replay_command(
    dataset: Dataset,
    replay: str,
    *,
    environment: str | None = None,
    tolerance: float = 0.0,
    leave_out: Sequence[str] = (),
) -> ReplayReport:
    """Play episodes of a version again: a number of them, or ``all``.

    Raises:
        click.UsageError: if nothing that the user allowed may simulate fits the dataset.
    """
    count = len(dataset)
    wanted = list(range(count)) if replay == "all" else spread(count, int(replay))
    try:
        build = simulator(dataset.manifest.provenance, environment)
    except ReplayError as error:
        raise click.UsageError(f"--replay: {error}") from error
    indices = progress(wanted, "replaying")
    return verify_replay(dataset, build, indices=indices, tolerance=tolerance, leave_out=leave_out)


def _print(reference: str, findings: list[Finding], report: ReplayReport | None) -> None:
    if findings:
        print_table(["check", "finding"], [(it.check, plain(it.message)) for it in findings])
    else:
        print_line(f"[green]{plain(reference)}: unchanged, every byte is as it was sealed[/]")
    if report is not None:
        print_line(f"[{'green' if report.ok else 'red'}]replay {plain(report)}[/]")


def _keep(path: Path, report: ReplayReport) -> None:
    """Put the report beside the version; a refusal says that the replay itself was made."""
    try:
        write_report(path, report)
    except StorageError as error:
        raise StorageError(
            f"{report_path(path)}: the report above could not be saved ({error.__cause__}); "
            "make its folder writable, or do without"
        ) from error
