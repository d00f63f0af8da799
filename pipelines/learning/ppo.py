"""Proximal policy optimisation on Stable-Baselines3, with settled noise and averaged weights.

The update is that of Schulman et al. (2017) as Stable-Baselines3 states it, but for three things:
the action noise follows a schedule, gradients of policy and critic are clipped apart, and what is
evaluated and saved is a running average of the weights. A start from a clone may add the loss of
cloning to it.
"""

from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, cast

import torch
from gymnasium import spaces
from msgspec import Meta
from stable_baselines3 import PPO
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv
from torch.nn import functional

from pipelines.learning.architecture import Architecture
from pipelines.learning.features import Features
from pipelines.learning.policy import build_policy, weights_of
from pipelines.running.params import Amount, Count, NotNegative, Positive, Share
from pipelines.tasks.coding import Coding


@dataclass(frozen=True, slots=True)
class Update:
    """The settings of an update that scratch and a clone may have differently.

    Attributes:
        learning_rate: of Adam at the first step.
        log_std: logarithm of the action noise at the first step.
        num_envs: environments stepped at once.
        num_steps: steps of each environment between two updates.
        minibatch: transitions a gradient step.
        epochs: passes over the collected steps.
        averaging: share of the running average of the weights that an update keeps; the
            average is what is evaluated and saved (Polyak & Juditsky, 1992).
        hard_share: share of the training episodes that are drawn in proportion to how often
            their scenarios failed at the evaluations so far; the others are drawn evenly.
        replay_share: share of the training episodes that are ones which failed before, seed for
            seed, until they succeed (after Jiang et al., 2021).
        target_kl: an update ends before a step that begins further than 1.5 times this from the
            policy that collected; none never.
    """

    learning_rate: Positive
    log_std: float
    num_envs: Count
    num_steps: Count
    minibatch: Annotated[int, Meta(ge=2)]
    epochs: Count
    averaging: Share
    hard_share: Share
    replay_share: Share
    target_kl: Positive | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class FromClone(Update):
    """What training from a clone has of its own: its update, and how it begins.

    Attributes:
        critic_steps: online steps of the clone with its noise, before the first update, that fit
            the critic alone.
        cloning_weight: of the loss of cloning, on what the clone was shown, beside PPO's.
        cloning_fade_steps: online steps over which that weight falls to 0; 0 keeps it.
        policy_gradient: whether PPO moves the policy; without it only the cloning term does.
        return_to_best: go on from the best policy so far where an evaluation is worse than it
            by more than a tenth.
        gamma, gae_lambda, entropy, normalise_rewards: as in `PpoParams`; none is as from scratch.
    """

    critic_steps: Amount = field(default=0, kw_only=True)
    cloning_weight: NotNegative = field(default=0.0, kw_only=True)
    cloning_fade_steps: Amount = field(default=0, kw_only=True)
    policy_gradient: bool = field(default=True, kw_only=True)
    return_to_best: bool = field(default=False, kw_only=True)
    gamma: Share | None = field(default=None, kw_only=True)
    gae_lambda: Share | None = field(default=None, kw_only=True)
    entropy: NotNegative | None = field(default=None, kw_only=True)
    normalise_rewards: bool | None = field(default=None, kw_only=True)

    @property
    def beginning(self) -> dict[str, Any]:
        """What is asked for beside an update, by name; nothing where all is off."""
        update = {it.name for it in fields(Update)}
        own = {it.name: it.default for it in fields(self) if it.name not in update}
        return {name: getattr(self, name) for name in own if getattr(self, name) != own[name]}

    def settings(self, scratch: "PpoParams") -> "PpoParams":
        """The settings for a start from scratch with this update's in their place."""
        own = {it.name: getattr(self, it.name) for it in fields(Update)}
        for name in ("gamma", "gae_lambda", "entropy", "normalise_rewards"):
            if (told := getattr(self, name)) is not None:
                own[name] = told
        return replace(scratch, **own)


@dataclass(frozen=True, slots=True)
class PpoParams(Update):
    """All settings of the update, the same for every arm of the comparison.

    Attributes:
        hidden: units of each hidden layer.
        final_learning_rate: reached in a straight line at the last step of the budget.
        gamma: discount a step.
        gae_lambda: of generalised advantage estimation (Schulman et al., 2016).
        clip: range of the probability ratio.
        entropy: weight of the entropy bonus.
        value_weight: weight of the value loss.
        max_grad_norm: gradients of policy and critic are clipped apart.
        final_log_std: reached in a straight line at the last step of the budget.
        normalise_observations: by their running mean and deviation, which are part of the policy;
            a start from a clone keeps what the clone has.
        normalise_rewards: by the running deviation of their discounted sum, as `VecNormalize`.
    """

    hidden: Annotated[tuple[Count, ...], Meta(min_length=1)]
    final_learning_rate: NotNegative
    gamma: Share
    gae_lambda: Share
    clip: Positive
    entropy: NotNegative
    value_weight: NotNegative
    max_grad_norm: Positive
    final_log_std: float
    normalise_observations: bool = field(default=False, kw_only=True)
    normalise_rewards: bool = field(default=False, kw_only=True)


