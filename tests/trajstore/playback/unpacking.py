"""The way back from what `pack` packed, as ``unpack.js`` goes it in a page."""

import base64
import zlib
from collections.abc import Sequence

import numpy as np

from trajstore.episode.schema import Axis
from trajstore.playback.channels import Channel


def unpack(text: str, channels: Sequence[Channel], steps: int) -> dict[str, np.ndarray]:
    """Return what `pack` packed, ``float64[columns, rows]`` by channel, rounded to the scale."""
    data = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    ends = np.flatnonzero(data < 128)
    starts = np.concatenate(([0], ends[:-1] + 1))
    places = np.arange(len(data)) - np.repeat(starts, ends - starts + 1)
    digits = (data & 127).astype(np.int64) << (7 * places)
    codes = np.add.reduceat(digits, starts) if len(data) else digits
    found, at = {}, 0
    for channel in channels:
        rows = steps + (channel.axis is Axis.STATE)
        count = rows * len(channel.columns)
        found[channel.name] = _values(codes[at : at + count].reshape(-1, rows), channel.scale)
        at += count
    return found


def _values(codes: np.ndarray, scale: float) -> np.ndarray:
    known = codes > 0
    zigzag = codes - 1
    change = np.where(zigzag % 2 == 1, -(zigzag + 1) // 2, zigzag // 2)
    multiples = np.cumsum(np.where(known, change, 0), axis=1)
    return np.where(known, multiples * scale, np.nan)
