"""The compiled physics is what its equations say.

It agrees with the plain NumPy statement, treats left as right, converges as the time step
shrinks, lets nobody through a wall, and advances each world as if it were alone.
"""

from dataclasses import astuple, fields
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.tasks.social_nav import kernel, sight
from pipelines.tasks.social_nav.config import GRID_CELLS, OBSERVATION_SIZE, EnvConfig, RewardWeights
from pipelines.tasks.social_nav.placement import place
from pipelines.tasks.social_nav.scenarios import find_scenario, scenario_names
from pipelines.tasks.social_nav.state import STATE, Outcome, empty_worlds
from tests.pipelines.tasks.social_nav import oracle, oracle_sight

CONSTANTS = EnvConfig().constants()
SEEDS = st.integers(0, 2**31 - 1)


def worlds_of(seed: int, names: tuple[str, ...] = scenario_names()) -> np.ndarray:
    worlds = np.array([place(find_scenario(name), seed) for name in names], STATE)
    kernel.begin(worlds, np.arange(len(worlds)), CONSTANTS)
    return worlds


def driving(seed: int, steps: int, count: int) -> np.ndarray:
    """Actions ``[steps, count, 2]``: mostly ahead, turning at random."""
    actions = np.random.default_rng(seed).uniform(-1.3, 1.3, (steps, count, 2))
    actions[..., 0] = np.abs(actions[..., 0])
    return actions.astype(np.float32)


def gap(one: np.ndarray, other: np.ndarray) -> float:
    """Largest difference in any field; nan equals nan."""
    return max(
        float(np.max(np.abs(np.nan_to_num(one[name] - other[name], nan=0.0)), initial=0.0))
        for name in STATE.names or ()
    )


@settings(max_examples=2, deadline=None)
@given(SEEDS)
def test_the_kernel_agrees_with_plain_numpy(seed: int) -> None:
    worlds = worlds_of(seed)
    for step, actions in enumerate(driving(seed, 70, len(worlds))):
        stated = worlds.copy()
        kernel.advance(worlds, actions, CONSTANTS)
        if step % 7 == 0:
            oracle.advance(stated, actions, CONSTANTS)
            assert gap(worlds, stated) < 1e-9
    assert (worlds["outcome"] != Outcome.RUNNING).any()


def test_the_first_state_agrees_with_plain_numpy() -> None:
    worlds = worlds_of(3)
    stated = worlds.copy()
    oracle.begin(stated, np.arange(len(stated)), CONSTANTS)
    assert gap(worlds, stated) < 1e-9


def test_an_episode_that_runs_out_of_time_agrees_with_plain_numpy() -> None:
    constants = EnvConfig(horizon=3).constants()
    worlds = worlds_of(5)
    stated = worlds.copy()
    for actions in driving(5, 4, len(worlds)):
        kernel.advance(worlds, actions, constants)
        oracle.advance(stated, actions, constants)
    assert (worlds["outcome"] == Outcome.TIMEOUT).any()
    assert gap(worlds, stated) < 1e-9


@settings(max_examples=4, deadline=None)
@given(SEEDS)
def test_what_is_seen_agrees_with_plain_numpy(seed: int) -> None:
    worlds = worlds_of(seed)
    rows = np.arange(len(worlds))
    for actions in driving(seed, 12, len(worlds)):
        kernel.advance(worlds, actions, CONSTANTS)
    seen = np.zeros((2, len(worlds), OBSERVATION_SIZE), np.float32)
    sight.observe(worlds, rows, CONSTANTS, seen[0])
    oracle_sight.observe(worlds, rows, CONSTANTS, seen[1])
    assert np.abs(seen[0] - seen[1]).max() < 1e-6
    grids = np.zeros((2, len(worlds), GRID_CELLS, GRID_CELLS), np.uint8)
    sight.draw_grid(worlds, rows, CONSTANTS, grids[0])
    oracle_sight.draw_grid(worlds, rows, CONSTANTS, grids[1])
    assert (grids[0] != grids[1]).mean() < 1e-4


