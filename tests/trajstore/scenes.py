"""Synthetic episodes with a recorded scene: a robot crosses a room, people walk about in it."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from trajstore.episode.episode import Episode
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec
from trajstore.recording.bulk import write_dataset
from trajstore.version.manifest import Manifest

PEOPLE = 10
WALLS = 8
DT = 0.1
SCENARIOS = (
    "crowd_navigation/high",
    "narrow_doorway/low",
    "blind_corner/medium",
    "circular_crossing/high",
    "frontal_approach/low",
    "parallel_traffic/medium",
)
SCHEMA = EpisodeSchema(
    (
        FieldSpec("observation", Axis.STATE, (12,), "float32"),
        FieldSpec("robot_pose", Axis.STATE, (3,), "float32", unit="m, m, rad"),
        FieldSpec("robot_velocity", Axis.STATE, (2,), "float32", unit="m/s, rad/s"),
        FieldSpec(
            "pedestrian_position", Axis.STATE, (PEOPLE, 2), "float32", unit="m", finite=False
        ),
        FieldSpec(
            "pedestrian_velocity", Axis.STATE, (PEOPLE, 2), "float32", unit="m/s", finite=False
        ),
        FieldSpec("action", Axis.STEP, (2,), "float32", low=-1, high=1),
        FieldSpec("reward", Axis.STEP, (), "float32"),
        FieldSpec("clearance", Axis.STEP, (), "float32", unit="m", high=10),
        FieldSpec("terminated", Axis.STEP, (), "bool"),
        FieldSpec("truncated", Axis.STEP, (), "bool"),
        FieldSpec("goal", Axis.EPISODE, (2,), "float32", unit="m"),
        FieldSpec("walls", Axis.EPISODE, (WALLS, 4), "float32", unit="m", finite=False),
        FieldSpec("scenario", Axis.EPISODE, (), "str"),
        FieldSpec("seed", Axis.EPISODE, (), "int64"),
        FieldSpec("outcome", Axis.EPISODE, (), "str"),
        FieldSpec("return", Axis.EPISODE, (), "float64"),
        FieldSpec("min_clearance", Axis.EPISODE, (), "float64", unit="m"),
    )
)
PROVENANCE = {
    "environment": {
        "id": "SocialNav-v0",
        "version": "1.0.0",
        "entry_point": "pipelines.tasks.social_nav.simulator:simulate",
        "config": {"dt": DT, "horizon": 300},
    },
    "policy": {"id": "expert", "digest": "3f9c2a71"},
    "git": {"commit": "0123abc", "dirty": False},
}


def arrays(seed: int = 0, *, steps: int = 120) -> dict[str, np.ndarray]:
    """The arrays of one episode; every fifth ends in a collision, every ninth by the clock."""
    rng = np.random.default_rng(seed)
    start, goal = np.array([-5.0, rng.uniform(-2, 2)]), np.array([5.0, rng.uniform(-2, 2)])
    share = np.linspace(0, 1, steps + 1)[:, None]
    sway = rng.uniform(0.3, 1.3) * np.sin(share * np.pi * rng.integers(1, 4))
    position = start + (goal - start) * share + np.concatenate([0 * sway, sway], axis=1)
    people = _people(rng, steps)
    apart = np.linalg.norm(people - position[:, None], axis=2) - 0.6
    clearance = np.minimum(np.nanmin(apart[1:], axis=1), 10.0)
    clearance = np.maximum(clearance, 0.02)
    outcome = "collision_pedestrian" if seed % 5 == 4 else "timeout" if seed % 9 == 8 else "goal"
    if outcome.startswith("collision"):
        clearance[-1] = -0.01
    return _record(rng, seed, outcome, position, people, clearance) | {
        "goal": goal.astype("float32"),
        "walls": _walls(),
        "scenario": np.array(SCENARIOS[seed % len(SCENARIOS)]),
    }


def _people(rng: np.random.Generator, steps: int) -> np.ndarray:
    """Positions, ``[T + 1, P, 2]``; the last few rows of people are empty."""
    count = int(rng.integers(3, PEOPLE + 1))
    place = rng.uniform([-5, -3.4], [5, 3.4], (PEOPLE, 2))
    heading = rng.uniform(0, 2 * np.pi, PEOPLE)
    pace = rng.uniform(0.2, 1.0, PEOPLE)
    time = np.arange(steps + 1)[:, None, None] * DT
    step = pace[:, None] * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    far = np.array([5.5, 3.8])
    found = place + time * step
    found = far - np.abs((found + far) % (4 * far) - 2 * far)
    found[:, count:] = np.nan
    return found


def _walls() -> np.ndarray:
    walls = np.full((WALLS, 4), np.nan, "float32")
    walls[0], walls[1] = (-6, -4, 6, -4), (-6, 4, 6, 4)
    walls[2], walls[3] = (0, -4, 0, -2.4), (0, 2.6, 0, 4)
    return walls


def _record(
    rng: np.random.Generator,
    seed: int,
    outcome: str,
    position: np.ndarray,
    people: np.ndarray,
    clearance: np.ndarray,
) -> dict[str, np.ndarray]:
    steps = len(clearance)
    move = np.diff(position, axis=0, prepend=position[:1])
    heading = np.arctan2(move[:, 1], move[:, 0] + 1e-9)
    speed = np.linalg.norm(move, axis=1) / DT
    reward = (speed[1:] * DT - 0.01 + rng.normal(0, 0.003, steps)).astype("float32")
    reward[-1] += {"goal": 10.0, "timeout": 0.0}.get(outcome, -15.0)
    ends = np.arange(steps) == steps - 1
    noise = rng.normal(0, 0.05, (steps + 1, 7))
    observation = np.concatenate(
        [position, heading[:, None], np.stack([speed, speed], 1), noise], 1
    )
    return {
        "observation": observation.astype("float32"),
        "robot_pose": np.concatenate([position, heading[:, None]], axis=1).astype("float32"),
        "robot_velocity": np.stack([speed, np.gradient(heading) / DT], axis=1).astype("float32"),
        "pedestrian_position": people.astype("float32"),
        "pedestrian_velocity": np.gradient(people, DT, axis=0).astype("float32"),
        "action": rng.uniform(-1, 1, (steps, 2)).astype("float32"),
        "reward": reward,
        "clearance": clearance.astype("float32"),
        "terminated": ends & (outcome != "timeout"),
        "truncated": ends & (outcome == "timeout"),
        "seed": np.array(seed, "int64"),
        "outcome": np.array(outcome),
        "return": np.array(reward.sum(dtype=np.float64)),
        "min_clearance": np.array(clearance.astype("float32").min(), "float64"),
    }


def episodes(count: int, *, steps: int | None = None, first: int = 0) -> Iterator[Episode]:
    """Episodes of different scenarios and lengths."""
    for seed in range(first, first + count):
        length = steps or int(np.random.default_rng(seed).integers(40, 160))
        yield Episode(SCHEMA, arrays(seed, steps=length))


def dataset(
    target: Path,
    count: int = 12,
    *,
    steps: int | None = None,
    provenance: Mapping[str, object] = PROVENANCE,
) -> Manifest:
    """A sealed version of such episodes."""
    made = episodes(count, steps=steps)
    return write_dataset(target, made, schema=SCHEMA, provenance=provenance)
