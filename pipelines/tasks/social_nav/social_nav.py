"""The social-navigation environment as a Gymnasium environment."""

from typing import Any

import gymnasium as gym
import numpy as np

from pipelines.tasks.social_nav.config import ENV_VERSION, EnvConfig
from pipelines.tasks.social_nav.scenarios import find_scenario
from pipelines.tasks.social_nav.schema import scene_of
from pipelines.tasks.social_nav.state import Outcome
from pipelines.tasks.social_nav.worlds import (
    Observation,
    Worlds,
    action_space,
    observation_space,
    scenarios_of,
)

ENV_ID = "SocialNav-v0"


class SocialNavEnv(gym.Env[Any, np.ndarray]):
    """One robot among people on its way to a goal.

    ``reset(seed=...)`` starts the episode of that seed; without one, a seed is drawn from the
    environment's generator. ``options={"scenario": name}`` chooses the scenario; without it, one
    of the configuration's is drawn from the seed. Every info carries the scene, by the names and
    in the units of ``schema.SCENE``, ``outcome``, ``scenario``, ``seed``, and ``shortest_path``
    from start to goal, metres.
    """

    metadata = {"render_modes": [], "render_fps": 10}  # noqa: RUF012

    def __init__(self, config: EnvConfig | None = None) -> None:
        self.config = config or EnvConfig()
        self.version = ENV_VERSION
        self.observation_space = observation_space(self.config)
        self.action_space = action_space()
        self._pool = scenarios_of(self.config)
        self._worlds = Worlds(1, self.config)
        self._shortest = np.float32(0.0)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode.

        Raises:
            ValueError: the options name a scenario that does not exist.
        """
        super().reset(seed=seed)
        drawn = self._pool[int(self.np_random.integers(len(self._pool)))]
        name = (options or {}).get("scenario")
        scenario = drawn if name is None else find_scenario(name)
        episode_seed = int(self.np_random.integers(2**31)) if seed is None else seed
        self._worlds.place({0: (scenario, episode_seed)})
        self._shortest = self._worlds.shortest_path(0)
        return self._worlds.observation(0), self._info()

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Steer for 0.1 s by ``float32[2]``: normalised target speed and turn rate."""
        self._worlds.advance(np.reshape(action, (1, 2)))
        states = self._worlds.states
        outcome, reward = int(states["outcome"][0]), float(states["reward"][0])
        truncated = outcome == Outcome.TIMEOUT
        terminated = outcome != Outcome.RUNNING and not truncated
        return self._worlds.observation(0), reward, terminated, truncated, self._info()

    def _info(self) -> dict[str, Any]:
        scene = {name: rows[0] for name, rows in scene_of(self._worlds.states).items()}
        return scene | self._worlds.ending(0) | {"shortest_path": self._shortest}
