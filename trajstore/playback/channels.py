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
REWARD_SCALE = 1e-4
PLAIN_COLUMNS = {"reward": 1, "action": 6, "observation": 8}
"""Without a scene: which fields are drawn as charts, and how many components of each."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One field as a page holds it.

    Attributes:
        columns: names of the components, in the order in which they are packed.
        scale: the multiple to which values are rounded, in the field's unit.
        role: of the field in a scene; empty for none.
    """

    name: str
    axis: Axis
    columns: tuple[str, ...]
    scale: float
    role: str = ""


def channels_of(
    schema: EpisodeSchema, statistics: Mapping[str, Mapping[str, object]]
) -> tuple[Channel, ...]:
    """What a page shows of such episodes: the scene, else rewards, actions, observations.

    The range of a field in the dataset's statistics sets the resolution of its chart.
    """
    moving = [spec for spec in schema.fields if spec.axis is not Axis.EPISODE and not spec.is_text]
    if "pose" in schema.roles:
        roles = {name: role for role, name in schema.roles.items() if role in SCENE_SCALES}
        scales = {name: SCENE_SCALES[role] for name, role in roles.items()}
        scales.setdefault("reward", REWARD_SCALE)
        return tuple(
            _channel(spec, scales[spec.name], role=roles.get(spec.name, ""))
            for spec in moving
            if spec.name in scales
        )
    return tuple(
        _channel(spec, _resolution(statistics.get(spec.name, {})), most=most)
        for kind, most in PLAIN_COLUMNS.items()
        for spec in moving
        if spec.name.split("/")[0] == kind and spec.is_narrow
    )


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
    return np.ascontiguousarray(values[:, :count].T)


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


def _channel(spec: FieldSpec, scale: float, *, role: str = "", most: int | None = None) -> Channel:
    names = map(str, range(math.prod(spec.shape))) if spec.shape else [""]
    return Channel(spec.name, spec.axis, tuple(islice(names, most)), scale, role)


def _resolution(figures: Mapping[str, object]) -> float:
    """A power of ten that splits the field's range into at least 10,000 levels."""
    ends = [np.ravel(np.asarray(figures.get(key, 0.0), float)) for key in ("min", "max")]
    sizes = np.abs(np.concatenate(ends))
    largest = sizes[np.isfinite(sizes)].max(initial=0.0)
    return MILLIMETRE if largest == 0.0 else float(10.0 ** (np.floor(np.log10(largest)) - 4))


def charts_of(channels: Sequence[Channel], units: Mapping[str, str]) -> list[dict[str, object]]:
    """Which components are drawn over time: reward, speed and clearance, or everything."""
    roles = {channel.role or channel.name: channel.name for channel in channels}
    if "pose" in roles:
        labels = {"reward": "reward", "velocity": "speed", "clearance": "clearance"}
        chosen = [(roles[role], label, 0) for role, label in labels.items() if role in roles]
    else:
        chosen = [
            (channel.name, f"{channel.name}[{column}]" if column else channel.name, place)
            for channel in channels
            for place, column in enumerate(channel.columns)
        ]
    defaults = {"speed": "m/s", "clearance": "m"}
    return [
        {"channel": name, "label": label, "column": place, "unit": defaults.get(label, units[name])}
        for name, label, place in chosen
    ]
