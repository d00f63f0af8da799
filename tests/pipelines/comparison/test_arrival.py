"""A target counts where it first holds; a seed that never arrives stays in and bounds the ratio."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.comparison.arrival import Arrival, Bound, SeedTimes, time_to_target
from pipelines.comparison.ratios import bound_of, times_ratio
from pipelines.comparison.stats import Source
from pipelines.learning.conditions import reach
from tests.pipelines.runs import limits

GATE = limits(0.9, 0.05)
STEPS = [0, 10, 20, 30, 40]


@pytest.mark.parametrize(
    ("success", "collision", "expected"),
    [
        ([0.9, 0.9, 0, 0, 0], [0.05] * 5, Arrival(0, False)),
        ([0, 0.9, 0.8, 0.9, 0.95], [0.0] * 5, Arrival(30, False)),
        ([0, 0.9, 0.9, 0.1, 0.1], [0.0, 0.2, 0.0, 0.0, 0.0], Arrival(40, True)),
        ([0, 0, 0, 0, 1.0], [0.0] * 5, Arrival(40, True)),
        ([0, 0, 0, 0, 0], [1.0] * 5, Arrival(40, True)),
    ],
    ids=["met at the start", "a dip starts anew", "collisions count", "held once only", "never"],
)
def test_a_target_is_met_where_it_first_holds_twice(
    success: list[float], collision: list[float], expected: Arrival
) -> None:
    rows = [
        {"steps": step, "success": high, "collision": low}
        for step, high, low in zip(STEPS, success, collision, strict=True)
    ]
    assert time_to_target(rows, target=GATE) == expected


def test_no_evaluation_and_no_hold_are_refused() -> None:
    with pytest.raises(ValueError, match="expected evaluations"):
        time_to_target([], target=GATE)
    with pytest.raises(ValueError, match="hold >= 1"):
        time_to_target([{"steps": 0, "success": 1.0, "collision": 0.0}], target=GATE, hold=0)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0, 1), st.floats(0, 1))
def test_a_harder_target_is_never_met_earlier(
    success: list[float], first: float, second: float
) -> None:
    rows = [{"steps": step, "success": it} for step, it in enumerate(success)]
    easy, hard = (
        time_to_target(rows, target=reach({"success": value})) for value in sorted((first, second))
    )
    assert (easy.censored, easy.steps) <= (hard.censored, hard.steps)


@pytest.mark.parametrize(
    ("fast_late", "slow_late", "bound"),
    [
        (False, False, Bound.EXACT),
        (False, True, Bound.AT_MOST),
        (True, False, Bound.AT_LEAST),
        (True, True, Bound.UNRESOLVED),
    ],
)
def test_censoring_names_its_bound(fast_late: bool, slow_late: bool, bound: Bound) -> None:
    fast, slow = {0: Arrival(5, fast_late)}, {0: Arrival(50, slow_late)}
    assert bound_of(fast, slow) is bound


def test_a_late_seed_counts_with_its_budget_and_is_shown() -> None:
    fast = {0: Arrival(0, False), 1: Arrival(20, False)}
    slow = {0: Arrival(60, False), 1: Arrival(140, True)}
    found = times_ratio(fast, slow, Source(np.random.default_rng(0), 200))
    assert found.estimate == pytest.approx(0.1)
    assert (found.seeds, found.censored, found.bound) == (2, 1, "at_most")
    assert found.at_start == 1
    assert found.per_seed[1] == SeedTimes(1, Arrival(20, False), Arrival(140, True), 20 / 140)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 100), min_size=1, max_size=6),
    st.lists(st.integers(1, 1000), min_size=6, max_size=6),
    st.integers(1, 10_000),
)
def test_the_true_ratio_lies_on_the_stated_side(
    fast: list[int], slow: list[int], longer: int
) -> None:
    seeds = range(len(fast))
    early = {s: Arrival(fast[s], False) for s in seeds}
    shown = {s: Arrival(slow[s], s == 0) for s in seeds}
    truth = {s: Arrival(slow[s] + (longer if s == 0 else 0), False) for s in seeds}
    rng = np.random.default_rng(0)
    stated = times_ratio(early, shown, Source(rng, 2))
    assert stated.bound is Bound.AT_MOST
    assert times_ratio(early, truth, Source(rng, 2)).estimate <= stated.estimate


def test_arms_with_other_seeds_are_not_paired() -> None:
    with pytest.raises(ValueError, match="the same seeds in both arms"):
        times_ratio(
            {0: Arrival(1, False)}, {1: Arrival(1, False)}, Source(np.random.default_rng(0))
        )
