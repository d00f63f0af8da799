"""One value on its way into a field: copied, and never changed on the way."""

from typing import Any

import numpy as np

from trajstore.episode.fields import FieldSpec
from trajstore.episode.texts import check_text, shown
from trajstore.errors import SchemaError


def row_of(spec: FieldSpec, value: Any, when: str) -> np.ndarray:  # noqa: ANN401 - what a program returns
    """A value as one row of a field, in memory of its own.

    What is of another type, and the same number in the field's, is taken: 1 for a truth value, a
    list for an array. ``when`` is what messages call the step.

    Raises:
        SchemaError: if it is of another shape, or would not be the same in the field's dtype.
    """
    array = as_array(value)
    if array is not None and array.dtype == spec.dtype and array.shape == spec.shape:
        return array
    if spec.is_text:
        if array is None or array.dtype.kind != "U" or array.shape:
            raise _refusal(spec, value, when, "give it as text")
        check_text(f"field {spec.name!r}", str(as_plain(value)))
        return array
    row = None if array is None else exact(array, np.dtype(spec.dtype))
    if row is None or row.shape != spec.shape:
        remedy = "correct the environment, or what chose the action"
        if array is not None and array.shape == spec.shape and array.dtype.kind in "biuf":
            remedy = f"nothing is rounded: return {spec.dtype}, or declare the field {array.dtype}"
        raise _refusal(spec, value, when, remedy)
    return row


def exact(values: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray | None:
    """A copy of numbers in another dtype; ``None`` if one of them would not be the same.

    Example:
        >>> exact(np.array([1.0, 2.0]), np.dtype("int8")), exact(np.array(1.9), np.dtype("int8"))
        (array([1, 2], dtype=int8), None)
    """
    if values.dtype == dtype:
        return np.array(values, order="C")
    wide = values.dtype.itemsize == 8 and values.dtype.kind in "iu" and dtype.kind == "f"
    if np.can_cast(values.dtype, dtype, "safe") and not wide:
        return np.array(values, dtype, order="C")
    if values.dtype.kind not in "biuf":
        return None
    with np.errstate(all="ignore"):
        cast = values.astype(dtype, order="C")
    if values.dtype.kind == dtype.kind == "f":
        same = np.array_equal(cast, values, equal_nan=True)
    else:  # plain numbers of Python compare exactly, those of NumPy by rounding first
        same = cast.tolist() == values.tolist()
    return cast if same else None


def as_array(value: Any) -> np.ndarray | None:  # noqa: ANN401
    """A copy of a value, as an array of its own type; ``None`` if it is none, or hides a part."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        return None
    try:
        return np.array(as_plain(value), order="C", subok=False)
    except Exception:  # noqa: BLE001 - whatever foreign code raises, it gave no array
        return None


def as_plain(value: Any) -> Any:  # noqa: ANN401
    """A text or number of a class of its own, such as of an ``Enum``, as what it is.

    Its ``str()`` may be another text, and NumPy takes that.

    Example:
        >>> from http import HTTPMethod, HTTPStatus
        >>> as_plain(HTTPStatus.OK), as_plain(HTTPMethod.GET)
        (200, 'GET')
    """
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, np.generic | bool):
        return value
    if isinstance(value, float):
        return float.__float__(value)
    return int.__int__(value) if isinstance(value, int) else value


def _refusal(spec: FieldSpec, value: object, when: str, remedy: str) -> SchemaError:
    shape = getattr(value, "shape", None)
    what = type(value).__name__ if shape is None else f"{type(value).__name__} of shape {shape}"
    dtype = f" of {value.dtype}" if isinstance(value, np.ndarray) else ""
    return SchemaError(
        f"field {spec.name!r}: expected {spec.dtype} of shape {spec.shape} at every step, got "
        f"{what}{dtype}, {shown(value)}, at {when}; {remedy}"
    )
