"""The fields of a recorded episode: what was observed, done and earned, and the scene."""

from collections.abc import Callable, Container
from dataclasses import replace
from functools import partial

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

_real = partial(FieldSpec, dtype="float32")
_VECTOR = _real(
    "observation",
    Axis.STATE,
    (OBSERVATION_SIZE,),
    description="what the policy sees, in the robot's frame; pipelines/env/sight.py",
    low=-OBSERVATION_LIMIT,
    high=OBSERVATION_LIMIT,
)
"""The digests of policies and datasets cover its description, so that no word of it may change."""
_GRID = FieldSpec(
    "observation/grid",
    Axis.STATE,
    (GRID_CELLS, GRID_CELLS),
    "uint8",
    description="occupancy around the robot: 0 free, 128 pedestrian, 255 wall",
)

TRANSITION = (
    _real(
        "action",
        Axis.STEP,
        (2,),
        description="normalised target speed (-1 stands, 1 is 1.2 m/s) and turn rate (1.5 rad/s)",
        low=-1.0,
        high=1.0,
    ),
    _real("reward", Axis.STEP, (), description="weights in provenance"),
    FieldSpec("terminated", Axis.STEP, (), "bool", description="goal or collision"),
    FieldSpec("truncated", Axis.STEP, (), "bool", description="out of time"),
)

Column = Callable[[np.ndarray], np.ndarray]
"""Takes ``[N]`` of ``STATE`` and returns the rows of one field."""
_people = partial(
    _real,
    axis=Axis.STATE,
    shape=(MAX_PEDESTRIANS, 2),
    description="x, y; nan where nobody is",
    finite=False,
)

SCENE: dict[FieldSpec, Column] = {
    _real(
        "robot_pose", Axis.STATE, (3,), description="x, y, heading", unit="m, m, rad", role="pose"
    ): lambda states: states["robot"][:, :3],
    _real(
        "robot_velocity",
        Axis.STATE,
        (2,),
        description="speed ahead and turn rate",
        unit="m/s, rad/s",
        low=(0.0, -PHYSICS.max_turn_rate),
        high=(PHYSICS.max_speed + 1e-6, PHYSICS.max_turn_rate),
        role="velocity",
    ): lambda states: states["robot"][:, 3:],
    _people("pedestrian_position", unit="m", role="others"): lambda states: states["position"],
    _people("pedestrian_velocity", unit="m/s", role="others_velocity"): lambda states: states[
        "velocity"
    ],
    _real(
        "clearance",
        Axis.STEP,
        (),
        description="surface to surface, robot to nearest pedestrian after the step, at most 10",
        unit="m",
        low=-1.0,
        high=10.0,
    ): lambda states: states["clearance"],
    _real(
        "robot_force",
        Axis.STEP,
        (MAX_PEDESTRIANS,),
        description="social force of the robot on each pedestrian, mean over the step; "
        "what it would be on those who do not react",
        unit="m/s2",
        low=0.0,
    ): lambda states: states["robot_force"],
    _real("goal", Axis.EPISODE, (2,), description="x, y", unit="m"): lambda states: states["goal"],
    _real(
        "walls",
        Axis.EPISODE,
        (MAX_WALLS, 4),
        description="segments x0, y0, x1, y1; rows of nan are none",
        unit="m",
        finite=False,
    ): lambda states: states["wall"],
}
"""Every field of the scene and where it stands in the state of the worlds; add yours here."""

_ENDS = "goal, collision_pedestrian, collision_wall or timeout"
_FAULT = "in a collision, the robot was moving towards what it touched"
LABELS = (
    FieldSpec("scenario", Axis.EPISODE, (), "str", description="family/density"),
    FieldSpec("seed", Axis.EPISODE, (), "int64", low=0, description="of the episode"),
    FieldSpec("outcome", Axis.EPISODE, (), "str", description=_ENDS),
    FieldSpec("robot_at_fault", Axis.EPISODE, (), "bool", description=_FAULT),
    _real(
        "shortest_path",
        Axis.EPISODE,
        (),
        description="least length of the robot's centre from start to goal, round the walls",
        unit="m",
        low=0.0,
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
