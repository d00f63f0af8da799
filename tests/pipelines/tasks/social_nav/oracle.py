"""The physics again, in plain NumPy: what the compiled kernel is tested against.

Written from the equations, with vectors over pedestrians and walls instead of loops, and sharing
nothing with ``kernel`` but the constants and the record of a world. Notation: ``[P]`` pedestrians,
``[W]`` walls; lengths metres, times seconds.
"""

import numpy as np
from numpy.typing import NDArray

from pipelines.tasks.social_nav.config import Constants
from pipelines.tasks.social_nav.state import Outcome

FARTHEST = 10.0
WALL_REACH = 1.5

Floats = NDArray[np.float64]


def offsets_from_walls(points: Floats, walls: Floats) -> Floats:
    """Vectors ``[M, W, 2]`` from the nearest point of each wall to each of ``[M, 2]`` points."""
    start, extent = walls[:, :2], walls[:, 2:] - walls[:, :2]
    relative = points[:, None, :] - start
    share = (relative * extent).sum(axis=2) / (extent**2).sum(axis=1)
    offsets: Floats = relative - np.clip(share, 0.0, 1.0)[..., None] * extent
    return offsets


def unit(vectors: Floats) -> Floats:
    """The vectors along the last axis, each of length one."""
    scaled: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
    return scaled


def elliptical_force(offset: Floats, relative_velocity: Floats, constants: Constants) -> Floats:
    """Repulsion of unit strength, ``[..., 2]``.

    Johansson, Helbing & Shukla (2007), eq. 4-6: the ellipse has its foci where the other is now
    and where it will be, relative to oneself, after the time of anticipation.
    """
    travel = relative_velocity * constants.anticipation
    later = offset - travel
    both = np.linalg.norm(offset, axis=-1) + np.linalg.norm(later, axis=-1)
    squared = np.maximum(both**2 - (travel**2).sum(axis=-1), 0.0)
    minor = np.maximum(np.sqrt(squared) / 2.0, 0.05)
    contact = constants.robot_radius + constants.pedestrian_radius
    size = np.exp((contact - minor) / constants.force_range) * both / (4.0 * minor)
    force: Floats = size[..., None] * (unit(offset) + unit(later))
    return force


def heed(offset: Floats, aim: Floats, anisotropy: float) -> Floats:
    """Weight of what lies at ``-offset``: 1 straight ahead, ``anisotropy`` behind."""
    facing = -(unit(offset) * aim).sum(axis=-1)
    weight: Floats = anisotropy + (1.0 - anisotropy) * (1.0 + facing) / 2.0
    return weight


def heading_vector(heading: float) -> Floats:
    """``[2]`` of length one."""
    return np.array([np.cos(heading), np.sin(heading)])


def _near(offset: Floats, reach: float) -> Floats:
    near: Floats = 1.0 * ((offset**2).sum(axis=-1) <= reach**2)
    return near


def _choose_legs(world: np.void, count: int, constants: Constants) -> None:
    people = np.arange(count)
    reached = world["route"][people, world["leg"][:count]]
    arrived = ((reached - world["position"][:count]) ** 2).sum(axis=1) < constants.arrival**2
    following = (world["leg"][:count] + 1) % world["route_length"][:count]
    world["leg"][:count] = np.where(arrived, following, world["leg"][:count])
    goals = world["route"][people, world["leg"][:count]]
    world["aim"][:count] = unit(goals - world["position"][:count])


def _crowd_push(world: np.void, count: int, constants: Constants) -> Floats:
    """Acceleration ``[P, 2]`` that pedestrians cause each other."""
    position, velocity = world["position"][:count], world["velocity"][:count]
    offset = position[:, None] - position[None, :]
    relative = velocity[None, :] - velocity[:, None]
    strength = constants.pedestrian_strength * heed(
        offset, world["aim"][:count, None], constants.anisotropy
    )
    strength = strength * _near(offset, constants.force_reach) * ~np.eye(count, dtype=bool)
    push: Floats = (strength[..., None] * elliptical_force(offset, relative, constants)).sum(axis=1)
    return push


