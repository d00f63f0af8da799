"""Scripted robots that see what a policy sees: the yardsticks of the audit."""

from collections.abc import Callable

import numpy as np

from pipelines.tasks.social_nav.config import NEIGHBOUR_FEATURES, NEIGHBOURS, OWN_FEATURES, RAYS

Act = Callable[[np.ndarray], np.ndarray]
"""Observations ``float32[B, 56]`` to actions ``float32[B, 2]``."""

SENSING_RANGE = 6.0
CONTACT = 0.6
TOP_SPEED = 1.2
TOP_TURN = 1.5


def _steer(wish: np.ndarray) -> np.ndarray:
    """Actions that bring the robot's velocity near a wish ``[B, 2]`` in its frame, m/s."""
    bearing = np.arctan2(wish[:, 1], wish[:, 0])
    pace = np.linalg.norm(wish, axis=1) * np.maximum(np.cos(bearing), 0.0)
    turn = 2.5 * bearing / TOP_TURN
    actions = np.stack([2.0 * pace / TOP_SPEED - 1.0, turn], axis=1)
    return np.asarray(np.clip(actions, -1.0, 1.0), np.float32)


def straight(observations: np.ndarray) -> np.ndarray:
    """Full speed to the next waypoint, whatever is in the way."""
    return _steer(TOP_SPEED * observations[:, 3:5].astype(float))


def _surface(closeness: np.ndarray) -> np.ndarray:
    return np.asarray(SENSING_RANGE * (1.0 - np.sqrt(np.clip(closeness, 0.0, 1.0))))


def _from_pedestrians(observations: np.ndarray) -> np.ndarray:
    """Sum of the pushes of the neighbours ``[B, 2]``, m/s2 (Helbing & Molnar 1995, elliptical)."""
    first = OWN_FEATURES
    rows = observations[:, first : first + NEIGHBOURS * NEIGHBOUR_FEATURES].astype(float)
    slots = rows.reshape(len(rows), NEIGHBOURS, NEIGHBOUR_FEATURES)
    closeness = np.linalg.norm(slots[..., :2], axis=2)
    there = closeness > 0.0
    unit = slots[..., :2] / np.maximum(closeness, 1e-9)[..., None]
    offset = -unit * (_surface(closeness) + CONTACT)[..., None]
    shift = 2.0 * slots[..., 2:4] * 1.2
    near = np.maximum(np.linalg.norm(offset, axis=2), 1e-9)
    later_offset = offset - shift
    later = np.maximum(np.linalg.norm(later_offset, axis=2), 1e-9)
    both = near + later
    axis = np.sqrt(np.maximum(both**2 - (shift**2).sum(axis=2), 0.0)) / 2.0
    axis = np.maximum(axis, 0.1)
    size = 2.5 * np.exp((CONTACT + 0.15 - axis) / 0.35) * both / (4.0 * axis) * there
    size = np.minimum(size, 8.0)
    push = offset / near[..., None] + later_offset / later[..., None]
    return np.asarray((size[..., None] * push).sum(axis=1))


def social_force(observations: np.ndarray) -> np.ndarray:
    """Towards the next waypoint, pushed off people and walls, slower before a wall."""
    angles = 2.0 * np.pi * np.arange(RAYS) / RAYS
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    room = _surface(observations[:, -RAYS:].astype(float))  # to the walls along the rays, metres
    from_walls = -(1.5 * np.exp((0.05 - room) / 0.2)) @ rays
    wish = TOP_SPEED * observations[:, 3:5].astype(float)
    wish = wish + 0.5 * (_from_pedestrians(observations) + from_walls)
    pace = np.linalg.norm(wish, axis=1, keepdims=True)
    wish = wish * np.minimum(1.0, TOP_SPEED / np.maximum(pace, 1e-9))
    for ray, space in zip(rays, room.T, strict=True):  # no wall is reached within a second
        excess = np.maximum(wish @ ray - space, 0.0)
        wish = wish - excess[:, None] * ray
    pace = np.linalg.norm(wish, axis=1, keepdims=True)
    ahead = np.maximum(1.5 * room[:, [0, 1, 2, -2, -1]].min(axis=1, keepdims=True), 0.1)
    return _steer(wish * np.minimum(1.0, ahead / np.maximum(pace, 1e-9)))


ROBOTS: dict[str, Act] = {"straight": straight, "social_force": social_force}
"""Every scripted robot by name; add yours here."""
