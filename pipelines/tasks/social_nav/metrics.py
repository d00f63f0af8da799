"""One episode in, one number out: each metric by its published definition, with its unit.

A metric reads the scene that an episode carries, never a simulator, so that every number of a
report can be recomputed from the stored dataset. ``nan`` means that the metric does not apply.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pipelines.tasks.social_nav.config import PHYSICS
from pipelines.tasks.social_nav.snqi import Baseline, snqi
from pipelines.tasks.task import METRICS_VERSION
from trajstore.episode.episode import Episode

CONTACT = PHYSICS.robot_radius + PHYSICS.pedestrian_radius
NEAR_MISS = 0.5
"""Metres between surfaces below which a step is a near miss (robot_sf, benchmark metrics)."""
PERSONAL_SPACE = 1.2
"""Metres between centres; personal space ends there (Hall 1966, "The hidden dimension")."""
COMFORT_FORCE = 0.9
"""m/s2: a push by the robot that a pedestrian minds; near the 95th percentile of the pushes that
scripted robots cause at low density (``benchmarks.snqi_baseline`` prints it)."""
STALLED_SPEED = 0.05
"""m/s below which a robot stands (robot_sf)."""
NO_CONFLICT = 10.0
"""Seconds; a time to collision beyond it counts as none."""
AT_FAULT_SPEED = 0.1
"""m/s towards the pedestrian above which the robot is the one that ran into the other."""

Function = Callable[[Episode], float]
Better = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A number of an episode: its unit, none for shares and yes (1) or no (0), and its source."""

    function: Function
    unit: str
    better: Better
    source: str


METRICS: dict[str, Metric] = {}
"""Every metric that a logged episode carries; add yours below."""


def _metric(unit: str, better: Better, source: str) -> Callable[[Function], Function]:
    """Enter a function into ``METRICS`` by its name."""

    def enter(function: Function) -> Function:
        METRICS[function.__name__] = Metric(function, unit, better, source)
        return function

    return enter


@_metric("", "higher", "Francis et al. 2025, S")
def success(episode: Episode) -> float:
    """1 if the goal was reached without touching anything, else 0."""
    return float(episode["outcome"] == "goal")


@_metric("", "lower", "Francis et al. 2025, C")
def collision(episode: Episode) -> float:
    """1 if the episode has any collision; its mean is the collision rate."""
    return max(collision_pedestrian(episode), collision_wall(episode))


@_metric("", "lower", "Francis et al. 2025, HC")
def collision_pedestrian(episode: Episode) -> float:
    """1 if a pedestrian was touched: discs overlap."""
    return float(episode["outcome"] == "collision_pedestrian")


@_metric("", "lower", "Francis et al. 2025, WC")
def collision_wall(episode: Episode) -> float:
    """1 if a wall was touched."""
    return float(episode["outcome"] == "collision_wall")


@_metric("", "lower", "SEAN 2.0 (Tsoi et al. 2022)")
def collision_at_fault(episode: Episode) -> float:
    """1 if the robot moved into what it touched.

    Into a wall always; into a pedestrian when, on contact, the robot's own speed towards that
    pedestrian exceeds ``AT_FAULT_SPEED``.
    """
    if collision_wall(episode):
        return 1.0
    if not collision_pedestrian(episode):
        return 0.0
    offset = _offsets(episode)[-1]
    nearest = int(np.nanargmin(np.linalg.norm(offset, axis=-1)))
    towards = offset[nearest] @ _robot_velocity(episode)[-1]
    return float(towards / max(float(np.linalg.norm(offset[nearest])), 1e-9) > AT_FAULT_SPEED)


@_metric("", "lower", "Francis et al. 2025, TO")
def timeout(episode: Episode) -> float:
    """1 if the clock ran out."""
    return float(episode["outcome"] == "timeout")


@_metric("m", "lower", "Francis et al. 2025, PL")
def path_length(episode: Episode) -> float:
    """Length of the robot's way."""
    moves = np.diff(_robot_position(episode), axis=0)
    return float(np.linalg.norm(moves, axis=1).sum())


@_metric("", "higher", "Anderson et al. 2018")
def path_efficiency(episode: Episode) -> float:
    """Shortest way over the way taken, at most 1, as in ``spl``; ``nan`` without success."""
    return spl(episode) if success(episode) else math.nan


@_metric("", "higher", "Anderson et al. 2018")
def spl(episode: Episode) -> float:
    """Success weighted by path length, S * L / max(P, L).

    L is the field ``shortest_path``, the way round the walls. Episodes of other environments that
    lack it are measured by the straight line from start to goal, which walls can make too short.
    """
    if "shortest_path" in episode.schema.names:
        shortest = float(episode["shortest_path"])
    else:
        straight = np.asarray(episode["goal"], float) - _robot_position(episode)[0]
        shortest = float(np.linalg.norm(straight))
    return success(episode) * shortest / max(path_length(episode), shortest, 1e-9)


@_metric("s", "lower", "Francis et al. 2025, T")
def time_to_goal(episode: Episode) -> float:
    """Until the goal was reached; ``nan`` unless it was."""
    return len(episode) * PHYSICS.dt if success(episode) else math.nan


@_metric("", "lower", "robot_sf, robot-caused force")
def comfort_exposure(episode: Episode) -> float:
    """Share of pedestrian-steps in which the robot pushes harder than ``COMFORT_FORCE``.

    Counts the force that the robot causes, not what pedestrians do to each other (robot_sf's
    definition with HuNavSim's "social force on agents"); 0 where there is nobody.
    """
    return force_events(episode) / max(len(robot_forces(episode)), 1)


