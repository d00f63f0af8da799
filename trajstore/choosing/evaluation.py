"""What a parsed condition says of each episode, computed over whole columns."""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from trajstore.choosing.expression import parse
from trajstore.episode.texts import shown
from trajstore.errors import ArgumentError

TRUTH, NUMBER, TEXT, TAGS = "a truth value", "a number", "text", "a set of tags"


@dataclass(frozen=True, slots=True)
class _Value:
    """One value an episode, or one for all; ``kind`` in words."""

    kind: str
    data: Any
    told: str


def satisfied(text: object, columns: Mapping[str, np.ndarray], count: int) -> np.ndarray:
    """Which of ``count`` episodes satisfy a condition on their columns; ``bool[count]``.

    A column is read if the condition names it. Numbers compare as NumPy compares them, arithmetic
    is that of float64 (but for ``%`` of whole numbers), and nothing compares with ``nan``.

    Raises:
        ArgumentError: if it is no condition, or compares what cannot be compared.
    """
    found = _Evaluation(columns).value(parse(text, columns))
    if found.kind != TRUTH:
        raise _wrong("the condition", "a truth value for each episode", found)
    return np.broadcast_to(np.asarray(found.data, bool), (count,)).copy()


class _Evaluation:
    """Goes through a tree that was checked before."""

    def __init__(self, columns: Mapping[str, np.ndarray]) -> None:
        self._columns = columns

    def value(self, node: ast.expr) -> _Value:
        """What a node stands for."""
        for kind, method in self._METHODS.items():
            if isinstance(node, kind):
                with np.errstate(all="ignore"):
                    return method(self, node)
        raise ArgumentError(
            f"where: expected a value, got {shown(ast.unparse(node))}; lists of "
            "values stand behind 'in'"
        )

    def _of(self, node: ast.expr, where: str, kind: str) -> Any:  # noqa: ANN401 - array or scalar
        found = self.value(node)
        if found.kind != kind:
            raise _wrong(where, kind, found)
        return found.data

    def _name(self, node: ast.Name) -> _Value:
        column = self._columns[node.id]
        return self._kind_of(column, node.id)

    def _constant(self, node: ast.Constant) -> _Value:
        for kind, known in ((bool, TRUTH), (int | float, NUMBER), (str, TEXT)):
            if isinstance(node.value, kind):
                return _Value(known, node.value, shown(node.value))
        raise ArgumentError(
            f"where: expected numbers, text, True or False, got {shown(node.value)}"
        )

    def _bool(self, node: ast.BoolOp) -> _Value:
        word, join = (
            ("and", np.logical_and) if isinstance(node.op, ast.And) else ("or", np.logical_or)
        )
        parts = [self._of(it, f"'{word}'", TRUTH) for it in node.values]
        return _Value(TRUTH, reduce(join, parts), f"'{word}'")

    def _unary(self, node: ast.UnaryOp) -> _Value:
        if isinstance(node.op, ast.Not):
            return _Value(TRUTH, np.logical_not(self._of(node.operand, "'not'", TRUTH)), "'not'")
        data = self._of(node.operand, "a sign", NUMBER)
        if isinstance(node.op, ast.USub):
            data = -data if isinstance(data, int | float) else -_real(data)
        return _Value(NUMBER, data, "a number")

    def _binary(self, node: ast.BinOp) -> _Value:
        sign, compute = _ARITHMETIC[type(node.op)]
        one, other = (self._of(it, f"'{sign}'", NUMBER) for it in (node.left, node.right))
        if sign == "%":
            if not np.all(other):
                raise ArgumentError("where: '%' by 0; leave those episodes out first")
            whole = all(np.asarray(it).dtype.kind in "iu" for it in (one, other))
            data = np.mod(one, other) if whole else np.mod(_real(one), _real(other))
        else:
            data = compute(_real(one), _real(other))
        return _Value(NUMBER, data, f"'{sign}'")

    def _subscript(self, node: ast.Subscript) -> _Value:
        array = self.value(node.value)
        try:
            place = ast.literal_eval(node.slice)
        except ValueError:
            place = None
        places = place if isinstance(place, tuple) else (place,)
        plain = all(type(it) is int for it in places)
        if (
            not plain
            or not isinstance(array.data, np.ndarray)
            or len(places) != array.data.ndim - 1
        ):
            raise ArgumentError(
                f"where: expected numbers of one component between the brackets behind "
                f"{array.told}, {array.kind}, got {shown(ast.unparse(node.slice))}"
            )
        try:
            data = array.data[(slice(None), *places)]
        except IndexError as error:
            raise ArgumentError(f"where: {array.told}: {error}") from None
        return self._kind_of(data, f"{array.told}[{ast.unparse(node.slice)}]")

    def _kind_of(self, data: np.ndarray, told: str) -> _Value:
        kinds = {"b": TRUTH, "U": TEXT, "O": TAGS}
        kind = kinds.get(data.dtype.kind, NUMBER)
        return _Value(f"an array of shape {data.shape[1:]}" if data.ndim > 1 else kind, data, told)

    def _compare(self, node: ast.Compare) -> _Value:
        data: Any = True
        left = node.left
        for sign, right in zip(node.ops, node.comparators, strict=True):
            data = np.logical_and(data, self._pair(left, sign, right))
            left = right
        return _Value(TRUTH, data, "a comparison")

    def _pair(self, left: ast.expr, sign: ast.cmpop, right: ast.expr) -> Any:  # noqa: ANN401
        one = self.value(left)
        if isinstance(sign, ast.In | ast.NotIn):
            found = self._within(one, right)
            return np.logical_not(found) if isinstance(sign, ast.NotIn) else found
        return _compared(one, type(sign), self.value(right))

    def _within(self, one: _Value, right: ast.expr) -> Any:  # noqa: ANN401
        if isinstance(right, ast.List | ast.Tuple | ast.Set):
            found = [_compared(one, ast.Eq, self.value(it)) for it in right.elts]
            return reduce(np.logical_or, found, False)
        other = self.value(right)
        if one.kind != TEXT:
            raise _wrong("'in'", "text before it, or a list behind it", one)
        if other.kind == TAGS and isinstance(one.data, str):
            return np.array([one.data in tags for tags in other.data], bool)
        if other.kind != TEXT:
            raise _wrong("'in'", "a list, text or tags behind it", other)
        return np.strings.find(other.data, one.data) >= 0

    _METHODS: Mapping[type[ast.expr], Callable[[Any, Any], _Value]] = {
        ast.Name: _name, ast.Constant: _constant, ast.BoolOp: _bool, ast.UnaryOp: _unary,
        ast.BinOp: _binary, ast.Subscript: _subscript, ast.Compare: _compare,
    }  # fmt: skip


