"""A camera that froze or stayed black through an episode is told of, and a working one is not."""

from pathlib import Path

import numpy as np
import pytest

from tests.trajstore import cameras
from trajstore.dataset import Dataset
from trajstore.episode.episode import Episode
from trajstore.quality import CHECKS
from trajstore.quality.contract import Contract
from trajstore.recording.bulk import write_dataset


def written(target: Path, *, steps: int = 12, **changes: object) -> Dataset:
    """Four episodes; frames of the front camera by number of the episode."""
    episodes = [cameras.episode(seed, steps=steps) for seed in range(4)]
    schema = episodes[0].schema
    for name, frames in changes.items():
        index = int(name.removeprefix("e"))
        episodes[index] = Episode(schema, {**episodes[index].arrays, "front": frames})
    write_dataset(target, episodes, schema=schema, provenance={})
    return Dataset.open(target)


def said(dataset: Dataset) -> list[tuple[str, int | None]]:
    found = CHECKS["cameras"](dataset, Contract(minimum_episodes=1))
    return [(it.message, it.episode) for it in found]


def moving(steps: int = 12, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (steps + 1, 48, 64, 3)).astype("u1")


def test_cameras_that_see_something_are_in_order(tmp_path: Path) -> None:
    assert said(written(tmp_path / "v1", **{f"e{it}": moving(seed=it) for it in range(4)})) == []


def test_a_frozen_camera_is_told_with_its_first_episode(tmp_path: Path) -> None:
    frames = {f"e{it}": moving(seed=it) for it in range(4)}
    for index in (2, 3):
        frames[f"e{index}"] = np.repeat(frames[f"e{index}"][:1], 13, axis=0)
    ((message, episode),) = said(written(tmp_path / "v1", **frames))
    assert "camera 'front': the same frame through the whole of 2 of 4 episodes" in message
    assert episode == 2


@pytest.mark.parametrize("colour", [0, 90, (10, 200, 30)])
def test_a_camera_of_one_colour_is_told(tmp_path: Path, colour: object) -> None:
    frames = {f"e{it}": moving(seed=it) for it in range(4)}
    frames["e1"] = np.broadcast_to(np.array(colour, "u1"), (13, 48, 64, 3)).copy()
    ((message, episode),) = said(written(tmp_path / "v1", **frames))
    assert "one colour in every frame through the whole of 1 of 4" in message
    assert episode == 1


def test_one_frame_that_differs_is_enough(tmp_path: Path) -> None:
    frames = {f"e{it}": moving(seed=it) for it in range(4)}
    frames["e1"] = np.repeat(frames["e1"][:1], 13, axis=0)
    frames["e1"][4] = frames["e2"][0]
    assert said(written(tmp_path / "v1", **frames)) == []


def test_short_episodes_tell_nothing(tmp_path: Path) -> None:
    frames = {f"e{it}": np.zeros((5, 48, 64, 3), "u1") for it in range(4)}
    assert said(written(tmp_path / "v1", steps=4, **frames)) == []
