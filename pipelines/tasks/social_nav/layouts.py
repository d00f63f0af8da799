"""The walls of a scenario: named layouts of straight segments, and the waypoint through them."""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

Wall = tuple[float, float, float, float]
"""x0, y0, x1, y1 in metres."""


class Layout(NamedTuple):
    """Walls, and the point through which the robot must go where the goal is out of sight."""

    walls: tuple[Wall, ...] = ()
    waypoint: tuple[float, float] | None = None


def _along(*points: tuple[float, float]) -> tuple[Wall, ...]:
    """Walls from point to point."""
    return tuple((*one, *other) for one, other in pairwise(points))


def _corridor(width: float) -> Layout:
    half = width / 2
    return Layout((*_along((-20.0, -half), (20.0, -half)), *_along((-20.0, half), (20.0, half))))


def _room(width: float) -> Layout:
    half = width / 2
    return Layout(
        _along((-half, -half), (half, -half), (half, half), (-half, half), (-half, -half))
    )


def _crossing(width: float) -> Layout:
    half, far = width / 2, 12.0
    quarters = [(x, y) for x in (-1.0, 1.0) for y in (-1.0, 1.0)]
    corners = [
        _along((x * far, y * half), (x * half, y * half), (x * half, y * far)) for x, y in quarters
    ]
    return Layout(sum(corners, ()))


def _corner(width: float) -> Layout:
    half, far = width / 2, 14.0
    outer = _along((-far, -half), (half, -half), (half, far))
    inner = _along((-far, half), (-half, half), (-half, far))
    return Layout(outer + inner, waypoint=(0.0, 0.0))


def _doorway(width: float) -> Layout:
    half, side, far = width / 2, 4.5, 12.0
    posts = ((0.0, -side, 0.0, -half), (0.0, half, 0.0, side))
    sides = ((-far, -side, far, -side), (-far, side, far, side))
    return Layout(posts + sides, waypoint=(0.0, 0.0))


LAYOUTS: dict[str, Callable[[float], Layout]] = {
    "open": lambda _: Layout(),
    "corridor": _corridor,
    "room": _room,
    "crossing": _crossing,
    "corner": _corner,
    "doorway": _doorway,
}
"""Every layout that a scenario may name, made from its width in metres; add yours here."""
