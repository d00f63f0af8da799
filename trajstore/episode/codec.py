"""How frames of a camera are stored where a field says so: lossy once, and exact from then on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from trajstore.episode.texts import shown
from trajstore.errors import SchemaError


@dataclass(frozen=True, slots=True)
class Preset:
    """What a codec is made of.

    Attributes:
        quality: unless told.
        best, worst: bounds of the quality, in either direction.
        scale: what the quality is called where it is shown.
        group: frames that are stored together; of each group the first stands alone.
        decoder: whose pixels the frames are.
    """

    quality: int
    best: int
    worst: int
    scale: str
    group: int
    decoder: str


PRESETS = {
    "jpeg": Preset(85, 100, 1, "quality", 1, "libjpeg-turbo"),
    "h264": Preset(18, 1, 51, "rate factor", 4, "FFmpeg"),
}
"""``jpeg``: every frame by itself. ``h264``: short closed groups, a quarter of the size."""


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec of camera frames, ``uint8[height, width, 3]`` or with one channel.

    Attributes:
        name: ``jpeg`` or ``h264``.
        quality: of JPEG 1 to 100, more is better, 85 unless told; of H.264 the constant rate
            factor, 1 to 51, less is better, 18 unless told.

    Raises:
        SchemaError: if there is no such codec or quality.

    Example:
        >>> Codec("jpeg"), Codec("h264", 20).group
        (Codec(name='jpeg', quality=85), 4)
    """

    name: str
    quality: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or self.name not in PRESETS:
            raise SchemaError(
                f"codec: expected one of {', '.join(PRESETS)}, got {shown(self.name)}; "
                "leave it out to store frames without loss"
            )
        preset = PRESETS[self.name]
        quality: object = preset.quality if self.quality is None else self.quality
        low, high = sorted((preset.best, preset.worst))
        whole = isinstance(quality, int) and not isinstance(quality, bool)
        if not whole or not low <= quality <= high:  # type: ignore[operator]
            raise SchemaError(
                f"codec {self.name}: expected a whole number from {low} to {high} as "
                f"{preset.scale}, got {shown(quality)}"
            )
        object.__setattr__(self, "quality", quality)

    @property
    def group(self) -> int:
        """Frames that are stored together."""
        return PRESETS[self.name].group

    @property
    def decoder(self) -> str:
        """The library whose pixels the frames are."""
        return PRESETS[self.name].decoder

    def __str__(self) -> str:
        return f"{self.name}, {PRESETS[self.name].scale} {self.quality}"


def as_codec(where: str, value: Any) -> Codec | None:  # noqa: ANN401 - what a user or a file gives
    """A codec from its name, or from the mapping that a schema's record has."""
    if value is None or isinstance(value, Codec):
        return value
    if isinstance(value, str):
        return Codec(value)
    if isinstance(value, Mapping) and value.keys() == {"name", "quality"}:
        return Codec(**value)
    raise SchemaError(
        f"{where}: expected a codec by name, such as 'jpeg', or a Codec, got {shown(value)}"
    )


class Spec(Protocol):
    """What is asked of a field here."""

    @property
    def name(self) -> str:
        """Of the field."""

    @property
    def axis(self) -> str:
        """What a row stands for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a row."""

    @property
    def dtype(self) -> str:
        """Of the values."""

    @property
    def codec(self) -> Codec | None:
        """Of the field, if it declares one."""


def check_frames(spec: Spec, low: np.ndarray, high: np.ndarray) -> None:
    """Refuse a codec, if a field has one, for rows that are no frames, or that it cannot hold.

    ``low`` and ``high`` are the limits of the field's values.
    """
    codec = spec.codec
    if codec is None:
        return
    where, shape = f"field {spec.name!r}: codec {codec.name}", spec.shape
    if spec.dtype != "uint8" or len(shape) != 3 or shape[2] not in (1, 3):
        remedy = "leave the codec out"
        if len(shape) == 3 and shape[0] in (1, 3):
            remedy = "move the channels last: frames.transpose(0, 2, 3, 1)"
        raise SchemaError(
            f"{where}: expected uint8 frames of shape (height, width, 3 or 1), got {spec.dtype} "
            f"of shape {shape}; {remedy}"
        )
    if spec.axis == "episode" or np.any(low > 0) or np.any(high < 255):
        raise SchemaError(
            f"{where}: expected frames of the state or step axis and values from 0 to 255, got "
            "another axis or range; leave the codec out"
        )
    least, most, kind = (1, 65_500, "") if codec.group == 1 else (4, 16_384, "even ")
    if any(not least <= size <= most or (kind and size % 2) for size in shape[:2]):
        raise SchemaError(
            f"{where}: expected {kind}heights and widths from {least} to {most:,}, got "
            f"{shape[:2]}; use another codec"
        )