def _compared(one: _Value, sign: type[ast.cmpop], other: _Value) -> Any:  # noqa: ANN401
    """Two values of one kind compared; truth values only by ``==`` and ``!=``."""
    word, compute = _SIGNS[sign]
    if one.kind != other.kind or one.kind not in (TRUTH, NUMBER, TEXT):
        raise ArgumentError(
            f"where: '{word}': expected two numbers, two texts or two truth values, got "
            f"{one.told}, {one.kind}, and {other.told}, {other.kind}"
        )
    if one.kind == TRUTH and sign not in (ast.Eq, ast.NotEq):
        raise _wrong(f"'{word}'", "numbers or texts", one)
    return compute(one.data, other.data)


def _real(data: Any) -> Any:  # noqa: ANN401 - array or scalar
    try:
        return np.asarray(data, np.float64)
    except OverflowError:
        raise ArgumentError(f"where: expected a number, got one too large: {shown(data)}") from None


def _wrong(where: str, expected: str, got: _Value) -> ArgumentError:
    hint = f"; write a comparison such as {got.told} > 0" if got.kind == NUMBER else ""
    return ArgumentError(f"where: {where}: expected {expected}, got {got.told}, {got.kind}{hint}")


_ARITHMETIC: dict[type[ast.operator], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Add: ("+", np.add), ast.Sub: ("-", np.subtract), ast.Mult: ("*", np.multiply),
    ast.Div: ("/", np.divide), ast.Mod: ("%", np.mod),
}  # fmt: skip
_SIGNS: dict[type[ast.cmpop], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Eq: ("==", np.equal), ast.NotEq: ("!=", np.not_equal), ast.Lt: ("<", np.less),
    ast.LtE: ("<=", np.less_equal), ast.Gt: (">", np.greater), ast.GtE: (">=", np.greater_equal),
}  # fmt: skip
