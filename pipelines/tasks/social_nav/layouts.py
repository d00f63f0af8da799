"""The walls of a scenario: named layouts of straight segments, and the waypoint through them."""

from collections.abc import Callable
from typing import NamedTuple

Wall = tuple[float, float, float, float]
"""x0, y0, x1, y1 in metres."""


class Layout(NamedTuple):
    """Walls, and the point through which the robot must go where the goal is out of sight."""

    walls: tuple[Wall, ...] = ()
    waypoint: tuple[float, float] | None = None


def _open(_: float) -> Layout:
    return Layout()


def _corridor(width: float) -> Layout:
    half = width / 2
    return Layout(((-20.0, -half, 20.0, -half), (-20.0, half, 20.0, half)))


def _room(width: float) -> Layout:
    half = width / 2
    walls = (
        (-half, -half, half, -half),
        (half, -half, half, half),
        (half, half, -half, half),
        (-half, half, -half, -half),
    )
    return Layout(walls)


def _crossing(width: float) -> Layout:
    half, far = width / 2, 12.0
    walls = tuple(
        wall
        for sx in (-1.0, 1.0)
        for sy in (-1.0, 1.0)
        for wall in (
            (sx * far, sy * half, sx * half, sy * half),
            (sx * half, sy * half, sx * half, sy * far),
        )
    )
    return Layout(walls)


def _corner(width: float) -> Layout:
    half, far = width / 2, 14.0
    walls = (
        (-far, -half, half, -half),
        (half, -half, half, far),
        (-far, half, -half, half),
        (-half, half, -half, far),
    )
    return Layout(walls, waypoint=(0.0, 0.0))


def _doorway(width: float) -> Layout:
    half, side, far = width / 2, 4.5, 12.0
    walls = (
        (0.0, -side, 0.0, -half),
        (0.0, half, 0.0, side),
        (-far, -side, far, -side),
        (-far, side, far, side),
    )
    return Layout(walls, waypoint=(0.0, 0.0))


LAYOUTS: dict[str, Callable[[float], Layout]] = {
    "open": _open,
    "corridor": _corridor,
    "room": _room,
    "crossing": _crossing,
    "corner": _corner,
    "doorway": _doorway,
}
"""Every layout that a scenario may name, made from its width in metres; add yours here."""
