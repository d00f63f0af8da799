"""Markdown in which texts from elsewhere stay texts, wherever they stand in a line."""

import re
from collections.abc import Iterable, Sequence

from trajstore.episode.texts import brief, legible

MOST = 400
"""Letters of one text; what is longer is cut."""
_ENTITIES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "{": "&#123;",
    "}": "&#125;",
    "@": "&#64;<!-- -->",  # viewers make links of addresses and names, whatever marks are escaped
}
_MARKS = re.compile(r"[\\`*_\[\]|~$:#!^=\"'()+.-]")
"""What could begin a mark, a link, or something that a viewer makes of plain text."""


def text(value: object, most: int = MOST) -> str:
    r"""A value as text on one line: no mark, link, tag, mention or template in it counts.

    Example:
        >>> text("a|b <b>")
        'a\\|b &lt;b&gt;'
    """
    marked = _MARKS.sub(lambda found: f"\\{found[0]}", legible(brief(value, most)))
    return "".join(_ENTITIES.get(letter, letter) for letter in marked).strip() or "&nbsp;"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table of Markdown; a column whose name begins with ``>`` is right aligned."""
    ruler = ("---:" if name.startswith(">") else "---" for name in columns)
    names = (name.lstrip(">") for name in columns)
    lines = [*map(list, (names, ruler)), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]
