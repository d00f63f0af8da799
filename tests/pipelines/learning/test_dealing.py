"""Families take turns, dense scenes come first, and clones share episodes only where they must."""

import numpy as np

from pipelines.learning.demonstrations import chosen_episodes

LEVELS = ("low", "medium", "high")


def test_ten_episodes_show_ten_families_and_clones_share_none() -> None:
    families = [f"family_{number}" for number in range(10)]
    names = [f"{family}/{d}" for family in families for d in ("low", "medium", "high")]
    scenarios = np.array(names * 5)
    allowed = np.arange(150) != 3
    rows = [
        chosen_episodes(scenarios, allowed=allowed, count=10, turn=turn, levels=LEVELS)
        for turn in range(5)
    ]
    for row in rows:
        shown = [name.split("/") for name in scenarios[row].tolist()]
        assert {family for family, _ in shown} == set(families)
        assert {density for _, density in shown} == {"high"}
    assert np.sum(rows, axis=0).max() == 1
    assert not np.any(rows, axis=0)[3]


def test_many_episodes_are_all_dense_before_any_is_sparse() -> None:
    scenarios = np.array([f"{family}/{d}" for family in "ab" for d in ("low", "high")] * 5)
    allowed = np.ones(20, bool)
    rows = [
        chosen_episodes(scenarios, allowed=allowed, count=6, turn=turn, levels=LEVELS)
        for turn in range(3)
    ]
    for row in rows:
        assert sorted(scenarios[row].tolist()) == ["a/high"] * 3 + ["b/high"] * 3
    assert not np.array_equal(rows[0], rows[1])
    assert np.sum(rows, axis=0)[scenarios == "a/high"].min() >= 1


def test_a_clone_may_ask_for_everything_and_for_more_than_there_is() -> None:
    scenarios = np.array(["a/low", "b/low", "b/high"])
    allowed = np.array([True, False, True])
    for count in (0, 2, 9):
        chosen = chosen_episodes(scenarios, allowed=allowed, count=count, turn=3, levels=LEVELS)
        assert chosen.tolist() == allowed.tolist()
    assert chosen_episodes(scenarios, allowed=allowed, count=1, turn=1, levels=LEVELS).sum() == 1