def _wall_push(world: np.void, count: int, constants: Constants) -> Floats:
    offset = offsets_from_walls(world["position"][:count], world["wall"][: world["walls"]])
    gap = np.linalg.norm(offset, axis=2)
    size = np.exp((constants.pedestrian_radius - gap) / constants.wall_range) * (gap < WALL_REACH)
    push: Floats = constants.wall_strength * (size[..., None] * unit(offset)).sum(axis=1)
    return push


def _robot_push(world: np.void, count: int, constants: Constants) -> Floats:
    """Acceleration ``[P, 2]`` that the robot would cause everybody, heeding or not."""
    x, y, heading, v, _ = world["robot"]
    offset = world["position"][:count] - np.array([x, y])
    relative = v * heading_vector(heading) - world["velocity"][:count]
    strength = constants.robot_strength * heed(offset, world["aim"][:count], constants.anisotropy)
    strength = strength * _near(offset, constants.force_reach)
    push: Floats = strength[:, None] * elliptical_force(offset, relative, constants)
    return push


def _limited(vectors: Floats, longest: Floats | float) -> Floats:
    length = np.maximum(np.linalg.norm(vectors, axis=1), 1e-300)
    limited: Floats = vectors * np.minimum(1.0, longest / length)[:, None]
    return limited


def _move_crowd(world: np.void, seconds: float, constants: Constants) -> None:
    count = int(world["pedestrians"])
    _choose_legs(world, count, constants)
    wished = world["speed"][:count, None] * world["aim"][:count]
    from_robot = _robot_push(world, count, constants)
    push = (
        (wished - world["velocity"][:count]) / constants.relaxation
        + _crowd_push(world, count, constants)
        + _wall_push(world, count, constants)
        + world["reacts"][:count, None] * from_robot
    )
    world["robot_force"][:count] += np.linalg.norm(from_robot, axis=1) / constants.substeps
    push = _limited(push, constants.max_push)
    velocity = _limited(
        world["velocity"][:count] + push * seconds,
        constants.speed_ratio * world["speed"][:count],
    )
    position = world["position"][:count] + velocity * seconds
    for wall in world["wall"][: world["walls"]]:
        offset = offsets_from_walls(position, wall[None])[:, 0]
        depth = np.maximum(constants.pedestrian_radius - np.linalg.norm(offset, axis=1), 0.0)
        position = position + unit(offset) * depth[:, None]
    world["push"][:count] = push
    world["velocity"][:count] = velocity
    world["position"][:count] = position


def _move_robot(
    world: np.void, wish: tuple[float, float], seconds: float, constants: Constants
) -> None:
    x, y, heading, v, omega = world["robot"]
    change = constants.max_acceleration * seconds
    v = v + np.clip(wish[0] - v, -change, change)
    change = constants.max_turn_acceleration * seconds
    omega = omega + np.clip(wish[1] - omega, -change, change)
    x, y = np.array([x, y]) + v * seconds * heading_vector(heading + omega * seconds / 2.0)
    heading = np.angle(np.exp(1j * (heading + omega * seconds)))
    world["robot"] = (x, y, heading, v, omega)


def _crosses(first: Floats, last: Floats, walls: Floats) -> NDArray[np.bool_]:
    """Which walls ``[W, 4]`` a straight way meets."""

    def side(a: Floats, b: Floats, c: Floats) -> Floats:
        one, two = b - a, c - a
        turn: Floats = one[..., 0] * two[..., 1] - one[..., 1] * two[..., 0]
        return turn

    start, end = walls[:, :2], walls[:, 2:]
    apart = side(start, end, first) * side(start, end, last) < 0.0
    split = side(first, last, start) * side(first, last, end) < 0.0
    return apart & split


def _find_target(world: np.void, constants: Constants) -> None:
    robot, goal, waypoint = world["robot"][:2], world["goal"], world["waypoint"]
    walls = world["wall"][: world["walls"]]
    stretch = constants.sight_margin * unit(walls[:, 2:] - walls[:, :2])
    longer = np.concatenate([walls[:, :2] - stretch, walls[:, 2:] + stretch], axis=1)
    hidden = bool(world["has_waypoint"]) and bool(_crosses(robot, goal, longer).any())
    legs = [waypoint - robot, goal - waypoint] if hidden else [goal - robot]
    world["target"] = waypoint if hidden else goal
    world["distance"] = sum(float(np.linalg.norm(leg)) for leg in legs)