@_metric("steps", "lower", "robot_sf, robot-caused force")
def force_events(episode: Episode) -> float:
    """Number of pedestrian-steps with a push above ``COMFORT_FORCE``."""
    with np.errstate(invalid="ignore"):
        return float((robot_forces(episode) > COMFORT_FORCE).sum())


@_metric("steps", "lower", "robot_sf")
def near_misses(episode: Episode) -> float:
    """Steps with a pedestrian's surface nearer than ``NEAR_MISS``, contact excluded."""
    clearance = _clearance(episode)
    return float(((clearance >= 0.0) & (clearance < NEAR_MISS)).sum())


@_metric("m", "higher", "Francis et al. 2025, CD")
def min_clearance(episode: Episode) -> float:
    """Least distance to a pedestrian, between surfaces; ``nan`` where there is nobody."""
    least = float(_clearance(episode).min())
    return least if math.isfinite(least) else math.nan


@_metric("s", "higher", "Francis et al. 2025, TTC, disc to disc")
def min_time_to_collision(episode: Episode) -> float:
    """Least time until the discs would touch at present velocities, at most 10.

    The smaller root of |d + u t| = contact distance, over all steps and pedestrians; 0 on contact.
    """
    offset = _offsets(episode)
    speed = episode["pedestrian_velocity"][1:].astype(float)
    relative = speed - _robot_velocity(episode)[:, None, :]
    a = (relative**2).sum(axis=-1)
    b = (offset * relative).sum(axis=-1)
    c = (offset**2).sum(axis=-1) - CONTACT**2
    under = b**2 - a * c
    with np.errstate(invalid="ignore", divide="ignore"):
        meets = (b < 0.0) & (under >= 0.0) & (c > 0.0)
        time = np.where(meets, (-b - np.sqrt(np.where(meets, under, 0.0))) / a, np.inf)
        time = np.where(c <= 0.0, 0.0, time)
    return float(min(np.min(time, initial=np.inf), NO_CONFLICT))


@_metric("m/s3", "lower", "Francis et al. 2025, J")
def jerk(episode: Episode) -> float:
    """Mean size of the change of acceleration a second (J_avg).

    Acceleration is the change of the velocity vector a second; ``nan`` below three steps.
    """
    acceleration = np.diff(_robot_velocity(episode, first=0), axis=0) / PHYSICS.dt
    if len(acceleration) < 2:
        return math.nan
    change = np.diff(acceleration, axis=0) / PHYSICS.dt
    return float(np.linalg.norm(change, axis=1).mean())


@_metric("", "higher", "Francis et al. 2025, PSC; Hall 1966")
def personal_space_compliance(episode: Episode) -> float:
    """Share of steps with every pedestrian's centre outside ``PERSONAL_SPACE``.

    With Hall's distance: Francis et al.'s default of 0.5 m is contact here.
    """
    return float((_clearance(episode) + CONTACT >= PERSONAL_SPACE).mean())


@_metric("s", "lower", "Francis et al. 2025, ST")
def stalled_time(episode: Episode) -> float:
    """During which the robot's speed is below ``STALLED_SPEED``."""
    speed = np.abs(episode["robot_velocity"][1:, 0].astype(float))
    return float((speed < STALLED_SPEED).sum() * PHYSICS.dt)


def measure(episode: Episode) -> dict[str, float | None]:
    """Every entry of ``METRICS``; null where one does not apply."""
    values = {name: metric.function(episode) for name, metric in METRICS.items()}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def episode_row(episode: Episode, baseline: Baseline | None = None) -> dict[str, Any]:
    """One episode as a line of a log, with every metric; without a baseline SNQI is null."""
    metrics = measure(episode)
    return {
        "version": METRICS_VERSION,
        "scenario": str(episode["scenario"]),
        "seed": int(episode["seed"]),
        "outcome": str(episode["outcome"]),
        "success": metrics["success"] == 1.0,
        "collision": metrics["collision"] == 1.0,
        "return": float(episode["reward"].astype(float).sum()),
        "steps": len(episode),
        "metrics": metrics | {"snqi": snqi(metrics, len(episode), baseline) if baseline else None},
    }


def robot_forces(episode: Episode) -> np.ndarray:
    """Size of the robot's push on each pedestrian that is there, ``[n]``, m/s2."""
    there = np.isfinite(_pedestrian_position(episode)[..., 0])
    return np.asarray(episode["robot_force"].astype(float)[there])


def _robot_position(episode: Episode) -> np.ndarray:
    return episode["robot_pose"][:, :2].astype(float)


def _robot_velocity(episode: Episode, first: int = 1) -> np.ndarray:
    """Velocity vectors ``[T + 1 - first, 2]`` in the world's frame, m/s."""
    heading = episode["robot_pose"][first:, 2].astype(float)
    speed = episode["robot_velocity"][first:, 0].astype(float)
    unit = np.stack([np.cos(heading), np.sin(heading)], axis=1)
    return np.asarray(speed[:, None] * unit)


def _pedestrian_position(episode: Episode) -> np.ndarray:
    """After each action, ``[T, P, 2]``."""
    return episode["pedestrian_position"][1:].astype(float)


def _offsets(episode: Episode) -> np.ndarray:
    """From the robot to each pedestrian after each action, ``[T, P, 2]``, metres."""
    return np.asarray(_pedestrian_position(episode) - _robot_position(episode)[1:, None, :])


def _clearance(episode: Episode) -> np.ndarray:
    """Between surfaces to the nearest pedestrian, ``[T]``, metres; infinite where nobody is."""
    distance = np.linalg.norm(_offsets(episode), axis=-1)
    nearest = np.min(np.where(np.isnan(distance), np.inf, distance), axis=1, initial=np.inf)
    return np.asarray(nearest - CONTACT)
