"""The social-navigation environment as a Gymnasium environment."""

from typing import Any

import gymnasium as gym
import numpy as np

from pipelines.tasks.social_nav.config import ENV_VERSION, EnvConfig
from pipelines.tasks.social_nav.scenarios import find_scenario
from pipelines.tasks.social_nav.spaces import action_space, observation_space
from pipelines.tasks.social_nav.state import Outcome
from pipelines.tasks.social_nav.worlds import Observation, Worlds, scenarios_of

ENV_ID = "SocialNav-v0"


class SocialNavEnv(gym.Env[Any, np.ndarray]):
    """One robot among people on its way to a goal.

    ``reset(seed=...)`` starts the episode of that seed; without one, a seed is drawn from the
    environment's generator. ``options={"scenario": name}`` chooses the scenario; without it, one
    of the configuration's is drawn from the seed. Every info carries the scene: see ``scene``.
    """

    metadata = {"render_modes": [], "render_fps": 10}  # noqa: RUF012

    def __init__(self, config: EnvConfig | None = None) -> None:
        self.config = config or EnvConfig()
        self.version = ENV_VERSION
        self.observation_space = observation_space(self.config)
        self.action_space = action_space()
        self._pool = scenarios_of(self.config)
        self._worlds = Worlds(1, self.config)
        self._episode = (self._pool[0], 0)
        self._shortest = np.float32(0.0)
        self._actions = np.zeros((1, 2), np.float32)

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
        self._episode = (scenario, episode_seed)
        self._worlds.place({0: self._episode})
        self._shortest = self._worlds.shortest_path(0)
        return self._worlds.observation_of(0), self._info()

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Steer for 0.1 s by ``float32[2]``: normalised target speed and turn rate."""
        self._actions[0] = action
        self._worlds.advance(self._actions)
        state = self._worlds.states[0]
        outcome = int(state["outcome"])
        truncated = outcome == Outcome.TIMEOUT
        terminated = outcome != Outcome.RUNNING and not truncated
        observation = self._worlds.observation_of(0)
        return observation, float(state["reward"]), terminated, truncated, self._info()

    def _info(self) -> dict[str, Any]:
        """The scene; absent pedestrians are rows of nan.

        ``robot_pose`` x, y, heading; ``robot_velocity`` v, omega; ``pedestrian_position`` and
        ``pedestrian_velocity`` ``float32[10, 2]``; ``robot_force`` ``float32[10]``, m/s2;
        ``clearance`` to the nearest pedestrian, metres, at most 10; ``outcome``;
        ``shortest_path`` from start to goal, metres.
        """
        state = self._worlds.states[0]
        robot = state["robot"].astype(np.float32)
        outcome = Outcome(int(state["outcome"]))
        return {
            "robot_pose": robot[:3],
            "robot_velocity": robot[3:],
            "pedestrian_position": state["position"].astype(np.float32),
            "pedestrian_velocity": state["velocity"].astype(np.float32),
            "robot_force": state["robot_force"].astype(np.float32),
            "clearance": np.float32(state["clearance"]),
            "goal": state["goal"].astype(np.float32),
            "walls": state["wall"].astype(np.float32),
            "outcome": outcome.label,
            "success": outcome is Outcome.GOAL,
            "is_success": outcome is Outcome.GOAL,
            "robot_at_fault": bool(state["robot_at_fault"]),
            "shortest_path": self._shortest,
            "scenario": self._episode[0].name,
            "seed": self._episode[1],
        }
