"""Frames as JPEG images by libjpeg-turbo; imported where a field declares the codec."""

from collections.abc import Iterator

import numpy as np
import simplejpeg

from trajstore.errors import CorruptionError

_COLOURS = {1: "GRAY", 3: "RGB"}
_STORED = {1: "Gray", 3: "YCbCr"}


def encode(frames: np.ndarray, quality: int) -> Iterator[bytes]:
    """Each of the frames, ``uint8[n, height, width, channels]``, as an image; colour is halved."""
    colours = _COLOURS[frames.shape[3]]
    sampling = "Gray" if colours == "GRAY" else "420"
    for frame in frames:
        yield simplejpeg.encode_jpeg(frame, quality, colours, sampling, fastdct=False)


def check(data: memoryview, count: int, shape: tuple[int, ...]) -> None:
    """Refuse what is no image of a shape, by what its first bytes announce."""
    try:
        *size, colours, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError as error:
        raise CorruptionError(f"expected a JPEG image, got {error}") from None
    if (*size, colours, count) != (*shape[:2], _STORED[shape[2]], 1):
        raise CorruptionError(
            f"expected one JPEG image of shape {shape}, got {size[0]}x{size[1]} {colours}"
        )


def decode(data: memoryview, out: np.ndarray) -> None:
    """Decode the image of one frame into ``out``, ``uint8[1, height, width, channels]``."""
    check(data, len(out), out.shape[1:])
    try:
        simplejpeg.decode_jpeg(
            data, _COLOURS[out.shape[3]], fastdct=False, fastupsample=False, buffer=out[0]
        )
    except ValueError as error:
        raise CorruptionError(f"expected a whole JPEG image, got {error}") from None
