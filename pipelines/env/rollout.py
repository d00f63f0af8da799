"""Play a fixed list of episodes to the end, all at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.env.config import EnvConfig
from pipelines.env.robots import Act
from pipelines.env.scenarios import find_scenario
from pipelines.env.state import Outcome
from pipelines.env.worlds import Worlds


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


def _row(episode: tuple[str, int], state: np.void, total: float) -> Row:
    outcome = Outcome(int(state["outcome"]))
    return Row(
        scenario=episode[0],
        seed=episode[1],
        outcome=outcome.label,
        success=outcome is Outcome.GOAL,
        collision=outcome in (Outcome.COLLISION_PEDESTRIAN, Outcome.COLLISION_WALL),
        robot_at_fault=bool(state["robot_at_fault"]),
        total_reward=total,
        steps=int(state["time"]),
    )


def rollout(act: Act, episodes: Sequence[tuple[str, int]], config: EnvConfig) -> list[Row]:
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
    worlds = Worlds(len(episodes), config)
    worlds.place(
        {row: (find_scenario(name), seed) for row, (name, seed) in enumerate(episodes)}
    )
    totals = np.zeros(len(episodes))
    running = worlds.states["outcome"] == Outcome.RUNNING
    while running.any():
        worlds.advance(act(worlds.observation()))
        totals += np.where(running, worlds.states["reward"], 0.0)
        running = worlds.states["outcome"] == Outcome.RUNNING
    return [
        _row(episode, worlds.states[row], float(totals[row]))
        for row, episode in enumerate(episodes)
    ]
