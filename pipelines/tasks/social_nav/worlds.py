"""A batch of worlds with its buffers: what the environments and ``rollout`` stand on."""

from collections.abc import Mapping

import numpy as np

from pipelines.tasks.social_nav import physics
from pipelines.tasks.social_nav.config import GRID_CELLS, OBSERVATION_SIZE, EnvConfig
from pipelines.tasks.social_nav.placement import place
from pipelines.tasks.social_nav.scenarios import Scenario, find_scenario, scenario_names
from pipelines.tasks.social_nav.shortest import shortest_path
from pipelines.tasks.social_nav.state import empty_worlds

Observation = np.ndarray | dict[str, np.ndarray]
"""``float32[..., 56]``, or the same as ``vector`` beside ``grid`` ``uint8[..., 64, 64]``."""


def scenarios_of(config: EnvConfig) -> tuple[Scenario, ...]:
    """The scenarios that a configuration names; if none, all but those for evaluation only.

    Raises:
        ValueError: a name that does not exist.
    """
    return tuple(find_scenario(name) for name in config.scenarios or scenario_names())


class Worlds:
    """``count`` worlds, advanced together and placed one by one.

    Attributes:
        states: ``[count]`` of ``STATE``; the whole truth, copy it to save it.
        constants: of the physics.
    """

    def __init__(self, count: int, config: EnvConfig) -> None:
        self.states = empty_worlds(count)
        self.constants = config.constants()
        self._vector = np.zeros((count, OBSERVATION_SIZE), np.float32)
        self._grid = (
            np.zeros((count, GRID_CELLS, GRID_CELLS), np.uint8)
            if config.observation == "grid"
            else None
        )
        self._all = np.arange(count)

    def place(self, episodes: Mapping[int, tuple[Scenario, int]]) -> None:
        """Start an episode of (scenario, seed) in each of the given rows, and observe it."""
        for row, (scenario, seed) in episodes.items():
            self.states[row] = place(scenario, seed)
        rows = np.fromiter(episodes, np.int64, len(episodes))
        physics.begin(self.states, rows, self.constants)
        self._observe(rows)

    def advance(self, actions: np.ndarray) -> None:
        """One step by ``[count, 2]`` actions; worlds that have ended stand still."""
        actions = np.ascontiguousarray(actions, np.float32)
        physics.advance(self.states, actions, self.constants)
        self._observe(self._all)

    def shortest_path(self, row: int) -> np.float32:
        """Least length of the way from where the robot of one world stands to its goal, metres."""
        world = self.states[row]
        radius = self.constants.robot_radius
        return np.float32(shortest_path(world["robot"][:2], world["goal"], world["wall"], radius))

    def observation(self) -> Observation:
        """A copy of the latest observations, ``count`` rows."""
        if self._grid is None:
            return self._vector.copy()
        return {"vector": self._vector.copy(), "grid": self._grid.copy()}

    def observation_of(self, row: int) -> Observation:
        """A copy of the latest observation of one world."""
        vector = np.array(self._vector[row])
        if self._grid is None:
            return vector
        return {"vector": vector, "grid": np.array(self._grid[row])}

    def _observe(self, rows: np.ndarray) -> None:
        physics.observe(self.states, rows, self.constants, self._vector)
        if self._grid is not None:
            physics.draw_grid(self.states, rows, self.constants, self._grid)
