"""The physics of a batch of worlds, compiled: pedestrians, robot, contacts, reward.

Every world is advanced on its own and in one order of operations, so that an episode is the same
to the bit alone and in any batch, and, a hundred times slower, with ``NUMBA_DISABLE_JIT=1`` too.
The tests hold it against the same equations in plain NumPy.
"""

import math

import numpy as np
from numba import njit

from pipelines.tasks.social_nav.config import Constants
from pipelines.tasks.social_nav.state import World

FAR = 10.0


@njit(cache=True)
def _wall_offset(x: float, y: float, wall: np.ndarray) -> tuple[float, float, float]:
    """Vector from the nearest point of a wall to ``(x, y)``, and its length."""
    ex, ey = wall[2] - wall[0], wall[3] - wall[1]
    along = ((x - wall[0]) * ex + (y - wall[1]) * ey) / (ex * ex + ey * ey)
    along = min(max(along, 0.0), 1.0)
    dx = x - (wall[0] + along * ex)
    dy = y - (wall[1] + along * ey)
    return dx, dy, math.sqrt(dx * dx + dy * dy)


@njit(cache=True)
def _side(ax: float, ay: float, bx: float, by: float, cx: float, cy: float) -> float:
    return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)


@njit(cache=True)
def _hides(x: float, y: float, goal: np.ndarray, wall: np.ndarray, margin: float) -> bool:
    """Whether a wall, lengthened by ``margin`` at both ends, lies between a point and the goal."""
    ex, ey = wall[2] - wall[0], wall[3] - wall[1]
    scale = margin / math.sqrt(ex * ex + ey * ey)
    ax, ay = wall[0] - ex * scale, wall[1] - ey * scale
    bx, by = wall[2] + ex * scale, wall[3] + ey * scale
    across = _side(ax, ay, bx, by, x, y) * _side(ax, ay, bx, by, goal[0], goal[1])
    along = _side(x, y, goal[0], goal[1], ax, ay) * _side(x, y, goal[0], goal[1], bx, by)
    return across < 0.0 and along < 0.0


@njit(cache=True)
def _aim_robot(s: World, p: Constants) -> None:
    """Set the robot's target and its distance to the goal."""
    x, y, gx, gy = s.robot[0], s.robot[1], s.goal[0], s.goal[1]
    s.target[0], s.target[1] = gx, gy
    s.distance = math.sqrt((gx - x) ** 2 + (gy - y) ** 2)
    if s.has_waypoint == 0:
        return
    for w in range(s.walls):
        if _hides(x, y, s.goal, s.wall[w], p.sight_margin):
            wx, wy = s.waypoint[0], s.waypoint[1]
            s.target[0], s.target[1] = wx, wy
            s.distance = math.sqrt((wx - x) ** 2 + (wy - y) ** 2) + math.sqrt(
                (gx - wx) ** 2 + (gy - wy) ** 2
            )
            return


@njit(cache=True)
def _measure(s: World, p: Constants) -> int:
    """Set clearance and closing speed of the pedestrian nearest to the robot; return its index."""
    x, y, heading, v = s.robot[0], s.robot[1], s.robot[2], s.robot[3]
    nearest = -1
    best = FAR + p.robot_radius + p.pedestrian_radius
    for i in range(s.pedestrians):
        gap = math.sqrt((s.position[i, 0] - x) ** 2 + (s.position[i, 1] - y) ** 2)
        if gap < best:
            best, nearest = gap, i
    s.clearance = best - p.robot_radius - p.pedestrian_radius
    s.closing = 0.0
    if nearest >= 0:
        dx, dy = s.position[nearest, 0] - x, s.position[nearest, 1] - y
        ux = s.velocity[nearest, 0] - v * math.cos(heading)
        uy = s.velocity[nearest, 1] - v * math.sin(heading)
        s.closing = -(dx * ux + dy * uy) / max(best, 1e-9)
    return nearest


@njit(cache=True)
def _ellipse(dx: float, dy: float, ux: float, uy: float, p: Constants) -> tuple[float, float]:
    """Repulsion of unit strength at offset ``d`` and relative velocity ``u`` of the other."""
    yx, yy = ux * p.anticipation, uy * p.anticipation
    near = max(math.sqrt(dx * dx + dy * dy), 1e-9)
    ax, ay = dx - yx, dy - yy
    later = max(math.sqrt(ax * ax + ay * ay), 1e-9)
    both = near + later
    axis = max(0.5 * math.sqrt(max(both * both - yx * yx - yy * yy, 0.0)), 0.05)
    reach = p.robot_radius + p.pedestrian_radius
    size = math.exp((reach - axis) / p.force_range) * both / (4.0 * axis)
    return size * (dx / near + ax / later), size * (dy / near + ay / later)


