"""Thirty scenarios are trained on; those of one more family are for evaluation only."""

import pytest

from pipelines.tasks.make import make_vec_env
from pipelines.tasks.social_nav.config import EnvConfig
from pipelines.tasks.social_nav.scenarios import (
    catalogue,
    find_scenario,
    held_out_families,
    held_out_names,
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
