"""Frames of environments that record no scene: played again and rendered, for a few episodes."""

import os
from collections.abc import Iterator

import numpy as np

from trajstore.cli.replaying import progress
from trajstore.playback.media import data_urls
from trajstore.playback.payload import BUDGET_BYTES, Side
from trajstore.playback.viewed import Viewed
from trajstore.quality.replay import Environment, Simulator, play, refused

EPISODES = 12
FRAMES = 120
"""Most episodes of a page with frames, and most frames of each."""
ASKED = "rgb_array"
"""The render mode that gives frames; an environment made in another has none to give."""
NO_WINDOW = {
    "SDL_VIDEODRIVER": "dummy",
    "SDL_AUDIODRIVER": "dummy",
    "PYGAME_HIDE_SUPPORT_PROMPT": "1",
}
"""Nothing is shown in a window: spare pygame its greeting, and SDL the search for a screen."""


def add_frames(side: Side, viewed: Viewed, index: int | None, simulator: Simulator) -> None:
    """Put rendered frames of the worst episodes (and of the one asked for) into a page.

    Raises:
        ReplayError: if the environment cannot be built or refuses an episode.
    """
    for name, value in NO_WINDOW.items():
        os.environ.setdefault(name, value)
    rows = sorted(side.record["episodes"], key=lambda row: (row["index"] != index, -row["score"]))
    room = BUDGET_BYTES - sum(len(text) for text in side.numbers.values())
    environment = simulator(viewed.manifest.provenance)
    try:
        for row in progress(rows[:EPISODES], "rendering"):
            episode = viewed.see(row["index"]).episode
            if episode is None:
                continue
            every = -(-(len(episode) + 1) // FRAMES)
            pictures = list(data_urls(_rendered(play(episode, environment), environment, every)))
            room -= sum(len(picture) for picture in pictures)
            if room < 0 or not pictures:
                break
            side.frames[row["index"]] = pictures
            row["frames"] = {"every": every}
    finally:
        environment.close()


def _rendered(
    reports: Iterator[object], environment: Environment, every: int
) -> Iterator[np.ndarray]:
    for step, _ in enumerate(reports):
        if step % every == 0:
            picture = _picture(environment)
            if not isinstance(picture, np.ndarray) or picture.shape[2:] not in ((3,), (4,)):
                return
            yield picture.astype(np.uint8, copy=False)


def _picture(environment: Environment) -> object:
    if getattr(environment, "render_mode", ASKED) != ASKED:
        return None
    remedy = "; mend its 'render', or leave --environment out"
    with refused("environment: expected it to render", remedy):
        return getattr(environment, "render", lambda: None)()
