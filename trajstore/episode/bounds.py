"""The limits of a field's values: one number, or nested tuples that broadcast to its shape."""

from functools import lru_cache
from typing import Any

import numpy as np

from trajstore.episode.texts import shown
from trajstore.errors import SchemaError

Bound = float | int | None | tuple["Bound", ...]
"""A limit of a range: one number, or nested tuples that broadcast to the field's shape."""

_NO_NUMBERS = frozenset({"bool", "str"})


def frozen_bound(where: str, bound: Any, *, shape: tuple[int, ...], dtype: str) -> Any:  # noqa: ANN401 - any nesting of numbers
    """Nested tuples of plain numbers, ``None`` where there is no limit; one number if all agree.

    Infinities are no limits; ``where`` is what messages call the limit.
    """
    if bound is None:
        return None
    number = float if dtype.startswith("float") else _plain
    try:
        leaves = np.array(np.asarray(bound).tolist(), dtype=object)
        plain = [
            None if leaf is None or np.isinf(leaf) else number(leaf) for leaf in leaves.ravel()
        ]
        unknown = any(leaf is not None and np.isnan(leaf) for leaf in plain)
    except (OverflowError, TypeError, ValueError) as error:
        raise SchemaError(
            f"{where}: expected a number, or nested lists of numbers, got {shown(bound)}"
        ) from error
    if unknown or dtype in _NO_NUMBERS:
        raise SchemaError(f"{where}: expected no limit or a number, got {shown(bound)} for {dtype}")
    sides = zip(reversed(leaves.shape), reversed(shape), strict=False)
    if leaves.ndim > len(shape) or any(size not in (1, other) for size, other in sides):
        raise SchemaError(
            f"{where}: expected a limit that broadcasts to shape {shape}, got one of shape "
            f"{leaves.shape}"
        )
    if len({(type(leaf), leaf) for leaf in plain}) == 1:
        return plain[0]
    return _tuples(np.array(plain, dtype=object).reshape(leaves.shape).tolist())


def _plain(leaf: Any) -> Any:  # noqa: ANN401 - a number
    return int(leaf) if leaf == int(leaf) else leaf


def _tuples(nested: Any) -> Any:  # noqa: ANN401 - any nesting
    return tuple(_tuples(item) for item in nested) if isinstance(nested, list) else nested


def limit(bound: Any, *, dtype: str, missing: float) -> Any:  # noqa: ANN401 - scalar or array
    """A limit from `frozen_bound` as an array that broadcasts to the field's shape.

    ``missing`` stands where there is none; that of floats is rounded as the field's values are.
    """
    if bound is None:
        return np.float64(missing)
    leaves = filled(bound, missing)
    with np.errstate(over="ignore"):  # a limit beyond the kind of number is none
        return leaves.astype(dtype) if dtype.startswith("float") else np.array(leaves.tolist())


def filled(bound: Any, missing: float) -> np.ndarray:  # noqa: ANN401 - any nesting
    """A limit as an array of plain numbers, ``missing`` where there is none."""
    leaves = np.array(bound, dtype=object)
    return np.where(np.equal(leaves, np.array(None)), missing, leaves)


@lru_cache(maxsize=1024)
def covers(low: Bound | None, high: Bound | None, dtype: str) -> bool:
    """Whether limits leave out no value of a dtype, like none, or 0 and 255 of ``uint8``."""
    if low is None and high is None:
        return True
    kind = np.dtype(dtype)
    if kind.kind not in "iu":
        return False
    ends = np.iinfo(kind)
    least = limit(low, dtype=dtype, missing=-np.inf)
    most = limit(high, dtype=dtype, missing=np.inf)
    return bool(np.all(least <= ends.min) and np.all(most >= ends.max))
