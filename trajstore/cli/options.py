"""What commands share: the store that is meant, the versions in it, arguments and options."""

import math
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial, wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from trajstore.cli.places import place_options, places
from trajstore.dataset import Dataset
from trajstore.disk.system import storing
from trajstore.episode.names import parse_reference, version_number
from trajstore.errors import NotFoundError, SealedError
from trajstore.lifecycle.archived import is_pack
from trajstore.recording.unfinished import RECORD
from trajstore.store import Store
from trajstore.version.location import is_url
from trajstore.version.manifest import MANIFEST

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
Found = TypeVar("Found")


class FiniteRange(click.FloatRange):
    """A number within bounds; neither ``nan``, which no bound refuses, nor infinite."""

    def convert(
        self, value: float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number; refuses what is none, out of bounds or not finite."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"expected a finite number, got {value!r}", param, ctx)
        return number


def examples(*lines: str) -> str:
    """The examples at the end of a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def command(
    *lines: str, name: str | None = None, short_help: str | None = None, prints_json: bool = True
) -> Callable[[Callable[..., Any]], click.Command]:
    """A command that receives the store first, and ``as_json``; ``lines`` are its examples."""

    def decorate(run: Callable[..., Any]) -> click.Command:
        @wraps(run)
        def with_store(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - a command's
            return run(Store(*places(click.get_current_context())), *arguments, **options)

        made = click.command(name, epilog=examples(*lines), short_help=short_help)(with_store)
        place_options(made)
        if prints_json:
            shown = "Print JSON instead of tables."
            made.params.append(click.Option(["--json", "as_json"], is_flag=True, help=shown))
        return made

    return decorate


def reference_argument(name: str = "reference") -> Decorator:
    """One version."""
    return click.argument(name, metavar="REF")


def dry_run_option(told: str = "Say what would happen, and change nothing.") -> Decorator:
    """``--dry-run``: say what would be done."""
    return click.option("--dry-run", is_flag=True, help=told)


def look(store: Store, reference: str) -> Dataset:
    """The version that is meant, for looking at it: in the store, the archive, or at a URL."""
    return _found(store, reference, partial(store.open, purpose="inspection"))


def version_path(store: Store, reference: str) -> Path:
    """The folder of the version that is meant; refused if it does not lie in the store."""
    return _found(store, reference, store.path)


def _found(store: Store, reference: str, find: Callable[[str], Found]) -> Found:
    """What ``find`` finds; says so where only the archive has the version."""
    try:
        return find(reference)
    except NotFoundError as error:
        archived = _archived(store, reference)
        if archived is None:
            raise
        raise NotFoundError(
            f"{reference}: is in the archive; look at archive:{archived}, or bring it back: "
            f"trajstore restore {archived}"
        ) from error


def _archived(store: Store, reference: str) -> str | None:
    """The archived version that a reference would mean, had it not left the store."""
    wanted = parse_reference(reference)
    if wanted.archived or wanted.location is not None:
        return None
    shelf = store.shelf(wanted.name)
    if wanted.version is None and shelf.live():
        return None
    with suppress(NotFoundError):
        return f"{wanted.name}@v{shelf.archived(replace(wanted, newest=True)).version}"
    return None


def is_elsewhere(reference: str) -> bool:
    """Whether a reference means a version in a pack or at a URL, where nothing is written."""
    wanted = parse_reference(reference)
    return wanted.archived or is_url(wanted.location) or is_pack(wanted.location)


def output_path(context: click.Context, _: click.Parameter, path: Path | None) -> Path | None:
    """Callback of options that say where to write: not into what is sealed or being recorded."""
    if path is not None:
        check_output(Store(*places(context)).root, path)
    return path


def check_output(root: Path, path: Path) -> None:
    """Refuse a path that leads into a version or a recording, through links too."""
    real = Path(os.path.realpath(path))  # a link to itself is told of by whoever writes
    for folder in (real, *real.parents):
        if _is_record(folder, root):
            raise SealedError(
                f"{path}: lies inside {folder}, which is sealed or being recorded; choose "
                "another folder"
            )


def _is_record(folder: Path, root: Path) -> bool:
    """Whether a folder is a version or a recording: by its place, or by what it holds."""
    in_store = folder.parent.parent == root and folder.is_dir()
    if (in_store and version_number(folder.name)) or (folder / RECORD).is_file():
        return True
    manifest = folder / MANIFEST
    with storing(manifest):
        return manifest.is_file() and b'"content_digest"' in manifest.read_bytes()
