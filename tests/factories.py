"""Small valid schemas, episodes and datasets, made from a seed."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from trajstore.episode.episode import Episode
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec
from trajstore.recording.bulk import write_dataset
from trajstore.recording.recorder import Recorder
from trajstore.version.manifest import Manifest

STEPS = 7
SCHEMA = EpisodeSchema(
    (
        FieldSpec("observation", Axis.STATE, (4,), "float32", low=-100, high=100),
        FieldSpec("action", Axis.STEP, (2,), "float32", low=-1, high=1, description="v, omega"),
        FieldSpec("reward", Axis.STEP, (), "float32"),
        FieldSpec("terminated", Axis.STEP, (), "bool"),
        FieldSpec("truncated", Axis.STEP, (), "bool"),
        FieldSpec("scenario", Axis.EPISODE, (), "str"),
        FieldSpec("seed", Axis.EPISODE, (), "int64", low=0),
    )
)
WIDE_SCHEMA = EpisodeSchema(
    (
        *SCHEMA.fields,
        FieldSpec("camera/grid", Axis.STATE, (64, 64), "uint8", description="occupancy"),
        FieldSpec("goal", Axis.EPISODE, (2,), "float32", unit="m"),
    )
)
"""`SCHEMA` with a nested wide field and a vector on the episode axis."""

SCENARIOS = ("frontal_approach/low", "crowd_navigation/high", "blind_corner/medium")


def arrays(
    seed: int = 0, *, steps: int = STEPS, schema: EpisodeSchema = SCHEMA
) -> dict[str, np.ndarray]:
    """The arrays of one valid episode of `SCHEMA` or `WIDE_SCHEMA`."""
    rng = np.random.default_rng(seed)
    ends = np.zeros(steps, bool)
    ends[-1] = True
    walk = rng.normal(0, 0.1, (steps + 1, 4)).cumsum(axis=0)
    made = {
        "observation": np.clip(walk, -100, 100).astype("float32"),
        "action": rng.uniform(-1, 1, (steps, 2)).astype("float32"),
        "reward": rng.normal(size=steps).astype("float32"),
        "terminated": ends if seed % 2 == 0 else np.zeros(steps, bool),
        "truncated": ends if seed % 2 == 1 else np.zeros(steps, bool),
        "scenario": np.array(SCENARIOS[seed % len(SCENARIOS)]),
        "seed": np.array(seed, "int64"),
        "goal": rng.normal(size=2).astype("float32"),
    }
    if "camera/grid" in schema.names:
        cells = rng.integers(0, 64, (steps + 1, 20, 2))
        grid = np.zeros((steps + 1, 64, 64), "uint8")
        grid[np.arange(steps + 1)[:, None], cells[..., 0], cells[..., 1]] = 255
        made["camera/grid"] = grid
    return {name: made[name] for name in schema.names}


def episode(
    seed: int = 0,
    *,
    steps: int = STEPS,
    schema: EpisodeSchema = SCHEMA,
    **changes: np.ndarray,
) -> Episode:
    """One valid episode; ``changes`` replace arrays of it."""
    return Episode(schema, arrays(seed, steps=steps, schema=schema) | changes)


def episodes(count: int = 5, *, seed: int = 0, schema: EpisodeSchema = SCHEMA) -> list[Episode]:
    """Valid episodes of 1 to 40 steps, all different."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 41, count)
    return [
        episode(seed + index, steps=int(length), schema=schema)
        for index, length in enumerate(lengths)
    ]


def dataset(
    target: Path,
    *,
    count: int = 5,
    seed: int = 0,
    schema: EpisodeSchema = SCHEMA,
    provenance: Mapping[str, object] | None = None,
) -> Manifest:
    """Write a small sealed version; returns its manifest."""
    return write_dataset(
        target,
        episodes(count, seed=seed, schema=schema),
        schema=schema,
        provenance=provenance or {"made_by": "factories"},
    )


def recorder(target: Path, **changes: object) -> Recorder:
    """A recorder of `SCHEMA`, unless told otherwise."""
    plain: dict[str, object] = {"schema": SCHEMA, "provenance": {"policy": "p"}}
    return Recorder(target, **(plain | changes))  # type: ignore[arg-type]
