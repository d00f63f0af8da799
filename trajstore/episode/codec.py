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
        group: frames that are stored together, unless told; of each group the first stands alone.
        decoder: whose pixels the frames are.
    """

    quality: int
    best: int
    worst: int
    scale: str
    group: int
    decoder: str


MAX_GROUP = 60
PRESETS = {
    "jpeg": Preset(85, 100, 1, "quality", 1, "libjpeg-turbo"),
    "h264": Preset(24, 1, 51, "quantizer", 3, "FFmpeg"),
}
"""``jpeg``: every frame by itself. ``h264``: short closed groups, a quarter of the size."""


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec of camera frames, ``uint8[height, width, 3]`` or with one channel.

    Attributes:
        name: ``jpeg`` or ``h264``.
        quality: of JPEG 1 to 100, more is better, 85 unless told; of H.264 the quantizer, 1 to 51,
            less is better, 24 unless told.
        group: frames of H.264 that are stored together, 2 to 60, 3 unless told: more take less
            room, and longer to read one of them. 1 of JPEG.

    Raises:
        SchemaError: if there is no such codec, quality or group.

    Example:
        >>> Codec("jpeg"), Codec("h264", 20).group
        (Codec(name='jpeg', quality=85, group=1), 3)
    """

    name: str
    quality: int | None = None
    group: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or self.name not in PRESETS:
            raise SchemaError(
                f"codec: expected one of {', '.join(PRESETS)}, got {shown(self.name)}; "
                "leave it out to store frames without loss"
            )
        preset = PRESETS[self.name]
        groups = (1, 1) if preset.group == 1 else (2, MAX_GROUP)
        wanted = (
            ("quality", preset.scale, preset.quality, sorted((preset.best, preset.worst))),
            ("group", "frames of a group", preset.group, groups),
        )
        for name, what, usual, (low, high) in wanted:
            value = getattr(self, name)
            value = usual if value is None else value
            whole = isinstance(value, int) and not isinstance(value, bool)
            if not whole or not low <= value <= high:
                raise SchemaError(
                    f"codec {self.name}: expected a whole number from {low} to {high} as {what}, "
                    f"got {shown(value)}"
                )
            object.__setattr__(self, name, value)

    @property
    def most(self) -> int:
        """Frames of a whole group."""
        return self.group or 1

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
    if isinstance(value, Mapping) and value.keys() == {"name", "quality", "group"}:
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
    least, most, kind = (1, 65_500, "") if codec.most == 1 else (4, 16_384, "even ")
    if any(not least <= size <= most or (kind and size % 2) for size in shape[:2]):
        raise SchemaError(
            f"{where}: expected {kind}heights and widths from {least} to {most:,}, got "
            f"{shape[:2]}; use another codec"
        )
