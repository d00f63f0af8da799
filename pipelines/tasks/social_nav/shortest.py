"""The shortest way of a disc's centre round walls: straight lines and arcs about wall ends."""

import math

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

SLACK = 1e-6
"""Metres by which a way may seem to cut into the room that a wall takes; rounding needs some."""
SAMPLES = 9
"""Points at which an arc is looked at."""


def shortest_path(start: np.ndarray, goal: np.ndarray, walls: np.ndarray, radius: float) -> float:
    """Length of the shortest way on which the centre keeps ``radius`` from every wall, metres.

    Such a way is made of straight lines that touch circles of that radius about wall ends, and of
    arcs of these circles (a tangent visibility graph).

    Start and goal, ``[2]``, lie at least ``radius`` away from every wall ``[W, 4]``, x0, y0, x1,
    y1; rows of nan are none.

    Raises:
        ValueError: there is no way.
    """
    start, goal = np.asarray(start, float), np.asarray(goal, float)
    walls = np.asarray(walls, float)
    walls = walls[np.isfinite(walls).all(axis=1)]
    direct = float(np.linalg.norm(goal - start))
    if _is_free(np.array([[*start, *goal]]), walls, radius)[0]:
        return direct
    centres = np.unique(np.concatenate([walls[:, :2], walls[:, 2:]]).round(9), axis=0)
    points, owners, lines = _tangents(start, goal, centres, radius)
    free = _is_free(points[lines].reshape(-1, 4), walls, radius)
    lines = lines[free]
    lengths = np.linalg.norm(points[lines[:, 1]] - points[lines[:, 0]], axis=1)
    arcs, bends = _arcs(points, owners, centres, walls, radius)
    ends = np.concatenate([lines, arcs])
    weights = np.concatenate([lengths, bends]) + 1e-12  # a weight of 0 would be no edge
    graph = coo_array((weights, (ends[:, 0], ends[:, 1])), shape=(len(points), len(points)))
    found = float(dijkstra(graph.tocsr(), directed=False, indices=0)[1])
    if not math.isfinite(found):
        raise ValueError(
            f"shortest_path: expected a way of {radius} m to each side from {start} to {goal}, "
            "got none; move the walls, the start or the goal"
        )
    return max(found, direct)


def _tangents(
    start: np.ndarray, goal: np.ndarray, centres: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points ``[P, 2]`` where tangents end, their circles ``[P]`` (-1 none), lines ``[L, 2]``.

    The first two points are start and goal.
    """
    points, owners, lines = [start, goal], [-1, -1], []

    def touch(circle: int, angle: float) -> int:
        points.append(centres[circle] + radius * np.array([math.cos(angle), math.sin(angle)]))
        owners.append(circle)
        return len(points) - 1

    for one, centre in enumerate(centres):
        for end in (0, 1):
            across = points[end] - centre
            distance, angle = math.hypot(*across), math.atan2(across[1], across[0])
            turn = math.acos(min(radius / max(distance, 1e-9), 1.0))
            lines += [(end, touch(one, angle + side * turn)) for side in (-1, 1)]
        for other in range(one + 1, len(centres)):
            across = centres[other] - centre
            distance, angle = math.hypot(*across), math.atan2(across[1], across[0])
            for side in (-math.pi / 2, math.pi / 2):
                lines.append((touch(one, angle + side), touch(other, angle + side)))
            if distance > 2.0 * radius:
                turn = math.acos(2.0 * radius / distance)
                for side in (-turn, turn):
                    lines.append((touch(one, angle + side), touch(other, angle + side + math.pi)))
    return np.array(points), np.array(owners), np.array(lines)


def _arcs(
    points: np.ndarray, owners: np.ndarray, centres: np.ndarray, walls: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Arcs ``[A, 2]`` between neighbouring points of a circle that no wall is near; lengths."""
    ends, lengths, looked = [], [], []
    for circle, centre in enumerate(centres):
        members = np.flatnonzero(owners == circle)
        across = points[members] - centre
        angles = np.arctan2(across[:, 1], across[:, 0])
        order = np.argsort(angles)
        following = np.roll(order, -1)
        turns = np.mod(angles[following] - angles[order], 2.0 * math.pi)
        between = angles[order][:, None] + turns[:, None] * np.linspace(0.0, 1.0, SAMPLES)
        ends.append(np.stack([members[order], members[following]], axis=1))
        lengths.append(radius * turns)
        looked.append(centre + radius * np.stack([np.cos(between), np.sin(between)], axis=-1))
    places = np.concatenate(looked)
    near = _from_walls(places.reshape(-1, 2), walls).reshape(*places.shape[:2], len(walls))
    free = (near >= radius - SLACK).all(axis=(1, 2))
    return np.concatenate(ends)[free], np.concatenate(lengths)[free]


def _is_free(lines: np.ndarray, walls: np.ndarray, radius: float) -> np.ndarray:
    """Which lines ``[L, 4]`` keep ``radius`` from every wall, ``bool[L]``."""
    if not len(walls):
        return np.ones(len(lines), bool)
    nearest = np.minimum.reduce(
        [
            _from_walls(lines[:, :2], walls),
            _from_walls(lines[:, 2:], walls),
            _from_walls(walls[:, :2], lines).T,
            _from_walls(walls[:, 2:], lines).T,
        ]
    )
    return np.asarray(((nearest >= radius - SLACK) & ~_cross(lines, walls)).all(axis=1))


def _from_walls(places: np.ndarray, walls: np.ndarray) -> np.ndarray:
    """Distances ``[N, W]`` of points to segments, metres."""
    first, along = walls[:, :2], walls[:, 2:] - walls[:, :2]
    offset = places[:, None] - first
    size = np.maximum((along**2).sum(axis=1), 1e-18)
    share = np.clip((offset * along).sum(axis=2) / size, 0.0, 1.0)
    return np.asarray(np.linalg.norm(offset - share[..., None] * along, axis=2))


def _cross(lines: np.ndarray, walls: np.ndarray) -> np.ndarray:
    """Which lines cross which walls, ``bool[L, W]``."""

    def side(segments: np.ndarray, places: np.ndarray) -> np.ndarray:
        along = segments[:, 2:] - segments[:, :2]
        offset = places[None] - segments[:, None, :2]
        return np.asarray(along[:, None, 0] * offset[..., 1] - along[:, None, 1] * offset[..., 0])

    apart = side(lines, walls[:, :2]) * side(lines, walls[:, 2:])
    split = side(walls, lines[:, :2]) * side(walls, lines[:, 2:])
    return np.asarray((apart < 0.0) & (split.T < 0.0))
