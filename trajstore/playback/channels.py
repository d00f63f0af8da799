"""The numbers of an episode that playback shows, packed small for a page.

A value becomes the nearest whole multiple of its channel's scale (a millimetre for positions). A
column is the differences of those multiples, written as base-128 numbers of one to nine bytes;
zero stands for "no value". All columns of an episode are deflated together and written as
base64. ``unpack.js`` is the counterpart that the page runs.
"""

import base64
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec
from trajstore.playback.pictures import is_picture

Arrays = Mapping[str, np.ndarray]

MILLIMETRE = 1e-3
CODE_BYTES = 9
LARGEST = 2**50
SCENE_SCALES = {
    "pose": MILLIMETRE,
    "velocity": MILLIMETRE,
    "others": MILLIMETRE,
    "others_velocity": 0.01,
    "clearance": MILLIMETRE,
}
"""The roles of a recorded scene, and the resolution at which a page shows them."""
ROLE_CHARTS = {"velocity": ("speed", "m/s"), "clearance": ("clearance", "m")}
"""What the first component of a role is called in a chart, and its unit."""
PLAIN_COLUMNS = {"reward": 1, "action": 8, "observation": 8}
"""Which fields are drawn as charts unless others are picked, and how many components of each."""
SCENE_COLUMNS = {"reward": 1, "action": 8}
"""The same beside a scene."""
MOST_CHARTS = 1024
"""Components of a field that can be picked; those of narrow fields are no more."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One field as a page holds it, or some of its components.

    Attributes:
        columns: labels of the components, in the order in which they are packed.
        scale: the multiple to which values are rounded, in the field's unit.
        role: of the field in a scene; empty for none.
        first: number of the first component.
    """

    name: str
    axis: Axis
    columns: tuple[str, ...]
    scale: float
    role: str = ""
    first: int = 0


def channels_of(
    schema: EpisodeSchema, statistics: Mapping[str, Mapping[str, object]]
) -> tuple[Channel, ...]:
    """What a page always shows of such episodes: the scene, rewards, actions, else observations.

    The range of a field in the dataset's statistics sets the resolution of its chart.
    """
    scene = "pose" in schema.roles
    roles = {name: role for role, name in schema.roles.items() if scene and role in SCENE_SCALES}
    kinds = SCENE_COLUMNS if scene else PLAIN_COLUMNS
    drawn = {spec.name for spec in drawn_fields(schema)} | set(roles)
    found = {
        spec.name: _channel(spec, statistics, role=roles.get(spec.name, ""), most=most)
        for spec in schema.fields
        if spec.name in drawn and spec.axis is not Axis.EPISODE
        for most in [None if spec.name in roles else kinds.get(spec.name.split("/")[0], 0)]
        if most != 0
    }
    if scene:
        return tuple(found.values())
    return tuple(it for kind in kinds for it in found.values() if it.name.split("/")[0] == kind)


def more_channels(
    schema: EpisodeSchema, statistics: Mapping[str, Mapping[str, object]]
) -> tuple[Channel, ...]:
    """All other components that can be drawn, which a page holds as far as it has room."""
    have = {channel.name: len(channel.columns) for channel in channels_of(schema, statistics)}
    return tuple(
        _channel(spec, statistics, first=have.get(spec.name, 0))
        for spec in drawn_fields(schema)
        if have.get(spec.name, 0) < math.prod(spec.shape)
    )


def drawn_fields(schema: EpisodeSchema) -> list[FieldSpec]:
    """Fields whose components are drawn over time: narrow numbers that are no pictures."""
    return [
        spec
        for spec in schema.fields
        if spec.axis is not Axis.EPISODE and not spec.is_text and spec.is_narrow
        if not is_picture(spec)
    ]


def pack(arrays: Arrays, channels: Sequence[Channel], steps: int) -> str:
    """The channels of one episode as base64 text; a missing field is packed as "no value"."""
    parts = [
        _codes(values, channel.scale)
        for channel in channels
        for values in columns(arrays, channel, steps)
    ]
    return base64.b64encode(zlib.compress(b"".join(parts), 9)).decode()


