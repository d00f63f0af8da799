"""The fields of a recorded episode: what was observed, done and earned, and the scene."""

from collections.abc import Callable, Container
from dataclasses import replace

import numpy as np

from pipelines.tasks.social_nav.config import (
    GRID_CELLS,
    OBSERVATION_LIMIT,
    OBSERVATION_SIZE,
    PHYSICS,
    EnvConfig,
)
from pipelines.tasks.social_nav.state import MAX_PEDESTRIANS, MAX_WALLS
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec

_VECTOR = FieldSpec(
    "observation",
    Axis.STATE,
    (OBSERVATION_SIZE,),
    "float32",
    low=-OBSERVATION_LIMIT,
    high=OBSERVATION_LIMIT,
    description="what the policy sees, in the robot's frame; pipelines/env/sight.py",
)
"""Policies that were saved agree with its description too, so that no word of it may change."""
_GRID = FieldSpec(
    "observation/grid",
    Axis.STATE,
    (GRID_CELLS, GRID_CELLS),
    "uint8",
    description="occupancy around the robot: 0 free, 128 pedestrian, 255 wall",
)

TRANSITION = (
    FieldSpec(
        "action",
        Axis.STEP,
        (2,),
        "float32",
        low=-1.0,
        high=1.0,
        description="normalised target speed (-1 stands, 1 is 1.2 m/s) and turn rate (1.5 rad/s)",
    ),
    FieldSpec("reward", Axis.STEP, (), "float32", description="weights in provenance"),
    FieldSpec("terminated", Axis.STEP, (), "bool", description="goal or collision"),
    FieldSpec("truncated", Axis.STEP, (), "bool", description="out of time"),
)

Column = Callable[[np.ndarray], np.ndarray]
"""Takes ``[N]`` of ``STATE`` and returns the rows of one field."""

SCENE: dict[FieldSpec, Column] = {
    FieldSpec(
        "robot_pose",
        Axis.STATE,
        (3,),
        "float32",
        unit="m, m, rad",
        description="x, y, heading",
        role="pose",
    ): lambda states: states["robot"][:, :3],
    FieldSpec(
        "robot_velocity",
        Axis.STATE,
        (2,),
        "float32",
        unit="m/s, rad/s",
        low=(0.0, -PHYSICS.max_turn_rate),
        high=(PHYSICS.max_speed + 1e-6, PHYSICS.max_turn_rate),
        description="speed ahead and turn rate",
        role="velocity",
    ): lambda states: states["robot"][:, 3:],
    FieldSpec(
        "pedestrian_position",
        Axis.STATE,
        (MAX_PEDESTRIANS, 2),
        "float32",
        unit="m",
        description="x, y; nan where nobody is",
        finite=False,
        role="others",
    ): lambda states: states["position"],
    FieldSpec(
        "pedestrian_velocity",
        Axis.STATE,
        (MAX_PEDESTRIANS, 2),
        "float32",
        unit="m/s",
        description="x, y; nan where nobody is",
        finite=False,
        role="others_velocity",
    ): lambda states: states["velocity"],
    FieldSpec(
        "clearance",
        Axis.STEP,
        (),
        "float32",
        unit="m",
        low=-1.0,
        high=10.0,
        description="surface to surface, robot to nearest pedestrian after the step, at most 10",
    ): lambda states: states["clearance"],
    FieldSpec(
        "robot_force",
        Axis.STEP,
        (MAX_PEDESTRIANS,),
        "float32",
        unit="m/s2",
        low=0.0,
        description="social force of the robot on each pedestrian, mean over the step; "
        "what it would be on those who do not react",
    ): lambda states: states["robot_force"],
    FieldSpec("goal", Axis.EPISODE, (2,), "float32", unit="m", description="x, y"): lambda states: (
        states["goal"]
    ),
    FieldSpec(
        "walls",
        Axis.EPISODE,
        (MAX_WALLS, 4),
        "float32",
        unit="m",
        description="segments x0, y0, x1, y1; rows of nan are none",
        finite=False,
    ): lambda states: states["wall"],
}
"""Every field of the scene and where it stands in the state of the worlds; add yours here."""

LABELS = (
    FieldSpec("scenario", Axis.EPISODE, (), "str", description="family/density"),
    FieldSpec("seed", Axis.EPISODE, (), "int64", low=0, description="of the episode"),
    FieldSpec(
        "outcome",
        Axis.EPISODE,
        (),
        "str",
        description="goal, collision_pedestrian, collision_wall or timeout",
    ),
    FieldSpec(
        "robot_at_fault",
        Axis.EPISODE,
        (),
        "bool",
        description="in a collision, the robot was moving towards what it touched",
    ),
    FieldSpec(
        "shortest_path",
        Axis.EPISODE,
        (),
        "float32",
        unit="m",
        low=0.0,
        description="least length of the robot's centre from start to goal, round the walls",
    ),
)


def observation_fields(config: EnvConfig) -> dict[str, FieldSpec]:
    """The field of each part of the observation."""
    if config.observation == "vector":
        return {"vector": _VECTOR}
    return {"vector": replace(_VECTOR, name="observation/vector"), "grid": _GRID}


def episode_schema(config: EnvConfig) -> EpisodeSchema:
    """What an episode of this environment holds."""
    observed = observation_fields(config).values()
    return EpisodeSchema((*observed, *TRANSITION, *SCENE, *LABELS))


def scene_of(states: np.ndarray, axes: Container[Axis] = frozenset(Axis)) -> dict[str, np.ndarray]:
    """The scene of worlds as episodes hold it, ``[N, ...]`` by field, of some axes or all."""
    return {
        field.name: column(states).astype(field.dtype)
        for field, column in SCENE.items()
        if field.axis in axes
    }
