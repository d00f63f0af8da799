"""Which episodes a clone is shown, and what they hold, as policies see it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.tasks.coding import Coding
from trajstore.dataset import Dataset

Floats = NDArray[np.float32]
Draw = Callable[[], Iterator[tuple[Floats, NDArray[Any]]]]
"""Begins one shuffled pass: batches of coded observations and actions."""


@dataclass(frozen=True, slots=True)
class Demonstrations:
    """Transitions of whole episodes, end to end.

    Attributes:
        observation: ``[T, D]`` before each action.
        action: ``[T, A]``, coded; numbers of choices are integers.
        returns: ``[T]`` discounted sum of the rewards from each step on.
        lengths: ``[N]`` transitions of each episode.
    """

    observation: Floats
    action: NDArray[Any]
    returns: Floats
    lengths: NDArray[np.int64]

    def thinned(self, every: int) -> "Demonstrations":
        """Every so manieth transition of each episode, its first one among them."""
        starts = np.repeat(np.cumsum(self.lengths) - self.lengths, self.lengths)
        return self._some((np.arange(len(starts)) - starts) % every == 0)

    def of(self, episodes: NDArray[np.bool_]) -> "Demonstrations":
        """The transitions of some episodes."""
        return self._some(np.repeat(episodes, self.lengths))

    def _some(self, kept: NDArray[np.bool_]) -> "Demonstrations":
        ends = np.cumsum(self.lengths)
        counts = np.add.reduceat(kept.astype(np.int64), ends - self.lengths)
        parts = self.observation[kept], self.action[kept], self.returns[kept]
        return Demonstrations(*parts, counts[counts > 0])

    def passes(self, batch: int, *, shuffled: bool, rng: np.random.Generator) -> "Draw":
        """Shuffled passes, in batches; with ``shuffled`` actions are those of other steps."""

        def draw() -> Iterator[tuple[Floats, NDArray[Any]]]:
            order = rng.permutation(len(self.action))
            for first in range(0, len(order) - batch + 1, batch):
                rows = order[first : first + batch]
                other = rng.permutation(rows) if shuffled else rows
                yield self.observation[rows], self.action[other]

        return draw


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


def demonstrations(
    dataset: Dataset, chosen: NDArray[np.bool_], coding: Coding, *, gamma: float
) -> Demonstrations:
    """Coded observations and actions, and discounted returns of the chosen episodes, in memory."""
    rows = np.repeat(chosen, dataset.lengths)
    lengths = dataset.lengths[chosen]
    starts = np.cumsum(dataset.lengths + 1) - (dataset.lengths + 1)
    before = np.ones(dataset.steps + len(dataset), bool)
    before[starts + dataset.lengths] = False
    seen = {name: dataset.column(name)[before][rows] for name in coding.fields}
    return Demonstrations(
        np.ascontiguousarray(coding.observe(seen)),
        np.ascontiguousarray(coding.encode(dataset.column("action")[rows])),
        discounted_returns(
            dataset.column("reward")[rows],
            dataset.column("terminated")[rows],
            lengths,
            gamma=gamma,
        ),
        lengths,
    )


def passes(
    dataset: Dataset,
    chosen: NDArray[np.bool_],
    coding: Coding,
    *,
    batch: int,
    shuffled: bool,
    rng: np.random.Generator,
) -> Draw:
    """Shuffled passes over the chosen episodes, streamed from the store.

    With ``shuffled`` each action is that of another step of its batch: everything about the
    actions is kept except what they have to do with the observations.
    """

    def draw() -> Iterator[tuple[Floats, NDArray[Any]]]:
        fields = (*coding.fields, "action")
        stream = dataset.batches(batch, rng=rng, where=chosen, fields=fields)
        for rows in stream:
            if len(rows["action"]) == batch:
                order = rng.permutation(batch) if shuffled else slice(None)
                yield coding.observe(rows), coding.encode(rows["action"][order])

    return draw
