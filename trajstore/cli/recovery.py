"""``recover``: recordings that were interrupted."""

from pathlib import Path
from typing import Any

import click

from trajstore.cli.options import examples, json_option, open_store, pass_store
from trajstore.cli.output import plain, print_json, print_line, print_table, size


@click.command(
    epilog=examples(
        "trajstore recover",
        "trajstore recover expert --seal",
        "trajstore recover expert --discard --dry-run",
    )
)
@click.argument("name", required=False)
@click.option("--seal", is_flag=True, help="Make a version of the episodes.")
@click.option("--discard", is_flag=True, help="Remove the recording.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@json_option()
@pass_store
def recover(
    store: str, name: str | None, *, seal: bool, discard: bool, dry_run: bool, as_json: bool
) -> int:
    """Show unfinished recordings; seal or discard those of the dataset NAME.

    Each episode whose recording was acknowledged is there. Recording again goes on after it.
    """
    from trajstore.errors import NotFoundError

    action = _action(name, seal=seal, discard=discard)
    opened = open_store(store)
    names = opened.datasets() if name is None else [name]
    found = [recording for dataset in names for recording in opened.recordings(dataset)]
    if name is not None and not found:
        raise NotFoundError(f"{name}: expected an unfinished recording in {store}, got none")
    facts = [_facts(recording) for recording in found]
    done = [_finish(it.target, action) for it in found] if action and not dry_run else []
    _show(facts, as_json=as_json)
    for line in [] if as_json else done:
        print_line(plain(line))
    return 0


def _action(name: str | None, *, seal: bool, discard: bool) -> str | None:
    """What is to be done with the recordings.

    Raises:
        click.UsageError: if that is two things at once, or of no dataset in particular.
    """
    if seal and discard:
        raise click.UsageError(
            "recover: expected one of --seal and --discard, got both; leave one out"
        )
    action = "seal" if seal else "discard" if discard else None
    if action is not None and name is None:
        raise click.UsageError(f"recover: expected the NAME of the dataset to {action}, got none")
    return action


def _facts(recording: Any) -> dict[str, Any]:  # noqa: ANN401 - a Recording
    frames = [frame for _, frame in recording.frames()]
    return {
        "dataset": recording.target.parent.name,
        "version": recording.target.name,
        "episodes": len(frames),
        "steps": sum(frame.steps for frame in frames),
        "bytes": recording.journal_bytes,
        "path": str(recording.folder),
    }


def _show(found: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
    elif not found:
        print_line("no unfinished recordings")
    else:
        rows = [
            [
                plain(facts["dataset"]),
                facts["version"],
                f"{facts['episodes']:,}",
                f"{facts['steps']:,}",
                size(facts["bytes"]),
            ]
            for facts in found
        ]
        print_table(["dataset", "version", ">episodes", ">steps", ">size"], rows)


def _finish(target: Path, action: str) -> str:
    """Seal or discard a recording; returns what was done."""
    from trajstore.recorder import discard_recording, seal_recording

    if action == "seal":
        manifest = seal_recording(target)
        return f"sealed {target.parent.name}@{target.name} with {manifest.episodes:,} episodes"
    discard_recording(target)
    return f"discarded the recording of {target.parent.name}@{target.name}"
