"""Options that the commands of governance share, and the store that they stand for."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from trajstore.cli.options import Decorator

if TYPE_CHECKING:
    from trajstore.store import Store


def archive_option() -> Decorator:
    """``--archive``: where packs go."""
    return click.option(
        "--archive",
        metavar="PATH_OR_URL",
        envvar="TRAJSTORE_ARCHIVE",
        help="Where archived versions lie [default: the folder 'archive' beside the store].",
    )


def reviews_option() -> Decorator:
    """``--reviews``: the file of people's decisions."""
    return click.option(
        "--reviews",
        envvar="TRAJSTORE_REVIEWS",
        type=click.Path(dir_okay=False),
        help="File of curators' decisions [default: 'reviews.json' beside the store].",
    )


def dry_run_option() -> Decorator:
    """``--dry-run``: say what would be done."""
    return click.option("--dry-run", is_flag=True, help="Print the decision and stop.")


def open_store(
    root: str, *, archive: Path | str | None = None, reviews: str | None = None
) -> "Store":
    """Return the store with what the options say."""
    from trajstore.store import Store

    return Store(root, archive=archive, reviews=reviews)
