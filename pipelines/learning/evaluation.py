"""The fixed episodes that every policy is judged on, and what they add up to."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines.learning.actor import Actor
from pipelines.tasks.task import RETURN, Act, FirstSeed, Outcome, Task
from trajstore.episode.episode import Episode


def episode_list(scenarios: Sequence[str], *, each: int, first_seed: int) -> list[tuple[str, int]]:
    """``each`` episodes of every scenario, as (scenario, seed); every seed is used once.

    Example:
        >>> episode_list(["a", "b"], each=2, first_seed=10)
        [('a', 10), ('b', 11), ('a', 12), ('b', 13)]
    """
    count = len(scenarios)
    return [
        (scenario, first_seed + turn * count + index)
        for turn in range(each)
        for index, scenario in enumerate(scenarios)
    ]


def judged(actor: Actor, task: Task, *, each: int) -> list[Episode]:
    """Play the final evaluation of a policy: the judging episodes, and behind them the held-out.

    The two lists are played apart, so that no episode of the first depends on the second.
    """
    ordinary = episode_list(task.names, each=each, first_seed=FirstSeed.JUDGING)
    held_out = episode_list(task.held_out, each=each, first_seed=FirstSeed.HELD_OUT)
    more = task.record(actor, held_out) if held_out else []
    return task.record(actor, ordinary) + more


def tally(outcomes: Sequence[Outcome], task: Task) -> dict[str, Any]:
    """One evaluation: the task's rates, the mean return, and its measures by scenario."""
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        groups[outcome.scenario].append(outcome)
    return {
        "episodes": len(outcomes),
        **_means(outcomes, task.rates),
        RETURN: round(_means(outcomes, [RETURN])[RETURN], 6),
        "by_scenario": {
            name: {"episodes": len(group), **_means(group, task.measures)}
            for name, group in sorted(groups.items())
        },
    }


def _means(outcomes: Sequence[Outcome], measures: Sequence[str]) -> dict[str, float]:
    return {name: float(np.mean([it.value(name) for it in outcomes])) for name in measures}


def evaluate(act: Act, episodes: Sequence[tuple[str, int]], task: Task) -> dict[str, Any]:
    """Play a fixed list of episodes to their ends and tally them."""
    return tally(task.play(act, episodes), task)
