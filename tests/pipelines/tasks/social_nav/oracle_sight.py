"""The observation again, in plain NumPy: what ``sight`` is tested against."""

import numpy as np
from numpy.typing import NDArray

from pipelines.tasks.social_nav.config import (
    NEIGHBOUR_FEATURES,
    NEIGHBOURS,
    OWN_FEATURES,
    Constants,
)
from tests.pipelines.tasks.social_nav.oracle import heading_vector, offsets_from_walls, unit

Floats = NDArray[np.float64]


def closeness(surface: Floats, constants: Constants) -> Floats:
    """1 at contact, 0 from the sensing range on."""
    return np.clip(1.0 - surface / constants.sensing_range, 0.0, 1.0) ** 2


def _own_axes(world: np.void) -> Floats:
    """``[2, 2]``: rows are ahead and left, so that ``axes @ vector`` is in the robot's frame."""
    ahead = heading_vector(world["robot"][2])
    return np.array([ahead, [-ahead[1], ahead[0]]])


def _place(world: np.void, point: Floats) -> Floats:
    offset = _own_axes(world) @ (point - world["robot"][:2])
    return np.append(unit(offset), 1.0 - min(float(np.linalg.norm(offset)), 10.0) / 10.0)


def _urgency(offset: Floats, velocity: Floats, constants: Constants) -> Floats:
    """From the first time at which ``|offset + velocity t|`` is the contact distance, ``[M]``."""
    contact = constants.robot_radius + constants.pedestrian_radius
    a = np.maximum((velocity**2).sum(axis=1), 1e-300)
    b = (offset * velocity).sum(axis=1)
    c = (offset**2).sum(axis=1) - contact**2
    discriminant = b**2 - a * c
    root = c / (-b + np.sqrt(np.maximum(discriminant, 0.0)) + 1e-300)
    meets = (b < 0.0) & (discriminant > 0.0)
    soon = np.where(meets, np.maximum(1.0 - root / constants.urgency_horizon, 0.0), 0.0)
    return np.where(c <= 0.0, 1.0, soon)


def _neighbours(world: np.void, constants: Constants) -> Floats:
    """``[6, 5]``, nearest first, zeros where nobody is."""
    count, axes = int(world["pedestrians"]), _own_axes(world)
    contact = constants.robot_radius + constants.pedestrian_radius
    offset = (world["position"][:count] - world["robot"][:2]) @ axes.T
    velocity = world["velocity"][:count] @ axes.T - np.array([world["robot"][3], 0.0])
    gap = np.linalg.norm(offset, axis=1)
    order = np.argsort(gap, kind="stable")[:NEIGHBOURS]
    order = order[gap[order] < constants.sensing_range + contact]
    close = closeness(gap[order] - contact, constants)[:, None]
    slots = np.zeros((NEIGHBOURS, NEIGHBOUR_FEATURES))
    slots[: len(order)] = np.column_stack(
        [
            close * unit(offset[order]),
            velocity[order] / 2.0,
            _urgency(offset[order], velocity[order], constants),
        ]
    )
    return slots


def _rays(world: np.void, constants: Constants) -> Floats:
    """``[18]``; each ray meets the wall where both their parameters are in range."""
    angles = world["robot"][2] + 2.0 * np.pi * np.arange(constants.rays) / constants.rays
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=1)[:, None]
    walls = world["wall"][: world["walls"]]
    offset = walls[:, :2] - world["robot"][:2]
    extent = walls[:, 2:] - walls[:, :2]
    cross = rays[..., 0] * extent[:, 1] - rays[..., 1] * extent[:, 0]
    parallel = np.abs(cross) < 1e-12
    cross = np.where(parallel, 1.0, cross)
    reach = (offset[:, 0] * extent[:, 1] - offset[:, 1] * extent[:, 0]) / cross
    along = (offset[:, 0] * rays[..., 1] - offset[:, 1] * rays[..., 0]) / cross
    hit = ~parallel & (reach >= 0.0) & (along >= 0.0) & (along <= 1.0)
    nearest = np.where(hit, reach, np.inf).min(axis=1, initial=np.inf)
    return closeness(nearest - constants.robot_radius, constants)


def observe(worlds: np.ndarray, rows: np.ndarray, constants: Constants, out: np.ndarray) -> None:
    """As ``sight.observe``."""
    first_ray = OWN_FEATURES + NEIGHBOURS * NEIGHBOUR_FEATURES
    for row in rows:
        world = worlds[row]
        out[row, 0:3] = _place(world, world["goal"])
        out[row, 3:6] = _place(world, world["target"])
        out[row, 6] = world["robot"][3] / constants.max_speed
        out[row, 7] = world["robot"][4] / constants.max_turn_rate
        out[row, OWN_FEATURES:first_ray] = _neighbours(world, constants).ravel()
        out[row, first_ray:] = _rays(world, constants)


def draw_grid(worlds: np.ndarray, rows: np.ndarray, constants: Constants, out: np.ndarray) -> None:
    """As ``sight.draw_grid``."""
    cells = out.shape[1]
    steps = ((cells - 1) / 2.0 - np.arange(cells)) * constants.grid_cell
    ahead, left = (axis.ravel() for axis in np.meshgrid(steps, steps, indexing="ij"))
    for row in rows:
        world = worlds[row]
        points = world["robot"][:2] + np.stack([ahead, left], axis=1) @ _own_axes(world)
        walls = world["wall"][: world["walls"]]
        to_walls = np.linalg.norm(offsets_from_walls(points, walls), axis=2)
        people = world["position"][: world["pedestrians"]]
        to_people = np.linalg.norm(points[:, None] - people, axis=2)
        drawn = np.where((to_walls <= 0.75 * constants.grid_cell).any(axis=1), 255, 0)
        drawn[(to_people <= constants.pedestrian_radius).any(axis=1)] = 128
        out[row] = drawn.reshape(cells, cells)
