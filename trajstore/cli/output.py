"""Tables, JSON, complaints, progress: what all commands print alike."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import click

from trajstore.episode.texts import legible

if TYPE_CHECKING:
    from rich.console import Console

Item = TypeVar("Item")

STYLES = {"validated": "green", "draft": "yellow", "quarantined": "red", "unreadable": "magenta"}

UNBROKEN = ("anomaly", "check", "dataset", "field", "scenario", "severity", "status", "version")
"""Columns of names, which are copied and searched for; the columns beside them wrap instead."""
MAX_UNBROKEN = 48
"""Letters; a longer name is broken after all, so that none of it is cut off."""


def complain(message: str) -> None:
    """One line on stderr."""
    with suppress(OSError):
        click.echo(f"trajstore: {' '.join(message.splitlines())}", err=True)


def print_json(value: object) -> None:
    """JSON on stdout; sorted, finite; in ASCII where the stream or a name is not UTF-8."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    utf = (sys.stdout.encoding or "utf-8").lower().replace("-", "") == "utf8"
    if not utf or any("\ud800" <= letter <= "\udfff" for letter in text if letter > "\ud7ff"):
        text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False)
    click.echo(text)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "") -> None:
    """A table on stdout; a column whose name begins with ``>`` is aligned to the right.

    Cells may hold rich's markup; use ``plain`` for text that came from data.
    """
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    cells = list(rows)
    for place, name in enumerate(columns):
        longest = max((len(row[place]) for row in cells), default=0)
        table.add_column(
            name.lstrip(">"),
            justify="right" if name.startswith(">") else "left",
            overflow="fold",
            no_wrap=name in UNBROKEN and longest <= MAX_UNBROKEN,
        )
    for row in cells:
        table.add_row(*row)
    _console().print(table)


def print_pairs(pairs: Mapping[str, str], *, title: str = "") -> None:
    """Names and values, one a line, below a title that is not broken at the table's width."""
    from rich.table import Table

    if title:
        print_line(f"[italic]{title}[/]")
    table = Table(box=None, show_header=False)
    for name, value in pairs.items():
        table.add_row(f"[dim]{plain(name)}[/dim]", value)
    _console().print(table)


def print_plugins(plugins: Mapping[str, str]) -> None:
    """Checks that other packages brought, by name, if there are any."""
    if plugins:
        told = ", ".join(
            f"{plain(name)} ({plain(origin)})" for name, origin in sorted(plugins.items())
        )
        print_line(f"checks of other packages: {told}")


def print_line(text: str) -> None:
    """One line of rich's markup."""
    _console().print(text, soft_wrap=True)


def plain(text: object) -> str:
    """Text from data, so that no part of it is taken for markup or control codes."""
    from rich.markup import escape

    return escape(legible(str(text)))


def cut(value: object) -> str:
    """A value from data for a cell: as `plain` gives it, shortened."""
    text = str(value)
    return plain(text if len(text) <= 160 else f"{text[:150]}... ({len(text):,} letters)")


def chip(status: str) -> str:
    """A status in its colour."""
    return f"[{STYLES.get(status, 'white')}]{plain(status)}[/]"


def bar(used: float, limit: float, *, width: int = 10) -> str:
    """How full something is, as a bar."""
    share = min(max(used / limit, 0.0), 1.0) if limit else 0.0
    full = round(share * width)
    colour = "red" if share > 0.9 else "yellow" if share > 0.7 else "green"
    block, rest = "█░" if (sys.stdout.encoding or "").lower().startswith("utf") else "#-"
    return f"[{colour}]{block * full}[/][dim]{rest * (width - full)}[/]"


def size(count: float) -> str:
    """Bytes for people, in powers of ten.

    Example:
        >>> size(999), size(12_345), size(25e9)
        ('999 B', '12.3 kB', '25.0 GB')
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(count) < 999.5 or unit == "TB":
            break
        count /= 1000
    return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"


def age(seconds: float) -> str:
    """A duration for people.

    Example:
        >>> age(42), age(3_700), age(200_000)
        ('42 s', '1 h', '2 d')
    """
    for unit, length in (("y", 31_557_600), ("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(int(seconds), 0)} s"


def is_interactive() -> bool:
    """Whether a person watches, so that progress is worth showing."""
    return sys.stderr.isatty()


def progress(items: Iterable[Item], label: str, *, count: int | None = None) -> Iterator[Item]:
    """Pass items through and show how far it is, if a person watches.

    Those whose number is told come one by one, else they are collected first.
    """
    if not is_interactive():
        yield from items
        return
    known = list(items) if count is None else items
    with click.progressbar(known, length=count, label=label, file=sys.stderr) as shown:
        yield from shown


def _console() -> "Console":
    from rich.console import Console

    width = None if sys.stdout.isatty() else 120
    return Console(width=width, highlight=False, file=sys.stdout)
