"""Behavioural cloning of chosen episodes with `imitation`, and a critic taught by their returns."""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Annotated, Any, cast

import numpy as np
import torch
from imitation.algorithms import bc
from imitation.util import logger as imitation_logger
from msgspec import Meta
from numpy.typing import NDArray
from stable_baselines3.common.policies import ActorCriticPolicy
from torch.nn import functional

from pipelines.running.params import Amount, Count, NotNegative, Positive, Seeds

Floats = NDArray[np.float32]
Fraction = Annotated[float, Meta(ge=0.0, lt=1.0)]


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


@dataclass(frozen=True, slots=True)
class Demonstrations:
    """Transitions of whole episodes, end to end.

    Attributes:
        observation: ``[T, D]`` before each action.
        action: ``[T, A]``, coded; numbers of choices are integers.
        returns: ``[T]`` discounted sum of the rewards from each step on.
    """

    observation: Floats
    action: NDArray[Any]
    returns: Floats


def chosen_episodes(
    scenarios: NDArray[np.str_],
    *,
    allowed: NDArray[np.bool_],
    count: int,
    turn: int,
    levels: Sequence[str] = (),
) -> NDArray[np.bool_]:
    """Which episodes the clone number ``turn`` learns from.

    Families take turns, each with its hardest scenarios first: ten families are shown by any ten
    episodes, and a dense scene shows what a sparse one does and more. Clones begin at different
    episodes of a scenario, and share some only where there are too few.

    Args:
        scenarios: ``[N]`` of every episode, ``family/level``.
        allowed: ``[N]`` episodes to choose among.
        count: so many; 0, or more than there are, means all.
        turn: from 0.
        levels: the easiest first.
    """
    chosen = np.zeros(len(scenarios), bool)
    candidates = np.flatnonzero(allowed)
    size = min(count, len(candidates)) or len(candidates)
    chosen[candidates[_deal(scenarios[candidates], levels, size=size, turn=turn)]] = True
    return chosen


def _deal(
    scenarios: NDArray[np.str_], levels: Sequence[str], *, size: int, turn: int
) -> NDArray[np.int64]:
    """Places of the first ``size`` episodes, families taking turns, hardest scenarios first."""
    ranks = {level: -place for place, level in enumerate(levels)}
    names = dict.fromkeys(scenarios.tolist())
    hands: dict[str, list[int]] = {name.partition("/")[0]: [] for name in names}
    dealt_before, first = divmod(turn * size, len(hands))
    for name in sorted(names, key=lambda name: ranks.get(name.partition("/")[2], 1)):
        own = np.flatnonzero(scenarios == name)
        hands[name.partition("/")[0]] += np.roll(own, -dealt_before).tolist()
    order = list(hands.values())
    rounds = zip_longest(*order[first:], *order[:first])
    dealt = [place for one_each in rounds for place in one_each if place is not None]
    return np.array(dealt[:size], np.int64)


def discounted_returns(
    reward: Floats, terminated: NDArray[np.bool_], lengths: NDArray[np.int64], *, gamma: float
) -> Floats:
    """Discounted sum of rewards to the episode's end, ``[T]``.

    Where the clock ended an episode its last reward is taken to go on for ever: the return of a
    truncated episode is unknown, and this is the bootstrap that needs no critic.

    Example:
        >>> ends = np.array([False, True])
        >>> discounted_returns(np.float32([1, 2]), ends, np.array([2]), gamma=0.5).tolist()
        [2.0, 2.0]
    """
    result = np.zeros(len(reward), np.float64)
    stop = 0
    for length in lengths:
        start, stop = stop, stop + int(length)
        running = 0.0 if terminated[stop - 1] else float(reward[stop - 1]) / (1.0 - gamma)
        for t in range(stop - 1, start - 1, -1):
            running = float(reward[t]) + gamma * running
            result[t] = running
    return result.astype(np.float32)


class _Batches(Iterable[dict[str, NDArray[Any]]]):
    """Shuffled passes over transitions; what `imitation` iterates once an epoch."""

    def __init__(self, draw: Callable[[], Iterator[tuple[Floats, NDArray[Any]]]]) -> None:
        self._draw = draw

    def __iter__(self) -> Iterator[dict[str, NDArray[Any]]]:
        for observation, action in self._draw():
            yield {"obs": observation, "acts": action}


def clone(
    policy: ActorCriticPolicy,
    draw: Callable[[], Iterator[tuple[Floats, NDArray[Any]]]],
    *,
    params: PretrainParams,
    updates: int,
    rng: np.random.Generator,
) -> list[dict[str, float]]:
    """Fit ``policy``, in place, to demonstrated actions; return the loss curve.

    ``draw`` begins one shuffled pass over the demonstrations, as batches of observations ``[B, D]``
    and actions ``[B, A]``, all of ``params.batch`` rows. Over ``updates`` gradient steps in all the
    learning rate falls along a cosine.
    """
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
        rate = params.learning_rate * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done / updates)))
        for group in trainer.optimizer.param_groups:
            group["lr"] = max(rate, 1e-6)
        if done % 100 == 0:
            values = trainer.logger.default_logger.name_to_value
            curve.append({"update": done} | {k.split("/")[-1]: float(v) for k, v in values.items()})

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Converting a tensor with requires_grad", UserWarning)
        trainer.train(
            n_epochs=params.epochs,
            on_batch_end=after_batch,
            log_interval=10**9,
            progress_bar=False,
        )
    return curve


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
    observation = torch.as_tensor(demonstrations.observation)
    returns = torch.as_tensor(demonstrations.returns)
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