@njit(cache=True)
def _heed(dx: float, dy: float, aim: np.ndarray, anisotropy: float) -> float:
    """Weight of what lies at ``-d``, seen by someone who walks along ``aim``."""
    length = max(math.sqrt(dx * dx + dy * dy), 1e-9)
    facing: float = -(dx * aim[0] + dy * aim[1]) / length
    return anisotropy + (1.0 - anisotropy) * 0.5 * (1.0 + facing)


@njit(cache=True)
def _drive(s: World, i: int, p: Constants) -> None:
    """Start the push of a pedestrian with the pull along its route."""
    leg = s.leg[i]
    dx = s.route[i, leg, 0] - s.position[i, 0]
    dy = s.route[i, leg, 1] - s.position[i, 1]
    if dx * dx + dy * dy < p.arrival * p.arrival:
        leg = (leg + 1) % s.route_length[i]
        s.leg[i] = leg
        dx = s.route[i, leg, 0] - s.position[i, 0]
        dy = s.route[i, leg, 1] - s.position[i, 1]
    length = max(math.sqrt(dx * dx + dy * dy), 1e-9)
    s.aim[i, 0], s.aim[i, 1] = dx / length, dy / length
    s.push[i, 0] = (s.speed[i] * s.aim[i, 0] - s.velocity[i, 0]) / p.relaxation
    s.push[i, 1] = (s.speed[i] * s.aim[i, 1] - s.velocity[i, 1]) / p.relaxation


@njit(cache=True)
def _repel_pair(s: World, i: int, j: int, p: Constants) -> None:
    """Two pedestrians push each other."""
    dx, dy = s.position[i, 0] - s.position[j, 0], s.position[i, 1] - s.position[j, 1]
    if dx * dx + dy * dy > p.force_reach * p.force_reach:
        return
    ux = s.velocity[j, 0] - s.velocity[i, 0]
    uy = s.velocity[j, 1] - s.velocity[i, 1]
    fx, fy = _ellipse(dx, dy, ux, uy, p)
    mine = p.pedestrian_strength * _heed(dx, dy, s.aim[i], p.anisotropy)
    other = p.pedestrian_strength * _heed(-dx, -dy, s.aim[j], p.anisotropy)
    s.push[i, 0] += mine * fx
    s.push[i, 1] += mine * fy
    s.push[j, 0] -= other * fx
    s.push[j, 1] -= other * fy


@njit(cache=True)
def _repel_walls(s: World, i: int, p: Constants) -> None:
    for w in range(s.walls):
        dx, dy, gap = _wall_offset(s.position[i, 0], s.position[i, 1], s.wall[w])
        if gap < 1.5:
            size = p.wall_strength * math.exp((p.pedestrian_radius - gap) / p.wall_range)
            s.push[i, 0] += size * dx / max(gap, 1e-9)
            s.push[i, 1] += size * dy / max(gap, 1e-9)


@njit(cache=True)
def _repel_robot(s: World, i: int, p: Constants) -> None:
    """Add the robot's push where it is heeded, and note its size either way."""
    dx, dy = s.position[i, 0] - s.robot[0], s.position[i, 1] - s.robot[1]
    if dx * dx + dy * dy > p.force_reach * p.force_reach:
        return
    ux = s.robot[3] * math.cos(s.robot[2]) - s.velocity[i, 0]
    uy = s.robot[3] * math.sin(s.robot[2]) - s.velocity[i, 1]
    fx, fy = _ellipse(dx, dy, ux, uy, p)
    size = p.robot_strength * _heed(dx, dy, s.aim[i], p.anisotropy)
    fx, fy = fx * size, fy * size
    s.robot_force[i] += math.sqrt(fx * fx + fy * fy) / p.substeps
    s.push[i, 0] += s.reacts[i] * fx
    s.push[i, 1] += s.reacts[i] * fy


@njit(cache=True)
def _walk(s: World, i: int, h: float, p: Constants) -> None:
    """Move one pedestrian by its push, and keep it out of the walls."""
    size = math.sqrt(s.push[i, 0] ** 2 + s.push[i, 1] ** 2)
    if size > p.max_push:
        s.push[i, 0] *= p.max_push / size
        s.push[i, 1] *= p.max_push / size
    vx = s.velocity[i, 0] + s.push[i, 0] * h
    vy = s.velocity[i, 1] + s.push[i, 1] * h
    pace = math.sqrt(vx * vx + vy * vy)
    limit = p.speed_ratio * s.speed[i]
    if pace > limit:
        vx *= limit / pace
        vy *= limit / pace
    s.velocity[i, 0], s.velocity[i, 1] = vx, vy
    x, y = s.position[i, 0] + vx * h, s.position[i, 1] + vy * h
    for w in range(s.walls):
        dx, dy, gap = _wall_offset(x, y, s.wall[w])
        if gap < p.pedestrian_radius:
            scale = p.pedestrian_radius / max(gap, 1e-9) - 1.0
            x += dx * scale
            y += dy * scale
    s.position[i, 0], s.position[i, 1] = x, y


