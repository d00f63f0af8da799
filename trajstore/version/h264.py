"""Frames as short closed groups of H.264 by FFmpeg; imported where a field declares the codec.

A group is the number of its frames, the size of each (four bytes, little endian), and their access
units in Annex B form, parameter sets before the first. No frame refers to another group, and none
to a later one, so that the first frames of a group are decoded without the rest.
"""

import struct
import threading
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from av.codec import CodecContext
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from trajstore.episode.codec import PRESETS
from trajstore.errors import CorruptionError

GROUP = PRESETS["h264"].group
_COLOURS = {1: "gray", 3: "rgb24"}
_POINT, _BITEXACT, _ACCURATE, _BICUBIC = 0x10, 0x80000, 0x40000, 0x4
_TO_RGB, _TO_YUV = _POINT | _BITEXACT, _BICUBIC | _ACCURATE
"""How FFmpeg converts colours: said, so that its own choice may change."""


def encode(frames: np.ndarray, quality: int) -> Iterator[bytes]:
    """Groups of the frames, ``uint8[n, height, width, channels]``; the last may be shorter."""
    encoder: Any = CodecContext.create("libx264", "w")
    encoder.height, encoder.width = frames.shape[1:3]
    encoder.pix_fmt, encoder.time_base, encoder.framerate = "yuv420p", Fraction(1, 30), Fraction(30)
    encoder.thread_count = 1
    own = f"keyint={GROUP}:min-keyint={GROUP}:scenecut=0:bframes=0:open-gop=0:rc-lookahead=0"
    encoder.options = {
        "crf": str(quality),
        "preset": "veryfast",
        "tune": "fastdecode",
        "x264-params": f"{own}:threads=1",
    }
    colours, channels = VideoReformatter(), frames.shape[3]
    units: list[bytes] = []
    for number, frame in enumerate(frames):
        plain = frame if channels == 3 else frame[:, :, 0]
        image = VideoFrame.from_ndarray(plain, format=_COLOURS[channels])
        image = colours.reformat(image, format="yuv420p", interpolation=_TO_YUV)
        image.pts = number
        units += map(bytes, encoder.encode(image))
        while len(units) >= GROUP:
            yield _joined(units[:GROUP])
            units = units[GROUP:]
    units += map(bytes, encoder.encode(None))
    for start in range(0, len(units), GROUP):
        yield _joined(units[start : start + GROUP])


def check(data: memoryview, count: int, shape: tuple[int, ...]) -> None:
    """Refuse what does not hold ``count`` frames, by what its first bytes announce."""
    _units(data, count)


def decode(data: memoryview, out: np.ndarray) -> None:
    """Decode the first frames of a group into ``out``, ``uint8[n, height, width, channels]``."""
    decoder = _OF_THREAD.decoder(out.shape[1], out.shape[2])
    try:
        decoder.flush_buffers()
        images = [image for unit in _units(data)[: len(out)] for image in decoder.decode(unit)]
        if len(images) < len(out):
            images += decoder.decode(None)
    except FFmpegError as error:
        raise CorruptionError(f"expected a group of H.264 frames, got {error}") from None
    sizes = {(image.height, image.width) for image in images}
    if len(images) != len(out) or sizes != {out.shape[1:3]}:
        raise CorruptionError(
            f"expected {len(out)} H.264 frames of {out.shape[1]}x{out.shape[2]}, got "
            f"{len(images)} of {sorted(sizes)}"
        )
    for image, frame in zip(images, out, strict=True):
        rgb = _OF_THREAD.colours.reformat(
            image, format=_COLOURS[out.shape[3]], interpolation=_TO_RGB
        )
        frame[...] = rgb.to_ndarray().reshape(frame.shape)


class _Decoders(threading.local):
    """A decoder of a thread for the size of frames it met last; making one takes a while."""

    def __init__(self) -> None:
        self.colours = VideoReformatter()
        self._size = (0, 0)

    def decoder(self, height: int, width: int) -> Any:  # noqa: ANN401 - PyAV types no decoder
        if self._size != (height, width):
            self._decoder: Any = CodecContext.create("h264", "r")
            self._decoder.thread_count = 1
            room = (height + 32) * (width + 32)
            self._decoder.options = {"max_pixels": str(room)}
            self._size = height, width
        return self._decoder


_OF_THREAD = _Decoders()


def _joined(units: list[bytes]) -> bytes:
    sizes = struct.pack(f"<B{len(units)}I", len(units), *map(len, units))
    return b"".join([sizes, *units])


def _units(data: memoryview, count: int | None = None) -> list[Any]:
    frames = data[0] if len(data) else 0
    at = 1 + 4 * frames
    sizes = struct.unpack_from(f"<{frames}I", data, 1) if len(data) >= at else ()
    if not frames or at + sum(sizes) != len(data) or count not in (None, frames):
        wanted = "a number of" if count is None else count
        raise CorruptionError(f"expected a group of {wanted} H.264 frames, got other bytes")
    packets = []
    for size in sizes:
        packets.append(Packet(bytes(data[at : at + size])))
        at += size
    return packets
