"""A shuffle gives each number once, the same for the same seed, and no order is preferred."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trajstore.version.sampling import Batches, Order, Position, Steps, window_steps

SEEDS = st.integers(0, 2**62 - 1)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 3000), SEEDS)
def test_each_number_comes_once(count, seed):
    numbers = Order(count, seed=seed).stretch(0, count)
    np.testing.assert_array_equal(np.sort(numbers), np.arange(count))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 10**15), SEEDS, st.data())
def test_any_stretch_is_that_part_of_the_whole(count, seed, data):
    first = data.draw(st.integers(0, count - 1))
    long = Order(count, seed=seed).stretch(first, first + 64)
    short = Order(count, seed=seed).stretch(first + 7, first + 20)
    np.testing.assert_array_equal(long[7:20], short)
    assert np.all((long >= 0) & (long < count))
    assert len(np.unique(long)) == len(long) == min(64, count - first)


def test_every_number_is_as_likely_at_every_place():
    count, draws = 12, 6000
    table = np.zeros((count, count))
    for seed in range(draws):
        table[np.arange(count), Order(count, seed=seed).stretch(0, count)] += 1
    expected = draws / count
    chi_square = ((table - expected) ** 2 / expected).sum()
    freedom = (count - 1) ** 2
    assert abs(chi_square - freedom) < 5 * np.sqrt(2 * freedom)


def test_neighbours_are_torn_apart():
    numbers = Order(100_000, seed=4).stretch(0, 100_000)
    correlation = np.corrcoef(numbers[:-1], numbers[1:])[0, 1]
    assert abs(correlation) < 0.02
    assert np.mean(np.abs(np.diff(numbers)) == 1) < 1e-3


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.data())
def test_items_are_the_steps_of_the_chosen_episodes_in_order(lengths, data):
    chosen = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(lengths), max_size=len(lengths)))
    )
    steps = Steps(np.array(lengths), chosen)
    expected = [(e, t) for e, n in enumerate(lengths) if chosen[e] for t in range(n)]
    assert steps.count == len(expected)
    if expected:
        episode, step = steps.locate(np.arange(steps.count))
        assert list(zip(episode.tolist(), step.tolist(), strict=True)) == expected


@given(st.integers(1, 20), st.data())
def test_a_window_is_the_steps_that_are_left_and_the_last_again(length, data):
    start, window = data.draw(st.integers(0, length - 1)), data.draw(st.integers(1, 30))
    steps, mask = window_steps(np.array([start]), np.array([length]), window)
    left = min(window, length - start)
    assert steps[0, :left].tolist() == list(range(start, start + left))
    assert (steps[0, left:] == length - 1).all()
    assert mask[0].tolist() == [True] * left + [False] * (window - left)


def batches(count=100, size=7):
    position = Position(seed=3, batch=0, size=size, count=count, window=None, content="c")
    return Batches(lambda items: {"items": items}, position), position


def test_the_last_batch_is_what_is_left():
    found, _ = batches()
    sizes = [len(batch["items"]) for batch in found]
    assert sizes == [7] * 14 + [2]
    with pytest.raises(IndexError, match="no batch 15; they are 0 to 14"):
        found.batch(15)


def test_a_state_is_json_and_leads_on():
    found, position = batches()
    for _ in range(5):
        next(found)
    state = json.loads(json.dumps(found.state()))
    rest = Batches(lambda items: {"items": items}, position.resumed(state))
    assert [b["items"].tolist() for b in rest] == [b["items"].tolist() for b in found]


@pytest.mark.parametrize("change", [{"count": 99}, {"more": 1}, {"content": "d"}, {"window": 4}])
def test_the_state_of_another_pass_is_refused(change):
    found, position = batches()
    with pytest.raises(ValueError, match="state: expected"):
        position.resumed(found.state() | change)
