"""Films of pictures: MP4, by the encoder that imageio-ffmpeg brings."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import Image

from trajstore.disk.system import storing
from trajstore.errors import StorageError


def write_mp4(target: Path, pictures: Iterable[Image.Image], *, rate: float) -> int:
    """Write an H.264 film and return its size in bytes; refused if the encoder refuses."""
    pictures = iter(pictures)
    first = next(pictures)
    partial = target.with_name(f".{target.stem}.partial.mp4")
    with storing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()
    film = imageio_ffmpeg.write_frames(
        str(partial), first.size, fps=rate, codec="libx264", macro_block_size=2, quality=7
    )
    try:
        film.send(None)
        for picture in chain([first], pictures):
            film.send(np.asarray(picture.convert("RGB")).tobytes())
        film.close()
        partial.replace(target)
    except OSError as error:
        told = str(error).partition("\n")[0]
        raise StorageError(
            f"{target}: the film could not be written: {told}; make room, or choose another folder"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return target.stat().st_size
