"""Commands that move versions: publish, rotate, restore."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from trajstore import lifecycle
from trajstore.cli.options import (
    FiniteRange,
    archive_option,
    command,
    dry_run_option,
    reference_argument,
)
from trajstore.cli.output import plain, print_json, print_line, print_table
from trajstore.episode.names import parse_reference, version_number
from trajstore.errors import NotFoundError
from trajstore.lifecycle.rotation import Decision, Retention
from trajstore.store import Store


@command(
    "trajstore publish data/current/expert",
    "trajstore publish data/current/expert --name expert --dry-run",
)
@click.argument("path", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--name",
    help="Of the dataset [default: the name of the folder; of the one around it, if the folder "
    "is called v3 or the like].",
)
@click.option(
    "--budget-gb",
    type=FiniteRange(min=0, min_open=True),
    help="Most that the whole store may take, in 10^9 bytes.",
)
@archive_option
@dry_run_option()
def publish(
    store: Store,
    /,
    path: Path,
    name: str | None,
    budget_gb: float | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Copy the validated version at PATH into the store, then rotate.

    The same content is published once, whatever folder it comes from.
    """
    folder = path.resolve()
    if version_number(folder.name) is not None:
        folder = folder.parent
    shelf = store.shelf(name or folder.name)
    budget = None if budget_gb is None else int(budget_gb * 1e9)
    done = (lifecycle.preview if dry_run else lifecycle.publish)(shelf, path, budget_bytes=budget)
    if as_json:
        print_json(asdict(done) | {"dry_run": dry_run})
        return
    told = "would be published" if dry_run else "published"
    told = told if done.new else "there already, nothing published"
    print_line(f"{plain(shelf.name)}@v{done.version}: {told}")
    _print_decisions(shelf.name, done.decisions)


def _versions(_: click.Context, option: click.Parameter, texts: Sequence[str]) -> list[int]:
    """Callback of an option: the numbers of versions such as ``v3``."""
    for text in texts:
        if version_number(text) is None:
            raise click.UsageError(f"{option.opts[0]}: expected a version such as v3, got {text!r}")
    return [int(text[1:]) for text in texts]


@command("trajstore rotate expert --dry-run", "trajstore rotate expert --keep 2")
@click.argument("name")
@click.option(
    "--keep",
    default=3,
    show_default=True,
    type=click.IntRange(1),
    help="Validated versions that stay.",
)
@click.option(
    "--keep-drafts", default=3, show_default=True, type=click.IntRange(0), help="Drafts that stay."
)
@click.option(
    "--keep-quarantined",
    default=3,
    show_default=True,
    type=click.IntRange(0),
    help="Quarantined versions that stay.",
)
@click.option(
    "--in-use",
    multiple=True,
    metavar="vN",
    callback=_versions,
    help="A version that stays; may be repeated.",
)
@archive_option
@dry_run_option()
def rotate(
    store: Store,
    /,
    name: str,
    in_use: list[int],
    *,
    dry_run: bool,
    as_json: bool,
    **keep: int,
) -> None:
    """Archive all but the newest versions of dataset NAME.

    Nothing is removed before its pack was read back and compared.
    """
    if name not in store.datasets():
        known = ", ".join(store.datasets()) or "none at all"
        raise NotFoundError(f"dataset {name!r}: expected one of the store, which has {known}")
    retention = Retention(keep["keep"], keep["keep_drafts"], keep["keep_quarantined"])
    run = lifecycle.plan if dry_run else lifecycle.rotate
    decisions = run(store.shelf(name), retention=retention, in_use=in_use)
    if as_json:
        print_json({"dry_run": dry_run, "decisions": [asdict(it) for it in decisions]})
    else:
        _print_decisions(name, decisions)


@command("trajstore restore expert@v1", "trajstore restore expert@v1 --dry-run --json")
@reference_argument()
@archive_option
@dry_run_option()
def restore(store: Store, reference: str, dry_run: bool, as_json: bool) -> None:
    """Bring the archived version REF back; its content is compared before it appears."""
    wanted = parse_reference(reference)
    live = wanted.version is not None and wanted.version in store.versions(wanted.name)
    path = store.restore(reference, dry_run=dry_run)
    if as_json:
        print_json({"dry_run": dry_run, "path": str(path), "was_live": live})
        return
    what = "is live already" if live else "would be restored" if dry_run else "restored"
    print_line(f"{wanted.name}@v{wanted.version}: {what} at {plain(path)}")


def _print_decisions(name: str, decisions: Sequence[Decision]) -> None:
    rows = [(f"{name}@v{it.version}", it.action.value, it.reason) for it in decisions]
    print_table(("version", "action", "why"), rows)
