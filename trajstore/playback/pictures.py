"""Fields that are pictures, and their rows as pictures of eight bits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from trajstore.episode.roles import implied_role
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec

CHANNELS = (1, 3)
"""Of a picture: grey, or red, green and blue; they come last in a row, or first."""
LEAST, LEAST_PLAIN = 8, 16
"""Pixels of a side below which a field is a table of numbers; the second without channels."""
SMALL = 128
"""Pixels of a side up to which pictures may be kept without loss."""
FEW = 16
"""A grey picture of no higher whole number is stretched: it shows classes, not light."""


@dataclass(frozen=True, slots=True)
class Camera:
    """A field whose rows are pictures.

    Attributes:
        size: width and height, pixels.
        first: whether the channels come first in a row.
        low: the value that is drawn black.
        high: the value that is drawn white, or in full colour.
    """

    name: str
    axis: Axis
    size: tuple[int, int]
    first: bool
    low: float
    high: float

    @property
    def stretched(self) -> str:
        """In words, which values are black and white, where that is not plain."""
        plain = (self.low, self.high) in ((0.0, 255.0), (0.0, 1.0))
        return "" if plain else f"drawn from {self.low:.4g} (black) to {self.high:.4g} (white)"

    def frames(self, steps: int) -> int:
        """How many pictures an episode of ``steps`` steps has."""
        return 1 if self.axis is Axis.EPISODE else steps + (self.axis is Axis.STATE)

    def picture(self, row: np.ndarray) -> np.ndarray:
        """A row as ``uint8[height, width]``, or ``[height, width, 3]``; ``nan`` is black."""
        rows = np.moveaxis(row, 0, -1) if self.first else row
        if rows.ndim == 3 and rows.shape[2] == 1:
            rows = rows[..., 0]
        if rows.dtype == np.uint8 and (self.low, self.high) == (0.0, 255.0):
            return np.ascontiguousarray(rows)
        share = (rows.astype(np.float64) - self.low) / ((self.high - self.low) or 1.0)
        found: np.ndarray = np.round(np.nan_to_num(np.clip(share, 0, 1)) * 255).astype(np.uint8)
        return found


def is_picture(spec: FieldSpec) -> bool:
    """Whether the rows of a field are pictures: ``[H, W]``, or with one or three channels.

    Example:
        >>> is_picture(FieldSpec("front", Axis.STATE, (3, 48, 64), "uint8"))
        True
        >>> is_picture(FieldSpec("others", Axis.STATE, (20, 2), "float32"))
        False
    """
    shape, sides = spec.shape, _sides(spec.shape)
    role = spec.role or implied_role(spec.name, spec.axis, shape, text=spec.is_text)
    return not spec.is_text and not role and sides is not None


def cameras_of(
    schema: EpisodeSchema, statistics: Mapping[str, Mapping[str, Any]]
) -> tuple[Camera, ...]:
    """The fields of a schema that are pictures; statistics tell a range that it does not."""
    return tuple(
        Camera(spec.name, spec.axis, sides, first, *_range(spec, statistics.get(spec.name, {})))
        for spec in schema.fields
        if is_picture(spec)
        for sides, first in [_sides(spec.shape) or ((0, 0), False)]
    )


def _sides(shape: tuple[int, ...]) -> tuple[tuple[int, int], bool] | None:
    """Width and height of a picture, and whether channels come first; ``None`` for no picture."""
    if len(shape) == 2 and min(shape) >= LEAST_PLAIN:
        return (shape[1], shape[0]), False
    if len(shape) != 3:
        return None
    if shape[2] in CHANNELS and min(shape[:2]) >= LEAST:
        return (shape[1], shape[0]), False
    if shape[0] in CHANNELS and min(shape[1:]) >= LEAST:
        return (shape[2], shape[1]), True
    return None


def _range(spec: FieldSpec, figures: Mapping[str, Any]) -> tuple[float, float]:
    declared = (_end(np.min, spec.low), _end(np.max, spec.high))
    low, high = (_end(end, figures.get(key)) for key, end in (("min", np.min), ("max", np.max)))
    if spec.dtype == "bool":
        return 0.0, 1.0
    if spec.dtype == "uint8":
        grey = 3 not in (spec.shape[0], spec.shape[-1])
        most = declared[1] if declared[1] is not None else high if grey else None
        return 0.0, max(most, 1.0) if most is not None and most < FEW else 255.0
    if declared[0] is not None and declared[1] is not None:
        return declared[0], declared[1]
    low, high = 0.0 if low is None else low, 1.0 if high is None else high
    if spec.dtype.startswith("float") and low >= 0.0 and high <= 1.0:
        return 0.0, 1.0
    return low, high


def _end(end: Any, value: object) -> float | None:  # noqa: ANN401 - np.min or np.max
    """The least or greatest of a bound or of figures; ``None`` if there is none."""
    if value is None:
        return None
    flat = np.ravel(np.array(value, np.float64))
    flat = flat[np.isfinite(flat)]
    return float(end(flat)) if len(flat) else None
