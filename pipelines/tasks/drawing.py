"""An environment as training plays it: coded, with scenarios and seeds that it draws itself."""

from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import gymnasium as gym
import numpy as np

from pipelines.tasks.coding import Coding
from pipelines.tasks.task import SUCCESS, TRAINING_SEEDS, Key

ENOUGH_FAILURES = 8
"""So many failed episodes are known before any is played again."""
MOST_FAILURES = 256
"""Older ones are forgotten."""


class Drawn(gym.Wrapper[Any, Any, Any, Any]):
    """In coded observations and actions; a reset without a seed draws scenario and seed."""

    def __init__(self, env: gym.Env[Any, Any], coding: Coding, scenarios: tuple[str, ...]) -> None:
        super().__init__(env)
        self._coding, self._names = coding, scenarios
        self.observation_space, self.action_space = coding.spaces()
        self._draws = np.random.default_rng(0)
        self._up_to: np.ndarray | None = None
        self._share = 0.0
        self._failed: deque[Key] = deque(maxlen=MOST_FAILURES)
        self._playing: Key = ("", 0)

    def weigh(self, chances: Mapping[str, float]) -> None:
        """Draw the scenarios of further episodes with these chances, which sum to 1."""
        if self._names:
            self._up_to = np.cumsum([chances.get(name, 0.0) for name in self._names])

    def replay(self, share: float) -> None:
        """Play this share of further episodes again from those that failed."""
        self._share = share

    def _keep(self, *, failed: bool) -> None:
        """Keep an episode that failed, once, until it succeeds or many others failed since."""
        with suppress(ValueError):
            self._failed.remove(self._playing)
        if failed:
            self._failed.append(self._playing)

    def _draw(self) -> Key:
        known = len(self._failed) >= ENOUGH_FAILURES
        if self._share > 0.0 and known and self._draws.random() < self._share:
            return self._failed[int(self._draws.integers(len(self._failed)))]
        name, count = "", len(self._names)
        if count and self._up_to is None:
            name = self._names[int(self._draws.integers(count))]
        elif count and self._up_to is not None:
            place = int(np.searchsorted(self._up_to, self._draws.random(), side="right"))
            name = self._names[min(place, count - 1)]
        return name, int(self._draws.integers(*TRAINING_SEEDS))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; a seed starts the draws anew, and forgets what failed."""
        if seed is not None:
            self._draws = np.random.default_rng(seed)
            self._failed.clear()
        self._playing = scenario, drawn = self._draw()
        if self._names:
            options = {"scenario": scenario}
        observation, info = self.env.reset(seed=drawn, options=options)
        return self._coding.seen(observation), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:  # noqa: ANN401
        """One step by a coded action."""
        decoded = self._coding.decode(np.asarray(action)[None])[0]
        observation, reward, terminated, truncated, info = self.env.step(decoded)
        if terminated or truncated:
            self._keep(failed=info.get("outcome", SUCCESS) != SUCCESS)
        return self._coding.seen(observation), float(reward), terminated, truncated, info
