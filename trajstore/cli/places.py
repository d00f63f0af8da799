"""Where the store, its archive and its reviews lie: options before a command, and behind it."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any] | click.Command)


def _chosen(context: click.Context, option: click.Parameter, value: str | None) -> None:
    """Keep where something lies; of two, the one behind the command counts."""
    if value == "":
        raise click.BadParameter(
            "the path is empty; leave the option out, or name a place", context, option
        )
    if value is not None:
        context.ensure_object(dict)[option.name] = value


_option = partial(click.option, callback=_chosen, expose_value=False, is_eager=True)


def place_options(command: Command) -> Command:
    """Let a command, or the group of all, say where the store and what belongs to it lie."""
    for option in (
        _option(
            "--reviews",
            type=click.Path(dir_okay=False),
            help="File of curators' decisions [default: what TRAJSTORE_REVIEWS says, else "
            "'reviews.json' beside the store].",
        ),
        _option(
            "--archive",
            metavar="PATH_OR_URL",
            help="Where archived versions lie [default: what TRAJSTORE_ARCHIVE says, else the "
            "folder 'archive' beside the store].",
        ),
        _option(
            "--store",
            type=click.Path(file_okay=False),
            help="Folder of the store [default: what TRAJSTORE says, else data/store].",
        ),
    ):
        command = option(command)
    return command


def places(context: click.Context) -> tuple[str, str | None, str | None]:
    """Where the store, its archive and its reviews lie, as `Store` takes them."""
    chosen = context.ensure_object(dict)
    return named_store(context) or "data/store", chosen.get("archive"), chosen.get("reviews")


def named_store(context: click.Context) -> str | None:
    """The store that a user named, by option or in the environment."""
    return context.ensure_object(dict).get("store") or os.environ.get("TRAJSTORE") or None