def mirrored(worlds: np.ndarray) -> np.ndarray:
    other = worlds.copy()
    for name in ("goal", "waypoint", "target", "position", "velocity", "aim", "push", "route"):
        other[name][..., 1] *= -1
    other["robot"][:, [1, 2, 4]] *= -1
    other["wall"][..., [1, 3]] *= -1
    return other


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_left_is_as_right(seed: int) -> None:
    worlds = worlds_of(seed)
    other = mirrored(worlds)
    for actions in driving(seed, 15, len(worlds)):
        kernel.advance(worlds, actions, CONSTANTS)
        kernel.advance(other, actions * np.float32([1, -1]), CONSTANTS)
    assert gap(mirrored(worlds), other) < 1e-6


def test_a_mirrored_world_looks_mirrored() -> None:
    worlds = worlds_of(11)
    rows = np.arange(len(worlds))
    seen = np.zeros((2, len(worlds), OBSERVATION_SIZE), np.float32)
    sight.observe(worlds, rows, CONSTANTS, seen[0])
    sight.observe(mirrored(worlds), rows, CONSTANTS, seen[1])
    sideways = [1, 4, 7, *(8 + 5 * slot + part for slot in range(6) for part in (1, 3))]
    seen[1][:, sideways] *= -1
    rays = seen[1][:, 38:]
    seen[1][:, 38:] = np.roll(rays[:, ::-1], 1, axis=1)
    assert np.abs(seen[0] - seen[1]).max() < 1e-5


def after_a_second(substeps: int, worlds: np.ndarray) -> np.ndarray:
    constants = CONSTANTS._replace(substeps=substeps)
    moved = worlds.copy()
    actions = np.full((len(worlds), 2), 0.3, np.float32)
    for _ in range(10):
        kernel.advance(moved, actions, constants)
    position: np.ndarray = moved["position"]
    return position


def test_shorter_substeps_change_little_and_ever_less() -> None:
    worlds = np.concatenate([worlds_of(seed) for seed in range(5)])
    runs = [after_a_second(substeps, worlds) for substeps in (2, 8, 32, 128)]
    changes = [float(np.nanmean(np.abs(one - other))) for one, other in pairwise(runs)]
    assert changes[0] < 0.02
    assert changes[0] > changes[1] > changes[2]


@settings(max_examples=3, deadline=None)
@given(SEEDS)
def test_nobody_walks_through_a_wall(seed: int) -> None:
    worlds = worlds_of(seed)
    still = np.full((len(worlds), 2), [-1, 0], np.float32)
    endless = CONSTANTS._replace(horizon=10_000)
    for _ in range(200):
        worlds["outcome"] = Outcome.RUNNING
        kernel.advance(worlds, still, endless)
        for world in worlds[worlds["walls"] > 0]:
            people, walls = world["position"][: world["pedestrians"]], world["wall"]
            offsets = oracle.offsets_from_walls(people, walls[: world["walls"]])
            assert np.linalg.norm(offsets, axis=2).min() > 0.15


def lone_robot(**fields: object) -> np.ndarray:
    worlds = empty_worlds(1)
    worlds["goal"] = [8.0, 0.0]
    for name, value in fields.items():
        worlds[name] = value
    kernel.begin(worlds, np.arange(1), CONSTANTS)
    return worlds


def test_the_robot_keeps_its_limits_of_speed_and_acceleration() -> None:
    worlds = lone_robot()
    full = np.array([[9.0, 9.0]], np.float32)
    before = worlds["robot"].copy()
    for _ in range(20):
        kernel.advance(worlds, full, CONSTANTS)
        change = worlds["robot"] - before
        assert change[0, 3] <= 1.5 * 0.1 + 1e-12
        assert change[0, 4] <= 3.0 * 0.1 + 1e-12
        before = worlds["robot"].copy()
    assert worlds["robot"][0, 3] == pytest.approx(1.2)
    assert worlds["robot"][0, 4] == pytest.approx(1.5)


