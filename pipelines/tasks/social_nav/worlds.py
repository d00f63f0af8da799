"""A batch of worlds with its buffers: what the environments and ``rollout`` stand on."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from pipelines.tasks.social_nav import kernel, sight
from pipelines.tasks.social_nav.config import (
    GRID_CELLS,
    OBSERVATION_LIMIT,
    OBSERVATION_SIZE,
    EnvConfig,
)
from pipelines.tasks.social_nav.placement import place
from pipelines.tasks.social_nav.scenarios import Scenario, find_scenario, scenario_names
from pipelines.tasks.social_nav.shortest import shortest_path
from pipelines.tasks.social_nav.state import Outcome, empty_worlds

Observation = np.ndarray | dict[str, np.ndarray]
"""``float32[..., 56]``, or the same as ``vector`` beside ``grid`` ``uint8[..., 64, 64]``."""
Start = tuple[Scenario, int]
"""Scenario and seed: what an episode starts from."""


def action_space() -> spaces.Box:
    """``float32[2]``: normalised target speed and turn rate."""
    return spaces.Box(-1.0, 1.0, (2,), np.float32)


def observation_space(config: EnvConfig) -> spaces.Space[Any]:
    """``float32[56]``, or a dictionary of that and a grid."""
    vector = spaces.Box(-OBSERVATION_LIMIT, OBSERVATION_LIMIT, (OBSERVATION_SIZE,), np.float32)
    if config.observation == "vector":
        return vector
    grid = spaces.Box(0, 255, (GRID_CELLS, GRID_CELLS), np.uint8)
    return spaces.Dict({"vector": vector, "grid": grid})


def scenarios_of(config: EnvConfig) -> tuple[Scenario, ...]:
    """The scenarios that a configuration names; if none, all but those for evaluation only."""
    return tuple(find_scenario(name) for name in config.scenarios or scenario_names())


class Worlds:
    """``count`` worlds, advanced together and placed one by one.

    ``states``, ``[count]`` of ``STATE``, is the whole truth: copy it to save it.
    """

    def __init__(self, count: int, config: EnvConfig) -> None:
        self.states = empty_worlds(count)
        self.episodes: dict[int, Start] = {}
        self.constants = config.constants()
        self._seen = {"vector": np.zeros((count, OBSERVATION_SIZE), np.float32)}
        if config.observation == "grid":
            self._seen["grid"] = np.zeros((count, GRID_CELLS, GRID_CELLS), np.uint8)

    def place(self, episodes: Mapping[int, Start]) -> None:
        """Start an episode of (scenario, seed) in each of the given rows, and observe it."""
        self.episodes.update(episodes)
        for row, (scenario, seed) in episodes.items():
            self.states[row] = place(scenario, seed)
        rows = np.fromiter(episodes, np.int64, len(episodes))
        kernel.begin(self.states, rows, self.constants)
        self._observe(rows)

    def advance(self, actions: np.ndarray) -> None:
        """One step by ``[count, 2]`` actions; worlds that have ended stand still."""
        actions = np.ascontiguousarray(actions, np.float32)
        kernel.advance(self.states, actions, self.constants)
        self._observe(np.arange(len(self.states)))

    def shortest_path(self, row: int) -> np.float32:
        """Least length of the way from where the robot of one world stands to its goal, metres."""
        world = self.states[row]
        radius = self.constants.robot_radius
        return np.float32(shortest_path(world["robot"][:2], world["goal"], world["wall"], radius))

    def observation(self, rows: int | slice = slice(None)) -> Observation:
        """A copy of the latest observations: all ``count`` rows, or that of one world."""
        seen = {name: np.array(part[rows]) for name, part in self._seen.items()}
        return seen if len(seen) > 1 else seen["vector"]

    def ending(self, row: int) -> dict[str, Any]:
        """What is played in a row and how it stands, as infos of a step tell it."""
        scenario, seed = self.episodes[row]
        outcome = Outcome(int(self.states["outcome"][row]))
        return {
            "outcome": outcome.label,
            "success": outcome is Outcome.GOAL,
            "is_success": outcome is Outcome.GOAL,
            "robot_at_fault": bool(self.states["robot_at_fault"][row]),
            "scenario": scenario.name,
            "seed": seed,
        }

    def _observe(self, rows: np.ndarray) -> None:
        sight.observe(self.states, rows, self.constants, self._seen["vector"])
        if "grid" in self._seen:
            sight.draw_grid(self.states, rows, self.constants, self._seen["grid"])
