"""Intervals cover what they promise and pair what is paired; bad input is refused."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.comparison.stats import (
    STATISTICS,
    Draws,
    Estimate,
    Source,
    area_under_curve,
    crossed_means,
    estimate,
    interval_levels,
    mean,
    paired_difference,
    paired_ratio,
    probability_of_improvement,
    resampled,
    wilson,
)

DRAWS = 300


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("statistic", "truth", "size"),
    [("mean", 2.0, 40), ("median", 2.0, 60), ("p95", 3.6449, 150)],
)
def test_a_95_percent_interval_covers_in_90_to_98_percent_of_draws(
    statistic: str, truth: float, size: int
) -> None:
    source, hits = rng(1), 0
    for _ in range(DRAWS):
        values = source.normal(2.0, 1.0, size)
        found = estimate(values, STATISTICS[statistic], Source(source, 400))
        hits += found.low <= truth <= found.high
    assert 0.90 <= hits / DRAWS <= 0.98


@pytest.mark.parametrize("seeds", [5, 8])
def test_the_ratio_of_few_matched_seeds_is_covered_in_90_to_98_percent_of_draws(
    seeds: int,
) -> None:
    source, hits = rng(2), 0
    for _ in range(DRAWS):
        hardness = source.gamma(8.0, 1.0, seeds)
        slow = hardness * source.gamma(20.0, 1.0, seeds)
        fast = 0.1 * hardness * source.gamma(20.0, 1.0, seeds)
        found = paired_ratio(fast, slow, Source(source, 1000))
        hits += found.low <= 0.1 <= found.high
    assert 0.90 <= hits / DRAWS <= 0.98


def test_the_probability_of_improvement_is_covered_in_90_to_98_percent_of_draws() -> None:
    truth = 0.5 * math.erfc(-0.5 / math.sqrt(2.0) / math.sqrt(2.0))
    source, hits = rng(3), 0
    for _ in range(DRAWS):
        better, worse = source.normal(0.5, 1.0, 12), source.normal(0.0, 1.0, 12)
        found = probability_of_improvement(better, worse, Source(source, 400))
        hits += found.low <= truth <= found.high
    assert 0.90 <= hits / DRAWS <= 0.98


def test_the_same_generator_state_gives_the_same_interval() -> None:
    values = rng(4).normal(size=30)
    first, second = (estimate(values, mean, Source(rng(7), 500)) for _ in range(2))
    assert first == second
    assert first != estimate(values, mean, Source(rng(8), 500))


def test_pairing_removes_what_a_pair_shares() -> None:
    hardness = np.array([1.0, 10.0, 100.0, 3.0, 30.0])
    paired = paired_ratio(0.2 * hardness, hardness, Source(rng()))
    assert paired.low == pytest.approx(0.2)
    assert paired.high == pytest.approx(0.2)


def test_every_draw_has_as_many_units_as_there_are() -> None:
    counts = resampled(5, Source(rng(), 50))
    assert counts.shape == (50, 5)
    assert (counts.sum(axis=1) == 5).all()


def test_one_unit_has_no_interval() -> None:
    found = paired_ratio(np.array([1.0]), np.array([4.0]), Source(rng()))
    assert found == Estimate(0.25, None, None)


def test_a_ratio_whose_denominator_may_vanish_has_no_upper_end() -> None:
    found = paired_ratio(np.array([1.0, 1.0]), np.array([4.0, 0.0]), Source(rng()))
    assert found.high is None
    assert found.estimate == 0.5


@pytest.mark.parametrize(
    ("top", "bottom", "complaint"),
    [
        ([1.0], [1.0, 2.0], "expected pairs"),
        ([1.0, 2.0], [0.0, 0.0], "a denominator above zero"),
        ([-1.0, 2.0], [1.0, 1.0], "non-negative"),
        ([1.0, math.nan], [1.0, 1.0], "finite values"),
        ([], [], "one or more finite values"),
    ],
)
def test_what_makes_no_ratio_is_refused(
    top: list[float], bottom: list[float], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        paired_ratio(np.array(top), np.array(bottom), Source(rng()))


def test_probability_of_improvement_counts_pairs_and_halves_ties() -> None:
    found = probability_of_improvement(
        np.array([1.0, 2.0, 2.0]), np.array([0.0, 2.0, 3.0]), Source(rng())
    )
    assert found.estimate == pytest.approx((1 + 0 + 0 + 2 * (1 + 0.5 + 0)) / 9)


def test_the_area_is_cut_at_the_limit_between_two_evaluations() -> None:
    area = area_under_curve(np.array([0, 10, 30]), np.array([0.0, 1.0, 0.0]), limit=20)
    assert area == pytest.approx((0.5 * 10 + 0.75 * 10) / 20)
    with pytest.raises(ValueError, match="expected a curve"):
        area_under_curve(np.array([0, 10]), np.array([0.0, 1.0]), limit=20)


def test_few_units_widen_the_levels_to_students() -> None:
    low, high = interval_levels(5)
    assert low == pytest.approx(0.00095, abs=2e-5)
    assert high == pytest.approx(1.0 - low)
    with pytest.raises(ValueError, match="at least 2 units"):
        interval_levels(1)


def test_drawing_seeds_and_episodes_anew_keeps_the_mean() -> None:
    rows = rng(5).random((5, 40))
    means, episodes = crossed_means(rows, Source(rng(6), 4000))
    assert means.mean() == pytest.approx(rows.mean(), abs=0.005)
    assert (episodes.sum(axis=1) == 40).all()


def test_a_rate_without_an_event_still_has_an_upper_end() -> None:
    found = wilson(0, 200)
    assert found.low == 0.0
    assert found.high == pytest.approx(0.0188, abs=2e-4)
    with pytest.raises(ValueError, match="0 to 3 of 3"):
        wilson(4, 3)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30), st.integers(0, 99))
def test_ends_enclose_draws_of_the_values_themselves(values: list[float], seed: int) -> None:
    for name, statistic in STATISTICS.items():
        found = estimate(np.array(values), statistic, Source(rng(seed), 50))
        assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9, name


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=12), st.integers(0, 99))
def test_a_difference_with_itself_is_nothing(values: list[float], seed: int) -> None:
    found = paired_difference(np.array(values), np.array(values), Source(rng(seed), 50))
    assert (found.estimate, found.low, found.high) == (0.0, 0.0, 0.0)


def test_each_estimate_has_a_generator_of_its_own() -> None:
    draws = Draws(1, 10)
    assert draws.of("a").rng.random() == draws.of("a").rng.random()
    assert draws.of("a").rng.random() != draws.of("b").rng.random()
