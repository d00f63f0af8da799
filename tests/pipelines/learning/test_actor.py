"""An action depends on its own observation alone, to the bit, and is what torch would say."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.learning.actor import _tanh
from pipelines.learning.architecture import Architecture
from pipelines.learning.policy import actor_of, build_policy

torch.manual_seed(3)
POLICY = build_policy(Architecture(7, 2, (16, 16)))
RNG = np.random.default_rng(0)
with torch.no_grad():
    POLICY.action_net.weight.mul_(300.0)
ACTOR = actor_of(POLICY)
ROWS = RNG.normal(0, 2, (257, 7)).astype("float32")
ACTIONS = ACTOR(ROWS)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 64, 100, 257])
def test_any_batch_size_gives_the_same_bits(size: int) -> None:
    parts = [ACTOR(ROWS[first : first + size]) for first in range(0, len(ROWS), size)]
    assert np.concatenate(parts).tobytes() == ACTIONS.tobytes()


@settings(max_examples=50, deadline=None)
@given(order=st.permutations(range(20)))
def test_neighbours_do_not_matter(order: list[int]) -> None:
    assert ACTOR(ROWS[order]).tobytes() == ACTIONS[order].tobytes()


def test_it_agrees_with_torch() -> None:
    expected, _ = POLICY.predict(ROWS, deterministic=True)
    assert np.abs(ACTIONS - expected).max() <= 1e-5


def test_the_tangent_is_true_to_half_a_millionth_whatever_the_vector_width() -> None:
    values = np.linspace(-12, 12, 10_001, dtype=np.float32)
    together, apart = values.copy(), values.copy()
    _tanh(together)
    for index in range(len(apart)):
        _tanh(apart[index : index + 1])
    assert together.tobytes() == apart.tobytes()
    assert np.abs(together - np.tanh(values.astype(float))).max() < 5e-7


def test_actions_are_clipped_to_their_range() -> None:
    assert ACTIONS.min() == -1.0
    assert ACTIONS.max() == 1.0
    assert (np.abs(ACTIONS) < 1).any()


def test_it_does_not_follow_the_learner() -> None:
    policy = build_policy(Architecture(7, 2, (4,)))
    actor = actor_of(policy)
    before = actor(ROWS[:5])
    with torch.no_grad():
        policy.action_net.weight.fill_(1.0)
    assert actor(ROWS[:5]).tobytes() == before.tobytes()
