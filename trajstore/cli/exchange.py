"""``export`` and ``import``: to and from other formats."""

from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from inspect import signature
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from trajstore.cli.options import command, dry_run_option, look, output_path, reference_argument
from trajstore.cli.output import plain, print_json, print_line
from trajstore.episode.names import check_name
from trajstore.episode.plugins import offered
from trajstore.errors import ArgumentError, CorruptionError, SchemaError, TrajStoreError
from trajstore.store import Store
from trajstore.version.manifest import Manifest, content_digest

if TYPE_CHECKING:
    from trajstore.interop.imported import Imported

FORMATS = {
    "npz": "one file of NumPy arrays",
    "minari": "a Minari dataset (HDF5)",
    "imitation": "a folder as imitation saves it",
}
"""Formats, each a module below ``trajstore.interop``."""
READERS = {"minari": "minari_files", "imitation": "imitation_files"}
"""Modules that read a format without the package of its name, where others than those write it."""

_OFFERED = {it.name: it for it in offered("format", FORMATS) if not it.clash}
_CHOICE = click.Choice([*FORMATS, *_OFFERED])
_HELP = "; ".join(
    f"{name}: {what}"
    for name, what in (FORMATS | {it: f"of {one.origin}" for it, one in _OFFERED.items()}).items()
)


def _module(name: str) -> Any:  # noqa: ANN401 - a module
    if name in _OFFERED:
        return import_module("trajstore.interop.plugged").format_of(_OFFERED[name])
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
        left_out = _module(kind).export_dataset(dataset, target)
    except SchemaError as error:
        raise click.UsageError(f"--to {kind}: {error}") from error
    counts = {"episodes": len(dataset), "steps": dataset.steps}
    facts = {"path": str(target), "format": kind, "left_out": list(left_out), **counts}
    if as_json:
        print_json(facts)
        return
    print_line(plain(f"wrote {len(dataset):,} episodes to {target}"))
    for line in left_out:
        print_line(plain(f"not written: {line}"))


@command(
    "trajstore import expert.npz --from npz --as expert",
    "trajstore import demos --from imitation --as demos --environment CartPole-v1",
    name="import",
)
@click.argument("source", metavar="PATH", type=click.Path(path_type=Path))
@click.option("--from", "kind", type=_CHOICE, required=True, help=_HELP)
@click.option("--as", "name", required=True, help="Dataset that gets a new version.")
@click.option("--mark-truncated", is_flag=True, help="Take an episode without an end as truncated.")
@click.option(
    "--leave-out", multiple=True, metavar="FIELD", help="Do not read this field; may be repeated."
)
@click.option(
    "--environment",
    metavar="ID",
    help="Gymnasium id of the environment that the data is of, where the file does not say it.",
)
@click.option(
    "--space",
    "spaces",
    multiple=True,
    metavar="FIELD=SPACE",
    help="What a field holds, where the file does not say it, as 'action=Discrete(4)'; may be "
    "repeated.",
)
@click.option(
    "--time-limit",
    type=click.IntRange(min=1),
    metavar="STEPS",
    help="Episodes of so many steps were truncated, where the file cannot say it.",
)
@dry_run_option("Read all of it, and record nothing.")
def import_(
    store: Store,
    source: Path,
    kind: str,
    name: str,
    dry_run: bool,
    as_json: bool,
    **choices: Any,  # noqa: ANN401 - options of the formats
) -> None:
    """Record the episodes at PATH as the next version of a dataset; it begins as a draft.

    All of it is read once before anything is recorded. What the file holds and the episodes do
    not is listed. An import that was interrupted goes on when it is given again.
    """
    check_name(name)
    imported = _imported(kind, source, choices)
    digests = [bytes.fromhex(episode.digest) for episode in imported.episodes]
    count = len(digests)
    if not count:
        raise CorruptionError(f"{source}: expected at least one episode, got none; export it again")
    facts: dict[str, object] = {"episodes": count, "recorded": not dry_run}
    facts |= {"left_out": list(imported.left_out), "notes": list(imported.notes)}
    content = content_digest(imported.schema, digests)
    known = None if dry_run else _version_of(store, name, content, imported.provenance)
    if known is not None:
        facts |= {"recorded": False, "version": known}
    elif not dry_run:
        facts |= _recorded(store, name, imported)
    if as_json:
        print_json(facts)
        return
    for line in (*(f"left out: {line}" for line in imported.left_out), *imported.notes):
        print_line(plain(line))
    if facts.get("resumed"):
        print_line(plain(f"went on after {facts['resumed']:,} episodes of an interrupted import"))
    done = "and recorded nothing" if dry_run else f"as {name}@{facts['version']}"
    if known is not None:
        done = f"and recorded nothing: {name}@{known} holds them already"
    print_line(plain(f"read {count:,} episodes {done}"))


def _imported(kind: str, source: Path, choices: dict[str, Any]) -> "Imported":
    """What a format's module makes of the source and the options, which it has to know."""
    read = _module(READERS.get(kind, kind)).import_dataset
    given = {name: value for name, value in choices.items() if value}
    for name in given.keys() - signature(read).parameters.keys():
        option = "--space" if name == "spaces" else f"--{name.replace('_', '-')}"
        raise click.UsageError(f"{option}: expected another format, as {kind} files say it")
    try:
        return cast("Imported", read(source, **given))
    except ArgumentError as error:
        raise click.UsageError(str(error)) from error


def _version_of(store: Store, name: str, content: str, provenance: Mapping[str, Any]) -> str | None:
    """The version that an earlier run of the same import has sealed, if one did."""
    for number in store.versions(name):
        with suppress(TrajStoreError):  # a damaged version is no reason not to import
            manifest = Manifest.read(store.path(f"{name}@v{number}"))
            if manifest.content_digest == content and manifest.provenance == provenance:
                return f"v{number}"
    return None


def _recorded(store: Store, name: str, imported: "Imported") -> dict[str, object]:
    with store.record(name, schema=imported.schema, provenance=imported.provenance) as recorder:
        before = recorder.episodes
        recorder.add_all(islice(imported.episodes, before, None))
    return {"version": recorder.target.name, "resumed": before}
