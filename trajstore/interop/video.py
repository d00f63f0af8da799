"""Video files, frame by frame through PyAV; nothing but the one file is ever opened."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from trajstore.disk.files import open_file
from trajstore.errors import CorruptionError

os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder tells its settings on stderr

CODECS = {
    "av1": ("libsvtav1", {"g": "2", "crf": "30", "preset": "12", "svtav1-params": "lp=1"}),
    "h264": ("libx264", {"g": "2", "crf": "23"}),
}
"""Encoders and their settings; those of AV1 are what LeRobot sets itself."""


def frames(path: Path, shape: tuple[int, ...], fps: float) -> Iterator[np.ndarray]:
    """The frames of a video in order, ``uint8[height, width, 3]`` each, as they are decoded.

    Raises:
        CorruptionError: if it is no MP4 file with a video of this size and rate that can be
            decoded here.
    """
    with _opened(path) as container:
        stream = container.streams.video[0]
        size = stream.codec_context.height, stream.codec_context.width
        if size != shape[:2]:
            raise CorruptionError(f"{path}: expected frames of {shape[:2]}, got {size}")
        stream.thread_type = "AUTO"
        first = None
        for number, frame in enumerate(container.decode(stream)):
            if frame.pts is None:
                raise CorruptionError(f"{path}: expected the time of frame {number:,}, got none")
            time = float(frame.pts * stream.time_base)
            first = time if first is None else first
            # a wrong rate shows at once; what times are rounded to, and what adds up, is let be
            most = min(0.5, 0.01 + 0.05 * number + float(stream.time_base) * fps)
            if abs((time - first) * fps - number) > most:
                raise CorruptionError(
                    f"{path}: expected frame {number:,} at {number / fps:.3f} s as fps says, got "
                    f"it at {time - first:.3f} s; correct fps, or encode the video again"
                )
            yield frame.to_ndarray(format="rgb24")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    with open_file(path) as file:
        try:
            # Told its format, FFmpeg does not look for playlists, which name other files.
            with av.open(file, format="mp4") as container:
                if not container.streams.video:
                    raise CorruptionError(f"{path}: expected a video, got a file without one")
                yield container
        except (av.FFmpegError, OSError, ValueError, TypeError, AttributeError) as error:
            said = " ".join(str(getattr(error, "strerror", "") or error).split())[:120]
            said = said if os.fstat(file.fileno()).st_size else "an empty file"
            raise CorruptionError(
                f"{path}: expected a video that can be decoded here, got {said}; export or "
                "download it again"
            ) from error


class Video:
    """A new video file of frames of one size.

    Attributes:
        frames: written so far.
        size: of what is encoded so far, bytes.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], *, fps: int, codec: str) -> None:
        encoder, options = CODECS[codec]
        self._file = _new_file(path)
        self._stream = self._file.add_stream(encoder, rate=fps, options=dict(options))
        self._stream.height, self._stream.width = shape[:2]
        self._stream.pix_fmt = "yuv420p"
        self._unit = Fraction(1, fps)
        self.frames = self.size = 0

    def write(self, picture: np.ndarray) -> None:
        """Encode a frame, ``uint8[height, width, 3]``."""
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame.pts, frame.time_base = self.frames, self._unit
        self.frames += 1
        self._put(self._stream.encode(frame))

    def close(self) -> None:
        """Write what is left, and the index, without which nobody reads the file."""
        try:
            self._put(self._stream.encode())
        finally:
            self._file.close()

    def _put(self, packets: list[Any]) -> None:
        self.size += sum(packet.size for packet in packets)
        self._file.mux(packets)


def _new_file(path: Path) -> Any:  # noqa: ANN401 - typed from PyAV 16 on, and not before
    return av.open(str(path), "w", format="mp4")


def signal_to_noise(one: np.ndarray, other: np.ndarray) -> float:
    """Peak signal-to-noise ratio of 8-bit pictures, dB; infinity for equal ones."""
    error = np.square(one.astype(np.float64) - other).mean()
    return float(10 * np.log10(255**2 / error)) if error else float("inf")
