"""The shortest way round walls is what geometry gives by hand, and every start has one."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.tasks.social_nav.config import PHYSICS
from pipelines.tasks.social_nav.placement import place
from pipelines.tasks.social_nav.scenarios import LAYOUTS, catalogue, find_scenario
from pipelines.tasks.social_nav.shortest import shortest_path

RADIUS = PHYSICS.robot_radius
NOWHERE = np.full((8, 4), np.nan)


def length(start: tuple[float, float], goal: tuple[float, float], walls: object) -> float:
    return shortest_path(np.array(start), np.array(goal), np.array(walls, float), RADIUS)


def round_one_end(start: tuple[float, float], goal: tuple[float, float], end: object) -> float:
    """Two tangents and the arc between them, on the far side of a wall end in the way."""
    sides = [np.array(place) - np.array(end) for place in (start, goal)]
    far = [float(np.linalg.norm(side)) for side in sides]
    tangents = [math.sqrt(distance**2 - RADIUS**2) for distance in far]
    seen = 2.0 * math.pi - math.acos(float(sides[0] @ sides[1]) / (far[0] * far[1]))
    arc = seen - sum(math.acos(RADIUS / distance) for distance in far)
    return sum(tangents) + RADIUS * arc


def test_in_free_space_the_way_is_the_straight_line() -> None:
    assert length((0.0, 0.0), (3.0, 4.0), NOWHERE) == pytest.approx(5.0)
    assert length((0.0, 0.0), (3.0, 4.0), [(-9.0, -1.0, 9.0, -1.0)]) == pytest.approx(5.0)


def test_a_wall_end_is_rounded_by_tangents_and_an_arc() -> None:
    start, goal = (-2.0, 0.0), (2.0, 0.0)
    wall = [(0.0, 0.0, 0.0, -9.0)]
    by_hand = 2.0 * math.sqrt(4.0 - 0.09) + 0.3 * (math.pi - 2.0 * math.acos(0.15))
    assert by_hand == pytest.approx(4.0451, abs=1e-4)
    assert length(start, goal, wall) == pytest.approx(by_hand, abs=1e-6)
    assert length(start, goal, wall) == pytest.approx(round_one_end(start, goal, (0.0, 0.0)))


def test_the_nearer_of_two_ends_is_rounded() -> None:
    start, goal = (-2.0, 0.0), (2.0, 0.0)
    expected = round_one_end(start, goal, (0.0, 1.0))
    assert length(start, goal, [(0.0, 1.0, 0.0, -1.5)]) == pytest.approx(expected, abs=1e-6)


def test_a_corner_is_cut_as_closely_as_the_radius_allows() -> None:
    walls = LAYOUTS["corner"](4.0).walls
    start, goal = (-5.0, 0.0), (0.0, 5.0)
    expected = round_one_end(start, goal, (-2.0, 2.0))
    assert length(start, goal, walls) == pytest.approx(expected, abs=1e-6)
    assert math.hypot(5.0, 5.0) < expected < 10.0


def test_a_doorway_is_passed_at_the_radius_from_its_post() -> None:
    walls = LAYOUTS["doorway"](2.0).walls
    assert length((-4.0, 0.5), (4.0, -0.5), walls) == pytest.approx(math.hypot(8.0, 1.0))
    start, goal = (-4.0, 2.0), (4.0, 2.0)
    expected = round_one_end(start, goal, (0.0, 1.0))
    assert length(start, goal, walls) == pytest.approx(expected, abs=1e-6)


def test_a_doorway_too_narrow_for_the_disc_is_refused() -> None:
    walls = [(0.0, -9.0, 0.0, -0.25), (0.0, 0.25, 0.0, 9.0), (-9.0, -9.0, 9.0, -9.0),
             (-9.0, 9.0, 9.0, 9.0), (-9.0, -9.0, -9.0, 9.0), (9.0, -9.0, 9.0, 9.0)]  # fmt: skip
    with pytest.raises(ValueError, match=r"shortest_path: expected a way .* got none; move"):
        length((-3.0, 0.0), (3.0, 0.0), walls)


@pytest.mark.parametrize("name", catalogue())
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31 - 1))
def test_every_start_has_a_way_alike_there_and_back(name: str, seed: int) -> None:
    world = place(find_scenario(name), seed)
    start, goal, walls = world["robot"][:2], world["goal"], world["wall"]
    found = shortest_path(start, goal, walls, RADIUS)
    straight = float(np.linalg.norm(goal - start))
    assert straight <= found < 1.6 * straight
    assert shortest_path(goal, start, walls, RADIUS) == pytest.approx(found)
    if world["has_waypoint"]:
        through = [np.linalg.norm(world["waypoint"] - end) for end in (start, goal)]
        assert found <= sum(through) + 1e-6
