"""Frames as JPEG images by libjpeg-turbo; imported where a field declares the codec."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import simplejpeg

from trajstore.episode.codec import Codec
from trajstore.errors import CorruptionError

_COLOURS = {1: "GRAY", 3: "RGB"}
_STORED = {1: "Gray", 3: "YCbCr"}


def encoder(shape: tuple[int, ...], codec: Codec) -> Callable[[Sequence[np.ndarray]], bytes]:
    """What makes an image of one frame, ``uint8[height, width, channels]``; colour is halved."""
    colours = _COLOURS[shape[2]]
    quality = codec.quality
    sampling = "Gray" if colours == "GRAY" else "420"

    def encode(frames: Sequence[np.ndarray]) -> bytes:
        (frame,) = frames
        image: bytes = simplejpeg.encode_jpeg(frame, quality, colours, sampling, fastdct=False)
        return image

    return encode


def check(data: bytes | memoryview, count: int, shape: tuple[int, ...]) -> None:
    """Refuse what is no image of a shape, by what its first bytes announce."""
    try:
        *size, colours, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError as error:
        raise CorruptionError(f"expected a JPEG image, got {error}") from None
    if (*size, colours, count) != (*shape[:2], _STORED[shape[2]], 1):
        raise CorruptionError(
            f"expected one JPEG image of shape {shape}, got {size[0]}x{size[1]} {colours}"
        )


def decode(data: bytes | memoryview, frames: Mapping[int, np.ndarray]) -> None:
    """Decode the image into frame 0, ``uint8[height, width, channels]``."""
    out = frames[0]
    try:
        found = simplejpeg.decode_jpeg(
            data, _COLOURS[out.shape[2]], fastdct=False, fastupsample=False, buffer=out
        )
    except ValueError as error:
        check(data, 1, out.shape)
        raise CorruptionError(f"expected a whole JPEG image, got {error}") from None
    if found.shape != out.shape:
        check(data, 1, out.shape)
