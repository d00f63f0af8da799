"""The numbers of an episode that playback shows, packed small for a page.

A value becomes the nearest whole multiple of its channel's scale (a millimetre for positions). A
column is the differences of those multiples, written as base-128 numbers of one to nine bytes;
zero stands for "no value". All columns of an episode are deflated together and written as
base64. ``unpack.js`` is the counterpart that the page runs.
"""

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
        name: of the field.
        axis: ``state`` has a row more than the episode has steps.
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
    """Return what a page shows of such episodes: the scene, else rewards, actions, observations.

    Args:
        schema: of the episodes.
        statistics: of the dataset; the spread of a field sets the resolution of its chart.
    """
    moving = [spec for spec in schema.fields if spec.axis is not Axis.EPISODE and not spec.is_text]
    if "pose" in schema.roles:
        roles = {name: role for role, name in schema.roles.items() if role in SCENE_SCALES}
        scales = {name: SCENE_SCALES[role] for name, role in roles.items()}
        scales.setdefault("reward", REWARD_SCALE)
        return tuple(
            Channel(
                spec.name,
                spec.axis,
                _component_names(spec, None),
                scales[spec.name],
                roles.get(spec.name, ""),
            )
            for spec in moving
            if spec.name in scales
        )
    chosen = []
    for spec in moving:
        most = PLAIN_COLUMNS.get(spec.name.split("/")[0])
        if most is not None and spec.row_bytes <= 1024:
            scale = _resolution(statistics.get(spec.name, {}))
            chosen.append(Channel(spec.name, spec.axis, _component_names(spec, most), scale))
    order = list(PLAIN_COLUMNS)
    return tuple(sorted(chosen, key=lambda one: order.index(one.name.split("/")[0])))


def pack(arrays: Arrays, channels: Sequence[Channel], steps: int) -> str:
    """Return the channels of one episode as base64 text.

    Args:
        arrays: fields by name; one that is missing is packed as "no value".
        channels: what to pack, in this order.
        steps: length of the episode.
    """
    parts = []
    for channel in channels:
        rows = steps + (channel.axis is Axis.STATE)
        for values in columns(arrays, channel, rows):
            parts.append(_codes(values, channel.scale))
    return base64.b64encode(zlib.compress(b"".join(parts), 9)).decode()


def columns(arrays: Arrays, channel: Channel, rows: int) -> np.ndarray:
    """Return the components of a channel, ``float64[columns, rows]``; ``nan`` where unknown."""
    count = len(channel.columns)
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
    shifts = 7 * np.arange(CODE_BYTES)
    digits = (codes[:, None] >> shifts) & 127
    used = np.maximum(1, ((codes[:, None] >> shifts) > 0).sum(axis=1))
    place = np.arange(CODE_BYTES)
    digits |= np.where(place < used[:, None] - 1, 128, 0)
    return bytes(digits[place < used[:, None]].astype(np.uint8))


def _component_names(spec: FieldSpec, most: int | None) -> tuple[str, ...]:
    count = int(np.prod(spec.shape, dtype=np.int64)) if spec.shape else 1
    shown = count if most is None else min(count, most)
    return ("",) if not spec.shape else tuple(str(index) for index in range(shown))


def _resolution(figures: Mapping[str, object]) -> float:
    """A power of ten that splits the field's range into at least 10,000 levels."""
    ends = [np.asarray(figures.get(key), dtype=float) for key in ("min", "max") if key in figures]
    known = [values[np.isfinite(values)] for values in ends]
    sizes = [float(np.abs(values).max()) for values in known if values.size]
    largest = max(sizes, default=0.0)
    return MILLIMETRE if largest == 0.0 else float(10.0 ** (np.floor(np.log10(largest)) - 4))


def charts_of(channels: Sequence[Channel], units: Mapping[str, str]) -> list[dict[str, object]]:
    """Return which components are drawn over time: reward, speed and clearance, or everything."""
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
        {
            "channel": name,
            "label": label,
            "column": column,
            "unit": defaults.get(label, units[name]),
        }
        for name, label, column in chosen
    ]
