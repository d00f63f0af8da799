"""Play a fixed list of episodes to the end, all at once, and record them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.tasks.social_nav.config import EnvConfig
from pipelines.tasks.social_nav.robots import Act
from pipelines.tasks.social_nav.scenarios import find_scenario
from pipelines.tasks.social_nav.schema import SCENE, episode_schema, observation_fields
from pipelines.tasks.social_nav.state import Outcome
from pipelines.tasks.social_nav.worlds import Observation, Worlds
from trajstore.episode.episode import Episode
from trajstore.episode.schema import Axis, EpisodeSchema

Names = tuple[str, int]
"""Scenario and seed: what an episode starts from."""


@dataclass(frozen=True, slots=True)
class Row:
    """How one episode ended.

    Attributes:
        scenario: name of its scenario.
        seed: of the episode.
        outcome: goal, collision_pedestrian, collision_wall or timeout.
        success: the goal was reached.
        collision: a pedestrian or a wall was touched.
        robot_at_fault: in a collision, whether the robot was moving towards what it touched.
        total_reward: sum over the steps, undiscounted.
        steps: length of the episode.
    """

    scenario: str
    seed: int
    outcome: str
    success: bool
    collision: bool
    robot_at_fault: bool
    total_reward: float
    steps: int


def rollout(act: Act, episodes: Sequence[Names], config: EnvConfig) -> list[Row]:
    """Play (scenario, seed) pairs; those that end early wait for the others.

    Args:
        act: observations of all episodes, ended ones included, to actions.
        episodes: scenario names and seeds.
        config: of the environment; its own list of scenarios plays no part.

    Returns:
        One row an episode, in the order given.

    Raises:
        ValueError: a scenario that does not exist.
    """
    worlds = _start(episodes, config)
    totals = np.zeros(len(episodes))
    for _, running in _steps(act, worlds):
        totals += np.where(running, worlds.states["reward"], 0.0)
    return [
        _row(names, state, float(total))
        for names, state, total in zip(episodes, worlds.states, totals, strict=True)
    ]


def record_rollout(act: Act, episodes: Sequence[Names], config: EnvConfig) -> list[Episode]:
    """Play as ``rollout`` does, and keep everything ``episode_schema`` names.

    Returns:
        One episode each, in the order given; identical to the bit whatever plays beside it, as
        long as ``act`` answers alike.

    Raises:
        ValueError: a scenario that does not exist.
        SchemaError: the actions are not finite numbers.
    """
    worlds = _start(episodes, config)
    shortest = [worlds.shortest_path(row) for row in range(len(episodes))]
    steps = [_snapshot(worlds, config)]
    for actions, _ in _steps(act, worlds):
        reward = worlds.states["reward"].astype(np.float32)
        steps.append({**_snapshot(worlds, config), "action": actions, "reward": reward})
    schema = episode_schema(config)
    columns = {
        spec.name: np.stack([step[spec.name] for step in steps[spec.axis is Axis.STEP :]])
        for spec in schema.fields
        if spec.name in steps[-1] and spec.axis is not Axis.EPISODE
    }
    return [
        _episode(schema, names, worlds.states[row : row + 1], columns, row, shortest[row])
        for row, names in enumerate(episodes)
    ]


def _start(episodes: Sequence[Names], config: EnvConfig) -> Worlds:
    worlds = Worlds(len(episodes), config)
    worlds.place({row: (find_scenario(name), seed) for row, (name, seed) in enumerate(episodes)})
    return worlds


def _vector(observation: Observation) -> np.ndarray:
    return observation["vector"] if isinstance(observation, dict) else observation


def _steps(act: Act, worlds: Worlds) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Play to the end; yields the actions, and which worlds took part in the step.

    Only worlds that still run are shown to ``act``; the actions of the others are zero.
    """
    running = worlds.states["outcome"] == Outcome.RUNNING
    while running.any():
        actions = np.zeros((len(running), 2), np.float32)
        actions[running] = np.clip(act(_vector(worlds.observation())[running]), -1.0, 1.0)
        worlds.advance(actions)
        yield actions, running
        running = worlds.states["outcome"] == Outcome.RUNNING


def _row(names: Names, state: np.void, total: float) -> Row:
    outcome = Outcome(int(state["outcome"]))
    return Row(
        scenario=names[0],
        seed=names[1],
        outcome=outcome.label,
        success=outcome is Outcome.GOAL,
        collision=outcome in (Outcome.COLLISION_PEDESTRIAN, Outcome.COLLISION_WALL),
        robot_at_fault=bool(state["robot_at_fault"]),
        total_reward=total,
        steps=int(state["time"]),
    )


def _snapshot(worlds: Worlds, config: EnvConfig) -> dict[str, np.ndarray]:
    """What changes from step to step, one row a world."""
    observation = worlds.observation()
    parts = observation if isinstance(observation, dict) else {"vector": observation}
    seen = {field.name: parts[part] for part, field in observation_fields(config).items()}
    scene = {
        field.name: column(worlds.states).astype(field.dtype)
        for field, column in SCENE.items()
        if field.axis is not Axis.EPISODE
    }
    return seen | scene


def _episode(
    schema: EpisodeSchema,
    names: Names,
    state: np.ndarray,
    columns: dict[str, np.ndarray],
    row: int,
    shortest: np.float32,
) -> Episode:
    """Cut one episode out of the columns ``[T, N, ...]``."""
    length = int(state["time"][0])
    outcome = Outcome(int(state["outcome"][0]))
    arrays: dict[str, np.ndarray] = {
        name: rows[: length + (schema.field(name).axis is Axis.STATE), row]
        for name, rows in columns.items()
    }
    last = np.arange(length) == length - 1
    arrays["terminated"] = last & (outcome is not Outcome.TIMEOUT)
    arrays["truncated"] = last & (outcome is Outcome.TIMEOUT)
    for field, column in SCENE.items():
        if field.axis is Axis.EPISODE:
            arrays[field.name] = column(state)[0].astype(field.dtype)
    labels = {
        "scenario": np.asarray(names[0]),
        "seed": np.asarray(names[1], np.int64),
        "outcome": np.asarray(outcome.label),
        "robot_at_fault": np.asarray(bool(state["robot_at_fault"][0])),
        "shortest_path": np.asarray(shortest),
    }
    return Episode(schema, arrays | labels)
