"""What the robot sees keeps to its space, and zero means that nobody is there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.tasks.social_nav import kernel, sight
from pipelines.tasks.social_nav.config import OBSERVATION_LIMIT, OBSERVATION_SIZE, EnvConfig
from pipelines.tasks.social_nav.robots import social_force
from pipelines.tasks.social_nav.scenarios import scenario_names
from pipelines.tasks.social_nav.state import empty_worlds
from pipelines.tasks.social_nav.worlds import Worlds, scenarios_of

CONSTANTS = EnvConfig().constants()


def seen_with(pedestrians: list[tuple[float, float]], wall: tuple[float, ...] = ()) -> np.ndarray:
    """What a robot at the origin sees that looks along x to a goal 5 m ahead."""
    worlds = empty_worlds(1)
    worlds["goal"] = [5.0, 0.0]
    worlds["pedestrians"] = len(pedestrians)
    if pedestrians:
        worlds["position"][0, : len(pedestrians)] = pedestrians
        worlds["velocity"][0, : len(pedestrians)] = [-1.0, 0.0]
    if wall:
        worlds["walls"] = 1
        worlds["wall"][0, 0] = wall
    rows = np.arange(1)
    kernel.begin(worlds, rows, CONSTANTS)
    out = np.full((1, OBSERVATION_SIZE), 9.0, np.float32)
    sight.observe(worlds, rows, CONSTANTS, out)
    return out[0]


def test_an_empty_world_shows_the_goal_only() -> None:
    seen = seen_with([])
    assert seen[:6] == pytest.approx([1.0, 0.0, 0.5, 1.0, 0.0, 0.5])
    assert not seen[6:].any()


def test_somebody_out_of_range_is_nobody() -> None:
    assert not seen_with([(6.61, 0.0)])[8:38].any()
    assert seen_with([(6.5, 0.0)])[8:38].any()


def test_the_nearest_come_first_and_the_rest_is_zero() -> None:
    seen = seen_with([(0.0, 3.0), (2.0, 0.0)])[8:38].reshape(6, 5)
    close = [(1 - 1.4 / 6) ** 2, (1 - 2.4 / 6) ** 2]
    assert seen[0] == pytest.approx([close[0], 0.0, -0.5, 0.0, 1 - 1.4 / 5], abs=1e-6)
    assert seen[1] == pytest.approx([0.0, close[1], -0.5, 0.0, 0.0], abs=1e-6)
    assert not seen[2:].any()


def test_of_ten_people_six_are_seen() -> None:
    around = [(1.0 + 0.3 * i, 0.2 * i) for i in range(10)]
    slots = seen_with(around)[8:38].reshape(6, 5)
    closeness = np.linalg.norm(slots[:, :2], axis=1)
    assert (closeness > 0).all()
    assert (np.diff(closeness) < 0).all()


def test_a_ray_meets_the_wall_ahead() -> None:
    rays = seen_with([], wall=(2.3, -1.0, 2.3, 1.0))[38:]
    assert rays[0] == pytest.approx((1 - 2.0 / 6) ** 2)
    assert rays[1] > 0.0
    assert rays[17] == pytest.approx(rays[1])
    assert not rays[2:17].any()


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_observations_stay_in_their_space(seed: int) -> None:
    config = EnvConfig()
    pool = scenarios_of(config)
    worlds = Worlds(len(pool), config)
    worlds.place({row: (scenario, seed) for row, scenario in enumerate(pool)})
    for _ in range(60):
        seen = worlds.observation()
        assert isinstance(seen, np.ndarray)
        assert np.isfinite(seen).all()
        assert np.abs(seen).max() <= OBSERVATION_LIMIT
        worlds.advance(social_force(seen))
    assert len(pool) == len(scenario_names())
