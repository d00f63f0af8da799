"""GIFs, contact sheets, and rendered pictures small enough to stand in a page."""

import base64
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from trajstore.errors import ReplayError
from trajstore.playback.page import write_whole
from trajstore.playback.payload import ASKED, BUDGET_BYTES, Progress, Side
from trajstore.playback.viewed import Viewed
from trajstore.quality.replay import Environment, Simulator, play, refused

GIF_COLOURS = 32
GAP = 8
EPISODES = 12
FRAMES = 120
"""Most episodes of a page with frames, and most frames of each."""
NO_WINDOW = {
    "SDL_VIDEODRIVER": "dummy",
    "SDL_AUDIODRIVER": "dummy",
    "PYGAME_HIDE_SUPPORT_PROMPT": "1",
}
"""Nothing is shown in a window: spare pygame its greeting, and SDL the search for a screen."""


def film_steps(first: int, last: int, *, speed: float, dt: float, rate: float) -> list[int]:
    """Steps from first to last, included, so that a film plays at ``speed``; 1 is real time.

    ``dt`` is seconds of a step, ``rate`` pictures a second.

    Example:
        >>> film_steps(0, 6, speed=2.0, dt=0.1, rate=10.0)
        [0, 2, 4, 6]
    """
    stride = speed / rate / dt
    count = int((last - first) / stride) + 1
    steps = [first + int(place * stride) for place in range(count)]
    return steps if steps[-1] == last else [*steps, last]


def write_gif(target: Path, pictures: Iterable[Image.Image], *, rate: float) -> int:
    """Write an animated GIF that repeats for ever and return its size in bytes."""
    flat = [
        one.quantize(GIF_COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        for one in pictures
    ]
    buffer = io.BytesIO()
    flat[0].save(
        buffer, "GIF", save_all=True, append_images=flat[1:], duration=round(1000 / rate), loop=0
    )
    return write_whole(target, buffer.getvalue())


def write_sheet(target: Path, pictures: Sequence[Image.Image], *, across: int = 4) -> int:
    """Write pictures of one size side by side as a PNG and return its size in bytes."""
    width, height = pictures[0].size
    across = min(across, len(pictures))
    down = -(-len(pictures) // across)
    sheet = Image.new("RGB", (across * (width + GAP) + GAP, down * (height + GAP) + GAP), "#dedfd8")
    for place, picture in enumerate(pictures):
        row, column = divmod(place, across)
        sheet.paste(picture, (GAP + column * (width + GAP), GAP + row * (height + GAP)))
    buffer = io.BytesIO()
    sheet.quantize(128, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return write_whole(target, buffer.getvalue())


def data_urls(pictures: Iterable[np.ndarray], *, width: int = 480) -> Iterator[str]:
    """Rendered frames, ``uint8[height, width, 3]``, as small WebP pictures inside a page."""
    for frame in pictures:
        image = Image.fromarray(frame)
        if image.width > width:
            image = image.resize((width, round(image.height * width / image.width)))
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=70, method=4)
        yield f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def add_frames(
    side: Side, viewed: Viewed, index: int | None, simulator: Simulator, progress: Progress = iter
) -> str:
    """Put rendered frames of the worst episodes (and of the one asked for) into a page.

    Returns:
        Why there are none, or no more; empty if there are as many as fit.

    Raises:
        ReplayError: if the environment cannot be built.
    """
    for name, value in NO_WINDOW.items():
        os.environ.setdefault(name, value)
    rows = sorted(side.record["episodes"], key=lambda row: (row["index"] != index, -row["score"]))
    room = BUDGET_BYTES - side.bytes
    environment = simulator(viewed.manifest.provenance)
    try:
        with refused("environment: could not be rendered", "; correct its 'render'"):
            try:
                for row in progress(rows[:EPISODES]):
                    room -= _add(side, viewed, row, environment, room)
            finally:
                environment.close()
    except ReplayError as error:
        return str(error)
    return ""


def _add(
    side: Side, viewed: Viewed, row: dict[str, Any], environment: Environment, room: int
) -> int:
    """Put the frames of one episode into a page, if they fit; returns their bytes."""
    episode = viewed.see(row["index"]).episode
    if episode is None:
        return 0
    every = -(-(len(episode) + 1) // FRAMES)
    pictures = list(data_urls(_rendered(play(episode, environment), environment, every)))
    size = sum(map(len, pictures))
    if size > room:
        return room
    side.frames[row["index"]] = pictures
    row["frames"] = {"every": every}
    return size


def _rendered(
    reports: Iterator[object], environment: Environment, every: int
) -> Iterator[np.ndarray]:
    for _ in islice(reports, None, None, every):
        mode = getattr(environment, "render_mode", ASKED)
        if mode != ASKED:
            raise ReplayError(
                f"environment: must be made in render mode {ASKED!r}, got {mode!r}; hand on "
                "the argument render_mode where you make it"
            )
        picture = getattr(environment, "render", lambda: None)()
        if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8:
            raise ReplayError(
                "environment: 'render' must return uint8[height, width, 3], got "
                f"{getattr(picture, 'dtype', type(picture).__name__)}"
            )
        yield picture
