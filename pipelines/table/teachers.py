"""Scripted teachers: what others wrote for their own environments, from observation to action."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.box2d import lunar_lander

_heuristic: Any = lunar_lander.heuristic
_DISCRETE = gym.make("LunarLander-v3")
_CONTINUOUS = gym.make("LunarLander-v3", continuous=True)


def lander(observation: np.ndarray) -> int:
    """Gymnasium's heuristic for LunarLander-v3."""
    return int(_heuristic(_DISCRETE, observation))


def lander_continuous(observation: np.ndarray) -> np.ndarray:
    """The same for LunarLanderContinuous-v3."""
    return np.asarray(_heuristic(_CONTINUOUS, observation), np.float32)
