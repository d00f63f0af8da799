"""Behavioural cloning of chosen episodes with `imitation`, and a critic taught by their returns."""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, cast

import numpy as np
import torch
from imitation.algorithms import bc
from imitation.util import logger as imitation_logger
from msgspec import Meta
from numpy.typing import NDArray
from stable_baselines3.common.policies import ActorCriticPolicy
from torch.nn import functional

from pipelines.learning.demonstrations import Demonstrations, Draw
from pipelines.running.params import (
    Amount,
    Count,
    NotNegative,
    ParamsError,
    Positive,
    Seeds,
)

Fraction = Annotated[float, Meta(ge=0.0, lt=1.0)]
TRIALS = 50
"""So often a clone is tried on what was held out."""


@dataclass(frozen=True, slots=True)
class PretrainParams:
    """Behavioural cloning, and the critic's first lesson.

    Attributes:
        seeds: one clone each, matched to the seeds of fine-tuning.
        episodes: so many of the dataset, evenly over families; 0 means all.
        only_successes: leave out episodes without success.
        epochs: passes over the demonstrations.
        least_updates: gradient steps at least, for few demonstrations.
        batch: transitions a gradient step.
        learning_rate: of Adam at the first step; falls along a cosine.
        l2_weight: of the policy's weights.
        critic_epochs: passes of the critic over the discounted returns.
        every: show every so manieth pair of an episode.
        held_out: share of the episodes that choose the number of updates, up to that of ``epochs``
            and ``least_updates``; all are shown to the clone that is kept.
        log_std: of the clone's noise, which stays; none learns it, from that of fine-tuning on.
        normalise: observations by mean and deviation of those shown, which stay.
    """

    seeds: Seeds
    episodes: Amount
    only_successes: bool
    epochs: Amount
    least_updates: Amount
    batch: Count
    learning_rate: Positive
    l2_weight: NotNegative
    critic_epochs: Amount
    every: Count = field(default=1, kw_only=True)
    held_out: Fraction = field(default=0.0, kw_only=True)
    log_std: float | None = field(default=None, kw_only=True)
    normalise: bool = field(default=False, kw_only=True)


class _Batches(Iterable[dict[str, NDArray[Any]]]):
    """Shuffled passes over transitions; what `imitation` iterates once an epoch."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def __iter__(self) -> Iterator[dict[str, NDArray[Any]]]:
        for observation, action in self._draw():
            yield {"obs": observation, "acts": action}


def clone(
    policy: ActorCriticPolicy,
    draw: Draw,
    *,
    params: PretrainParams,
    updates: int,
    rng: np.random.Generator,
    look: Callable[[int], None] = lambda _: None,
) -> list[dict[str, float]]:
    """Fit ``policy``, in place, to demonstrated actions; return the loss curve.

    ``draw`` begins one shuffled pass over the demonstrations, as batches of observations ``[B, D]``
    and actions ``[B, A]``, all of ``params.batch`` rows. Over ``updates`` gradient steps in all the
    learning rate falls along a cosine. ``look`` is told of each one that was done.
    """
    if params.log_std is not None and hasattr(policy, "log_std"):
        policy.log_std.requires_grad_(False)
    trainer = bc.BC(
        observation_space=policy.observation_space,
        action_space=policy.action_space,
        rng=rng,
        policy=policy,
        demonstrations=cast(Any, _Batches(draw)),
        batch_size=params.batch,
        optimizer_kwargs={"lr": params.learning_rate},
        l2_weight=params.l2_weight,
        custom_logger=imitation_logger.HierarchicalLogger(
            imitation_logger.configure(format_strs=[]).default_logger, []
        ),
    )
    curve: list[dict[str, float]] = []
    done = 0

    def after_batch() -> None:
        nonlocal done
        done += 1
        look(done)
        rate = params.learning_rate * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done / updates)))
        for group in trainer.optimizer.param_groups:
            group["lr"] = max(rate, 1e-6)
        if done % 100 == 0:
            values = trainer.logger.default_logger.name_to_value
            curve.append({"update": done} | {k.split("/")[-1]: float(v) for k, v in values.items()})

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Converting a tensor with requires_grad", UserWarning)
        trainer.train(
            n_batches=updates,
            on_batch_end=after_batch,
            log_interval=10**9,
            progress_bar=False,
        )
    return curve


def best_updates(
    policy: ActorCriticPolicy,
    demonstrations: Demonstrations,
    *,
    params: PretrainParams,
    updates: int,
    shuffled: bool,
    rng: np.random.Generator,
) -> int:
    """After how many of ``updates`` gradient steps a copy of ``policy`` does best.

    It is cloned from some episodes and tried on the others: by its mean actions' squared error,
    or the share of its choices that are wrong; how unlikely it finds them gets worse while what
    it does gets better. Of equal ones the last counts.
    """
    episodes = len(demonstrations.lengths)
    if episodes == 1:
        raise ParamsError(
            "params: pretrain.held_out: expected 0, since one episode is shown, got "
            f"{params.held_out}; set it to 0, or show more"
        )
    count = min(max(1, round(params.held_out * episodes)), episodes - 1)
    out = np.isin(np.arange(episodes), rng.permutation(episodes)[:count])
    shown, held = demonstrations.of(~out), demonstrations.of(out)
    observation = torch.as_tensor(held.observation, device=policy.device)
    action = torch.as_tensor(held.action, device=policy.device)
    tried = deepcopy(policy)
    between, losses = max(1, updates // TRIALS), dict[int, float]()

    def look(done: int) -> None:
        if done % between == 0 or done == updates:
            with torch.no_grad():
                losses[done] = _error(tried, observation, action)

    batch = min(params.batch, len(shown.action))
    draw = shown.passes(batch, shuffled=shuffled, rng=rng)
    clone(tried, draw, params=replace(params, batch=batch), updates=updates, rng=rng, look=look)
    return min(reversed(losses), key=losses.__getitem__)


def _error(policy: ActorCriticPolicy, observation: torch.Tensor, action: torch.Tensor) -> float:
    if action.is_floating_point():
        mean = policy.get_distribution(observation).mode()
        return functional.mse_loss(mean, action).item()
    chosen = policy.get_distribution(observation).mode()
    return (chosen != action).float().mean().item()


def teach_critic(
    policy: ActorCriticPolicy,
    demonstrations: Demonstrations,
    *,
    epochs: int,
    batch: int,
    rng: np.random.Generator,
) -> list[float]:
    """Fit the value network to the demonstrations' returns; return the loss of each epoch."""
    critic = [p for name, p in policy.named_parameters() if "value" in name]
    optimiser = torch.optim.Adam(critic, lr=1e-3)
    observation = torch.as_tensor(demonstrations.observation, device=policy.device)
    returns = torch.as_tensor(demonstrations.returns, device=policy.device)
    losses = []
    for epoch in range(epochs):
        order = torch.as_tensor(rng.permutation(len(returns)))
        total = 0.0
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * 0.5 * (1.0 + math.cos(math.pi * epoch / epochs))
        for rows in torch.split(order, batch):
            with torch.no_grad():
                features = cast(torch.Tensor, policy.extract_features(observation[rows]))
            latent = policy.mlp_extractor.forward_critic(features)
            loss = functional.mse_loss(policy.value_net(latent).flatten(), returns[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total += loss.item() * len(rows)
        losses.append(total / len(returns))
    return losses
