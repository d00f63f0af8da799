"""Commands that decide about versions, and those that move them: publish, rotate, restore."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trajstore.cli.comparison import diff
from trajstore.cli.judging import approve, quarantine, validate
from trajstore.cli.options import FiniteRange, examples, json_option, pass_store, reference_argument
from trajstore.cli.output import plain, print_json, print_line, print_table
from trajstore.cli.places import archive_option, dry_run_option, open_store

if TYPE_CHECKING:
    from trajstore.lifecycle.rotation import Decision
    from trajstore.store import Store

__all__ = ["approve", "diff", "publish", "quarantine", "restore", "rotate", "validate"]


@click.command(
    epilog=examples(
        "trajstore publish data/current/expert",
        "trajstore publish data/current/expert --name expert --dry-run",
    )
)
@click.argument("path", type=click.Path(exists=True, file_okay=False))
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
@archive_option()
@dry_run_option()
@json_option()
@pass_store
def publish(
    store: str,
    /,
    path: str,
    name: str | None,
    dry_run: bool,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - click's
) -> None:
    """Copy the validated version at PATH into the store, then rotate.

    The same content is published once, whatever folder it comes from.
    """
    from trajstore.lifecycle import preview, publish

    opened = open_store(store, archive=options["archive"])
    source = Path(path)
    shelf = opened.shelf(name or _dataset_name(source.resolve()))
    gigabytes = options["budget_gb"]
    budget = None if gigabytes is None else int(gigabytes * 1e9)
    if dry_run:
        done = preview(shelf, source, budget_bytes=budget)
    else:
        done = publish(shelf, source, budget_bytes=budget)
    if as_json:
        print_json({**done.to_json(), "dry_run": dry_run})
        return
    what = "would be published" if dry_run else "published"
    told = what if done.new else "there already, nothing published"
    print_line(f"{plain(shelf.name)}@v{done.version}: {told}")
    _print_decisions(shelf.name, done.decisions)


@click.command(
    epilog=examples("trajstore rotate expert --dry-run", "trajstore rotate expert --keep 2")
)
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
    "--in-use", multiple=True, metavar="vN", help="A version that stays; may be repeated."
)
@archive_option()
@dry_run_option()
@json_option()
@pass_store
def rotate(
    store: str,
    /,
    name: str,
    dry_run: bool,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - click's
) -> None:
    """Archive all but the newest versions of dataset NAME.

    Nothing is removed before its pack was read back and compared.
    """
    from trajstore.lifecycle import plan, rotate
    from trajstore.lifecycle.rotation import Retention

    opened = open_store(store, archive=options["archive"])
    _known(opened, name)
    shelf = opened.shelf(name)
    retention = Retention(options["keep"], options["keep_drafts"], options["keep_quarantined"])
    in_use = [_number(text) for text in options["in_use"]]
    run = plan if dry_run else rotate
    decisions = run(shelf, retention=retention, in_use=in_use)
    if as_json:
        print_json({"dry_run": dry_run, "decisions": [it.to_json() for it in decisions]})
    else:
        _print_decisions(name, decisions)


@click.command(
    epilog=examples("trajstore restore expert@v1", "trajstore restore expert@v1 --dry-run --json")
)
@reference_argument()
@archive_option()
@dry_run_option()
@json_option()
@pass_store
def restore(store: str, reference: str, archive: str | None, dry_run: bool, as_json: bool) -> None:
    """Bring the archived version REF back; its content is compared before it appears."""
    from trajstore.episode.names import parse_reference
    from trajstore.errors import NotFoundError
    from trajstore.lifecycle import restore
    from trajstore.lifecycle.ledger import packed
    from trajstore.lifecycle.moving import compare_file

    wanted = parse_reference(reference)
    if wanted.version is None:
        raise NotFoundError(f"{reference}: expected a version to restore, such as expert@v1")
    shelf = open_store(store, archive=archive).shelf(wanted.name)
    entry = packed(shelf.ledger(), wanted.version)
    if dry_run and entry is not None:
        compare_file(shelf, entry)
    live = wanted.version in shelf.live()
    path = shelf.path(wanted.version)
    if not dry_run or entry is None:
        path = restore(shelf, wanted.version)
    if as_json:
        print_json({"dry_run": dry_run, "path": str(path), "was_live": live})
        return
    what = "is live already" if live else "would be restored" if dry_run else "restored"
    print_line(f"{wanted.name}@v{wanted.version}: {what} at {plain(path)}")


def _dataset_name(source: Path) -> str:
    """The name of the folder, or of the dataset's folder around a version of it."""
    from trajstore.episode.names import version_number

    return source.name if version_number(source.name) is None else source.parent.name


def _known(store: "Store", name: str) -> None:
    from trajstore.errors import NotFoundError

    if name not in store.datasets():
        known = ", ".join(store.datasets()) or "none at all"
        raise NotFoundError(f"dataset {name!r}: expected one of the store, which has {known}")


def _number(text: str) -> int:
    from trajstore.episode.names import version_number

    number = version_number(text)
    if number is None:
        raise click.UsageError(f"--in-use: expected a version such as v3, got {text!r}")
    return number


def _print_decisions(name: str, decisions: Sequence["Decision"]) -> None:
    rows = [(f"{name}@v{it.version}", it.action.value, it.reason) for it in decisions]
    print_table(("version", "action", "why"), rows)
