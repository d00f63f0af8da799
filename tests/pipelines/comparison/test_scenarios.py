"""Few false alarms where nothing changed, an alarm where success fell by much."""

import numpy as np
import pytest

from pipelines.comparison.scenarios import ALPHA, Change, holm, judged
from pipelines.comparison.stats import Estimate

SEEDS, EPISODES, SCENARIOS = 5, 40, 30


def outcomes(
    rng: np.random.Generator, rate: float, hardness: np.ndarray, spread: float
) -> np.ndarray:
    """Success ``[seeds, episodes]``; ``hardness`` is shared, each seed has a shift of its own."""
    shift = rng.normal(0.0, spread, (SEEDS, 1))
    chance = np.clip(rate + shift + hardness, 0.0, 1.0)
    return (rng.random((SEEDS, EPISODES)) < chance).astype(float)


def changes(
    rng: np.random.Generator, drops: dict[int, float], *, rate: float = 0.93, spread: float = 0.02
) -> dict[str, np.ndarray]:
    """Thirty scenarios, in some of which the second arm lost ``drops``."""
    found = {}
    for index in range(SCENARIOS):
        hardness = rng.normal(0.0, 0.05, EPISODES)
        before = outcomes(rng, rate, hardness, spread)
        after = outcomes(rng, rate - drops.get(index, 0.0), hardness, spread)
        found[f"family_{index}/low"] = after - before
    return found


@pytest.mark.parametrize("spread", [0.0, 0.03, 0.06])
@pytest.mark.parametrize("rate", [0.75, 0.95])
def test_where_nothing_changed_at_most_one_study_in_twenty_has_a_regression(
    rate: float, spread: float
) -> None:
    rng = np.random.default_rng(7)
    studies = 150
    alarms = 0
    for _ in range(studies):
        found = judged(changes(rng, {}, rate=rate, spread=spread))
        alarms += any(change.flag == "regression" for change in found.values())
    assert alarms / studies <= ALPHA + 0.03


@pytest.mark.parametrize(("drop", "found"), [(0.15, 0.7), (0.2, 0.93)])
def test_a_large_drop_is_always_flagged_and_mostly_proven(drop: float, found: float) -> None:
    rng = np.random.default_rng(8)
    studies = [judged(changes(rng, {3: drop, 17: drop})) for _ in range(100)]
    fell = [study[f"family_{index}/low"].flag for study in studies for index in (3, 17)]
    assert fell.count("regression") / len(fell) >= found
    assert fell.count(None) / len(fell) <= 0.01
    others = [
        change.flag
        for study in studies
        for name, change in study.items()
        if name not in ("family_3/low", "family_17/low")
    ]
    assert others.count("regression") / len(others) < 0.003


def test_a_rise_and_a_small_loss_are_never_flagged() -> None:
    rng = np.random.default_rng(9)
    found = changes(rng, {0: -0.2, 1: 0.01})
    found["sure/low"] = np.zeros((SEEDS, EPISODES))
    found["sure/low"][:, 0] = -1.0
    found = judged(found)
    assert found["family_0/low"].flag is None
    assert found["sure/low"].difference.estimate == pytest.approx(-0.025)
    assert found["sure/low"].flag is None


def test_one_seed_that_collapsed_is_worth_a_look_but_no_proof() -> None:
    found = changes(np.random.default_rng(10), {})
    collapsed = np.zeros((SEEDS, EPISODES))
    collapsed[2, :30] = -1.0
    assert judged(found | {"one/low": collapsed})["one/low"].flag == "watch"


def test_a_single_seed_can_be_watched_but_not_tested() -> None:
    found = judged({"a/low": -np.ones((1, 10)), "b/low": np.zeros((1, 10))})
    assert found["a/low"].flag == "watch"
    assert found["b/low"].flag is None
    assert found["a/low"].chance is None
    assert found["a/low"].difference.low is None


def test_success_that_fell_everywhere_is_a_regression() -> None:
    found = judged({"a/low": -np.ones((3, 10)), "b/low": np.zeros((3, 10))})
    assert (found["a/low"].flag, found["b/low"].flag) == ("regression", None)


def test_the_interval_covers_the_true_change_in_nineteen_of_twenty_draws() -> None:
    rng = np.random.default_rng(11)
    inside = []
    for _ in range(60):
        found = judged(changes(rng, dict.fromkeys(range(SCENARIOS), 0.1), rate=0.85))
        for change in found.values():
            inside.append(change.difference.low <= -0.1 <= change.difference.high)
    assert 0.93 <= np.mean(inside) <= 0.995


@pytest.mark.parametrize(
    ("change", "chance", "flag"),
    [(-0.05, 0.04, "regression"), (-0.05, 0.05, "watch"), (-0.04, 0.0, None), (0.1, 0.0, None)],
)
def test_a_flag_takes_a_loss_of_five_points(change: float, chance: float, flag: str | None) -> None:
    assert Change(Estimate(change, change, change), chance).flag == flag


def test_holm_corrects_by_rank_and_never_past_one() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
