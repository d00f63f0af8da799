"""How a start from a clone begins: a critic for the clone, rewards of one scale, the way back."""

from typing import cast

import numpy as np
import torch
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import obs_as_tensor
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from torch.nn import functional

from pipelines.learning.policy import put_weights
from pipelines.learning.ppo import AveragedPPO

ROUNDS, PASSES = 8, 5
"""So often the returns are bootstrapped anew, and each time so often gone over."""
ROWS = 64
"""Transitions a gradient step of the critic."""
RATE = 1e-3


def fit_critic(model: AveragedPPO, callback: BaseCallback, steps: int) -> None:
    """Let the policy play with its noise, and fit the critic alone to the bootstrapped returns.

    At least ``steps`` online steps, which count. Rewards that are normalised are all of the scale
    that holds at the end.
    """
    env = cast(VecEnv, model.env)
    length = -(-steps // env.num_envs)
    buffer = RolloutBuffer(
        length,
        model.observation_space,
        model.action_space,
        model.device,
        model.gae_lambda,
        model.gamma,
        env.num_envs,
    )
    if isinstance(env, VecNormalize):
        env.norm_reward = False
    model.collect_rollouts(env, callback, buffer, length)
    if isinstance(env, VecNormalize):
        env.norm_reward = True
        buffer.rewards = env.normalize_reward(buffer.rewards).astype(np.float32)
    policy = model.policy
    optimiser = torch.optim.Adam([p for n, p in policy.named_parameters() if "value" in n], lr=RATE)
    with torch.no_grad():
        seen = torch.cat([_features(model, rows) for rows in buffer.observations])
        last = _features(model, cast(np.ndarray, model._last_obs))
    ends = cast(np.ndarray, model._last_episode_starts)

    def values(features: torch.Tensor) -> torch.Tensor:
        latent = policy.mlp_extractor.forward_critic(features)
        return cast(torch.Tensor, policy.value_net(latent)).flatten()

    for _ in range(ROUNDS):
        with torch.no_grad():
            buffer.values = values(seen).cpu().numpy().reshape(buffer.rewards.shape)
            after = values(last).cpu()
        buffer.compute_returns_and_advantage(last_values=after, dones=ends)
        returns = torch.as_tensor(buffer.returns).flatten().to(model.device)
        for _ in range(PASSES):
            for rows in torch.split(torch.randperm(len(returns)), ROWS):
                loss = functional.mse_loss(values(seen[rows]), returns[rows])
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
    model.take_average(0.0)


def _features(model: AveragedPPO, observation: np.ndarray) -> torch.Tensor:
    seen = cast(torch.Tensor, obs_as_tensor(observation, model.device))
    return cast(torch.Tensor, model.policy.extract_features(seen))


def go_back(model: AveragedPPO) -> None:
    """Go on from the best policy so far, without the moments that led away from it."""
    put_weights(model.policy, model.best)
    put_weights(model.average, model.best)
    model.policy.optimizer.state.clear()


def reward_statistics(model: AveragedPPO) -> list[float]:
    """Mean, variance and count that rewards are normalised by; nothing where they are not."""
    env = model.env
    if not isinstance(env, VecNormalize):
        return []
    return [float(it) for it in (env.ret_rms.mean, env.ret_rms.var, env.ret_rms.count)]


def set_reward_statistics(model: AveragedPPO, told: list[float]) -> None:
    """Go on with the statistics that `reward_statistics` told."""
    if isinstance(model.env, VecNormalize):
        mean, variance, count = told
        model.env.ret_rms.mean, model.env.ret_rms.var = np.array(mean), np.array(variance)
        model.env.ret_rms.count = count
