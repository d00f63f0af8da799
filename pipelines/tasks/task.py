"""A task: all that the pipeline needs from an environment, whatever it is."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from pipelines.tasks.coding import Coding
from pipelines.tasks.interface import Interface, interface_of
from trajstore.episode.episode import Episode
from trajstore.episode.schema import EpisodeSchema, FieldSpec

METRICS_VERSION = 2
"""Changes with every change of what a row of final episodes means; part of every row."""
TRAINING_SEEDS = (10_000_000, 2**31)
"""Half-open range of the episode seeds that training draws from."""
RETURN, SUCCESS = "return", "success"
WHOLE = "all"
"""The scenario of a task that has no others."""
REACHED = ("goal", "success")
"""Outcomes that are a success."""
Key = tuple[str, int]
"""Scenario and seed: what an episode starts from."""
Act = Callable[[np.ndarray], np.ndarray]
"""Coded observations ``[B, D]`` to coded actions, a row an episode; see `Coding`."""


@dataclass(frozen=True, slots=True)
class Scripted:
    """A function from an observation to an action, both as the environment has them."""

    function: Callable[[Any], Any]

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """A row after another, for tasks whose coded values are their own."""
        return np.stack([np.asarray(self.function(row)) for row in rows])


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


LISTED = FirstSeed.TRACKING - FirstSeed.SELECTION
"""So many episodes a list may have."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one episode ended.

    Attributes:
        outcome: in a word, such as ``goal``, ``collision_wall``, ``timeout``.
        rates: yes or no to each of the task's rates, such as success.
        total: sum of the rewards, undiscounted.
        steps: taken.
    """

    scenario: str
    seed: int
    outcome: str
    rates: Mapping[str, bool]
    total: float
    steps: int

    def value(self, measure: str) -> float:
        """One of the task's measures of this episode: a rate, 0 or 1, or the return."""
        return self.total if measure == RETURN else float(self.rates[measure])


class Task(ABC):
    """What is learned. A frozen dataclass of plain values, read from the parameters.

    Success is the rate ``success``; each other rate is a failure by name. A task without success
    is judged by its return. What a task lacks is refused where a parameter asks for it.
    """

    __slots__ = ()
    version: str
    """Of the environment; policies and datasets of another are refused."""
    rates: tuple[str, ...]
    """Success, then failures by name; empty where there is only the return."""
    held_out: tuple[str, ...] = ()
    """Scenarios for evaluation only."""
    levels: tuple[str, ...] = ()
    """Second parts of scenarios ``family/level``, the easiest first."""
    scene: tuple[FieldSpec, ...] = ()
    """What an environment of the user's reports in ``info`` beside, with roles for the player."""
    draws: bool = False
    """Whether `make_vec` can draw scenarios by weight, and failed episodes again."""

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The scenarios that are played; `WHOLE` alone where there are none."""

    @property
    def known(self) -> tuple[str, ...]:
        """All scenarios that there are, played or not."""
        return (*self.names, *self.held_out)

    @abstractmethod
    def only(self, names: Sequence[str]) -> "Task":
        """The same task with some of its scenarios."""

    @abstractmethod
    def make(self) -> gym.Env[Any, Any]:
        """One environment, as episodes are recorded from it and replayed with it."""

    @abstractmethod
    def make_vec(self, count: int, seed: int) -> VecEnv:
        """``count`` environments for training, in coded observations and actions.

        Their episodes draw seeds of `TRAINING_SEEDS`, so that none is one that is judged.
        """

    @abstractmethod
    def schema(self) -> EpisodeSchema:
        """Of its episodes; with the fields ``scenario``, ``seed`` and ``outcome``."""

    @property
    @abstractmethod
    def coding(self) -> Coding:
        """How policies see its observations and actions."""

    @abstractmethod
    def record(self, act: Act, episodes: Sequence[Key]) -> list[Episode]:
        """Play episodes to their ends, and keep everything that the schema names."""

    @abstractmethod
    def outcome(self, episode: Episode) -> Outcome:
        """How a recorded episode ended."""

    @abstractmethod
    def environment(self) -> dict[str, Any]:
        """Of the provenance of its datasets: id and version, and what makes it again."""

    def play(self, act: Act, episodes: Sequence[Key]) -> list[Outcome]:
        """Play episodes to their ends, one row each in the order given."""
        return [self.outcome(episode) for episode in self.record(act, episodes)]

    def metrics(self, episode: Episode) -> dict[str, float | None]:
        """What else is measured of an episode; ``None`` where a metric does not apply."""
        ended = self.outcome(episode)
        return {rate: float(value) for rate, value in ended.rates.items()}

    def units(self) -> dict[str, str]:
        """The unit of each metric, in the order of a table."""
        return dict.fromkeys(self.rates, "")

    def advice(self, *, failing: str) -> str:
        """What to change where policies mostly end by a failure of this name."""
        return "heavier penalty in the reward" if failing else "longer time limit"

    @property
    def measures(self) -> tuple[str, ...]:
        """What policies are judged by, the main one first."""
        return self.rates or (RETURN,)

    def rank(self, row: Mapping[str, Any]) -> float:
        """How good an evaluation is; the policy of the best one is kept."""
        if not self.rates:
            return float(row[RETURN])
        success, *failures = (row[rate] for rate in self.rates)
        return float(success - sum(failures))

    @property
    def interface(self) -> Interface:
        """What a policy or a dataset must agree with to be used with this task."""
        return interface_of(self.schema(), environment=self.version)

    def row(self, episode: Episode) -> dict[str, Any]:
        """One episode as a line of ``episodes.jsonl``, with every metric."""
        ended = self.outcome(episode)
        return {
            "version": METRICS_VERSION,
            "scenario": ended.scenario,
            "seed": ended.seed,
            "outcome": ended.outcome,
            **ended.rates,
            RETURN: ended.total,
            "steps": ended.steps,
            "metrics": self.metrics(episode),
        }

    def facts(self) -> dict[str, Any]:
        """What a comparison must know of it, as plain data."""
        families = tuple(dict.fromkeys(name.partition("/")[0] for name in self.held_out))
        return {
            "version": self.version,
            "held_out": list(families),
            "levels": list(self.levels),
            "units": self.units(),
        }
