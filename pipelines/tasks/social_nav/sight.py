"""What the robot observes of a batch of worlds, compiled.

The vector of 56 numbers, all in the robot's frame and about [-1, 1]::

    0-2    goal: cos, sin of its bearing, closeness 1 - d / 10 m
    3-5    next waypoint: the same (the goal itself where that is in sight)
    6-7    own speed / 1.2 m/s, own turn rate / 1.5 rad/s
    8-37   six nearest pedestrians within 6 m, five numbers each: closeness times the unit vector
           to it (2), its velocity relative to the robot / 2 m/s (2), urgency 1 - ttc / 5 s
    38-55  eighteen rays, from straight ahead counter-clockwise: closeness of the nearest wall

Closeness of a surface at ``s`` metres is ``(1 - s / 6)^2``: 1 at contact, 0 from 6 m on. A slot
of zeros means that nobody is there.
"""

import math

import numpy as np
from numba import njit

from pipelines.tasks.social_nav.config import Constants
from pipelines.tasks.social_nav.state import World


@njit(cache=True)
def _closeness(surface: float, reach: float) -> float:
    share = min(max(1.0 - surface / reach, 0.0), 1.0)
    return share * share


@njit(cache=True)
def _place(s: World, point: np.ndarray, out: np.ndarray, at: int) -> None:
    dx, dy = point[0] - s.robot[0], point[1] - s.robot[1]
    length = max(math.sqrt(dx * dx + dy * dy), 1e-9)
    c, si = math.cos(s.robot[2]), math.sin(s.robot[2])
    out[at] = (dx * c + dy * si) / length
    out[at + 1] = (dy * c - dx * si) / length
    out[at + 2] = 1.0 - min(length, 10.0) / 10.0


@njit(cache=True)
def _urgency(dx: float, dy: float, ux: float, uy: float, contact: float, horizon: float) -> float:
    """1 at contact, 0 if two discs on straight courses do not touch within the horizon."""
    toward = dx * ux + dy * uy
    gap = dx * dx + dy * dy - contact * contact
    if gap <= 0.0:
        return 1.0
    speed = ux * ux + uy * uy
    inside = toward * toward - speed * gap
    if toward >= 0.0 or inside <= 0.0:
        return 0.0
    return max(1.0 - gap / (-toward + math.sqrt(inside)) / horizon, 0.0)


@njit(cache=True)
def _neighbour(s: World, i: int, out: np.ndarray, at: int, p: Constants) -> None:
    c, si = math.cos(s.robot[2]), math.sin(s.robot[2])
    wx, wy = s.position[i, 0] - s.robot[0], s.position[i, 1] - s.robot[1]
    dx, dy = wx * c + wy * si, wy * c - wx * si
    vx, vy = s.velocity[i, 0], s.velocity[i, 1]
    ux, uy = vx * c + vy * si - s.robot[3], vy * c - vx * si
    gap = max(math.sqrt(dx * dx + dy * dy), 1e-9)
    contact = p.robot_radius + p.pedestrian_radius
    close = _closeness(gap - contact, p.sensing_range)
    out[at] = close * dx / gap
    out[at + 1] = close * dy / gap
    out[at + 2] = ux / 2.0
    out[at + 3] = uy / 2.0
    out[at + 4] = _urgency(dx, dy, ux, uy, contact, p.urgency_horizon)


@njit(cache=True)
def _neighbours(s: World, out: np.ndarray, at: int, p: Constants) -> None:
    """The nearest pedestrians by distance, nearest first; equal distances by index."""
    floor, last = -1.0, -1
    limit = p.sensing_range + p.robot_radius + p.pedestrian_radius
    for slot in range(p.neighbours):
        best, chosen = limit * limit, -1
        for i in range(s.pedestrians):
            dx, dy = s.position[i, 0] - s.robot[0], s.position[i, 1] - s.robot[1]
            gap = dx * dx + dy * dy
            later = gap > floor or (gap == floor and i > last)
            if later and gap < best:
                best, chosen = gap, i
        if chosen < 0:
            return
        _neighbour(s, chosen, out, at + 5 * slot, p)
        floor, last = best, chosen


@njit(cache=True)
def _rays(s: World, out: np.ndarray, at: int, p: Constants) -> None:
    x, y = s.robot[0], s.robot[1]
    for k in range(p.rays):
        if s.walls == 0:
            break
        angle = s.robot[2] + 2.0 * math.pi * k / p.rays
        rx, ry = math.cos(angle), math.sin(angle)
        best = p.sensing_range + p.robot_radius
        for w in range(s.walls):
            ox, oy = s.wall[w, 0] - x, s.wall[w, 1] - y
            ex, ey = s.wall[w, 2] - s.wall[w, 0], s.wall[w, 3] - s.wall[w, 1]
            cross = rx * ey - ry * ex
            if abs(cross) < 1e-12:
                continue
            reach = (ox * ey - oy * ex) / cross
            along = (ox * ry - oy * rx) / cross
            if 0.0 <= reach < best and 0.0 <= along <= 1.0:
                best = reach
        out[at + k] = _closeness(best - p.robot_radius, p.sensing_range)


@njit(cache=True)
def observe(worlds: np.ndarray, rows: np.ndarray, constants: Constants, out: np.ndarray) -> None:
    """Write what is observed in ``rows`` of the worlds into ``out``, ``float32[N, 56]``."""
    p = constants
    for row in rows:
        s = worlds[row]
        line = out[row]
        line[:] = 0.0
        _place(s, s.goal, line, 0)
        _place(s, s.target, line, 3)
        line[6] = s.robot[3] / p.max_speed
        line[7] = s.robot[4] / p.max_turn_rate
        _neighbours(s, line, 8, p)
        _rays(s, line, 8 + 5 * p.neighbours, p)


@njit(cache=True)
def _to_segment(x: float, y: float, wall: np.ndarray) -> float:
    ex, ey = wall[2] - wall[0], wall[3] - wall[1]
    along = ((x - wall[0]) * ex + (y - wall[1]) * ey) / (ex * ex + ey * ey)
    along = min(max(along, 0.0), 1.0)
    return math.sqrt((x - wall[0] - along * ex) ** 2 + (y - wall[1] - along * ey) ** 2)


@njit(cache=True)
def _cell(s: World, x: float, y: float, p: Constants) -> int:
    for i in range(s.pedestrians):
        dx, dy = x - s.position[i, 0], y - s.position[i, 1]
        if dx * dx + dy * dy <= p.pedestrian_radius * p.pedestrian_radius:
            return 128
    for w in range(s.walls):
        if _to_segment(x, y, s.wall[w]) <= p.grid_cell * 0.75:
            return 255
    return 0


@njit(cache=True)
def draw_grid(worlds: np.ndarray, rows: np.ndarray, constants: Constants, out: np.ndarray) -> None:
    """Write occupancy grids around the robot, in its frame, into ``rows`` of ``out``.

    That is ``uint8[N, C, C]``; row 0 lies farthest ahead, column 0 farthest to the left. 0 is free,
    128 a pedestrian, 255 a wall.
    """
    p = constants
    cells = out.shape[1]
    for row in rows:
        s = worlds[row]
        c, si = math.cos(s.robot[2]), math.sin(s.robot[2])
        for i in range(cells):
            ahead = (0.5 * (cells - 1) - i) * p.grid_cell
            for j in range(cells):
                left = (0.5 * (cells - 1) - j) * p.grid_cell
                x = s.robot[0] + ahead * c - left * si
                y = s.robot[1] + ahead * si + left * c
                out[row, i, j] = _cell(s, x, y, p)
