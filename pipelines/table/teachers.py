"""Scripted teachers: what others wrote for their own environments, from observation to action."""

from functools import cache, partial
from importlib import import_module
from typing import Any

import gymnasium as gym
import numpy as np


@cache
def _heuristic(continuous: bool) -> Any:  # noqa: ANN401 - a function without types
    """Gymnasium's own, imported when it is asked for, since it needs Box2D."""
    env = gym.make("LunarLander-v3", continuous=continuous)
    return partial(import_module("gymnasium.envs.box2d.lunar_lander").heuristic, env)


def lander(observation: np.ndarray) -> int:
    """Gymnasium's heuristic for LunarLander-v3."""
    return int(_heuristic(continuous=False)(observation))


def lander_continuous(observation: np.ndarray) -> np.ndarray:
    """The same for LunarLanderContinuous-v3."""
    return np.asarray(_heuristic(continuous=True)(observation), np.float32)
