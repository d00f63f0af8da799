"""The fixed episodes that every policy is judged on, and what they add up to."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any

import numpy as np

from pipelines.learning.actor import Actor
from pipelines.tasks.social_nav.config import EnvConfig
from pipelines.tasks.social_nav.rollout import Row, record_rollout, rollout
from pipelines.tasks.social_nav.scenarios import held_out_names
from trajstore.episode.episode import Episode


class FirstSeed(IntEnum):
    """Where the seeds of a list of episodes begin; they end before those of the next begin."""

    SELECTION = 1_000_000
    """These choose the best policy of an expert's run, and nothing else."""
    TRACKING = 1_100_000
    """Every evaluation during online training, the same for all arms and seeds."""
    JUDGING = 1_200_000
    """The gate and every final evaluation; they choose nothing."""
    HELD_OUT = 1_300_000
    """The scenarios for evaluation only, which a finished policy meets first here."""
    COLLECTION = 2_000_000
    """What is recorded, before the seeds of training."""


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


def judged(
    actor: Actor, scenarios: Sequence[str], *, each: int, config: EnvConfig
) -> list[Episode]:
    """Play the final evaluation of a policy: the judging episodes, and behind them the held-out.

    The two lists are played apart, so that no episode of the first depends on the second.
    """
    ordinary = episode_list(scenarios, each=each, first_seed=FirstSeed.JUDGING)
    held_out = episode_list(held_out_names(), each=each, first_seed=FirstSeed.HELD_OUT)
    return record_rollout(actor, ordinary, config) + record_rollout(actor, held_out, config)


def rank(row: Mapping[str, Any]) -> float:
    """How good an evaluation is; the policy of the best one is kept."""
    return float(row["success"] - row["collision"])


def tally(outcomes: Sequence[Row]) -> dict[str, Any]:
    """One evaluation: shares of success and collision, mean return, and both by scenario."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for outcome in outcomes:
        groups[outcome.scenario].append(outcome)
    return {
        "episodes": len(outcomes),
        **_shares(outcomes),
        "return": round(float(np.mean([o.total_reward for o in outcomes])), 6),
        "by_scenario": {
            name: {"episodes": len(group), **_shares(group)}
            for name, group in sorted(groups.items())
        },
    }


def _shares(outcomes: Sequence[Row]) -> dict[str, float]:
    return {
        "success": float(np.mean([o.success for o in outcomes])),
        "collision": float(np.mean([o.collision for o in outcomes])),
    }


def evaluate(
    actor: Actor, episodes: Sequence[tuple[str, int]], config: EnvConfig
) -> dict[str, Any]:
    """Play a fixed list of episodes to their ends and tally them."""
    return tally(rollout(actor, episodes, config))
