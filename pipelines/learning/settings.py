"""What an update of PPO is made with, from scratch and from a clone."""

from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any

from msgspec import Meta

from pipelines.running.params import Amount, Count, NotNegative, Positive, Share


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
        desired_kl: how far an update should go; the learning rate grows where one went less than
            half as far, and falls where it went twice as far (Schulman et al., 2017); none keeps
            it.
        learns_from_critic_steps: the steps that fit the critic make the first update as well.
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
    desired_kl: Positive | None = field(default=None, kw_only=True)
    learns_from_critic_steps: bool = field(default=False, kw_only=True)

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
