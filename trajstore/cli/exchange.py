"""``export`` and ``import``: to and from other formats."""

from importlib import import_module
from pathlib import Path
from typing import Any

import click

from trajstore.cli.options import command, dry_run_option, look, output_path, reference_argument
from trajstore.cli.output import plain, print_json, print_line
from trajstore.episode.names import check_name
from trajstore.errors import CorruptionError, SchemaError
from trajstore.store import Store

FORMATS = {
    "npz": "one file of NumPy arrays",
    "minari": "a Minari dataset (HDF5)",
    "imitation": "a folder as imitation saves it",
}
"""Formats, each a module below ``trajstore.interop``."""

_CHOICE = click.Choice(list(FORMATS))
_HELP = "; ".join(f"{name}: {what}" for name, what in FORMATS.items())


def _module(name: str) -> Any:  # noqa: ANN401 - a module
    try:
        return import_module(f"trajstore.interop.{name}")
    except ModuleNotFoundError as error:
        raise click.UsageError(
            f"{name}: expected the package {error.name!r}, got none installed; "
            'install "trajstore[interop]"'
        ) from error


@command(
    "trajstore export expert@v3 --to npz expert-v3.npz",
    "trajstore export expert --to minari expert-v3",
)
@reference_argument()
@click.option("--to", "kind", type=_CHOICE, required=True, help=_HELP)
@click.argument("target", metavar="PATH", type=click.Path(path_type=Path), callback=output_path)
def export(store: Store, reference: str, kind: str, target: Path, as_json: bool) -> None:
    """Write the version REF to a new PATH in another format, without loss."""
    dataset = look(store, reference)
    try:
        _module(kind).export_dataset(dataset, target)
    except SchemaError as error:
        raise click.UsageError(f"--to {kind}: {error}") from error
    facts = {"path": str(target), "format": kind, "episodes": len(dataset), "steps": dataset.steps}
    if as_json:
        print_json(facts)
    else:
        print_line(plain(f"wrote {len(dataset):,} episodes to {target}"))


@command("trajstore import expert.npz --from npz --as expert", name="import")
@click.argument("source", metavar="PATH", type=click.Path(path_type=Path))
@click.option("--from", "kind", type=_CHOICE, required=True, help=_HELP)
@click.option("--as", "name", required=True, help="Dataset that gets a new version.")
@dry_run_option("Read all of it, and record nothing.")
def import_(store: Store, source: Path, kind: str, name: str, dry_run: bool, as_json: bool) -> None:
    """Record the episodes at PATH as the next version of a dataset; it begins as a draft.

    All of it is read once before anything is recorded.
    """
    check_name(name)
    module = _module(kind)
    count = sum(1 for _ in module.import_dataset(source).episodes)
    if not count:
        raise CorruptionError(f"{source}: expected at least one episode, got none; export it again")
    facts: dict[str, object] = {"episodes": count, "recorded": not dry_run}
    if not dry_run:
        recorded = module.import_dataset(source)
        with store.record(name, schema=recorded.schema, provenance=recorded.provenance) as recorder:
            for order, episode in enumerate(recorded.episodes):
                if order not in recorder.orders:
                    recorder.add(episode, order=order)
        facts |= {"episodes": recorder.episodes, "version": f"v{store.versions(name)[-1]}"}
    if as_json:
        print_json(facts)
    else:
        done = "and recorded nothing" if dry_run else f"as {name}@{facts['version']}"
        print_line(plain(f"read {facts['episodes']:,} episodes {done}"))
