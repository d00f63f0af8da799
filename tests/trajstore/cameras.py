"""Synthetic episodes of an arm with two cameras: one of channels last, one of channels first."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from trajstore.episode.episode import Episode
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec
from trajstore.recording.bulk import write_dataset
from trajstore.version.manifest import Manifest

JOINTS = ("pan", "lift", "elbow", "w1", "w2", "w3", "gripper")
OPERATORS = ("ana", "bo", "chen")
FPS = 30


def schema(size: tuple[int, int]) -> EpisodeSchema:
    """Of pictures of that width and height."""
    width, height = size
    return EpisodeSchema(
        (
            FieldSpec("observation", Axis.STATE, (10,), "float32", unit="rad"),
            FieldSpec("front", Axis.STATE, (height, width, 3), "uint8"),
            FieldSpec("wrist", Axis.STATE, (1, height, width), "float32", low=0, high=1),
            FieldSpec("action", Axis.STEP, (7,), "float32", names=JOINTS),
            FieldSpec("reward", Axis.STEP, (), "float32"),
            FieldSpec("terminated", Axis.STEP, (), "bool"),
            FieldSpec("truncated", Axis.STEP, (), "bool"),
            FieldSpec("scenario", Axis.EPISODE, (), "str"),
            FieldSpec("seed", Axis.EPISODE, (), "int64"),
            FieldSpec("operator", Axis.EPISODE, (), "str"),
            FieldSpec("success", Axis.EPISODE, (), "bool"),
            FieldSpec("height", Axis.EPISODE, (), "float32", unit="m"),
        )
    )


def grey(state: int) -> int:
    """The grey of every pixel of the front camera at a state, which a test reads back."""
    return 30 + 6 * state % 200


def episode(seed: int, *, steps: int = 20, size: tuple[int, int] = (64, 48)) -> Episode:
    """Front shows `grey`, wrist a bright bar that moves down with the state."""
    rng = np.random.default_rng(seed)
    width, height = size
    front = np.empty((steps + 1, height, width, 3), np.uint8)
    wrist = np.zeros((steps + 1, 1, height, width), np.float32)
    for state in range(steps + 1):
        front[state] = grey(state)
        wrist[state, 0, state * (height - 4) // steps :][:4] = 1.0
    end = np.arange(steps) == steps - 1
    arrays = {
        "observation": rng.normal(size=(steps + 1, 10)).astype(np.float32),
        "front": front,
        "wrist": wrist,
        "action": rng.normal(size=(steps, 7)).astype(np.float32),
        "reward": np.full(steps, seed % 5, np.float32),
        "terminated": end,
        "truncated": np.zeros(steps, bool),
        "scenario": np.array(["pick/cup", "place/shelf"][seed % 2]),
        "seed": np.int64(seed),
        "operator": np.array(OPERATORS[seed % 3]),
        "success": np.array(seed % 4 != 0),
        "height": np.float32(0.7 + 0.01 * seed),
    }
    return Episode(schema(size), {name: np.asarray(value) for name, value in arrays.items()})


def episodes(count: int, *, steps: int, size: tuple[int, int]) -> Iterator[Episode]:
    """Episodes of seeds from 0."""
    return (episode(seed, steps=steps, size=size) for seed in range(count))


def dataset(
    target: Path, count: int = 12, *, steps: int = 20, size: tuple[int, int] = (64, 48)
) -> Manifest:
    """A sealed version of such episodes."""
    made = episodes(count, steps=steps, size=size)
    provenance = {"environment": {"fps": FPS}}
    return write_dataset(target, made, schema=schema(size), provenance=provenance)
