"""Arguments and options that several commands share, and the store that they mean."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from trajstore.dataset import Dataset
    from trajstore.store import Store

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

pass_store = click.pass_obj
"""Gives a command the folder of the store as its first argument."""


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
    return open_store(store).open(reference, purpose="inspection")


def is_elsewhere(reference: str) -> bool:
    """Whether a reference means a version in the archive or at a URL, where nothing is written.

    Raises:
        NameRefusedError: if the reference is malformed.
    """
    from trajstore.location import is_url
    from trajstore.names import parse_reference

    wanted = parse_reference(reference)
    return wanted.archived or is_url(wanted.location)


def version_path(store: str, reference: str) -> Path:
    """The folder of the version that is meant.

    Raises:
        NameRefusedError: if the reference is malformed.
        NotFoundError: if there is no such version, or it lies elsewhere.
    """
    return open_store(store).path(reference)
