"""Conditions on episodes as text: ``operator == 'bo' and success and anomaly < 1``.

The text is parsed as Python's grammar has it, and never evaluated as code: a few kinds of nodes are
known, everything else is refused. What they stand for is computed over whole columns.
"""

import ast
import re
import warnings
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from trajstore.episode.texts import brief, shown
from trajstore.errors import ArgumentError

MAX_LETTERS = 4096
MAX_NODES = 1000
MAX_DEPTH = 40
ELSEWHERE = {
    **dict.fromkeys(
        ("mark", "tags", "note"), "where marks are given, as in select(..., marks=...)"
    ),
    "status": "of a version in a store, as in store.select(...)",
}
"""Columns that are there if something more is given, and where."""
KEYWORDS = {
    *("and", "or", "not", "in", "is", "if", "else", "for", "lambda"),
    "True",
    "False",
    "None",
}
"""Words of the grammar; a field of such a name is written between backticks."""
_TOKEN = re.compile(
    r"""(?P<text>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")|`(?P<quoted>[^`]*)`"""
    r"""|(?P<word>[A-Za-z0-9_][A-Za-z0-9_/-]*)"""
)
_COLUMN = "\u0192"
"""Begins the name of a column in the parsed text, where no other letter beyond ASCII may stand."""
_KNOWN = (
    *(ast.Expression, ast.BoolOp, ast.UnaryOp, ast.BinOp, ast.Compare, ast.Name, ast.Constant),
    *(ast.Tuple, ast.List, ast.Set, ast.Subscript, ast.Load),
    *(ast.And, ast.Or, ast.Not, ast.USub, ast.UAdd, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Mod),
    *(ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn),
)
_HELP = (
    "write comparisons of fields joined by and, or, not, such as: length >= 50 and operator == 'bo'"
)


def parse(text: object, columns: Iterable[str]) -> ast.expr:
    """The tree of a condition on columns of these names; ``id`` of each ``Name`` is a column's.

    Names with ``/`` or ``-`` are written as they are, or between backticks; the longest name that
    there is counts, so put blanks around a minus.

    Raises:
        ArgumentError: if it is no such condition, too long or too deep, or names another column.
    """
    if not isinstance(text, str) or not text.strip():
        raise ArgumentError(f"where: a condition is text, not {shown(text)}; {_HELP}")
    if len(text) > MAX_LETTERS:
        raise ArgumentError(
            f"where: the condition has {len(text):,} letters, at most {MAX_LETTERS:,} are "
            "read; shorten it"
        )
    known = list(columns)
    names = _Names(known)
    body = _grammar(text, names.replaced(text.strip()))
    _check(text, body, names)
    return body


def unknown(where: str, word: str, known: Sequence[str]) -> ArgumentError:
    """That there is no column of such a name, and which look alike."""
    if word in ELSEWHERE:
        return ArgumentError(f"{where}: {word!r} is known only {ELSEWHERE[word]}")
    close = get_close_matches(word, known, n=3) or get_close_matches(word.split("/")[0], known, n=3)
    remedy = (
        f"did you mean {' or '.join(close)}?"
        if close
        else f"there are {brief(', '.join(sorted(known)), 300)}; text stands between quotes"
    )
    return ArgumentError(f"{where}: episodes have no field {shown(word)}; {remedy}")


class _Names:
    """Gives columns names that Python's grammar takes, and knows them by these."""

    def __init__(self, known: list[str]) -> None:
        self.known = known
        self._places = {name: place for place, name in enumerate(known)}
        self.words: list[str] = []

    def replaced(self, text: str) -> str:
        """The text with each column under its stand-in."""
        out, at = [], 0
        for found in _TOKEN.finditer(text):
            out += [self._plain(text[at : found.start()]), self._token(found)]
            at = found.end()
        return "".join([*out, self._plain(text[at:])])

    def column(self, name: str) -> str:
        """The column behind a stand-in; any other name is refused, with those that look alike."""
        if name.startswith(_COLUMN):
            return self.known[int(name[1:])]
        word = next((it for it in self.words if name in re.split("[/-]", it)), name)
        raise unknown("where", word, self.known)

    def _plain(self, text: str) -> str:
        if not text.isascii() or "`" in text:
            raise ArgumentError(f"where: put text between quotes, also {shown(text.strip())}")
        return text

    def _token(self, found: re.Match[str]) -> str:
        if found["text"] is not None:
            return found["text"]
        if found["quoted"] is not None:
            if found["quoted"] not in self._places:
                self.column(found["quoted"])
            return self._stand_in(found["quoted"])
        return self._word(found["word"])

    def _word(self, word: str) -> str:
        """A word, or several that stand together as in ``return/length``: the longest names."""
        self.words.append(word)
        pieces = re.split("([/-])", word)
        out = []
        while pieces:
            counts = range(len(pieces), 0, -2)
            count = next((it for it in counts if "".join(pieces[:it]) in self._places), 0)
            name = "".join(pieces[:count])
            if count and name not in KEYWORDS:
                out.append(self._stand_in(name))
            else:
                count = 1
                out.append(pieces[0])
            out += pieces[count : count + 1]
            pieces = pieces[count + 1 :]
        return "".join(out)

    def _stand_in(self, name: str) -> str:
        return f"{_COLUMN}{self._places[name]}"


def _grammar(text: str, replaced: str) -> ast.expr:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(replaced, "where", "eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        told = error.msg if isinstance(error, SyntaxError) else type(error).__name__
        raise ArgumentError(f"where: {shown(text)} is not a condition ({told}); {_HELP}") from None


def _check(text: str, body: ast.expr, names: _Names) -> None:
    """Refuse nodes that are not known, and too many or too deep ones; put in columns' names."""
    open_nodes: list[tuple[ast.AST, int]] = [(body, 1)]
    count = 0
    while open_nodes:
        node, depth = open_nodes.pop()
        count += 1
        if count > MAX_NODES or depth > MAX_DEPTH:
            raise ArgumentError(
                f"where: more than {MAX_NODES} parts, or more than {MAX_DEPTH} within each "
                f"other, in {shown(text)}; select in two steps"
            )
        if not isinstance(node, _KNOWN):
            raise ArgumentError(f"where: {_told(node)} is no part of a condition; {_HELP}")
        if isinstance(node, ast.Name):
            node.id = names.column(node.id)
        open_nodes += [(child, depth + 1) for child in ast.iter_child_nodes(node)]


def _told(node: ast.AST) -> str:
    """A node that is refused, in words."""
    kinds = {ast.Call: "a call", ast.Attribute: "a name with a dot", ast.Pow: "a power"}
    kinds |= {ast.Is: "'is' (write ==)", ast.IsNot: "'is not' (write !=)", ast.IfExp: "an if"}
    return kinds.get(type(node), f"something else ({type(node).__name__})")
