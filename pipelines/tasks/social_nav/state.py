"""The state of one world as a record: what the physics reads, writes and nothing else.

A batch of ``N`` worlds is one array of shape ``[N]`` with the dtype ``STATE``; copying it copies
the worlds. Lengths are metres, speeds m/s, angles radians.
"""

from enum import IntEnum
from typing import Any

import numpy as np

MAX_PEDESTRIANS = 10
MAX_WALLS = 8
MAX_ROUTE = 4


class Outcome(IntEnum):
    """How an episode stands; anything but ``RUNNING`` has ended it."""

    RUNNING = 0
    GOAL = 1
    COLLISION_PEDESTRIAN = 2
    COLLISION_WALL = 3
    TIMEOUT = 4

    @property
    def label(self) -> str:
        """The word that datasets and reports use."""
        return self.name.lower()


_FIELDS = np.dtype(
    [
        ("robot", "f8", (5,)),  # x, y, heading, v, omega
        ("goal", "f8", (2,)),
        ("waypoint", "f8", (2,)),
        ("has_waypoint", "i8"),
        ("target", "f8", (2,)),  # the goal where it is in sight, else the waypoint
        ("distance", "f8"),  # to the goal, through the waypoint where that is the target
        ("pedestrians", "i8"),
        ("position", "f8", (MAX_PEDESTRIANS, 2)),  # nan beyond the count
        ("velocity", "f8", (MAX_PEDESTRIANS, 2)),
        ("aim", "f8", (MAX_PEDESTRIANS, 2)),  # unit vector to the next point of the route
        ("push", "f8", (MAX_PEDESTRIANS, 2)),  # acceleration in the latest substep, m/s2
        ("speed", "f8", (MAX_PEDESTRIANS,)),  # desired
        ("reacts", "f8", (MAX_PEDESTRIANS,)),  # 1 heeds the robot, 0 does not
        ("route", "f8", (MAX_PEDESTRIANS, MAX_ROUTE, 2)),  # walked round and round
        ("route_length", "i8", (MAX_PEDESTRIANS,)),
        ("leg", "i8", (MAX_PEDESTRIANS,)),
        ("robot_force", "f8", (MAX_PEDESTRIANS,)),  # mean over the step, m/s2
        ("walls", "i8"),
        ("wall", "f8", (MAX_WALLS, 4)),  # x0, y0, x1, y1; nan beyond the count
        ("clearance", "f8"),  # surface to surface, nearest pedestrian, at most 10
        ("closing", "f8"),  # speed at which that pedestrian and the robot near each other
        ("time", "i8"),  # steps taken
        ("reward", "f8"),
        ("outcome", "i8"),
        ("robot_at_fault", "i8"),
    ],
    align=True,
)
STATE = np.dtype((np.record, _FIELDS))
"""A record, so that its fields are attributes where the kernel runs uncompiled too."""

World = Any
"""One record of ``STATE`` as the kernel sees it: fields are attributes."""


def empty_worlds(count: int) -> np.ndarray:
    """``[count]`` worlds without pedestrians, walls or meaning; scenarios fill them."""
    worlds = np.zeros(count, STATE)
    for name in ("position", "velocity", "wall"):
        worlds[name] = np.nan
    return worlds
