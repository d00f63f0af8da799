"""A clone comes to act as it was shown, and its critic to know what that returned."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipelines.learning.architecture import Architecture
from pipelines.learning.cloning import clone, teach_critic
from pipelines.learning.demonstrations import Demonstrations, discounted_returns
from pipelines.learning.policy import actor_of, build_policy
from tests.pipelines import tiny


def returns(reward: list[float], ends: list[bool], lengths: list[int], gamma: float) -> list[float]:
    rows = np.array(reward, np.float32), np.array(ends), np.array(lengths)
    return discounted_returns(*rows, gamma=gamma).tolist()


@pytest.mark.parametrize(
    ("reward", "ends", "lengths", "expected"),
    [
        ([1, 2, 4], [False, False, True], [3], [3.0, 4.0, 4.0]),
        ([1, 2], [False, False], [2], [3.0, 4.0]),
        ([4, 2, 8], [True, False, True], [1, 2], [4.0, 6.0, 8.0]),
        ([3], [False], [1], [6.0]),
        ([], [], [], []),
    ],
    ids=["terminated", "truncated", "two episodes", "one truncated step", "none"],
)
def test_returns_by_hand(
    reward: list[float], ends: list[bool], lengths: list[int], expected: list[float]
) -> None:
    assert returns(reward, ends, lengths, 0.5) == expected


@given(
    reward=st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=30),
    gamma=st.floats(0.1, 0.99),
)
def test_returns_are_the_discounted_sum(reward: list[float], gamma: float) -> None:
    ends = [False] * (len(reward) - 1) + [True]
    expected = [sum(gamma**k * r for k, r in enumerate(reward[t:])) for t in range(len(reward))]
    assert returns(reward, ends, [len(reward)], gamma) == pytest.approx(expected, abs=1e-3)


ROWS = np.random.default_rng(0).normal(size=(256, 6)).astype("float32")
SHOWN = np.tanh(ROWS[:, :2] - ROWS[:, 2:4]).astype("float32")


def test_a_clone_acts_as_it_was_shown_and_the_same_seed_gives_the_same_clone() -> None:
    made = []
    for _ in range(2):
        torch.manual_seed(0)
        policy = build_policy(Architecture(6, 2, (16,)), log_std=-0.3)
        rng = np.random.default_rng(0)

        def draw(rng: np.random.Generator = rng):
            for rows in np.split(rng.permutation(256), 8):
                yield ROWS[rows], SHOWN[rows]

        before = np.abs(actor_of(policy)(ROWS) - SHOWN).mean()
        curve = clone(policy, draw, params=_params(epochs=15), updates=120, rng=rng)
        assert np.abs(actor_of(policy)(ROWS) - SHOWN).mean() < 0.6 * before
        assert [row["update"] for row in curve] == [100]
        assert all(np.isfinite(list(row.values())).all() for row in curve)
        made.append(policy.state_dict())
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])


def _params(epochs: int):
    from dataclasses import replace

    return replace(tiny.PRETRAIN, epochs=epochs, batch=32, learning_rate=1e-2)


def test_the_critic_learns_returns_and_leaves_the_actor_alone() -> None:
    torch.manual_seed(0)
    policy = build_policy(Architecture(6, 2, (16,)))
    before = {name: value.clone() for name, value in policy.state_dict().items()}
    shown = Demonstrations(ROWS, SHOWN, ROWS[:, 0] * 2 + 1, np.array([len(ROWS)]))
    losses = teach_critic(policy, shown, epochs=100, batch=32, rng=np.random.default_rng(0))
    assert len(losses) == 100
    assert losses[-1] < 0.5 * losses[0]
    changed = {n for n, value in policy.state_dict().items() if not torch.equal(value, before[n])}
    assert changed
    assert all("value" in name for name in changed)