@njit(cache=True)
def _crowd_substep(s: World, h: float, p: Constants) -> None:
    for i in range(s.pedestrians):
        _drive(s, i, p)
    for i in range(s.pedestrians):
        for j in range(i + 1, s.pedestrians):
            _repel_pair(s, i, j, p)
    for i in range(s.pedestrians):
        _repel_walls(s, i, p)
        _repel_robot(s, i, p)
    for i in range(s.pedestrians):
        _walk(s, i, h, p)


@njit(cache=True)
def _robot_substep(s: World, v_target: float, omega_target: float, h: float, p: Constants) -> None:
    limit = p.max_acceleration * h
    s.robot[3] += min(max(v_target - s.robot[3], -limit), limit)
    limit = p.max_turn_acceleration * h
    s.robot[4] += min(max(omega_target - s.robot[4], -limit), limit)
    middle = s.robot[2] + 0.5 * s.robot[4] * h
    s.robot[0] += s.robot[3] * math.cos(middle) * h
    s.robot[1] += s.robot[3] * math.sin(middle) * h
    heading = s.robot[2] + s.robot[4] * h
    if heading > math.pi:
        heading -= 2.0 * math.pi
    elif heading < -math.pi:
        heading += 2.0 * math.pi
    s.robot[2] = heading


@njit(cache=True)
def _judge(s: World, p: Constants) -> None:
    """Set the outcome that a contact or the goal brings about."""
    nearest = _measure(s, p)
    if s.clearance < 0.0:
        dx, dy = s.position[nearest, 0] - s.robot[0], s.position[nearest, 1] - s.robot[1]
        ahead = dx * math.cos(s.robot[2]) + dy * math.sin(s.robot[2])
        towards = s.robot[3] * ahead / max(math.sqrt(dx * dx + dy * dy), 1e-9)
        s.robot_at_fault = 1 if towards > 0.1 else 0
        s.outcome = 2
        return
    for w in range(s.walls):
        if _wall_offset(s.robot[0], s.robot[1], s.wall[w])[2] < p.robot_radius:
            s.robot_at_fault = 1
            s.outcome = 3
            return
    if (s.goal[0] - s.robot[0]) ** 2 + (s.goal[1] - s.robot[1]) ** 2 < p.goal_radius**2:
        s.outcome = 1


@njit(cache=True)
def _reward(s: World, before: float, p: Constants) -> float:
    reward: float = p.reward_progress * (before - s.distance) - p.reward_step
    if s.clearance < p.reward_comfort_distance:
        depth = 1.0 - max(s.clearance, 0.0) / p.reward_comfort_distance
        reward -= p.reward_discomfort * depth * (0.5 + 0.5 * min(max(s.closing, 0.0), 2.0))
    if s.outcome == 1:
        return reward + p.reward_goal
    if s.outcome == 4:
        return reward - p.reward_timeout
    return reward if s.outcome == 0 else reward - p.reward_collision


@njit(cache=True)
def begin(worlds: np.ndarray, rows: np.ndarray, constants: Constants) -> None:
    """Complete freshly placed worlds, ``rows`` of ``[N]`` of ``STATE``, in place."""
    for row in rows:
        _aim_robot(worlds[row], constants)
        _measure(worlds[row], constants)


@njit(cache=True)
def advance(worlds: np.ndarray, actions: np.ndarray, constants: Constants) -> None:
    """One step of every world, ``[N]`` of ``STATE``, that is still running, in place.

    The actions ``float32[N, 2]``, normalised target speed and turn rate, are clipped to [-1, 1].
    """
    p = constants
    h = p.dt / p.substeps
    for n in range(worlds.shape[0]):
        s = worlds[n]
        if s.outcome != 0:
            continue
        v_target = 0.5 * (min(max(float(actions[n, 0]), -1.0), 1.0) + 1.0) * p.max_speed
        omega_target = min(max(float(actions[n, 1]), -1.0), 1.0) * p.max_turn_rate
        before = s.distance
        s.robot_force[:] = 0.0
        for _ in range(p.substeps):
            _crowd_substep(s, h, p)
            _robot_substep(s, v_target, omega_target, h, p)
            _judge(s, p)
            if s.outcome != 0:
                break
        s.time += 1
        _aim_robot(s, p)
        if s.outcome == 0 and s.time >= p.horizon:
            s.outcome = 4
        s.reward = _reward(s, before, p)
