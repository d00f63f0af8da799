"""``export`` and ``import``: to and from other formats."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from inspect import cleandoc, signature
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trajstore.cli.options import command, dry_run_option, look, output_path, reference_argument
from trajstore.cli.output import is_interactive, plain, print_json, print_line, progress
from trajstore.episode.names import check_name
from trajstore.episode.plugins import offered
from trajstore.errors import ArgumentError, CorruptionError, SchemaError, TrajStoreError
from trajstore.interop.formats import EXPORT, FINAL_STATES, FORMATS, IMPORT, told
from trajstore.store import Store
from trajstore.version.manifest import Manifest, content_digest

if TYPE_CHECKING:
    from trajstore.interop.imported import Imported

_OFFERED = {it.name: it for it in offered("format", FORMATS) if not it.clash}
_INTO = click.Choice([*(name for name, it in FORMATS.items() if it.writer), *_OFFERED])
_FROM = click.Choice([*(name for name, it in FORMATS.items() if it.reader), *_OFFERED])
_MORE = "\n\n".join(f"{name}: of {it.origin}." for name, it in _OFFERED.items())
_OPTIONS = {"spaces": "--space"}


def _called(function: Callable[..., Any], kind: str, *given: Any, **choices: Any) -> Any:  # noqa: ANN401 - of the formats
    """What a format's function gives; it has to know the options that were chosen."""
    chosen = {name: value for name, value in choices.items() if value}
    for name in chosen.keys() - signature(function).parameters.keys():
        option = _OPTIONS.get(name, f"--{name.replace('_', '-')}")
        raise click.UsageError(f"{option}: {kind} has no use for it; leave it out")
    try:
        return function(*given, **chosen)
    except ArgumentError as error:
        raise click.UsageError(str(error)) from error


def _function(kind: str, name: str) -> Callable[..., Any]:
    if kind in _OFFERED:
        made = import_module("trajstore.interop.plugged").format_of(_OFFERED[kind])
        found: Callable[..., Any] = getattr(made, name)
        return found
    try:
        return FORMATS[kind].function(name)
    except ArgumentError as error:
        raise click.UsageError(str(error)) from error


@command(
    "trajstore export expert@v3 --to npz expert-v3.npz",
    "trajstore export expert --to minari expert-v3",
    "trajstore export expert --to lerobot expert-lerobot --lossless --fps 10",
)
@reference_argument()
@click.option("--to", "kind", type=_INTO, required=True, help="Format; see above.")
@click.option("--lossless", is_flag=True, help="lerobot: pictures as PNG, not as video.")
@click.option(
    "--codec", type=click.Choice(["av1", "h264"]), help="lerobot: codec of videos [default: av1]."
)
@click.option(
    "--fps",
    type=click.IntRange(min=1),
    help="lerobot, rerun: steps a second, if the provenance has no 'dt'.",
)
@click.argument("target", metavar="PATH", type=click.Path(path_type=Path), callback=output_path)
def export(
    store: Store,
    reference: str,
    kind: str,
    target: Path,
    as_json: bool,
    **choices: Any,  # noqa: ANN401 - options of the formats
) -> None:
    """Write the version REF to a new PATH in another format.

    What the format has no place for is listed. The formats, what they keep and lose:
    """
    function = _function(kind, EXPORT)
    dataset = look(store, reference)
    try:
        with _watched(len(dataset), "writing") as progress:
            left_out = _called(function, kind, dataset, target, progress=progress, **choices)
    except SchemaError as error:
        raise click.UsageError(f"--to {kind}: {error}") from error
    counts = {"episodes": len(dataset), "steps": dataset.steps}
    facts = {"path": str(target), "format": kind, "left_out": list(left_out), **counts}
    if as_json:
        print_json(facts)
        return
    print_line(plain(f"wrote {len(dataset):,} episodes to {target}"))
    for line in left_out:
        print_line(plain(f"readers of {kind} miss: {line}"))


export.help = f"{cleandoc(export.help or '')}\n\n{told(EXPORT)}\n\n{_MORE}"


@contextmanager
def _watched(count: int, label: str) -> Iterator[Callable[[int], None]]:
    """A bar that is told of episodes, if a person watches."""
    if not is_interactive():
        yield lambda _: None
        return
    with click.progressbar(length=count, label=label, file=sys.stderr) as shown:
        yield shown.update


