"""Play a fixed list of episodes to the end, all at once, and record them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.tasks.social_nav.config import EnvConfig
from pipelines.tasks.social_nav.robots import Act
from pipelines.tasks.social_nav.scenarios import find_scenario
from pipelines.tasks.social_nav.schema import episode_schema, observation_fields, scene_of
from pipelines.tasks.social_nav.state import Outcome
from pipelines.tasks.social_nav.worlds import Worlds
from trajstore.episode.episode import Episode
from trajstore.episode.schema import Axis, EpisodeSchema

Names = tuple[str, int]
"""Scenario and seed: what an episode starts from."""


@dataclass(frozen=True, slots=True)
class Row:
    """How one episode ended.

    Attributes:
        outcome: goal, collision_pedestrian, collision_wall or timeout.
        robot_at_fault: in a collision, whether the robot was moving towards what it touched.
        total_reward: sum over the steps, undiscounted.
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
        act: observations of all episodes that still run to actions.
        episodes: one row each comes back, in the order given.
        config: of the environment; its own list of scenarios plays no part.

    Raises:
        ValueError: a scenario that does not exist.
    """
    worlds = _start(episodes, config)
    totals = np.zeros(len(episodes))
    for _, running in _steps(act, worlds):
        totals += np.where(running, worlds.states["reward"], 0.0)
    rows = []
    for row, total in enumerate(totals.tolist()):
        ending, steps = worlds.ending(row), int(worlds.states["time"][row])
        del ending["is_success"]
        collision = ending["outcome"].startswith("collision")
        rows.append(Row(**ending, collision=collision, total_reward=total, steps=steps))
    return rows


def record_rollout(act: Act, episodes: Sequence[Names], config: EnvConfig) -> list[Episode]:
    """Play as ``rollout`` does, and keep everything ``episode_schema`` names.

    An episode is identical to the bit whatever plays beside it, as long as ``act`` answers alike.

    Raises:
        ValueError: a scenario that does not exist.
        SchemaError: the actions are not finite numbers.
    """
    worlds = _start(episodes, config)
    shortest = [worlds.shortest_path(row) for row in range(len(episodes))]
    states, steps = [_snapshot(worlds, config)], []
    for actions, _ in _steps(act, worlds):
        states.append(_snapshot(worlds, config))
        reward = worlds.states["reward"].astype(np.float32)
        steps.append(scene_of(worlds.states, {Axis.STEP}) | {"action": actions, "reward": reward})
    columns = _stacked(states) | _stacked(steps)
    last = scene_of(worlds.states, {Axis.EPISODE}) | {"shortest_path": np.array(shortest)}
    schema = episode_schema(config)
    return [_episode(schema, worlds, row, columns, last) for row in range(len(episodes))]


def _start(episodes: Sequence[Names], config: EnvConfig) -> Worlds:
    worlds = Worlds(len(episodes), config)
    worlds.place({row: (find_scenario(name), seed) for row, (name, seed) in enumerate(episodes)})
    return worlds


def _steps(act: Act, worlds: Worlds) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Play to the end; yields the actions, and which worlds took part in the step.

    Only worlds that still run are shown to ``act``; the actions of the others are zero.
    """
    running = worlds.states["outcome"] == Outcome.RUNNING
    while running.any():
        actions = np.zeros((len(running), 2), np.float32)
        seen = worlds.observation()
        vector = seen["vector"] if isinstance(seen, dict) else seen
        actions[running] = np.clip(act(vector[running]), -1.0, 1.0)
        worlds.advance(actions)
        yield actions, running
        running = worlds.states["outcome"] == Outcome.RUNNING


def _snapshot(worlds: Worlds, config: EnvConfig) -> dict[str, np.ndarray]:
    """What holds between two steps, one row a world."""
    seen = worlds.observation()
    parts = seen if isinstance(seen, dict) else {"vector": seen}
    observed = {field.name: parts[part] for part, field in observation_fields(config).items()}
    return observed | scene_of(worlds.states, {Axis.STATE})


def _stacked(rows: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _episode(
    schema: EpisodeSchema,
    worlds: Worlds,
    row: int,
    columns: Mapping[str, np.ndarray],
    last: Mapping[str, np.ndarray],
) -> Episode:
    """Cut one episode out of the columns ``[T, N, ...]`` and what holds for each whole one."""
    ending = worlds.ending(row)
    length = int(worlds.states[row]["time"])
    end = np.arange(length) == length - 1
    out_of_time = ending["outcome"] == Outcome.TIMEOUT.label
    arrays: dict[str, Any] = {
        name: rows[: length + (schema.field(name).axis is Axis.STATE), row]
        for name, rows in columns.items()
    }
    arrays |= {name: rows[row] for name, rows in last.items()}
    arrays |= {"terminated": end & (not out_of_time), "truncated": end & out_of_time}
    arrays |= {name: ending[name] for name in ("scenario", "seed", "outcome", "robot_at_fault")}
    return Episode(schema, arrays)
