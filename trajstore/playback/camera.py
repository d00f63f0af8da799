"""What part of the world a picture of an episode shows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

MARGIN = 0.5
REACH = 1.6


@dataclass(frozen=True, slots=True)
class Box:
    """A piece of the world and the picture that it fills.

    Attributes:
        centre: metres.
        scale: pixels a metre.
        size: of the picture, pixels.
    """

    centre: tuple[float, float]
    scale: float
    size: tuple[int, int]

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of the world lies in the picture; its first row is the top.

        Example:
            >>> Box((0.0, 0.0), 10.0, (100, 80)).at(1.0, 1.0)
            (60.0, 30.0)
        """
        return (
            self.size[0] / 2 + (x - self.centre[0]) * self.scale,
            self.size[1] / 2 - (y - self.centre[1]) * self.scale,
        )


def view_box(scene: Mapping[str, np.ndarray], size: tuple[int, int]) -> Box:
    """Show the agent's whole way and its goal, and walls and others up to a few metres around.

    The scene is the fields of an episode by role, ``pose`` among them; size is in pixels.
    """
    goal, walls, others = (finite_rows(scene.get(it, ()), 2) for it in ("goal", "walls", "others"))
    near = np.concatenate([finite_rows(scene["pose"][:, :2], 2), goal])
    if not len(near):
        near = np.zeros((1, 2))
    low, high = near.min(axis=0), near.max(axis=0)
    reach = max(REACH, 0.22 * float((high - low).max()))
    walls = np.clip(walls, low - reach, high + reach)
    others = others[((others > low - reach) & (others < high + reach)).all(axis=1)]
    every = np.concatenate([near, walls, others])
    low, high = every.min(axis=0) - MARGIN, every.max(axis=0) + MARGIN
    width, height = (high - low).tolist()
    middle = ((low + high) / 2).tolist()
    return Box((middle[0], middle[1]), min(size[0] / width, size[1] / height), size)


def finite_rows(numbers: ArrayLike, width: int) -> np.ndarray:
    """Rows of ``width`` numbers, as float64, those that are not finite left out."""
    rows = np.asarray(numbers, np.float64).reshape(-1, width)
    return rows[np.isfinite(rows).all(axis=1)]
