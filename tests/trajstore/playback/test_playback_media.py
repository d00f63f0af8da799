"""Pictures, films and the terminal show the same episode; films have the length asked for."""

from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from tests.trajstore import scenes
from tests.trajstore.quality import test_replay
from trajstore.dataset import Dataset
from trajstore.playback import media, terminal
from trajstore.playback.camera import view_box
from trajstore.playback.channels import channels_of
from trajstore.playback.frames import Painter, Shown
from trajstore.playback.media import add_frames
from trajstore.playback.mp4 import write_mp4
from trajstore.playback.page import render
from trajstore.playback.payload import About, build
from trajstore.playback.viewed import Viewed
from trajstore.recording.bulk import write_dataset

ARRAYS = scenes.arrays(4, steps=40)
SCENE = scenes.SCHEMA.in_roles(ARRAYS)
SHOWN = Shown(ARRAYS, caption="#4", anomalies=[(10, 12, 1.0)], dt=0.1, scene=SCENE)
SMALL = (160, 120)


def test_the_robot_is_where_it_was() -> None:
    box = view_box(SCENE, (160, 90))
    picture = np.asarray(Painter(SHOWN, (160, 120)).frame(20))
    x, y = box.at(*ARRAYS["robot_pose"][20][:2])
    around = picture[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3].reshape(-1, 3)
    blue = (around[:, 2] > 150) & (around[:, 0] < 120)
    assert blue.any()


def test_everything_lies_within_the_view() -> None:
    box = view_box(SCENE, (300, 200))
    for row in ARRAYS["robot_pose"]:
        x, y = box.at(*row[:2])
        assert 0 <= x <= 300
        assert 0 <= y <= 200


@pytest.mark.parametrize(("speed", "count"), [(1.0, 81), (2.0, 41), (4.0, 21), (0.5, 161)])
def test_a_film_has_the_length_asked_for(speed: float, count: int) -> None:
    steps = media.film_steps(0, 40, speed=speed, dt=0.1, rate=20.0)
    assert len(steps) == count
    assert (steps[0], steps[-1]) == (0, 40)


def test_a_gif_has_every_picture(tmp_path: Path) -> None:
    steps = [0, 5, 10, 15]
    media.write_gif(tmp_path / "e.gif", map(Painter(SHOWN, SMALL).frame, steps), rate=10.0)
    with Image.open(tmp_path / "e.gif") as film:
        assert (film.n_frames, film.size) == (4, SMALL)


def test_a_film_can_be_read_back(tmp_path: Path) -> None:
    pictures = map(Painter(SHOWN, SMALL).frame, range(12))
    write_mp4(tmp_path / "e.mp4", pictures, rate=20.0)
    count, _ = imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "e.mp4"))
    assert count == 12
    assert [path.name for path in tmp_path.iterdir()] == ["e.mp4"]


def test_a_contact_sheet_holds_all_pictures(tmp_path: Path) -> None:
    pictures = list(map(Painter(SHOWN, SMALL).frame, range(6)))
    media.write_sheet(tmp_path / "sheet.png", pictures, across=3)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (3 * 168 + 8, 2 * 128 + 8)


def test_without_a_scene_there_are_charts() -> None:
    plain = {name: ARRAYS[name] for name in ("reward", "action", "terminated", "observation")}
    schema = scenes.SCHEMA.__class__(
        tuple(spec for spec in scenes.SCHEMA.fields if spec.name in {*plain, "truncated"})
    )
    shown = Shown(plain, channels_of(schema, {}))
    first, last = (np.asarray(Painter(shown, SMALL).frame(step)) for step in (0, 40))
    assert (first != last).any()


def test_rendered_frames_become_small_pictures() -> None:
    frames = np.zeros((2, 400, 600, 3), np.uint8)
    urls = list(media.data_urls(frames))
    assert all(url.startswith("data:image/webp;base64,") for url in urls)
    assert max(len(url) for url in urls) < 4000


def test_the_terminal_shows_robot_people_goal_and_walls() -> None:
    text = terminal.draw(SCENE, 20, colour=False)
    assert any(arrow in text for arrow in terminal.ARROWS)
    assert text.count("o") >= 3
    assert "X" in text
    assert len(text.splitlines()) <= 22
    assert "\x1b" not in text
    assert "\x1b[94m" in terminal.draw(SCENE, 20)


class Painted(test_replay.Drift):
    """An environment that can be looked at."""

    def render(self) -> np.ndarray:
        return np.full((60, 80, 3), 10 * self.left, np.uint8)


def test_episodes_without_a_scene_show_rendered_frames(tmp_path: Path) -> None:
    episodes = [test_replay.record(seed) for seed in range(3)]
    schema, provenance = test_replay.SCHEMA, test_replay.PROVENANCE
    write_dataset(tmp_path / "v1", episodes, schema=schema, provenance=provenance)
    viewed = Viewed(Dataset.open(tmp_path / "v1"))
    side = build(viewed, About("drift", "v1"), range(3))
    add_frames(side, viewed, 2, lambda _: Painted())
    assert {index: len(frames) for index, frames in side.frames.items()} == {0: 10, 1: 10, 2: 10}
    assert side.record["episodes"][2]["frames"] == {"every": 1}
    assert 'id="f0-2"' in render([side])


def test_an_environment_that_shows_nothing_leaves_charts(tmp_path: Path) -> None:
    episode, schema = test_replay.record(0), test_replay.SCHEMA
    write_dataset(tmp_path / "v1", [episode], schema=schema, provenance={})
    viewed = Viewed(Dataset.open(tmp_path / "v1"))
    side = build(viewed, About("drift", "v1"), range(1))
    add_frames(side, viewed, None, lambda _: test_replay.Drift())
    assert side.frames == {}
    assert sum(chart["on"] for chart in side.record["charts"]) == 5
