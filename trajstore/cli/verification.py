"""``verify``: is a version what was sealed, and does it play again as recorded?"""

import sys
from pathlib import Path
from typing import Any

import click

from trajstore.cli.options import command, is_elsewhere, look, reference_argument, version_path
from trajstore.cli.output import is_interactive, plain, print_json, print_line, print_table, size
from trajstore.cli.replaying import print_replay, replay_command, replay_options, store_replay
from trajstore.dataset import Dataset
from trajstore.store import Store
from trajstore.version import integrity
from trajstore.version.findings import Finding
from trajstore.version.manifest import Manifest


@command(
    "trajstore verify expert@v3",
    "trajstore verify data/current/expert --deep",
    "trajstore verify expert@v3 --replay 20",
    "trajstore verify archive:expert@v1",
    "trajstore verify s3://bucket/folder/expert/v1",
)
@reference_argument()
@click.option("--deep", is_flag=True, help="Also read every episode and compute its digest.")
@replay_options()
def verify(
    store: Store,
    /,
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
        _print(reference, findings)
        if report is not None:
            print_replay(report)
    if report is not None and path is not None:
        store_replay(path, report)
    return 1 if findings or not (report is None or report.ok) else 0


def _print(reference: str, findings: list[Finding]) -> None:
    if findings:
        rows = [(found.check, plain(found.message)) for found in findings]
        print_table(["check", "finding"], rows)
    else:
        print_line(f"[green]{plain(reference)}: every byte is what was sealed[/]")


def _verified(path: Path, *, deep: bool, quiet: bool) -> list[Finding]:
    if quiet or not is_interactive():
        return integrity.verify(path, deep=deep)
    total = Manifest.read(path).size_bytes
    shown = click.progressbar(length=total, label=f"reading {size(total)}", file=sys.stderr)
    with shown:
        return integrity.verify(path, deep=deep, progress=shown.update)
