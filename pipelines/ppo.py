"""Proximal policy optimisation on Stable-Baselines3, with guards for a cloned start.

The update is that of Schulman et al. (2017) as Stable-Baselines3 states it. A start that was
cloned from demonstrations may be guarded: the policy waits until its critic knows the new
returns, stays close to the clone, and keeps fitting the demonstrations while it explores.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv
from torch.nn import functional

from pipelines.policy import Architecture, build_policy

DemonstrationBatches = Callable[[int], tuple[NDArray[np.float32], NDArray[np.float32]]]
"""Draws ``n`` observations ``[n, D]`` and the demonstrated actions ``[n, A]``."""


@dataclass(frozen=True, slots=True)
class PpoParams:
    """Settings of the update, the same for every arm of the comparison.

    Attributes:
        hidden: units of each hidden layer.
        num_envs: environments stepped at once.
        num_steps: steps of each environment between two updates.
        minibatch: transitions a gradient step.
        epochs: passes over the collected steps.
        learning_rate: of Adam at the first step.
        final_learning_rate: reached in a straight line at the last step of the budget.
        gamma: discount a step.
        gae_lambda: of generalised advantage estimation (Schulman et al., 2016).
        clip: range of the probability ratio.
        entropy: weight of the entropy bonus.
        value_weight: weight of the value loss.
        max_grad_norm: gradients of policy and critic are clipped apart.
        log_std: logarithm of the action noise at the first step.
        final_log_std: reached in a straight line at the last step of the budget.
        averaging: share of the running average of the weights that an update keeps; the
            average is what is evaluated and saved (Polyak & Juditsky, 1992).
    """

    hidden: tuple[int, ...]
    num_envs: int
    num_steps: int
    minibatch: int
    epochs: int
    learning_rate: float
    final_learning_rate: float
    gamma: float
    gae_lambda: float
    clip: float
    entropy: float
    value_weight: float
    max_grad_norm: float
    log_std: float
    final_log_std: float
    averaging: float


@dataclass(frozen=True, slots=True)
class Guards:
    """What protects a cloned start.

    Attributes:
        learning_rate: of Adam at the first step, instead of the one for scratch.
        log_std: action noise that fine-tuning begins with.
        warmup_steps: online steps in which only the critic learns.
        kl_weight: weight of the divergence from the start policy.
        demonstration_weight: weight of the demonstrations in the policy's loss.
        fade_steps: steps over which the two weights fade to zero.
    """

    learning_rate: float
    log_std: float
    warmup_steps: int
    kl_weight: float
    demonstration_weight: float
    fade_steps: int


class GuardedPPO(PPO):
    """PPO whose gradient clipping keeps policy and critic apart, with optional guards."""

    guards: Guards | None = None
    reference: ActorCriticPolicy | None = None
    demonstrations: DemonstrationBatches | None = None
    last_losses: dict[str, float]
    best: dict[str, torch.Tensor]
    noise: tuple[float, float]
    averaging: float
    average: ActorCriticPolicy

    def _update_info_buffer(self, infos: Any, dones: Any = None) -> None:  # noqa: ANN401
        """Nothing: fixed evaluation episodes say how the policy does, not training's own."""

    def set_noise(self, done: float) -> None:
        """Set the action noise for a share ``done`` of the budget; it is no learnt parameter."""
        first, last = self.noise
        with torch.no_grad():
            self.policy.log_std.fill_(first + (last - first) * min(1.0, done))

    def train(self) -> None:
        """One update over the rollout buffer."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        frozen = self.guards is not None and self.num_timesteps <= self.guards.warmup_steps
        critic = [p for name, p in self.policy.named_parameters() if "value" in name]
        actor = [p for name, p in self.policy.named_parameters() if "value" not in name]
        totals: dict[str, float] = {}
        count = 0
        for _ in range(self.n_epochs):
            for data in self.rollout_buffer.get(self.batch_size):
                losses = self._losses(data, frozen=frozen)
                loss = torch.stack(list(losses.values())).sum()
                self.policy.optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(critic, self.max_grad_norm)
                torch.nn.utils.clip_grad_norm_(actor, self.max_grad_norm)
                self.policy.optimizer.step()
                count += 1
                for name, value in losses.items():
                    totals[name] = totals.get(name, 0.0) + value.item()
        self._n_updates += self.n_epochs
        self.take_average(self.averaging)
        self.last_losses = {name: total / count for name, total in totals.items()}
        self.last_losses["log_std"] = self.policy.log_std.mean().item()

    def take_average(self, keep: float) -> None:
        """Let the average keep a share of itself and take the rest from the learner."""
        learnt = self.policy.state_dict()
        with torch.no_grad():
            for name, value in self.average.state_dict().items():
                value.lerp_(learnt[name], 1.0 - keep)

    def _losses(self, data: Any, *, frozen: bool) -> dict[str, torch.Tensor]:  # noqa: ANN401
        features = self.policy.extract_features(data.observations)
        latent_policy, latent_value = self.policy.mlp_extractor(features)
        values = self.policy.value_net(latent_value).flatten()
        losses = {"value": self.vf_coef * functional.mse_loss(data.returns, values)}
        if frozen:
            return losses
        distribution = self.policy._get_action_dist_from_latent(latent_policy)
        log_prob = distribution.log_prob(data.actions)
        advantages = data.advantages
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        ratio = torch.exp(log_prob - data.old_log_prob)
        clip = self.clip_range(self._current_progress_remaining)  # type: ignore[operator]
        clipped = torch.clamp(ratio, 1 - clip, 1 + clip)
        losses["policy"] = -torch.min(advantages * ratio, advantages * clipped).mean()
        losses["entropy"] = -self.ent_coef * cast(torch.Tensor, distribution.entropy()).mean()
        mean = cast(torch.distributions.Normal, distribution.distribution).mean
        losses.update(self._guard_losses(data.observations, mean))
        return losses

    def _guard_losses(
        self, observations: torch.Tensor, mean: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        guards = self.guards
        if guards is None:
            return {}
        fade = max(0.0, 1.0 - self.num_timesteps / max(1, guards.fade_steps))
        losses = {}
        if guards.kl_weight * fade > 0.0 and self.reference is not None:
            with torch.no_grad():
                target = _means(self.reference, observations)
            deviation = (mean - target) / self.policy.log_std.detach().exp()
            losses["kl"] = guards.kl_weight * fade * 0.5 * deviation.square().sum(1).mean()
        if guards.demonstration_weight * fade > 0.0 and self.demonstrations is not None:
            observed, acted = self.demonstrations(len(observations))
            error = _means(self.policy, torch.as_tensor(observed)) - torch.as_tensor(acted)
            weight = guards.demonstration_weight * fade
            losses["demonstrations"] = weight * error.square().sum(1).mean()
        return losses


def _means(policy: ActorCriticPolicy, observations: torch.Tensor) -> torch.Tensor:
    features = cast(torch.Tensor, policy.extract_features(observations))
    means: torch.Tensor = policy.action_net(policy.mlp_extractor.forward_actor(features))
    return means


def make_ppo(
    env: VecEnv, params: PpoParams, *, seed: int, total_steps: int, guards: Guards | None = None
) -> GuardedPPO:
    """A fresh learner; its learning rate falls in a straight line over ``total_steps``."""
    shape = env.observation_space.shape or ()
    actions = env.action_space.shape or ()
    architecture = Architecture(shape[0], actions[0], params.hidden)
    first = guards.learning_rate if guards else params.learning_rate
    last = min(params.final_learning_rate, first)
    model = GuardedPPO(
        "MlpPolicy",
        env,
        learning_rate=lambda left: last + (first - last) * max(0.0, left),
        n_steps=params.num_steps,
        batch_size=params.minibatch,
        n_epochs=params.epochs,
        gamma=params.gamma,
        gae_lambda=params.gae_lambda,
        clip_range=params.clip,
        ent_coef=params.entropy,
        vf_coef=params.value_weight,
        max_grad_norm=params.max_grad_norm,
        policy_kwargs=architecture.policy_kwargs(log_std=params.log_std),
        seed=seed,
        device="cpu",
        verbose=0,
    )
    model.guards = guards
    model.last_losses = {}
    model.best = {}
    start = guards.log_std if guards else params.log_std
    model.noise = (start, min(start, params.final_log_std))
    model.policy.log_std.requires_grad_(False)
    model.set_noise(0.0)
    model.averaging = params.averaging
    model.average = build_policy(architecture)
    model.take_average(0.0)
    model._total_timesteps = total_steps
    return model
