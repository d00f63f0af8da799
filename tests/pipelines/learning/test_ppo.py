"""The update is PPO's, term by term; noise, learning rate and average follow their schedules."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipelines.learning.ppo import AveragedPPO, PpoParams, make_ppo
from pipelines.tasks.make import make_vec_env
from tests.pipelines import tiny


@pytest.fixture(scope="module")
def env():
    return make_vec_env(tiny.ENV.config(), num_envs=2, seed=0)


def learner(env, params: PpoParams = tiny.PPO) -> AveragedPPO:
    model = make_ppo(env, params, seed=3, total_steps=1000)
    model._current_progress_remaining = 1.0
    return model


def minibatch(model: AveragedPPO, rows: int = 8) -> SimpleNamespace:
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


def by_hand(model: AveragedPPO, data: SimpleNamespace) -> dict[str, float]:
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


def test_the_losses_are_those_of_ppo(env) -> None:
    model = learner(env)
    data = minibatch(model)
    losses, _ = model._losses(data)
    assert {k: v.item() for k, v in losses.items()} == pytest.approx(by_hand(model, data), rel=1e-4)


def test_a_clone_goes_on_with_settings_of_its_own(env) -> None:
    changed = tiny.FROM_CLONE.settings(tiny.PPO)
    assert (changed.learning_rate, changed.log_std, changed.num_envs) == (2e-4, -0.9, 2)
    assert changed.hidden == tiny.PPO.hidden
    model = learner(env, changed)
    assert model.lr_schedule(1.0) == pytest.approx(2e-4)
    assert model.noise == (-0.9, -0.9)


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
