"""Arguments and options that several commands share, and the store that they mean."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
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


def archive_folder(store: str) -> Path:
    """The archive, where none is named: beside the store."""
    return Path(store).parent / "archive"


def open_store(store: str) -> "Store":
    """The store in a folder, with the reviews and the archive beside it."""
    from trajstore.store import Store

    return Store(store, archive=archive_folder(store), reviews=reviews_file(store))


def version_path(store: str, reference: str) -> Path:
    """The folder of the version that is meant.

    Raises:
        NameRefusedError: if the reference is malformed.
        NotFoundError: if there is no such version, or it lies in the archive.
    """
    from trajstore.errors import NotFoundError
    from trajstore.names import parse_reference

    if parse_reference(reference).archived:
        raise NotFoundError(
            f"{reference}: expected a version in the store, got one in the archive; "
            "bring it back with 'trajstore restore'"
        )
    return open_store(store).path(reference)
