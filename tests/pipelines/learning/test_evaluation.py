"""Episodes of choosing, tracking, judging, recording and training never meet."""

from itertools import combinations

import numpy as np
import pytest

from pipelines.learning.evaluation import (
    episode_list,
    evaluate,
    judged,
    tally,
)
from pipelines.tasks.social_nav.robots import straight
from pipelines.tasks.social_nav.rollout import record_rollout
from pipelines.tasks.social_nav.scenarios import held_out_names, scenario_names
from pipelines.tasks.task import TRAINING_SEEDS, FirstSeed, Outcome
from tests.pipelines import tiny


def test_no_two_uses_share_a_seed() -> None:
    names = scenario_names()
    lists = [
        [seed for _, seed in episode_list(names, each=200, first_seed=first)] for first in FirstSeed
    ]
    for one, other in combinations(lists, 2):
        assert not set(one) & set(other)
    assert all(len(set(seeds)) == len(seeds) for seeds in lists)
    assert len(lists) == 5
    assert max(map(max, lists[:4])) < FirstSeed.COLLECTION == min(lists[4])
    assert max(lists[4]) < TRAINING_SEEDS[0]


def test_scenarios_are_covered_evenly_by_any_run_of_neighbours() -> None:
    episodes = episode_list(["a", "b", "c"], each=4, first_seed=0)
    for first in range(0, 12, 3):
        assert {name for name, _ in episodes[first : first + 3]} == {"a", "b", "c"}


@pytest.fixture(scope="module")
def row() -> dict:
    episodes = episode_list(tiny.SCENARIOS, each=3, first_seed=FirstSeed.JUDGING)
    return evaluate(straight, episodes, tiny.ENV)  # type: ignore[arg-type]


def test_an_evaluation_adds_up(row: dict) -> None:
    assert row["episodes"] == 6
    assert sorted(row["by_scenario"]) == sorted(tiny.SCENARIOS)
    for key in ("success", "collision"):
        parts = [part[key] for part in row["by_scenario"].values()]
        assert row[key] == pytest.approx(np.mean(parts))


def test_the_same_episodes_are_judged_alike_in_any_order(row: dict) -> None:
    episodes = episode_list(tiny.SCENARIOS, each=3, first_seed=FirstSeed.JUDGING)[::-1]
    again = evaluate(straight, episodes, tiny.ENV)  # type: ignore[arg-type]
    assert again["by_scenario"] == row["by_scenario"]


def test_the_held_out_episodes_stand_behind_the_others_and_change_none_of_them() -> None:
    config = tiny.ENV.config()
    episodes = judged(straight, tiny.ENV, each=2)  # type: ignore[arg-type]
    listed = episode_list(tiny.SCENARIOS, each=2, first_seed=FirstSeed.JUDGING)
    alone = record_rollout(straight, listed, config)
    count = len(alone)
    assert [episode.digest for episode in episodes[:count]] == [one.digest for one in alone]
    played = [(str(episode["scenario"]), int(episode["seed"])) for episode in episodes[count:]]
    assert played == episode_list(held_out_names(), each=2, first_seed=FirstSeed.HELD_OUT)
    assert {name for name, _ in played} == set(held_out_names())


@pytest.mark.parametrize("first", [FirstSeed.SELECTION, FirstSeed.TRACKING, FirstSeed.JUDGING])
def test_selection_tracking_and_gate_hold_nothing_back_from_training(first: FirstSeed) -> None:
    played = {name for name, _ in episode_list(scenario_names(), each=2, first_seed=first)}
    assert not played & set(held_out_names())


def test_a_tally_by_hand() -> None:
    rows = [
        Outcome("a/low", 1, "goal", {"success": True, "collision": False}, 2.0, 10),
        Outcome("a/low", 2, "collision_wall", {"success": False, "collision": True}, -1.0, 5),
        Outcome("b/low", 3, "timeout", {"success": False, "collision": False}, 0.0, 25),
    ]
    told = tally(rows, tiny.ENV)
    assert told["success"] == pytest.approx(1 / 3)
    assert told["return"] == pytest.approx(1 / 3, abs=1e-6)
    assert told["by_scenario"]["a/low"] == {"episodes": 2, "success": 0.5, "collision": 0.5}
