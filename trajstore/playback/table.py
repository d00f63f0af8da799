"""What holds for whole episodes, a column each: recorded fields, and what episodes come to."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from trajstore.episode.schema import Axis, FieldSpec
from trajstore.playback.viewed import Viewed

LISTED = 16
"""Most components of a field that are shown as a list of numbers."""
DIGITS = 9
STATISTICS = {
    "return": ("return", ""),
    "length": ("steps", "steps"),
    "anomaly": ("score", ""),
    "least clearance": ("min_clearance", "m"),
}
"""What episodes come to: keys of a page's rows, and units."""


def is_listed(spec: FieldSpec) -> bool:
    """Whether the values of a field of the episode axis are shown."""
    return spec.is_text or prod(spec.shape) <= LISTED


def fields_of(viewed: Viewed, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The columns of a page's episodes: name, kind, unit, and a value for each of the rows.

    A kind is ``number``, ``truth``, ``text`` or ``list``. A recorded field that is called like
    something that episodes come to is ``recorded``.
    """
    found = []
    for name, (key, unit) in STATISTICS.items():
        values = [row[key] for row in rows]
        if any(value is not None for value in values):
            found.append({"name": name, "kind": "number", "unit": unit, "values": values})
    for spec in viewed.manifest.schema.on(Axis.EPISODE):
        if spec.name in viewed.table and is_listed(spec):
            name = f"{spec.name} recorded" if spec.name in STATISTICS else spec.name
            values = _values(spec, viewed.table[spec.name][[row["index"] for row in rows]])
            found.append({"name": name, "kind": _kind(spec), "unit": spec.unit, "values": values})
    return found


def _kind(spec: FieldSpec) -> str:
    if spec.is_text:
        return "text"
    if prod(spec.shape) != 1:
        return "list"
    return "truth" if spec.dtype == "bool" else "number"


def _values(spec: FieldSpec, column: np.ndarray) -> list[Any]:
    parts = prod(spec.shape)
    found: list[list[Any]] = column.reshape(len(column), parts).tolist()
    if column.dtype.kind == "f":
        found = [[float(f"{it:.{DIGITS}g}") for it in value] for value in found]
    return [value[0] for value in found] if parts == 1 else found