@command(
    "trajstore import expert.npz --from npz --as expert",
    "trajstore import demos --from imitation --as demos --environment CartPole-v1",
    "trajstore import low_dim.hdf5 --from robomimic --as lift",
    "trajstore import pusht --from lerobot --as pusht",
    "trajstore import pusht --from lerobot --as pusht --codec observation.image=jpeg",
    name="import",
)
@click.argument("source", metavar="PATH", type=click.Path(path_type=Path))
@click.option("--from", "kind", type=_FROM, required=True, help="Format; see above.")
@click.option("--as", "name", required=True, help="Name of the dataset that gets a new version.")
@click.option("--mark-truncated", is_flag=True, help="Take an episode without an end as truncated.")
@click.option(
    "--leave-out", multiple=True, metavar="FIELD", help="Do not read this field; may be repeated."
)
@click.option(
    "--environment",
    metavar="ID",
    help="Gymnasium id of the environment, if the file does not say it.",
)
@click.option(
    "--space",
    "spaces",
    multiple=True,
    metavar="FIELD=SPACE",
    help="What a field holds, if the file does not say it, such as 'action=Discrete(4)'; may be "
    "repeated.",
)
@click.option(
    "--time-limit",
    type=click.IntRange(min=1),
    metavar="STEPS",
    help="Take episodes of this length as truncated, if the file does not say it.",
)
@click.option(
    "--final-state",
    type=click.Choice(list(FINAL_STATES)),
    help="If the file has no state after the last action: leave that action out (drop, the "
    "default), take the last observation twice (repeat), or do without (none: observations lie "
    "on the step axis).",
)
@click.option(
    "--codec",
    "codecs",
    multiple=True,
    metavar="FIELD=CODEC",
    help="Store a camera with loss, such as 'front=jpeg', 'front=jpeg,quality=95' or "
    "'front=h264,quality=26,group=8'; without loss unless told; may be repeated.",
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

    All of it is read once before anything is recorded, and what cannot be kept is listed. If an
    import is interrupted, the same command goes on with it. The formats, what they keep and lose:
    """
    check_name(name)
    codecs = choices.pop("codecs")
    imported: Imported = _called(_function(kind, IMPORT), kind, source, **choices)
    imported = import_module("trajstore.interop.coded").with_codecs(imported, codecs)
    episodes = progress(imported.episodes, "reading", count=imported.count)
    digests = [bytes.fromhex(episode.digest) for episode in episodes]
    count = len(digests)
    if not count:
        raise CorruptionError(f"{source}: holds no episode; export it again")
    facts: dict[str, object] = {"episodes": count, "recorded": not dry_run}
    facts |= {"left_out": list(imported.left_out), "notes": list(imported.notes)}
    known = None if dry_run else _version_of(store, name, imported, digests)
    if known is not None:
        facts |= {"recorded": False, "version": known}
    elif not dry_run:
        facts |= _recorded(store, name, imported, count)
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


import_.help = f"{cleandoc(import_.help or '')}\n\n{told(IMPORT)}\n\n{_MORE}"


def _version_of(
    store: Store, name: str, imported: "Imported", digests: Sequence[bytes]
) -> str | None:
    """The version that an earlier run of the same import has sealed, if one did.

    Frames of a codec are compared as they are recorded, once a version is like them in all else.
    """
    content = "" if imported.schema.coded else content_digest(imported.schema, digests)
    for number in store.versions(name):
        with suppress(TrajStoreError):  # a damaged version is no reason not to import
            manifest = Manifest.read(store.path(f"{name}@v{number}"))
            like = manifest.schema == imported.schema and manifest.episodes == len(digests)
            if like and manifest.provenance == imported.provenance:
                content = content or _recorded_digest(imported, len(digests))
                if manifest.content_digest == content:
                    return f"v{number}"
    return None


def _recorded_digest(imported: "Imported", count: int) -> str:
    recordable = import_module("trajstore.version.cameras").recordable
    episodes = progress(imported.episodes, "comparing", count=count)
    digests = (bytes.fromhex(recordable(episode).digest) for episode in episodes)
    return content_digest(imported.schema, digests)


def _recorded(store: Store, name: str, imported: "Imported", count: int) -> dict[str, object]:
    episodes = progress(imported.episodes, "recording", count=count)
    with store.record(name, schema=imported.schema, provenance=imported.provenance) as recorder:
        before = recorder.episodes
        recorder.add_all(islice(episodes, before, None))
    return {"version": recorder.target.name, "resumed": before}
