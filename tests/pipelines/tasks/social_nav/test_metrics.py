"""Each metric is what its definition gives by hand, in the log and from the stored dataset."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.tasks.social_nav.config import PHYSICS, EnvConfig
from pipelines.tasks.social_nav.metrics import CONTACT, METRICS, episode_row, measure
from pipelines.tasks.social_nav.robots import ROBOTS
from pipelines.tasks.social_nav.rollout import record_rollout
from pipelines.tasks.social_nav.scenarios import scenario_names
from trajstore.dataset import Dataset
from trajstore.episode.episode import Episode
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec
from trajstore.recording.bulk import write_dataset

DT = PHYSICS.dt
SCHEMA = EpisodeSchema(
    (
        FieldSpec("robot_pose", Axis.STATE, (3,), "float32"),
        FieldSpec("robot_velocity", Axis.STATE, (2,), "float32"),
        FieldSpec("pedestrian_position", Axis.STATE, (2, 2), "float32", finite=False),
        FieldSpec("pedestrian_velocity", Axis.STATE, (2, 2), "float32", finite=False),
        FieldSpec("robot_force", Axis.STEP, (2,), "float32"),
        FieldSpec("reward", Axis.STEP, (), "float32"),
        FieldSpec("terminated", Axis.STEP, (), "bool"),
        FieldSpec("truncated", Axis.STEP, (), "bool"),
        FieldSpec("goal", Axis.EPISODE, (2,), "float32"),
        FieldSpec("scenario", Axis.EPISODE, (), "str"),
        FieldSpec("seed", Axis.EPISODE, (), "int64"),
        FieldSpec("outcome", Axis.EPISODE, (), "str"),
    )
)


def walk(x: list[float], *, speed: list[float] | None = None, **changes: object) -> Episode:
    """A robot that faces and moves along x, alone unless pedestrians are given."""
    steps = len(x) - 1
    position = changes.pop("position", np.full((steps + 1, 2, 2), np.nan))
    velocity = changes.pop("velocity", np.where(np.isnan(position), np.nan, 0.0))
    pose = np.zeros((steps + 1, 3), np.float32)
    pose[:, 0] = x
    v = np.zeros((steps + 1, 2), np.float32)
    v[:, 0] = speed if speed is not None else 1.0
    arrays = {
        "robot_pose": pose,
        "robot_velocity": v,
        "pedestrian_position": np.asarray(position, np.float32),
        "pedestrian_velocity": np.asarray(velocity, np.float32),
        "robot_force": np.zeros((steps, 2), np.float32),
        "reward": np.full(steps, 0.5, np.float32),
        "terminated": np.arange(steps) == steps - 1,
        "truncated": np.zeros(steps, bool),
        "goal": np.array([x[-1], 0.0], np.float32),
        "scenario": "frontal_approach/low",
        "seed": 7,
        "outcome": "goal",
    }
    return Episode(SCHEMA, arrays | changes)


def beside(steps: int, offsets: list[tuple[float, float]], x: list[float]) -> np.ndarray:
    """One pedestrian at an offset from the robot at each state; the second place is empty."""
    position = np.full((steps + 1, 2, 2), np.nan)
    position[:, 0] = np.array(offsets) + np.stack([x, np.zeros(steps + 1)], axis=1)
    return position


def value(name: str, episode: Episode) -> float:
    return METRICS[name].function(episode)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ("goal", {"success": 1, "collision": 0, "timeout": 0}),
        ("timeout", {"success": 0, "collision": 0, "timeout": 1}),
        ("collision_wall", {"success": 0, "collision": 1, "collision_wall": 1}),
    ],
)
def test_the_outcome_decides_success_and_collision(
    outcome: str, expected: dict[str, float]
) -> None:
    found = measure(walk([0.0, 1.0], outcome=outcome))
    assert {name: found[name] for name in expected} == expected


def test_a_straight_way_is_as_short_as_can_be() -> None:
    episode = walk([0.0, 1.0, 2.0, 4.0])
    assert value("path_length", episode) == pytest.approx(4.0)
    assert value("path_efficiency", episode) == pytest.approx(1.0)
    assert value("spl", episode) == pytest.approx(1.0)
    assert value("time_to_goal", episode) == pytest.approx(3 * DT)


def test_a_detour_costs_its_length() -> None:
    episode = walk([0.0, 3.0, 1.0, 2.0])
    assert value("path_length", episode) == pytest.approx(6.0)
    assert value("spl", episode) == pytest.approx(2.0 / 6.0)


def test_efficiency_is_measured_by_the_recorded_shortest_path() -> None:
    schema = EpisodeSchema(
        (*SCHEMA.fields, FieldSpec("shortest_path", Axis.EPISODE, (), "float32", unit="m"))
    )
    short = walk([0.0, 3.0, 1.0, 2.0])
    arrays = {name: short[name] for name in SCHEMA.names}
    episode = Episode(schema, arrays | {"shortest_path": np.float32(4.5)})
    assert value("spl", episode) == pytest.approx(4.5 / 6.0)
    assert value("path_efficiency", episode) == pytest.approx(4.5 / 6.0)


def test_a_robot_that_never_arrives_has_no_efficiency_and_no_time() -> None:
    episode = walk([0.0, 0.0, 0.0], outcome="timeout")
    found = measure(episode)
    assert (found["path_efficiency"], found["time_to_goal"], found["spl"]) == (None, None, 0.0)


@pytest.mark.parametrize(("speed", "fault"), [(0.2, 1.0), (0.05, 0.0)])
def test_a_robot_is_at_fault_when_it_moves_towards_whom_it_touches(
    speed: float, fault: float
) -> None:
    ahead = beside(2, [(2.0, 0.0), (1.0, 0.0), (0.5, 0.0)], [0.0, 0.1, 0.2])
    episode = walk(
        [0.0, 0.1, 0.2], speed=[speed] * 3, position=ahead, outcome="collision_pedestrian"
    )
    assert value("collision_at_fault", episode) == fault


def test_a_robot_run_into_from_behind_is_not_at_fault() -> None:
    behind = beside(1, [(-1.0, 0.0), (-0.5, 0.0)], [0.0, 0.1])
    episode = walk([0.0, 0.1], position=behind, outcome="collision_pedestrian")
    assert value("collision_at_fault", episode) == 0.0
    assert value("collision_at_fault", walk([0.0, 0.1], outcome="collision_wall")) == 1.0


def test_near_misses_are_steps_within_half_a_metre_of_a_surface() -> None:
    gaps = [9.0, 0.6, 0.4, 0.1, 2.0]
    x = [0.0, 0.1, 0.2, 0.3, 0.4]
    episode = walk(x, position=beside(4, [(0.0, gap + CONTACT) for gap in gaps], x))
    assert value("near_misses", episode) == 2
    assert value("min_clearance", episode) == pytest.approx(0.1, abs=1e-6)
    assert value("personal_space_compliance", episode) == pytest.approx(2 / 4)


def test_nobody_around_is_full_compliance_and_no_clearance() -> None:
    found = measure(walk([0.0, 0.1, 0.2]))
    assert found["personal_space_compliance"] == 1.0
    assert found["min_clearance"] is None
    assert (found["near_misses"], found["comfort_exposure"]) == (0.0, 0.0)
    assert found["min_time_to_collision"] == 10.0


def test_time_to_collision_solves_the_meeting_of_two_discs() -> None:
    x = [0.0, 0.0]
    ahead = beside(1, [(4.0, 0.0), (4.0, 0.0)], x)
    towards = np.where(np.isnan(ahead), np.nan, [-1.0, 0.0])
    episode = walk(x, speed=[0.7, 0.7], position=ahead, velocity=towards)
    assert value("min_time_to_collision", episode) == pytest.approx((4.0 - CONTACT) / 1.7, rel=1e-6)
    passing = beside(1, [(4.0, 0.61), (4.0, 0.61)], x)
    assert value("min_time_to_collision", walk(x, position=passing)) == 10.0
    touching = beside(1, [(4.0, 0.0), (0.5, 0.0)], x)
    assert value("min_time_to_collision", walk(x, position=touching)) == 0.0


def test_comfort_counts_the_robots_push_on_those_who_are_there() -> None:
    x = [0.0, 0.1, 0.2]
    position = beside(2, [(0.0, 3.0)] * 3, x)
    force = np.array([[1.5, 9.0], [0.2, 9.0]], np.float32)
    episode = walk(x, position=position, robot_force=force)
    assert value("force_events", episode) == 1.0
    assert value("comfort_exposure", episode) == 0.5


def test_jerk_is_a_second_difference_per_second_squared() -> None:
    speed = [0.0, 0.1, 0.3, 0.3]
    episode = walk([0.0, 0.0, 0.0, 0.0], speed=speed)
    changes = [abs(2.0 - 1.0) / DT, abs(0.0 - 2.0) / DT]
    assert value("jerk", episode) == pytest.approx(np.mean(changes), rel=1e-5)
    assert math.isnan(value("jerk", walk([0.0, 0.0])))


def test_stalled_time_is_counted_after_each_action() -> None:
    episode = walk([0.0, 0.0, 0.0, 1.0], speed=[0.0, 0.01, 0.04, 0.5])
    assert value("stalled_time", episode) == pytest.approx(2 * DT)


def random_episode(seed: int) -> Episode:
    rng = np.random.default_rng(seed)
    steps = int(rng.integers(1, 30))
    position = rng.normal(0.0, 3.0, (steps + 1, 2, 2))
    position[:, 1] = np.nan if rng.random() < 0.5 else position[:, 1]
    return walk(
        np.cumsum(rng.normal(0.1, 0.05, steps + 1)).tolist(),
        speed=rng.uniform(0.0, 1.2, steps + 1).tolist(),
        position=position,
        velocity=np.where(np.isnan(position), np.nan, rng.normal(size=position.shape)),
        robot_force=rng.exponential(1.0, (steps, 2)).astype(np.float32),
        outcome=str(rng.choice(["goal", "timeout", "collision_pedestrian", "collision_wall"])),
        seed=seed,
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31))
def test_every_metric_is_finite_or_null_and_shares_are_shares(seed: int) -> None:
    found = measure(random_episode(seed))
    assert list(found) == list(METRICS)
    for name, number in found.items():
        assert number is None or math.isfinite(number)
        if METRICS[name].unit == "" and number is not None:
            assert 0.0 <= number <= 1.0, name


def test_the_stored_dataset_gives_the_logged_numbers_again(tmp_path: Path) -> None:
    episodes = [random_episode(seed) for seed in range(12)]
    logged = [episode_row(episode) for episode in episodes]
    write_dataset(tmp_path / "v1", episodes, schema=SCHEMA, provenance={})
    assert [episode_row(episode) for episode in Dataset.open(tmp_path / "v1")] == logged


def test_every_metric_names_its_source_and_direction() -> None:
    for name, metric in METRICS.items():
        assert metric.source, name
        assert metric.better in ("higher", "lower")


@pytest.mark.slow
@pytest.mark.parametrize("robot", sorted(ROBOTS))
def test_metrics_agree_with_what_the_environment_says_of_its_own_episodes(robot: str) -> None:
    names = scenario_names()
    episodes = record_rollout(ROBOTS[robot], [(name, 1) for name in names], EnvConfig())
    outcomes = {str(episode["outcome"]) for episode in episodes}
    assert "goal" in outcomes
    for episode in episodes:
        row = episode_row(episode)
        assert row["metrics"]["collision_at_fault"] == (
            row["collision"] and bool(episode["robot_at_fault"])
        )
        least = row["metrics"]["min_clearance"]
        assert min(least, 10.0) == pytest.approx(float(episode["clearance"].min()), abs=1e-4)
        if row["success"]:
            assert 0.3 < row["metrics"]["path_efficiency"] <= 1.0
