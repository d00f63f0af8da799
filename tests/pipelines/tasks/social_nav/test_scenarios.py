"""Thirty scenarios are trained on; those of one more family are for evaluation only."""

import pytest

from pipelines.tasks.make import make_vec_env
from pipelines.tasks.social_nav.config import EnvConfig
from pipelines.tasks.social_nav.scenarios import (
    catalogue,
    find_scenario,
    held_out_families,
    held_out_names,
    read_scenarios,
    scenario_names,
)
from pipelines.tasks.social_nav.worlds import scenarios_of


def test_there_are_ten_families_at_three_densities() -> None:
    assert len(scenario_names()) == 30
    assert len({catalogue()[name].archetype for name in scenario_names()}) == 10
    assert scenario_names(("blind_corner",), ("high",)) == ("blind_corner/high",)


def test_one_more_family_is_for_evaluation_only() -> None:
    assert held_out_families() == ("pedestrian_overtaking",)
    assert held_out_names() == tuple(
        f"pedestrian_overtaking/{density}" for density in ("low", "medium", "high")
    )
    assert set(catalogue()) == {*scenario_names(), *held_out_names()}


def test_what_is_held_out_is_no_default_not_even_by_name_of_its_family() -> None:
    assert scenario_names(held_out_families()) == ()
    assert {scenario.name for scenario in scenarios_of(EnvConfig())} == set(scenario_names())


def test_training_never_draws_what_is_held_out() -> None:
    envs = make_vec_env(EnvConfig(), num_envs=400, seed=3)
    envs.reset()
    drawn = {info["scenario"] for info in envs.reset_infos}
    assert drawn == set(scenario_names())


def test_an_unknown_scenario_is_named() -> None:
    with pytest.raises(ValueError, match=r"expected one of .*blind_corner/low.*got 'lobby/low'"):
        find_scenario("lobby/low")


ENTRY = """
lobby:
  layout: {kind: corridor, width: [4, 5]}
  robot: {start: [-5, -4, 0, 1], goal: [4, 5, 0, 1]}
  speed: [1, 1.2]
  streams: [{from: [1, 8, -1, 1], to: [-14, -12, -1, 1]}]
  densities:
    low: {pedestrians: [1, 2], reacting: 0.9}
    medium: {pedestrians: [3, 4], reacting: 0.9}
    high: {pedestrians: [5, 6], reacting: 1}
"""


def test_a_file_of_scenarios_is_read_and_a_density_replaces_what_its_family_says() -> None:
    found = read_scenarios(ENTRY.replace("reacting: 1}", "reacting: 1, speed: [2, 3]}"))
    assert list(found) == ["lobby/low", "lobby/medium", "lobby/high"]
    assert found["lobby/low"].speed == (1.0, 1.2)
    assert found["lobby/high"].speed == (2.0, 3.0)
    assert not found["lobby/low"].evaluation_only


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("kind: corridor", "kind: tunnel", r"expected a layout of .*'corridor'.* got 'tunnel'"),
        ("[5, 6]", "[5, 11]", "high: expected 0 to 10 pedestrians, got 5 to 11"),
        ("from: [1, 8, -1, 1], ", "", "expected a stream with `from` and `to`, or `circle`"),
        ("speed", "pace", "pace"),
        ("[-5, -4, 0, 1]", "[-5, -4]", "robot.start"),
        (
            "    high: {pedestrians: [5, 6], reacting: 1}\n",
            "",
            "high: Object missing required field `pedestrians`",
        ),
    ],
)
def test_what_is_wrong_in_a_file_of_scenarios_is_named(
    right: str, wrong: str, complaint: str
) -> None:
    with pytest.raises(ValueError, match=f"scenario lobby/.*{complaint}.*; correct scenarios.yaml"):
        read_scenarios(ENTRY.replace(right, wrong))
