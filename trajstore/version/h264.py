"""Frames as short closed groups of H.264 by FFmpeg; imported where a field declares the codec.

A group is the number of its frames, the size of each (four bytes, little endian), and their access
units in Annex B form, parameter sets before the first. No frame refers to another group, and none
to a later one, so that the first frames of a group are decoded without the rest.
"""

import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from av.codec import CodecContext
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from trajstore.episode.codec import Codec
from trajstore.errors import CorruptionError

_COLOURS = {1: "gray", 3: "rgb24"}
_POINT, _AREA, _BITEXACT = 0x10, 0x20, 0x80000
_TO_RGB, _TO_YUV = _POINT | _BITEXACT, _AREA
"""How FFmpeg converts colours: said, so that its own choice may change."""
_ALONE: dict[str, Any] = (
    {"threads": 1} if "threads" in str(VideoReformatter.reformat.__doc__) else {}
)
"""Newer versions of PyAV would start threads for each frame."""
_X264 = (
    "keyint={0}:min-keyint={0}:scenecut=0:bframes=0:open-gop=0:rc-lookahead=0:"
    "sync-lookahead=0:force-cfr=1:threads=1:ipratio=1.4:subme=2"
)
"""A frame comes out for each that goes in, and what it takes depends on its own group alone."""


def encoder(shape: tuple[int, ...], codec: Codec) -> Callable[[Sequence[np.ndarray]], bytes]:
    """What makes a group of frames, ``uint8[height, width, channels]``; for one episode."""
    context: Any = CodecContext.create("libx264", "w")
    context.height, context.width = shape[:2]
    context.pix_fmt, context.time_base, context.framerate = "yuv420p", Fraction(1, 30), Fraction(30)
    context.thread_count = 1
    context.options = {
        "qp": str(codec.quality),
        "preset": "superfast",
        "tune": "fastdecode",
        "x264-params": _X264.format(codec.most),
    }
    colours, count = VideoReformatter(), 0

    def encode(frames: Sequence[np.ndarray]) -> bytes:
        nonlocal count
        units: list[bytes] = []
        for frame in frames:
            plain = frame if shape[2] == 3 else frame[:, :, 0]
            image = VideoFrame.from_numpy_buffer(plain, format=_COLOURS[shape[2]])
            image = colours.reformat(image, format="yuv420p", interpolation=_TO_YUV, **_ALONE)
            image.pts = count
            units += map(bytes, context.encode(image))
            count += 1
        sizes = struct.pack(f"<B{len(units)}I", len(frames), *map(len, units))
        return b"".join([sizes, *units])

    return encode


def check(data: bytes | memoryview, count: int, shape: tuple[int, ...]) -> None:
    """Refuse what does not hold ``count`` frames, by what its first bytes announce."""
    _sizes(data, count)


def decode(data: bytes | memoryview, frames: Mapping[int, np.ndarray]) -> None:
    """Decode some frames of a group, ``uint8[height, width, channels]``, by their number in it."""
    most = max(frames)
    height, width, channels = frames[most].shape
    try:
        images = _OF_THREAD.images(_units(data, most + 1), (height, width))
    except FFmpegError as error:
        raise CorruptionError(f"expected a group of H.264 frames, got {error}") from None
    sizes = {(image.height, image.width) for image in images}
    if len(images) <= most or sizes != {(height, width)}:
        raise CorruptionError(
            f"expected {most + 1} H.264 frames of {height}x{width}, got {len(images)} of "
            f"{sorted(sizes)}"
        )
    for number, frame in frames.items():
        plain = _OF_THREAD.colours.reformat(
            images[number], format=_COLOURS[channels], interpolation=_TO_RGB, **_ALONE
        )
        (plane,) = plain.planes
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(height, plane.line_size)
        frame[...] = rows[:, : width * channels].reshape(frame.shape)


class _Decoders(threading.local):
    """A decoder of a thread for the size of frames it met last; making one takes a while."""

    def __init__(self) -> None:
        self.colours = VideoReformatter()
        self._size = (0, 0)

    def images(self, units: list[Any], size: tuple[int, int]) -> list[VideoFrame]:
        """The decoded frames of a group, or of its first ones: a group begins the decoder anew."""
        if self._size != size:
            self._decoder: Any = CodecContext.create("h264", "r")
            self._decoder.thread_count = 1
            self._decoder.options = {"max_pixels": str((size[0] + 32) * (size[1] + 32))}
        self._size = (0, 0)  # a decoder that fails, or keeps frames back, is not used again
        images = [image for unit in units for image in self._decoder.decode(unit)]
        if len(images) == len(units):
            self._size = size
        else:
            images += self._decoder.decode(None)
        return images


_OF_THREAD = _Decoders()


def _sizes(data: bytes | memoryview, count: int | None = None) -> tuple[int, ...]:
    """The size of each frame of a group, of so many frames if it is said."""
    frames = data[0] if len(data) else 0
    at = 1 + 4 * frames
    sizes = struct.unpack_from(f"<{frames}I", data, 1) if len(data) >= at else ()
    if not frames or at + sum(sizes) != len(data) or count not in (None, frames):
        wanted = "a number of" if count is None else count
        raise CorruptionError(f"expected a group of {wanted} H.264 frames, got other bytes")
    return sizes


def _units(data: bytes | memoryview, most: int) -> list[Any]:
    """The first frames of a group, encoded."""
    sizes = _sizes(data)
    ends = accumulate(sizes[:most], initial=1 + 4 * len(sizes))
    return [Packet(bytes(data[start:stop])) for start, stop in pairwise(ends)]