class AveragedPPO(PPO):
    """PPO with scheduled action noise, whose running average of the weights is what counts."""

    last_losses: dict[str, float]
    best: dict[str, torch.Tensor]
    noise: tuple[float, float]
    averaging: float
    average: ActorCriticPolicy
    architecture: Architecture
    warm: FromClone | None
    shown: tuple[torch.Tensor, torch.Tensor] | None
    learns_statistics: bool

    def _update_info_buffer(self, infos: Any, dones: Any = None) -> None:  # noqa: ANN401
        """Nothing: fixed evaluation episodes say how the policy does, not training's own."""

    def set_noise(self, done: float) -> None:
        """Set the action noise for a share ``done`` of the budget; it is no learnt parameter."""
        if self.architecture.choices:
            return
        first, last = self.noise
        with torch.no_grad():
            self.policy.log_std.fill_(first + (last - first) * min(1.0, done))

    def train(self) -> None:
        """One update over the rollout buffer.

        Of a learner that normalises, the first rollout sets the statistics and no more.
        """
        features = self.policy.features_extractor
        begins = self.learns_statistics and not cast(Features, features).count.item()
        if not begins:
            self._update()
        if self.learns_statistics:
            cast(Features, features).learn(self.rollout_buffer.observations)
        self.take_average(self.averaging)

    def _update(self) -> None:
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        critic = [p for name, p in self.policy.named_parameters() if "value" in name]
        actor = [p for name, p in self.policy.named_parameters() if "value" not in name]
        totals: dict[str, float] = {}
        count = 0
        batches = (
            it for _ in range(self.n_epochs) for it in self.rollout_buffer.get(self.batch_size)
        )
        for data in batches:
            losses, apart = self._losses(data)
            if self.target_kl is not None and apart.item() > 1.5 * self.target_kl:
                break
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
        self.last_losses = {name: total / max(count, 1) for name, total in totals.items()}
        if not self.architecture.choices:
            self.last_losses["log_std"] = self.policy.log_std.mean().item()

    def take_average(self, keep: float) -> None:
        """Let the average keep a share of itself and take the rest from the learner."""
        learnt = weights_of(self.policy)
        statistics = {name for name, _ in self.average.named_buffers()}
        with torch.no_grad():
            for name, value in weights_of(self.average).items():
                share = 1.0 if name in statistics else 1.0 - keep
                value.lerp_(learnt[name].to(value.device), share)

    def _losses(self, data: Any) -> tuple[dict[str, torch.Tensor], torch.Tensor]:  # noqa: ANN401
        """The parts of the loss, and how far the policy is from the one that collected."""
        features = self.policy.extract_features(data.observations)
        latent_policy, latent_value = self.policy.mlp_extractor(features)
        values = self.policy.value_net(latent_value).flatten()
        losses = {"value": self.vf_coef * functional.mse_loss(data.returns, values)}
        distribution = self.policy._get_action_dist_from_latent(latent_policy)
        single = isinstance(self.action_space, spaces.Discrete)
        actions = data.actions.long().flatten() if single else data.actions
        log_prob = distribution.log_prob(actions)
        advantages = data.advantages
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        ratio = torch.exp(log_prob - data.old_log_prob)
        clip = self.clip_range(self._current_progress_remaining)  # type: ignore[operator]
        clipped = torch.clamp(ratio, 1 - clip, 1 + clip)
        if self.warm is None or self.warm.policy_gradient:
            losses["policy"] = -torch.min(advantages * ratio, advantages * clipped).mean()
            losses["entropy"] = -self.ent_coef * cast(torch.Tensor, distribution.entropy()).mean()
        if (weight := self._cloning_weight()) > 0.0:
            losses["cloning"] = weight * self._cloning_loss()
        return losses, (ratio.detach() - 1.0 - torch.log(ratio.detach())).mean()

    def _cloning_weight(self) -> float:
        if self.warm is None or self.shown is None:
            return 0.0
        fade = self.warm.cloning_fade_steps
        return self.warm.cloning_weight * (
            max(0.0, 1.0 - self.num_timesteps / fade) if fade else 1.0
        )

    def _cloning_loss(self) -> torch.Tensor:
        """Of as many pairs as a gradient step takes, drawn from what the clone was shown."""
        observation, action = cast(tuple[torch.Tensor, torch.Tensor], self.shown)
        drawn = torch.randint(len(action), (min(self.batch_size, len(action)),))
        seen, wanted = (it[drawn].to(self.device) for it in (observation, action))
        _, log_prob, _ = self.policy.evaluate_actions(seen, wanted)
        return -log_prob.mean()


def make_ppo(
    env: VecEnv,
    params: PpoParams,
    *,
    seed: int,
    total_steps: int,
    architecture: Architecture | None = None,
) -> AveragedPPO:
    """A fresh learner; its learning rate falls in a straight line over ``total_steps``.

    An ``architecture`` is needed where observations have images: coded, they do not tell. One that
    sees images learns on an accelerator if there is one.
    """
    if architecture is None:
        coding = Coding(env.observation_space, env.action_space)
        normalise = params.normalise_observations
        architecture = Architecture.of(coding, params.hidden, normalise=normalise)
    first = params.learning_rate
    last = min(params.final_learning_rate, first)
    model = AveragedPPO(
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
        policy_kwargs=architecture.policy_kwargs(log_std_init=params.log_std),
        seed=seed,
        target_kl=params.target_kl,
        device="auto" if architecture.images else "cpu",
        verbose=0,
    )
    model.architecture = architecture
    model.warm, model.shown = None, None
    model.learns_statistics = architecture.normalised
    model.last_losses = {}
    model.best = {}
    model.noise = (params.log_std, min(params.log_std, params.final_log_std))
    if not architecture.choices:
        model.policy.log_std.requires_grad_(False)
    model.set_noise(0.0)
    model.averaging = params.averaging
    model.average = build_policy(architecture)
    model.take_average(0.0)
    model._total_timesteps = total_steps
    return model
