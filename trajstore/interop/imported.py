"""Episodes that come from another format, and files in one that appear whole or not at all."""

import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trajstore.dataset import Dataset
from trajstore.disk.files import remove_tree
from trajstore.disk.system import storing
from trajstore.episode.episode import Episode
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import CorruptionError, NotFoundError, SchemaError, SealedError

UNREADABLE = (
    ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError,
    ValueError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What readers of other packages raise on files that are not theirs, or are damaged."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an importer gives.

    Attributes:
        schema: of the episodes.
        provenance: that travelled with them; plain JSON values.
        episodes: each is read when it is asked for.
    """

    schema: EpisodeSchema
    provenance: Mapping[str, Any]
    episodes: Iterator[Episode]


def about(dataset: Dataset) -> dict[str, Any]:
    """What travels with the episodes, as plain JSON: schema and provenance."""
    provenance = dict(dataset.manifest.provenance)
    return {"schema": dataset.schema.to_json(), "provenance": provenance}


def read_about(record: Mapping[str, Any]) -> tuple[EpisodeSchema, dict[str, Any]]:
    """Schema and provenance, from what `about` gave; what makes no sense raises as they do."""
    return EpisodeSchema.from_json(record["schema"]), dict(record["provenance"])


def check_has(dataset: Dataset, *names: str, package: str) -> None:
    """Refuse a dataset without a field that a package's format demands."""
    missing = set(names) - set(dataset.schema.names)
    if missing:
        raise SchemaError(
            f"field {min(missing)!r}: expected it, as {package} demands one, got "
            f"{list(dataset.schema.names)}; export to npz"
        )


@contextmanager
def whole_export(target: Path) -> Iterator[Path]:
    """Yield an absolute path for a file or folder; it becomes ``target`` if the block ends well.

    Otherwise nothing stays, parent folders that were made for it included.
    """
    if os.path.lexists(target):
        raise SealedError(
            f"{target}: expected a new path to export to, got one that exists; choose another, "
            "or remove it"
        )
    whole = target.absolute()
    made = [folder for folder in whole.parents if not folder.exists()]
    partial = whole.with_name(f".{whole.name}.{os.getpid()}.partial")
    with storing(target):
        try:
            whole.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            partial.rename(whole)
        except BaseException:
            with suppress(OSError):  # which must not hide the error that brought us here
                remove_tree(partial)
                for folder in made:
                    folder.rmdir()
            raise


@contextmanager
def reading(source: Path, what: str) -> Iterator[None]:
    """Turn what a foreign reader raises into a `CorruptionError` that tells what was expected."""
    if not source.exists():
        raise NotFoundError(f"{source}: expected data to import, got nothing there; check the path")
    try:
        yield
    except UNREADABLE as error:
        told = " ".join(str(error).split()) or type(error).__name__
        raise CorruptionError(
            f"{source}: expected {what}, got something else ({told}); export it again"
        ) from error
