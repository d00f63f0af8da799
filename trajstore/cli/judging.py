"""Commands that give a version its status: validate, approve, quarantine."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trajstore.cli.options import (
    archive_place,
    examples,
    is_elsewhere,
    json_option,
    look,
    pass_store,
    reference_argument,
)
from trajstore.cli.output import chip, plain, print_json, print_line, print_table
from trajstore.cli.places import dry_run_option, open_store, reviews_option

if TYPE_CHECKING:
    from trajstore.quality.contract import Contract
    from trajstore.store import Store
    from trajstore.version.findings import Finding

FAULT = 1
COLOURS = {"blocking": "red", "warning": "yellow", "note": "cyan"}


@click.command(
    epilog=examples(
        "trajstore validate expert@latest", "trajstore validate data/current/expert --json"
    )
)
@reference_argument()
@click.option(
    "--contract",
    "contract_path",
    type=click.Path(exists=True, dir_okay=False),
    help="JSON file of the contract [default: 'contract.json' beside the store, else the one "
    "that the version was held to before, else 200 episodes].",
)
@reviews_option()
@dry_run_option()
@json_option()
@pass_store
def validate(
    store: str,
    reference: str,
    contract_path: str | None,
    reviews: str | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Run every check on REF and put the verdict beside it; exit status 1 unless validated.

    With --dry-run, and for a version in the archive or at a URL, the checks run, but no verdict
    is written.
    """
    from trajstore.lifecycle import judge
    from trajstore.quality import validate as check
    from trajstore.quality.reviews import effective_status, read_reviews

    opened = open_store(store, archive=archive_place(store), reviews=reviews)
    dataset = look(opened, reference)
    contract = _contract(opened, dataset.path, contract_path)
    looking = dry_run or is_elsewhere(reference)
    decided = read_reviews(opened.reviews)
    report = check(dataset, contract) if looking else judge(dataset.path, contract)
    status = effective_status(report.status, decided, report.digest)
    if as_json:
        print_json(report.to_json() | {"effective_status": status.value})
    else:
        _print_findings(report.findings)
        reviewed = "" if status is report.status else f", by review {chip(status.value)}"
        print_line(
            f"{plain(reference)}: {chip(report.status.value)}{reviewed}; "
            f"{len(report.checks)} checks, {report.episodes:,} episodes"
        )
    return 0 if status.value == "validated" else FAULT


@click.command(epilog=examples('trajstore approve expert@v3 --reason "seen all 12 near misses"'))
@reference_argument()
@click.option("--reason", required=True, help="Why, in one sentence.")
@reviews_option()
@dry_run_option()
@json_option()
@pass_store
def approve(
    store: str, reference: str, reason: str, reviews: str | None, dry_run: bool, as_json: bool
) -> None:
    """Call REF validated, whatever the checks said; the decision goes into the reviews file."""
    _review((store, reviews), reference, "validated", reason, (dry_run, as_json))


@click.command(epilog=examples('trajstore quarantine expert@v3 --reason "wrong action scale"'))
@reference_argument()
@click.option("--reason", required=True, help="Why, in one sentence.")
@reviews_option()
@dry_run_option()
@json_option()
@pass_store
def quarantine(
    store: str, reference: str, reason: str, reviews: str | None, dry_run: bool, as_json: bool
) -> None:
    """Forbid training from REF; the decision goes into the reviews file."""
    _review((store, reviews), reference, "quarantined", reason, (dry_run, as_json))


def _contract(store: "Store", version: Path, given: str | None) -> "Contract":
    from trajstore.disk.files import read_json
    from trajstore.quality.contract import Contract
    from trajstore.quality.verdict import read_verdict

    beside = store.root.parent / "contract.json"
    path = Path(given) if given else beside
    if path.exists():
        return Contract.from_json(read_json(path))
    verdict = read_verdict(version)
    return Contract.from_json((verdict.contract if verdict else None) or {})


def _review(
    places: tuple[str, str | None],
    reference: str,
    status: str,
    reason: str,
    modes: tuple[bool, bool],
) -> None:
    from trajstore.lifecycle import review
    from trajstore.version.manifest import Status

    opened = open_store(places[0], reviews=places[1])
    name, digest = _named(opened, reference)
    (dry_run, as_json), wanted = modes, Status(status)
    if not reason.strip():
        raise click.UsageError("--reason: expected one sentence, got none")
    if not dry_run:
        review(opened.reviews, digest, wanted, reason=reason, name=name)
    if as_json:
        record = {"version": name, "digest": digest, "status": status, "reason": reason}
        print_json(record | {"dry_run": dry_run, "reviews": str(opened.reviews)})
        return
    what = "would be" if dry_run else "is now"
    print_line(f"{plain(name)} {what} {chip(status)}: {plain(reason)}")
    if not dry_run:
        print_line(f"written to {plain(opened.reviews)}; commit it to git")


def _named(store: "Store", reference: str) -> tuple[str, str]:
    """The full name and content digest of a version, archived ones included."""
    from trajstore.episode.names import parse_reference
    from trajstore.version.manifest import Manifest

    wanted = parse_reference(reference)
    if wanted.version is not None:
        return f"{wanted.name}@v{wanted.version}", store.shelf(wanted.name).digest(wanted.version)
    path = store.path(reference)
    name = str(path) if wanted.location is not None else f"{wanted.name}@{path.name}"
    return name, Manifest.read(path).content_digest


def _print_findings(findings: Sequence["Finding"]) -> None:
    if not findings:
        return
    rows = [
        (
            f"[{COLOURS[it.severity.value]}]{it.severity.value}[/]",
            plain(it.check),
            "" if it.episode is None else str(it.episode),
            "" if it.step is None else str(it.step),
            plain(_told(it)),
        )
        for it in findings
    ]
    print_table(("severity", "check", ">episode", ">step", "finding"), rows)


def _told(finding: "Finding") -> str:
    """The message, behind the file that it is about unless it says so itself."""
    if finding.file is None or finding.file in finding.message:
        return finding.message
    return f"{finding.file}: {finding.message}"
