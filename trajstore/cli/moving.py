"""Commands that make, move and bring back versions: publish, rotate, restore, recover."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from trajstore import lifecycle
from trajstore.cli.facts import Facts, check_there, complain_of_damage, counted, recording_line
from trajstore.cli.options import (
    Decorator,
    FiniteRange,
    command,
    dry_run_option,
    reference_argument,
)
from trajstore.cli.output import plain, print_json, print_line, print_table, size
from trajstore.episode.names import parse_reference, version_number
from trajstore.errors import NotFoundError
from trajstore.lifecycle.rotation import Decision, Retention
from trajstore.recording.recover import (
    Salvage,
    clear_dropped,
    discard_recording,
    salvage,
    seal_salvaged,
)
from trajstore.recording.unfinished import check_episodes, open_recording
from trajstore.store import Store
from trajstore.version.location import check_lasting


@command(
    "trajstore publish data/current/expert",
    "trajstore publish data/current/expert --name expert --dry-run",
)
@click.argument("path", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--name",
    help="Name of the dataset [default: that of the folder, or of the one around a folder v3].",
)
@click.option(
    "--budget-gb",
    "budget",
    type=FiniteRange(min=0, min_open=True),
    help="Most bytes that the whole store may take, in 10^9.",
)
@dry_run_option()
def publish(
    store: Store, path: Path, name: str | None, budget: float | None, dry_run: bool, as_json: bool
) -> None:
    """Copy the validated version at PATH into the store, then rotate.

    The same content is published once, whatever folder it comes from.
    """
    folder = Path(os.path.realpath(path))
    if version_number(folder.name) is not None:
        folder = folder.parent
    check_lasting(store.archive)
    shelf = store.shelf(name or folder.name)
    most = None if budget is None else int(budget * 1e9)
    done = (lifecycle.preview if dry_run else lifecycle.publish)(shelf, path, budget_bytes=most)
    if as_json:
        print_json(asdict(done) | {"dry_run": dry_run})
        return
    told = "would be published" if dry_run else "published"
    told = told if done.new else "there already, nothing published"
    print_line(f"{plain(shelf.name)}@v{done.version}: {told}")
    _print_decisions(shelf.name, done.decisions)


def _keep_option(name: str, least: int, which: str) -> Decorator:
    number = click.IntRange(least)
    return click.option(name, default=3, show_default=True, type=number, help=f"{which} that stay.")


def _versions(_: click.Context, option: click.Parameter, texts: Sequence[str]) -> list[int]:
    """Callback of an option: the numbers of versions such as ``v3``."""
    for text in texts:
        if version_number(text) is None:
            raise click.UsageError(f"{option.opts[0]}: write a version such as v3, not {text!r}")
    return [int(text[1:]) for text in texts]


@command("trajstore rotate expert --dry-run", "trajstore rotate expert --keep 2")
@click.argument("name")
@_keep_option("--keep", 1, "Validated versions")
@_keep_option("--keep-drafts", 0, "Drafts")
@_keep_option("--keep-quarantined", 0, "Quarantined versions")
@click.option(
    "--in-use",
    multiple=True,
    metavar="vN",
    callback=_versions,
    help="Keep this version too; may be repeated.",
)
@dry_run_option()
def rotate(
    store: Store, /, name: str, in_use: list[int], *, dry_run: bool, as_json: bool, **keep: int
) -> None:
    """Archive all but the newest versions of dataset NAME.

    Nothing is removed before its pack was read back and compared.
    """
    if name not in store.datasets():
        known = ", ".join(store.datasets()) or "none at all"
        raise NotFoundError(f"{name}: no dataset of that name; the store has {known}")
    check_lasting(store.archive)
    retention = Retention(keep["keep"], keep["keep_drafts"], keep["keep_quarantined"])
    run = lifecycle.plan if dry_run else lifecycle.rotate
    decisions = run(store.shelf(name), retention=retention, in_use=in_use)
    if as_json:
        print_json({"dry_run": dry_run, "decisions": [asdict(it) for it in decisions]})
    else:
        _print_decisions(name, decisions)


def _print_decisions(name: str, decisions: Sequence[Decision]) -> None:
    rows = [(f"{name}@v{it.version}", it.action.value, it.reason) for it in decisions]
    print_table(("version", "action", "why"), rows)


@command("trajstore restore expert@v1", "trajstore restore expert@v1 --dry-run --json")
@reference_argument()
@dry_run_option()
def restore(store: Store, reference: str, dry_run: bool, as_json: bool) -> None:
    """Bring REF back from the archive, after comparing it with what was archived."""
    wanted = parse_reference(reference)
    live = wanted.version is not None and wanted.version in store.versions(wanted.name)
    path = store.restore(reference, dry_run=dry_run)
    if as_json:
        print_json({"dry_run": dry_run, "path": str(path), "was_live": live})
        return
    what = "is live already" if live else "would be restored" if dry_run else "restored"
    print_line(f"{path.parent.name}@{path.name}: {what} at {plain(path)}")


@command(
    "trajstore recover",
    "trajstore recover expert --seal",
    "trajstore recover expert --salvage --dry-run",
    "trajstore recover expert --discard --dry-run",
)
@click.argument("name", required=False)
@click.option("--seal", is_flag=True, help="Make a version of the episodes that are there.")
@click.option("--salvage", is_flag=True, help="The same, of a recording whose files are damaged.")
@click.option("--discard", is_flag=True, help="Remove the recording and its episodes.")
@dry_run_option("Say what would be done, and do nothing.")
def recover(
    store: Store, /, name: str | None, *, dry_run: bool, as_json: bool, **asked: bool
) -> int:
    """Show recordings that were interrupted; seal or discard that of the dataset NAME.

    Every episode that was added is still there: record again to go on after it, or seal what there
    is. Where a file is damaged, --salvage seals the episodes that are whole, and says what is lost.
    """
    action = _action(name, [it for it in ("seal", "salvage", "discard") if asked[it]])
    check_there(store)
    names = store.datasets() if name is None else [name]
    found = [recording_line(it, read=True) for dataset in names for it in store.unfinished(dataset)]
    if action and not dry_run:
        clear_dropped(store.folder(name or ""))
    if name is not None and not found:
        raise NotFoundError(f"{name}: no recording is unfinished in {store.root}")
    for facts in found if action else []:
        if action != "seal" or facts["status"] != "damaged":
            facts["outcome"] = _finish(store, facts, action, dry_run=dry_run)
    if as_json:
        print_json(found)
    elif not found:
        print_line("no unfinished recordings")
    else:
        columns = ["dataset", "version", "status", ">episodes", ">steps", ">size"]
        print_table(columns, map(counted, found))
        for line in filter(None, map(_told, found)):
            print_line(plain(line))
    return complain_of_damage(found) if action in ("", "seal") else 0


def _told(facts: Facts) -> str:
    """What was done with a recording, or what there is in it that is no episode."""
    if "outcome" in facts or not facts.get("torn_bytes"):
        return str(facts.get("outcome", ""))
    return (
        f"{facts['dataset']}@{facts['version']}: {facts['torn_bytes']:,} bytes that were never "
        "acknowledged are dropped when it goes on or is sealed"
    )


def _action(name: str | None, chosen: list[str]) -> str:
    """What is to be done; refuses two things at once, and anything of no dataset in particular."""
    if len(chosen) > 1:
        raise click.UsageError(
            f"recover: {' and '.join(f'--{action}' for action in chosen)} exclude each "
            "other; choose one"
        )
    if chosen and name is None:
        raise click.UsageError(f"recover: name the dataset to {chosen[0]}")
    return chosen[0] if chosen else ""


def _finish(store: Store, facts: Facts, action: str, *, dry_run: bool) -> str:
    """End a recording, or only check that it can be ended so; returns what was done."""
    target = store.folder(facts["dataset"]) / facts["version"]
    name = f"{target.parent.name}@{target.name}"
    if action == "discard":
        if dry_run:
            held = f"{facts['episodes']:,} episodes" if "episodes" in facts else "damaged"
            return f"would discard the recording of {name}: {held}, {size(facts['bytes'])}"
        discard_recording(target)
        return f"discarded the recording of {name}"
    if dry_run:
        found = salvage(open_recording(target), damaged=action == "salvage")
        check_episodes(target, len(found.frames))
    else:
        found = seal_salvaged(target, damaged=action == "salvage")[1]
    told = f"{'would seal' if dry_run else 'sealed'} {name} with {len(found.frames):,} episodes"
    return told if action == "seal" and not found.lost else f"{told}; {_lost(found)}"


def _lost(found: Salvage) -> str:
    lost = [f"{count:,} bytes at byte {start:,} of {name}" for name, start, count in found.lost]
    places = ", ".join(map(str, found.missing[:10])) + (", ..." if found.missing[10:] else "")
    return f"lost: {'; '.join(lost) or 'nothing'}; places without an episode: {places or 'none'}"
