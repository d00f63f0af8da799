"""Which implementation of the physics runs: compiled, or plain NumPy.

``TRAJSTORE_NUMBA=0`` in the environment chooses NumPy, for machines without numba; it is about a
hundred times slower and agrees within 1e-9.
"""

import os
from collections.abc import Callable
from importlib import import_module

import numpy as np

from pipelines.tasks.social_nav.config import Constants

COMPILED = os.environ.get("TRAJSTORE_NUMBA", "1") != "0"

_motion = import_module(
    "pipelines.tasks.social_nav.kernel" if COMPILED else "pipelines.tasks.social_nav.oracle"
)
_sight = import_module(
    "pipelines.tasks.social_nav.sight" if COMPILED else "pipelines.tasks.social_nav.oracle_sight"
)

begin: Callable[[np.ndarray, np.ndarray, Constants], None] = _motion.begin
advance: Callable[[np.ndarray, np.ndarray, Constants], None] = _motion.advance
observe: Callable[[np.ndarray, np.ndarray, Constants, np.ndarray], None] = _sight.observe
draw_grid: Callable[[np.ndarray, np.ndarray, Constants, np.ndarray], None] = _sight.draw_grid