def test_a_straight_run_ends_at_the_goal_and_earns_its_way() -> None:
    worlds = lone_robot()
    total = 0.0
    while worlds["outcome"][0] == Outcome.RUNNING:
        kernel.advance(worlds, np.array([[1, 0]], np.float32), CONSTANTS)
        total += worlds["reward"][0]
    assert worlds["outcome"][0] == Outcome.GOAL
    steps = worlds["time"][0]
    way = worlds["robot"][0, 0]
    expected = CONSTANTS.reward_progress * way - CONSTANTS.reward_step * steps
    assert total == pytest.approx(expected + CONSTANTS.reward_goal)


@pytest.mark.parametrize(("speed", "fault"), [(1.0, 1), (0.0, 0)], ids=["driving", "standing"])
def test_fault_is_with_the_robot_that_drives_on(speed: float, fault: int) -> None:
    worlds = lone_robot()
    worlds["robot"][0, 3] = speed
    worlds["pedestrians"] = 1
    worlds["position"][0, 0] = [1.0, 0.0]
    worlds["velocity"][0, 0] = [-1.0, 0.0]
    worlds["speed"][0, 0] = 1.0
    worlds["route"][0, 0] = [-9.0, 0.0]
    worlds["route_length"][0, 0] = 2
    action = np.array([[2 * speed / 1.2 - 1, 0]], np.float32)
    for _ in range(10):
        kernel.advance(worlds, action, CONSTANTS)
    assert worlds["outcome"][0] == Outcome.COLLISION_PEDESTRIAN
    assert worlds["robot_at_fault"][0] == fault


def test_a_wall_ends_the_episode() -> None:
    worlds = lone_robot(walls=1)
    worlds["wall"][0, 0] = [1.0, -3.0, 1.0, 3.0]
    for _ in range(20):
        kernel.advance(worlds, np.array([[1, 0]], np.float32), CONSTANTS)
    assert worlds["outcome"][0] == Outcome.COLLISION_WALL
    assert worlds["robot"][0, 0] < 1.0


def test_a_world_is_advanced_as_if_alone() -> None:
    worlds = worlds_of(21)
    actions = driving(21, 40, len(worlds))
    alone = [worlds[row : row + 1].copy() for row in range(len(worlds))]
    for step in actions:
        kernel.advance(worlds, step, CONSTANTS)
        for row, world in enumerate(alone):
            kernel.advance(world, step[row : row + 1], CONSTANTS)
    assert np.concatenate(alone).tobytes() == worlds.tobytes()


def test_people_who_do_not_react_feel_a_force_but_walk_on() -> None:
    worlds = lone_robot()
    worlds["pedestrians"] = 1
    worlds["position"][0, 0] = [2.5, 0.2]
    worlds["velocity"][0, 0] = [-1.0, 0.0]
    worlds["speed"][0, 0] = 1.0
    worlds["route"][0, 0] = [-9.0, 0.2]
    worlds["route_length"][0, 0] = 2
    heeding = worlds.copy()
    heeding["reacts"] = 1.0
    still = np.array([[-1, 0]], np.float32)
    for _ in range(16):
        kernel.advance(worlds, still, CONSTANTS)
        kernel.advance(heeding, still, CONSTANTS)
    assert worlds["robot_force"][0, 0] > 0.0
    assert worlds["position"][0, 0, 1] == pytest.approx(0.2)
    assert worlds["position"][0, 0, 0] == pytest.approx(0.9)
    assert heeding["position"][0, 0, 1] > 0.21


def test_every_weight_of_the_reward_reaches_the_physics() -> None:
    weights = RewardWeights(*range(1, 1 + len(fields(RewardWeights))))
    constants = EnvConfig(reward=weights, horizon=7, goal_radius=1.5).constants()
    assert constants[:9] == (1.5, 7, *astuple(weights))
    assert constants[9:] == CONSTANTS[9:]
    assert constants._fields[2:9] == tuple(f"reward_{it.name}" for it in fields(RewardWeights))
