"""The start of an episode: a world drawn from a scenario by a seed.

An episode is (environment version, scenario, seed, actions): all chance lies in ``place``, which
draws from one generator made of the seed and the scenario's name.
"""

import math
import zlib
from collections.abc import Iterator, Sequence

import numpy as np

from pipelines.tasks.social_nav.scenarios import LAYOUTS, Box, Point, Scenario, Stream, Wall
from pipelines.tasks.social_nav.state import empty_worlds

ATTEMPTS = 60
ROBOT_GAP = 1.6
"""Least distance of centres between robot and pedestrian at the start, metres: 1 m of air."""
PEDESTRIAN_GAP = 0.75
WALL_GAP = 0.45
LEAST_WALK = 1.0
"""Least length of a pedestrian's way to its first point, metres."""


class _Draws:
    """Uniform numbers in [0, 1), drawn in blocks because single draws are slow."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        key = zlib.crc32(scenario.name.encode())
        self._rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, key])))
        self._numbers = self._stream()

    def _stream(self) -> Iterator[float]:
        while True:
            yield from self._rng.random(256).tolist()

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * next(self._numbers)

    def inside(self, box: Box) -> Point:
        return self.between(box[0], box[1]), self.between(box[2], box[3])


def _far_from_walls(point: Point, walls: Sequence[Wall]) -> bool:
    x, y = point
    for x0, y0, x1, y1 in walls:
        ex, ey = x1 - x0, y1 - y0
        along = ((x - x0) * ex + (y - y0) * ey) / (ex * ex + ey * ey)
        along = min(max(along, 0.0), 1.0)
        if math.hypot(x - x0 - along * ex, y - y0 - along * ey) < WALL_GAP:
            return False
    return True


def _way(stream: Stream, draws: _Draws) -> tuple[Point, ...]:
    """Start and the points that are walked from there, round and round."""
    if stream.circle is not None:
        angle = draws.between(-math.pi, math.pi)
        radius = draws.between(*stream.circle)
        x, y = radius * math.cos(angle), radius * math.sin(angle)
        end_x = -2.0 * x + draws.between(-stream.spread, stream.spread)
        end_y = -2.0 * y + draws.between(-stream.spread, stream.spread)
        return (x, y), (end_x, end_y), (x, y)
    boxes = (stream.start, stream.end, stream.via)
    start, end, *via = (draws.inside(box) for box in boxes if box is not None)
    return start, *via, end, *via, start


def _walkable(
    way: tuple[Point, ...], taken: Sequence[Point], robot: Point, walls: Sequence[Wall]
) -> bool:
    start = way[0]
    if math.hypot(way[1][0] - start[0], way[1][1] - start[1]) < LEAST_WALK:
        return False
    if math.hypot(start[0] - robot[0], start[1] - robot[1]) < ROBOT_GAP:
        return False
    if any(math.hypot(start[0] - x, start[1] - y) < PEDESTRIAN_GAP for x, y in taken):
        return False
    return _far_from_walls(start, walls)


def _people(
    scenario: Scenario, draws: _Draws, robot: Point, walls: Sequence[Wall]
) -> list[tuple[Point, ...]]:
    low, high = scenario.pedestrians
    count = low + int(draws.between(0.0, high - low + 1.0))
    first = int(draws.between(0.0, len(scenario.streams)))
    ways: list[tuple[Point, ...]] = []
    for person in range(count):
        stream = scenario.streams[(first + person) % len(scenario.streams)]
        taken = [way[0] for way in ways]
        for _ in range(ATTEMPTS):
            way = _way(stream, draws)
            if _walkable(way, taken, robot, walls):
                ways.append(way)
                break
    return ways


def _place_person(world: np.void, row: int, way: tuple[Point, ...], speed: float) -> None:
    start, following = way[0], way[1]
    dx, dy = following[0] - start[0], following[1] - start[1]
    scale = speed / math.hypot(dx, dy)
    world["position"][row] = start
    world["velocity"][row] = (dx * scale, dy * scale)
    world["speed"][row] = speed
    world["route"][row, : len(way) - 1] = way[1:]
    world["route_length"][row] = len(way) - 1


def place(scenario: Scenario, seed: int) -> np.void:
    """One record of ``STATE`` at the start of an episode; ``begin`` of the physics completes it."""
    draws = _Draws(scenario, seed)
    walls = scenario.layout
    layout = LAYOUTS[walls.kind](draws.between(*walls.width) if walls.width else 0.0)
    start, goal = draws.inside(scenario.robot.start), draws.inside(scenario.robot.goal)
    turn = draws.between(-0.5, 0.5)
    ways = _people(scenario, draws, start, layout.walls)

    world: np.void = empty_worlds(1)[0]
    towards = layout.waypoint or goal
    heading = math.atan2(towards[1] - start[1], towards[0] - start[0]) + turn
    world["robot"] = (*start, heading, 0.0, 0.0)
    world["goal"] = goal
    if layout.waypoint is not None:
        world["waypoint"] = layout.waypoint
        world["has_waypoint"] = 1
    world["walls"] = len(layout.walls)
    if layout.walls:
        world["wall"][: len(layout.walls)] = layout.walls
    world["pedestrians"] = len(ways)
    for row, way in enumerate(ways):
        _place_person(world, row, way, draws.between(*scenario.speed))
        world["reacts"][row] = float(draws.between(0.0, 1.0) < scenario.reacting)
    if draws.between(0.0, 1.0) < 0.5:
        _exchange_left_and_right(world)
    return world


def _exchange_left_and_right(world: np.void) -> None:
    for name in ("goal", "waypoint", "position", "velocity", "route"):
        world[name][..., 1] *= -1.0
    world["robot"][1:3] *= -1.0
    world["wall"][:, 1::2] *= -1.0