def columns(arrays: Arrays, channel: Channel, steps: int) -> np.ndarray:
    """The components of a channel, ``float64[columns, rows]``; ``nan`` where unknown."""
    count, rows = len(channel.columns), steps + (channel.axis is Axis.STATE)
    if channel.name not in arrays:
        return np.full((count, rows), np.nan)
    values = np.asarray(arrays[channel.name], np.float64).reshape(rows, -1)
    return np.ascontiguousarray(values[:, channel.first : channel.first + count].T)


def _codes(values: np.ndarray, scale: float) -> bytes:
    known = np.isfinite(values)
    multiples = np.clip(np.round(values[known] / scale), -LARGEST, LARGEST).astype(np.int64)
    change = np.diff(multiples, prepend=np.int64(0))
    codes = np.zeros(len(values), np.int64)
    codes[known] = np.where(change < 0, -2 * change - 1, 2 * change) + 1
    place = np.arange(CODE_BYTES)
    shifted = codes[:, None] >> 7 * place
    used = np.maximum(1, (shifted > 0).sum(axis=1, keepdims=True))
    digits = (shifted & 127) | np.where(place < used - 1, 128, 0)
    return bytes(digits[place < used].astype(np.uint8))


def _channel(
    spec: FieldSpec,
    statistics: Mapping[str, Mapping[str, object]],
    *,
    role: str = "",
    first: int = 0,
    most: int | None = None,
) -> Channel:
    if role:
        scale = SCENE_SCALES[role]
    else:
        figures = statistics.get(spec.name, {})
        whole = not spec.dtype.startswith("float") and _largest(figures) <= LARGEST
        scale = 1.0 if whole else _resolution(figures)
    return Channel(spec.name, spec.axis, labels(spec, first, most), scale, role, first)


def labels(spec: FieldSpec, first: int = 0, most: int | None = None) -> tuple[str, ...]:
    """What some components of a field are called, in C order.

    Example:
        >>> labels(FieldSpec("arm", Axis.STEP, (2,), "float32", names=["lift", "grip"]))
        ('arm[0] lift', 'arm[1] grip')
    """
    if not spec.shape:
        return (" ".join((spec.name, *spec.names)),)
    stop = None if most is None else first + most
    places = (",".join(map(str, place)) for place in np.ndindex(spec.shape))
    named = ((place, *spec.names[at : at + 1]) for at, place in enumerate(places))
    return tuple(
        " ".join((f"{spec.name}[{place}]", *name)) for place, *name in islice(named, first, stop)
    )


def _resolution(figures: Mapping[str, object]) -> float:
    """A power of ten that splits the field's range into at least 10,000 levels."""
    largest = _largest(figures)
    return MILLIMETRE if largest == 0.0 else float(10.0 ** (np.floor(np.log10(largest)) - 4))


def _largest(figures: Mapping[str, object]) -> float:
    ends = [np.ravel(np.asarray(figures.get(key, 0.0), float)) for key in ("min", "max")]
    sizes = np.abs(np.concatenate(ends))
    return float(sizes[np.isfinite(sizes)].max(initial=0.0))


def charts_of(
    channels: Sequence[Channel], more: Sequence[Channel], units: Mapping[str, str]
) -> list[dict[str, object]]:
    """What can be drawn over time; ``on`` is what is, until others are picked."""
    found: list[dict[str, object]] = []
    for channel in (*channels, *more):
        parts = units[channel.name].split(", ")
        for place, name in enumerate(channel.columns[:MOST_CHARTS], channel.first):
            known = ROLE_CHARTS.get(channel.role) if place == 0 else None
            label, usual = known or (name, "")
            chart = {
                "channel": channel.name,
                "label": label,
                "column": place,
                "unit": parts[min(place, len(parts) - 1)] or usual,
                "on": channel in channels and (not channel.role or known is not None),
            }
            found.append(chart)
    first = ["reward", *(label for label, _ in ROLE_CHARTS.values())]
    return sorted(found, key=lambda it: (*first, it["label"]).index(it["label"]))
