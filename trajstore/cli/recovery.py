"""``recover``: recordings that were interrupted."""

from pathlib import Path

import click

from trajstore.cli.facts import Facts, check_there, complain_of_damage, counted, recording_line
from trajstore.cli.options import command, dry_run_option
from trajstore.cli.output import plain, print_json, print_line, print_table, size
from trajstore.errors import NotFoundError
from trajstore.recording.recover import (
    discard_recording,
    salvage,
    seal_recording,
    seal_salvaged,
)
from trajstore.recording.unfinished import check_episodes, open_recording
from trajstore.store import Store

ACTIONS = ("seal", "salvage", "discard")


@command(
    "trajstore recover",
    "trajstore recover expert --seal",
    "trajstore recover expert --salvage --dry-run",
    "trajstore recover expert --discard --dry-run",
)
@click.argument("name", required=False)
@click.option("--seal", is_flag=True, help="Make a version of the episodes.")
@click.option("--salvage", is_flag=True, help="Seal what is whole in damaged journals, too.")
@click.option("--discard", is_flag=True, help="Remove the recording.")
@dry_run_option("Say what would be done, and do nothing.")
def recover(
    store: Store, /, name: str | None, *, dry_run: bool, as_json: bool, **asked: bool
) -> int:
    """Show unfinished recordings; seal or discard those of the dataset NAME.

    Each episode whose recording was acknowledged is there. Recording again goes on after it.
    Where a journal is damaged, salvage seals the episodes that are whole, and says what is lost.
    """
    action = _action(name, asked)
    check_there(store)
    names = store.datasets() if name is None else [name]
    found = [recording_line(it, read=True) for dataset in names for it in store.unfinished(dataset)]
    if name is not None and not found:
        raise NotFoundError(f"{name}: expected an unfinished recording in {store.root}, got none")
    for facts in found if action else []:
        if action != "seal" or facts["status"] != "damaged":
            target = store.folder(facts["dataset"]) / facts["version"]
            facts["outcome"] = _finish(target, facts, str(action), dry_run=dry_run)
    if as_json:
        print_json(found)
    elif not found:
        print_line("no unfinished recordings")
    else:
        columns = ["dataset", "version", "status", ">episodes", ">steps", ">size"]
        print_table(columns, map(counted, found))
        for facts in found:
            if "outcome" in facts:
                print_line(plain(facts["outcome"]))
    return complain_of_damage(found) if action in (None, "seal") else 0


def _action(name: str | None, asked: dict[str, bool]) -> str | None:
    """What is to be done with the recordings.

    Raises:
        click.UsageError: if that is two things at once, or of no dataset in particular.
    """
    chosen = [action for action in ACTIONS if asked[action]]
    if len(chosen) > 1:
        raise click.UsageError(
            "recover: expected one of --seal, --salvage and --discard, got "
            f"{' and '.join(f'--{action}' for action in chosen)}; choose one"
        )
    if chosen and name is None:
        raise click.UsageError(
            f"recover: expected the NAME of the dataset to {chosen[0]}, got none"
        )
    return chosen[0] if chosen else None


def _finish(target: Path, facts: Facts, action: str, *, dry_run: bool) -> str:
    """Seal or discard a recording, or only check that it can be; returns what was done.

    Raises:
        JournalError: if it is to be sealed and holds no episode.
    """
    name = f"{target.parent.name}@{target.name}"
    if action == "discard":
        if dry_run:
            held = f"{facts['episodes']:,} episodes" if "episodes" in facts else "damaged"
            return f"would discard the recording of {name}: {held}, {size(facts['bytes'])}"
        discard_recording(target)
        return f"discarded the recording of {name}"
    if action == "salvage":
        return _salvage(target, dry_run=dry_run)
    if dry_run:
        check_episodes(target, facts["episodes"])
        return f"would seal {name} with {facts['episodes']:,} episodes"
    return f"sealed {name} with {seal_recording(target).episodes:,} episodes"


def _salvage(target: Path, *, dry_run: bool) -> str:
    """Seal the whole episodes, or only look for them; returns what was lost.

    Raises:
        JournalError: if there is none, or a journal cannot be read at all.
    """
    if dry_run:
        found = salvage(open_recording(target))
        check_episodes(target, len(found.frames))
    else:
        found = seal_salvaged(target)[1]
    lost = [f"{size(count)} at byte {start} of {name}" for name, start, count in found.lost]
    places = ", ".join(map(str, found.missing[:10])) + (", ..." if found.missing[10:] else "")
    return (
        f"{'would seal' if dry_run else 'sealed'} {target.parent.name}@{target.name} with "
        f"{len(found.frames):,} episodes; lost: {'; '.join(lost) or 'nothing'}; "
        f"places without an episode: {places or 'none'}"
    )
