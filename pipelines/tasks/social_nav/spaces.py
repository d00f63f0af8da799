"""The action and observation spaces of the social-navigation environment."""

from typing import Any

import numpy as np
from gymnasium import spaces

from pipelines.tasks.social_nav.config import GRID_CELLS, OBSERVATION_SIZE, EnvConfig

OBSERVATION_LIMIT = 2.0
"""Relative velocity is the largest entry: 1.56 + 1.2 m/s over 2 m/s is 1.38."""


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