def _find_nearest(world: np.void, constants: Constants) -> Floats:
    """Set clearance and closing speed; the offset ``[2]`` of the nearest pedestrian."""
    count = int(world["pedestrians"])
    contact = constants.robot_radius + constants.pedestrian_radius
    offset = world["position"][:count] - world["robot"][:2]
    gaps = np.linalg.norm(offset, axis=1)
    if count == 0 or gaps.min() >= FARTHEST + contact:
        world["clearance"], world["closing"] = FARTHEST, 0.0
        return np.zeros(2)
    nearest = int(gaps.argmin())
    robot_velocity = world["robot"][3] * heading_vector(world["robot"][2])
    relative = world["velocity"][nearest] - robot_velocity
    world["clearance"] = gaps[nearest] - contact
    world["closing"] = -float(unit(offset[nearest]) @ relative)
    nearest_offset: Floats = offset[nearest]
    return nearest_offset


def _judge(world: np.void, constants: Constants) -> None:
    offset = _find_nearest(world, constants)
    robot = world["robot"]
    if world["clearance"] < 0.0:
        towards = robot[3] * float(unit(offset) @ heading_vector(robot[2]))
        world["robot_at_fault"] = towards > 0.1
        world["outcome"] = Outcome.COLLISION_PEDESTRIAN
        return
    gaps = np.linalg.norm(
        offsets_from_walls(robot[None, :2], world["wall"][: world["walls"]]), axis=2
    )
    if (gaps < constants.robot_radius).any():
        world["robot_at_fault"] = 1
        world["outcome"] = Outcome.COLLISION_WALL
    elif np.linalg.norm(world["goal"] - robot[:2]) < constants.goal_radius:
        world["outcome"] = Outcome.GOAL


def _reward(world: np.void, before: float, constants: Constants) -> float:
    last = {
        Outcome.GOAL: constants.reward_goal,
        Outcome.COLLISION_PEDESTRIAN: -constants.reward_collision,
        Outcome.COLLISION_WALL: -constants.reward_collision,
        Outcome.TIMEOUT: -constants.reward_timeout,
    }.get(Outcome(int(world["outcome"])), 0.0)
    intrusion = np.clip(1.0 - world["clearance"] / constants.reward_comfort_distance, 0.0, 1.0)
    discomfort = intrusion * (0.5 + 0.5 * np.clip(world["closing"], 0.0, 2.0))
    progress = before - world["distance"]
    return float(
        constants.reward_progress * progress
        - constants.reward_step
        - constants.reward_discomfort * discomfort
        + last
    )


def begin(worlds: np.ndarray, rows: np.ndarray, constants: Constants) -> None:
    """As ``kernel.begin``."""
    for row in rows:
        _find_target(worlds[row], constants)
        _find_nearest(worlds[row], constants)


def _advance(world: np.void, action: Floats, constants: Constants) -> None:
    speed, turn = np.clip(action.astype(float), -1.0, 1.0)
    wish = ((speed + 1.0) / 2.0 * constants.max_speed, turn * constants.max_turn_rate)
    before = float(world["distance"])
    world["robot_force"] = 0.0
    for _ in range(constants.substeps):
        _move_crowd(world, constants.dt / constants.substeps, constants)
        _move_robot(world, wish, constants.dt / constants.substeps, constants)
        _judge(world, constants)
        if world["outcome"] != Outcome.RUNNING:
            break
    world["time"] += 1
    _find_target(world, constants)
    if world["outcome"] == Outcome.RUNNING and world["time"] >= constants.horizon:
        world["outcome"] = Outcome.TIMEOUT
    world["reward"] = _reward(world, before, constants)


def advance(worlds: np.ndarray, actions: np.ndarray, constants: Constants) -> None:
    """As ``kernel.advance``."""
    for world, action in zip(worlds, actions, strict=True):
        if world["outcome"] == Outcome.RUNNING:
            _advance(world, action, constants)
