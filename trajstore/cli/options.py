"""Arguments and options that several commands share, and the store that they mean."""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from trajstore.dataset import Dataset
    from trajstore.store import Store

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

pass_store = click.pass_obj
"""Gives a command the folder of the store as its first argument."""


class FiniteRange(click.FloatRange):
    """A number within bounds; neither ``nan``, which no bound refuses, nor infinite."""

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        """Return the number.

        Raises:
            click.BadParameter: if it is none, out of bounds or not finite.
        """
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"expected a finite number, got {value!r}", param, ctx)
        return number


def json_option() -> Decorator:
    """``--json``: facts for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")


def reference_argument(name: str = "reference") -> Decorator:
    """One version."""
    return click.argument(name, metavar="REF")


def examples(*lines: str) -> str:
    """The examples at the end of a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def reviews_file(store: str) -> Path:
    """The file of curators' decisions: beside the store."""
    return Path(store).parent / "reviews.json"


def archive_place(store: str) -> Path | str:
    """The archive: as ``TRAJSTORE_ARCHIVE`` says, else beside the store."""
    return os.environ.get("TRAJSTORE_ARCHIVE") or Path(store).parent / "archive"


def open_store(store: str) -> "Store":
    """The store in a folder, with the reviews and the archive beside it."""
    from trajstore.store import Store

    return Store(store, archive=archive_place(store), reviews=reviews_file(store))


def version(store: str, reference: str) -> "Dataset":
    """The version that is meant, for looking at it: in the store, the archive, or at a URL.

    Raises:
        NameRefusedError: if the reference is malformed.
        NotFoundError: if there is no such version.
        ArchiveError: if its pack is not the one that was archived.
    """
    return look(open_store(store), reference)


def look(store: "Store", reference: str) -> "Dataset":
    """`version` in a store that is open.

    Raises:
        NotFoundError: if there is no such version; it says so where only the archive has it.
    """
    with _pointing_to_archive(store, reference):
        return store.open(reference, purpose="inspection")


@contextmanager
def _pointing_to_archive(store: "Store", reference: str) -> Iterator[None]:
    from trajstore.errors import NotFoundError

    try:
        yield
    except NotFoundError as error:
        archived = _archived(store, reference)
        if archived is None:
            raise
        raise NotFoundError(
            f"{reference}: expected a version that lies in the store, got one in the archive; "
            f"look at archive:{archived}, or bring it back: trajstore restore {archived}"
        ) from error


def _archived(store: "Store", reference: str) -> str | None:
    """The archived version that a reference would mean, had it not left the store."""
    from trajstore.episode.names import parse_reference
    from trajstore.errors import NotFoundError

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
    """Whether a reference means a version in the archive or at a URL, where nothing is written.

    Raises:
        NameRefusedError: if the reference is malformed.
    """
    from trajstore.episode.names import parse_reference
    from trajstore.version.location import is_url

    wanted = parse_reference(reference)
    return wanted.archived or is_url(wanted.location)


def version_path(store: str, reference: str) -> Path:
    """The folder of the version that is meant.

    Raises:
        NameRefusedError: if the reference is malformed.
        NotFoundError: if there is no such version, or it lies elsewhere.
    """
    opened = open_store(store)
    with _pointing_to_archive(opened, reference):
        return opened.path(reference)


def output_path(context: click.Context, _: click.Parameter, path: Path | None) -> Path | None:
    """Callback of options that say where to write: not into what is sealed or being recorded.

    Raises:
        SealedError: if the path leads there, through links too.
    """
    if path is not None:
        check_output(context.obj, path)
    return path


def check_output(store: str, path: Path) -> None:
    """Refuse to write into a version or a recording.

    Raises:
        SealedError: if the path leads there, through links too.
    """
    from trajstore.errors import SealedError

    real, root = path.resolve(), Path(store).resolve()
    for folder in (real, *real.parents):
        if _is_record(folder, root):
            raise SealedError(
                f"{path}: expected a place outside of versions and recordings, got one inside "
                f"{folder}, which no output may change; choose another folder"
            )


def _is_record(folder: Path, root: Path) -> bool:
    """Whether a folder is a version or a recording: by its place, or by what it holds."""
    from trajstore.disk.files import storing
    from trajstore.episode.names import version_number
    from trajstore.recording.unfinished import RECORD
    from trajstore.version.manifest import MANIFEST

    in_store = folder.parent.parent == root and folder.is_dir()
    if (in_store and version_number(folder.name)) or (folder / RECORD).is_file():
        return True
    manifest = folder / MANIFEST
    with storing(manifest):
        return manifest.is_file() and b'"content_digest"' in manifest.read_bytes()
