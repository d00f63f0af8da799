"""Commands that judge versions: validate, approve, quarantine, diff."""

import os
from collections.abc import Sequence
from pathlib import Path

import click

from trajstore.cli.facts import marked, told_marks
from trajstore.cli.options import (
    command,
    dry_run_option,
    is_elsewhere,
    look,
    reference_argument,
)
from trajstore.cli.output import (
    chip,
    complain,
    cut,
    plain,
    print_json,
    print_line,
    print_pairs,
    print_plugins,
    print_table,
)
from trajstore.curation.ancestry import lineage
from trajstore.episode.names import parse_reference, version_number
from trajstore.episode.texts import check_text, legible
from trajstore.errors import SchemaError, StatusError
from trajstore.lifecycle import judge, review
from trajstore.lifecycle.moving import check_sound
from trajstore.quality import drift
from trajstore.quality import validate as check
from trajstore.quality.contract import Contract, read_contract
from trajstore.quality.records import read_verdict, status_path
from trajstore.quality.reviews import decisions_on, effective_status, tells_of_damage
from trajstore.store import Store
from trajstore.version.findings import Finding
from trajstore.version.manifest import Manifest, Status

COLOURS = {"blocking": "red", "warning": "yellow", "note": "cyan"}


@command("trajstore validate expert@latest", "trajstore validate data/current/expert --json")
@reference_argument()
@click.option(
    "--contract",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON file that says what the dataset must have [default: 'expert.contract.json' beside "
    "the store for the dataset expert, else the contract of last time, else 200 episodes].",
)
@dry_run_option()
def validate(
    store: Store, reference: str, contract: Path | None, dry_run: bool, as_json: bool
) -> int:
    """Run every check on REF and keep the verdict; exit status 1 unless it is validated.

    With --dry-run, and for a version in the archive or at a URL, the checks run, but no verdict
    is written.
    """
    dataset = look(store, reference)
    held_to = _contract(store, dataset.path, contract)
    digest = dataset.manifest.content_digest
    decided = decisions_on(dataset.path, store.reviews, digest, root=store.root)
    looking = dry_run or is_elsewhere(reference)
    report = check(dataset, held_to) if looking else judge(dataset.path, held_to)
    status = effective_status(report.status, decided, report.digest, findings=report.findings)
    marks = marked(store, dataset)
    if as_json:
        print_json(report.to_json() | {"effective_status": status.value, "marks": marks})
    else:
        _print_findings(report.findings)
        print_plugins(report.plugins)
        reviewed = "" if status is report.status else f", by review {chip(status.value)}"
        print_line(
            f"{plain(reference)}: {chip(report.status.value)}{reviewed}; "
            f"{len(report.checks)} checks, {report.episodes:,} episodes"
        )
        if told := told_marks({"marks": marks}):
            left = "; training leaves out those excluded" if marks.get("exclude") else ""
            print_line(f"marked by curators: {told}{left}")
        if report.status is Status.DRAFT and held_to == Contract() and not looking:
            name, path = _place(store, dataset.path)
            example = f'{{"dataset": "{legible(name)}", "minimum_episodes": {report.episodes}}}'
            print_line(f"to say how many are enough, put {example} into {legible(str(path))}")
    return 0 if status is Status.VALIDATED else 1


def _contract(store: Store, version: Path, named: Path | None) -> Contract:
    """The contract that is named, that lies beside the store for the dataset, or held before."""
    found = read_contract(named)[0] if named is not None else _beside(store, version)
    if found is not None:
        return found
    verdict = read_verdict(version)
    try:
        return Contract.from_json((verdict.contract if verdict else None) or {})
    except SchemaError as error:
        raise SchemaError(f"{status_path(version)}: {error}; name one with --contract") from error


def _place(store: Store, version: Path) -> tuple[str, Path]:
    """The version's dataset, and where a contract of its own lies."""
    folder = version.absolute()
    dataset = (folder if version_number(folder.name) is None else folder.parent).name
    return dataset, store.root.parent / f"{dataset}.contract.json"


def _beside(store: Store, version: Path) -> Contract | None:
    """The contract of the version's dataset, if there is one; one that is nobody's is told."""
    dataset, own = _place(store, version)
    path = own if os.path.lexists(own) else store.root.parent / "contract.json"
    if not os.path.lexists(path):
        return None
    contract, whose = read_contract(path)
    if whose is None and (path == own or not {*store.datasets()} - {dataset}):
        whose = dataset
    if whose is None or (path == own and whose != dataset):
        complain(
            f"{path}: not applied to {legible(dataset)}, for it names {whose or 'no dataset'}; "
            f'put "dataset": "{legible(dataset)}" into it, call it {legible(own.name)}, or name '
            "it with --contract"
        )
    return contract if whose == dataset else None


def _print_findings(findings: Sequence[Finding]) -> None:
    rows = []
    for it in findings:
        severity = f"[{COLOURS[it.severity.value]}]{it.severity.value}[/]"
        episode, step = ("" if place is None else str(place) for place in (it.episode, it.step))
        named = it.file is None or it.file in it.message
        message = it.message if named else f"{it.file}: {it.message}"
        rows.append((severity, plain(it.check), episode, step, plain(message)))
    if rows:
        print_table(("severity", "check", ">episode", ">step", "finding"), rows)


def _deciding(status: Status, name: str, told: str, example: str) -> click.Command:
    """A command by which a person decides; ``told`` is its help."""

    @reference_argument()
    @click.option("--reason", required=True, help="Why, in one sentence.")
    @dry_run_option()
    def decide(store: Store, reference: str, reason: str, dry_run: bool, as_json: bool) -> None:
        if not reason.strip():
            raise click.UsageError("--reason: say why in one sentence")
        try:
            check_text("--reason", reason)
        except SchemaError as error:
            raise click.UsageError(str(error)) from error
        version, digest, path = _named(store, reference)
        if status is Status.VALIDATED:
            _check_approvable(path, digest, legible(version))
        if not dry_run:
            review(store.reviews, digest, status, reason=reason, name=version)
        if as_json:
            record = {"version": version, "digest": digest, "status": status, "reason": reason}
            print_json(record | {"dry_run": dry_run, "reviews": legible(str(store.reviews))})
            return
        what = "would be" if dry_run else "is now"
        print_line(f"{plain(version)} {what} {chip(status)}: {plain(reason)}")
        if not dry_run:
            print_line(f"written to {plain(store.reviews)}; commit it to git")

    decide.__doc__ = f"{told}; the decision goes into the reviews file."
    return command(example, name=name)(decide)


def _check_approvable(path: Path, digest: str, version: str) -> None:
    """Refuse what is damaged, or was when it was validated."""
    if path.is_dir():
        check_sound(path, version, "approve")
    verdict = read_verdict(path)
    if verdict is not None and verdict.digest == digest and tells_of_damage(verdict.findings):
        raise StatusError(
            f"{version}: its last verdict is on damaged data; validate it again, then approve it"
        )


approve = _deciding(
    Status.VALIDATED,
    "approve",
    "Mark REF as validated, whatever the checks said, unless its data changed",
    'trajstore approve expert@v3 --reason "seen all 12 near misses"',
)
quarantine = _deciding(
    Status.QUARANTINED,
    "quarantine",
    "Forbid training from REF",
    'trajstore quarantine expert@v3 --reason "wrong action scale"',
)


def _named(store: Store, reference: str) -> tuple[str, str, Path]:
    """The full name, content digest and folder of a version, archived ones included."""
    wanted = parse_reference(reference)
    if wanted.version is not None:
        shelf, number = store.shelf(wanted.name), wanted.version
        return f"{wanted.name}@v{number}", shelf.digest(number), shelf.path(number)
    if wanted.location is not None and is_elsewhere(reference):
        dataset = look(store, reference)
        return reference, dataset.manifest.content_digest, dataset.path
    path = store.path(reference)
    name = str(path) if wanted.location is not None else f"{wanted.name}@{path.name}"
    return name, Manifest.read(path).content_digest, path


@command(
    "trajstore diff expert@v2 expert@v3", "trajstore diff expert@v3 data/current/expert --json"
)
@reference_argument("before")
@reference_argument("after")
def diff(store: Store, before: str, after: str, as_json: bool) -> None:
    """Compare two versions: episodes, fields, coverage, distributions, provenance."""
    one, other = look(store, before), look(store, after)
    found, line = drift.diff(one, other), lineage(store.ancestors, one, other)
    if as_json:
        print_json(found.to_json() | {"lineage": line})
        return
    pairs = {
        "content": "the same" if found.same_content else "differs",
        "episodes kept": str(found.kept),
        "added": _indices(found.added),
        "removed": _indices(found.removed),
        "changed": _indices([new for _, new in found.changed]),
    }
    print_pairs(pairs, title=f"{plain(before)} -> {plain(after)}")
    for step in line:
        print_line(f"lineage: {plain(step)}")
    for told in found.schema:
        print_line(f"schema: {plain(told)}")
    if found.coverage:
        counts = [(plain(it), str(one), str(two)) for it, (one, two) in found.coverage.items()]
        print_table(("scenario", ">before", ">after"), counts, title="coverage")
    _print_drift(found.drift)
    if found.provenance:
        values = [tuple(map(cut, (it, *both))) for it, both in found.provenance.items()]
        print_table(("provenance", "before", "after"), values)


def _indices(indices: Sequence[int]) -> str:
    shown = ", ".join(str(index) for index in indices[:8])
    more = ", ..." if len(indices) > 8 else ""
    return f"{len(indices)}" + (f" (episodes {shown}{more})" if indices else "")


def _print_drift(fields: Sequence[drift.FieldDrift]) -> None:
    rows = [
        (
            f"{plain(it.field)}\\[{it.component}]",
            it.verdict,
            f"{it.distance:.3f}",
            f"{it.psi:.3f}",
            f"{it.means[0]:.4g} -> {it.means[1]:.4g}",
            f"{it.deviations[0]:.4g} -> {it.deviations[1]:.4g}",
        )
        for it in fields
        if it.verdict != "same"
    ]
    if rows:
        columns = ("component", "drift", ">KS", ">PSI", "mean", "deviation")
        print_table(columns, rows, title="distributions")
    print_line(f"distributions: {len(rows)} of {len(fields)} fields moved")
