"""Drives of a small expert, as datasets that a contract asks for."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trajstore.dataset import Dataset
from trajstore.episode.episode import Episode
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec
from trajstore.quality import Report
from trajstore.quality.contract import Contract
from trajstore.recording.bulk import write_dataset
from trajstore.version.findings import Severity

Arrays = dict[str, np.ndarray]
SCENARIOS = ("frontal_approach/low", "blind_corner/medium")
SCHEMA = EpisodeSchema(
    (
        FieldSpec("observation", Axis.STATE, (4,), "float32", low=-50, high=50),
        FieldSpec("robot_pose", Axis.STATE, (3,), "float32", unit="m"),
        FieldSpec("robot_velocity", Axis.STATE, (2,), "float32"),
        FieldSpec("time", Axis.STATE, (), "float32", unit="s"),
        FieldSpec("action", Axis.STEP, (2,), "float32", low=-1, high=1),
        FieldSpec("reward", Axis.STEP, (), "float32"),
        FieldSpec("terminated", Axis.STEP, (), "bool"),
        FieldSpec("truncated", Axis.STEP, (), "bool"),
        FieldSpec("scenario", Axis.EPISODE, (), "str"),
        FieldSpec("seed", Axis.EPISODE, (), "int64"),
    )
)
CONTRACT = Contract(
    minimum_episodes=10,
    required_scenarios=SCENARIOS,
    episodes_per_scenario=5,
    required_provenance=("policy.id",),
    observation=tuple(SCHEMA.field(name).to_json() for name in ("observation", "action")),
    reserved_seeds=((1_000_000, 2_000_000),),
    min_steps=2,
)


def policy(observations: np.ndarray) -> np.ndarray:
    """The expert of this file: turns the observation into an action, without memory."""
    turned = np.tanh(observations @ np.array([[0.3, -0.2], [0.1, 0.5], [-0.4, 0.2], [0.2, 0.1]]))
    return turned.astype(np.float32)


def arrays(seed: int, steps: int = 0) -> Arrays:
    """One drive of the expert: velocity follows the action, the observation shows the velocity."""
    steps = steps or 40 + seed % 3
    rng = np.random.default_rng(seed)
    velocity = np.zeros((steps + 1, 2))
    observation = np.zeros((steps + 1, 4), np.float32)
    action = np.zeros((steps, 2), np.float32)
    noise = rng.normal(0, 1, (steps + 1, 2))
    observation[0] = [0, 0, *noise[0]]
    for step in range(steps):
        action[step] = policy(observation[step][None])[0]
        velocity[step + 1] = 0.7 * velocity[step] + 0.3 * action[step]
        observation[step + 1] = [*(2 * velocity[step + 1]), *noise[step + 1]]
    position = np.cumsum(velocity, axis=0) * 0.1
    return {
        "observation": observation,
        "robot_pose": np.column_stack([position, np.zeros(steps + 1)]).astype(np.float32),
        "robot_velocity": velocity.astype(np.float32),
        "time": np.arange(steps + 1, dtype=np.float32) * np.float32(0.125),
        "action": action,
        "reward": rng.normal(0, 1, steps).astype(np.float32),
        "terminated": np.arange(steps) == steps - 1,
        "truncated": np.zeros(steps, bool),
        "scenario": np.array(SCENARIOS[seed % 2]),
        "seed": np.array(2_000_000 + seed),
    }


def dataset(folder: Path, made: Sequence[Arrays], schema: EpisodeSchema = SCHEMA) -> Dataset:
    write_dataset(
        folder / "v",
        [Episode(schema, it) for it in made],
        schema=schema,
        provenance={"policy": {"id": "p1"}},
    )
    return Dataset.open(folder / "v")


def shifted(it: Arrays) -> Arrays:
    """What a recorder stores that keeps the observation after the action, and pads the end."""
    rows = it["observation"]
    return it | {"observation": np.concatenate([rows[1:], rows[-1:]])}


def blocking(report: Report) -> list[str]:
    return [it.check for it in report.findings if it.severity is Severity.BLOCKING]
