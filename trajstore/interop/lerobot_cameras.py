"""One camera of an export to LeRobot: episodes end to end in videos of bounded size."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from trajstore.episode.fields import FieldSpec
from trajstore.errors import ArgumentError
from trajstore.interop.lerobot_fields import is_picture

MAX_BYTES, FILES_A_CHUNK = 200 * 2**20, 1000
LEAST_SIDE = 64
CODECS = ("av1", "h264")
_CRF = {"av1": 30, "h264": 23}


def is_filmed(spec: FieldSpec) -> bool:
    """Whether pictures go into a video: even sides, which its colours need, and not too small."""
    height, width = spec.shape[:2] if is_picture(spec) else (1, 1)
    return height % 2 == width % 2 == 0 and min(height, width) >= LEAST_SIDE


class Camera:
    """The videos of one camera.

    Raises:
        ArgumentError: if the codec is unknown, or PyAV not installed.
    """

    def __init__(self, key: str, shape: tuple[int, ...], fps: int, codec: str) -> None:
        if codec not in CODECS:
            raise ArgumentError(f"codec: expected {' or '.join(CODECS)}, got {codec!r}")
        try:
            self._package = import_module("trajstore.interop.video")
        except ModuleNotFoundError as error:
            raise ArgumentError(
                f"{key}: a video needs the package {error.name!r}: pip install "
                "'trajstore[lerobot]', or keep pictures as PNG: --lossless"
            ) from error
        self._key, self._shape, self._fps, self._codec = key, shape, fps, codec
        self._video: Any = None
        self._path, self._number = Path(), -1
        self._sample: tuple[Path, np.ndarray] | None = None
        self._ratio: float | None = None

    @property
    def info(self) -> dict[str, Any]:
        """What LeRobot notes of a video."""
        return {
            "video.height": self._shape[0],
            "video.width": self._shape[1],
            "video.codec": self._codec,
            "video.pix_fmt": "yuv420p",
            "video.is_depth_map": False,
            "video.fps": self._fps,
            "video.channels": 3,
            "has_audio": False,
        }

    def add(self, folder: Path, pictures: np.ndarray) -> dict[str, Any]:
        """Film an episode; where it lies, under LeRobot's names."""
        if self._video is None or self._video.size > MAX_BYTES:
            self.close()
            self._number += 1
            chunk, file = divmod(self._number, FILES_A_CHUNK)
            self._path = folder / f"videos/{self._key}/chunk-{chunk:03d}/file-{file:03d}.mp4"
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._video = self._package.Video(
                self._path, self._shape, fps=self._fps, codec=self._codec
            )
        if self._sample is None:
            self._sample = self._path, pictures
        first = self._video.frames
        for picture in pictures:
            self._video.write(picture)
        chunk, file = divmod(self._number, FILES_A_CHUNK)
        told = {
            "chunk_index": chunk,
            "file_index": file,
            "from_timestamp": first / self._fps,
            "to_timestamp": self._video.frames / self._fps,
        }
        return {f"videos/{self._key}/{name}": value for name, value in told.items()}

    def close(self) -> None:
        """Finish the video, and compare the first episode with what became of it."""
        if self._video is None:
            return
        self._video.close()
        self._video = None
        if self._sample is not None and self._ratio is None:
            path, pictures = self._sample
            kept = self._package.frames(path, self._shape, self._fps)
            ratios = [
                self._package.signal_to_noise(one, other)
                for one, other in zip(pictures, kept, strict=False)
            ]
            self._ratio = float(np.mean(np.minimum(ratios, 100)))

    def loss(self) -> str:
        """What a reader of the videos misses."""
        return (
            f"exact pixels of {self._key}: {self._codec.upper()} video, crf {_CRF[self._codec]}, "
            f"comes within {self._ratio or 0:.1f} dB (PSNR) in the first episode; --lossless "
            "keeps them"
        )
