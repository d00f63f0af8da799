"""Without guards the update is PPO's, term by term; each guard does what it says, no more."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipelines.env.make import make_vec_env
from pipelines.policy import build_policy
from pipelines.ppo import GuardedPPO, Guards, make_ppo
from tests.pipelines import tiny

OFF = Guards(2e-4, -0.7, 0, 0.0, 0.0, 1)


@pytest.fixture(scope="module")
def env():
    return make_vec_env(tiny.ENV.config(), num_envs=2, seed=0)


def learner(env, guards: Guards | None = None) -> GuardedPPO:
    model = make_ppo(env, tiny.PPO, seed=3, total_steps=1000, guards=guards)
    model._current_progress_remaining = 1.0
    return model


def minibatch(model: GuardedPPO, rows: int = 8) -> SimpleNamespace:
    """Transitions whose old probabilities are off, so that some ratios are clipped."""
    generator = torch.Generator().manual_seed(1)
    observations = torch.randn(rows, tiny.SIZE, generator=generator)
    actions = torch.randn(rows, 2, generator=generator)
    with torch.no_grad():
        _, log_prob, _ = model.policy.evaluate_actions(observations, actions)
    return SimpleNamespace(
        observations=observations,
        actions=actions,
        advantages=torch.randn(rows, generator=generator),
        returns=torch.randn(rows, generator=generator),
        old_log_prob=log_prob + torch.linspace(-0.6, 0.6, rows),
    )


def by_hand(model: GuardedPPO, data: SimpleNamespace) -> dict[str, float]:
    """Schulman et al. (2017), equation 7, and the two terms beside it, in float64."""
    with torch.no_grad():
        values, log_prob, _ = model.policy.evaluate_actions(data.observations, data.actions)
    gain = data.advantages.double().numpy()
    gain = (gain - gain.mean()) / (gain.std(ddof=1) + 1e-8)
    ratio = np.exp((log_prob - data.old_log_prob).double().numpy())
    clipped = np.minimum(np.maximum(ratio, 0.8), 1.2)
    assert (ratio != clipped).any()
    gap = (values.flatten() - data.returns).double().numpy()
    log_std = model.policy.log_std.detach().double().numpy()
    entropy = (0.5 * np.log(2 * np.pi * np.e) + log_std).sum()
    return {
        "policy": -np.minimum(gain * ratio, gain * clipped).mean(),
        "value": 0.5 * (gap**2).mean(),
        "entropy": -0.01 * entropy,
    }


@pytest.mark.parametrize("guards", [None, OFF])
def test_without_guards_the_losses_are_those_of_ppo(env, guards: Guards | None) -> None:
    model = learner(env, guards)
    model.reference = build_policy(tiny.ARCHITECTURE)
    data = minibatch(model)
    losses = model._losses(data, frozen=False)
    assert {k: v.item() for k, v in losses.items()} == pytest.approx(by_hand(model, data), rel=1e-4)


def test_the_divergence_from_the_start_is_that_of_two_normals(env) -> None:
    model = learner(env, Guards(2e-4, -0.7, 0, 2.0, 0.0, 10**9))
    model.reference = build_policy(tiny.ARCHITECTURE)
    data = minibatch(model)
    with torch.no_grad():
        ours = model.policy.get_distribution(data.observations).distribution
        theirs = model.reference.get_distribution(data.observations).distribution
        same_noise = torch.distributions.Normal(theirs.mean, ours.stddev)
        expected = 2.0 * torch.distributions.kl_divergence(same_noise, ours).sum(1).mean()
    losses = model._losses(data, frozen=False)
    assert losses["kl"].item() == pytest.approx(expected.item(), rel=1e-3)


def test_demonstrations_pull_until_they_have_faded(env) -> None:
    model = learner(env, Guards(2e-4, -0.7, 0, 0.0, 0.5, 100))
    data = minibatch(model)
    model.demonstrations = lambda n: (np.zeros((n, tiny.SIZE), "f4"), np.ones((n, 2), "f4"))
    full = model._losses(data, frozen=False)["demonstrations"].item()
    model.num_timesteps = 50
    assert model._losses(data, frozen=False)["demonstrations"].item() == pytest.approx(full / 2)
    model.num_timesteps = 100
    assert "demonstrations" not in model._losses(data, frozen=False)


def test_in_the_warm_up_the_critic_alone_learns(env) -> None:
    model = learner(env)
    assert set(model._losses(minibatch(model), frozen=True)) == {"value"}


def test_noise_falls_in_a_straight_line_and_is_not_learnt(env) -> None:
    model = learner(env)
    assert not model.policy.log_std.requires_grad
    for done, expected in ((0.0, -0.3), (0.5, -0.5), (1.0, -0.7), (2.0, -0.7)):
        model.set_noise(done)
        assert model.policy.log_std.tolist() == pytest.approx([expected] * 2)


def test_the_average_keeps_its_share(env) -> None:
    model = learner(env)
    before = model.average.action_net.weight.clone()
    with torch.no_grad():
        model.policy.action_net.weight.add_(1.0)
    model.take_average(0.75)
    assert torch.allclose(model.average.action_net.weight, before + 0.25, atol=1e-6)
    model.take_average(0.0)
    assert torch.equal(model.average.action_net.weight, model.policy.action_net.weight)


def test_the_learning_rate_falls_to_its_last_value(env) -> None:
    schedule = learner(env).lr_schedule
    assert [schedule(left) for left in (1.0, 0.5, 0.0)] == pytest.approx([1e-3, 5.5e-4, 1e-4])
    assert learner(env, OFF).lr_schedule(1.0) == pytest.approx(2e-4)
