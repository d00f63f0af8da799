"""What is played: the sections of ``params.yaml`` that speak of the world, for every stage."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from pipelines.learning.evaluation import FirstSeed
from pipelines.learning.interface import Interface, interface_of
from pipelines.running.params import Count, ParamsError, distinct, named, read_section
from pipelines.tasks.social_nav.config import ENV_VERSION, EnvConfig, RewardWeights
from pipelines.tasks.social_nav.scenarios import (
    DENSITIES,
    catalogue,
    families,
    held_out_names,
    scenario_names,
)
from pipelines.tasks.social_nav.schema import episode_schema

_LISTED = FirstSeed.TRACKING - FirstSeed.SELECTION
Played = Annotated[int, Meta(ge=1, le=_LISTED // len(scenario_names()))]
"""Episodes a scenario, so many that no list of episodes runs into the seeds of the next."""


@dataclass(frozen=True, slots=True)
class EnvParams:
    """The world of every stage, as `EnvConfig` has it; it names no scenario for evaluation only."""

    horizon: Count
    goal_radius: Annotated[float, Meta(gt=0.0, le=2.0)]
    scenarios: Annotated[tuple[Annotated[str, named(catalogue())], ...], distinct]
    reward: RewardWeights

    def __post_init__(self) -> None:
        reserved = sorted(set(self.scenarios) & set(held_out_names()))
        if reserved:
            raise ParamsError(
                "params: env.scenarios: expected scenarios that may be trained on, got "
                f"{reserved[0]!r}, which is for evaluation only; take it out"
            )

    def config(self) -> EnvConfig:
        """As the environment takes it."""
        return EnvConfig(
            scenarios=self.scenarios,
            horizon=self.horizon,
            goal_radius=self.goal_radius,
            reward=self.reward,
        )

    @property
    def names(self) -> Sequence[str]:
        """The scenarios that are played, all of them by name."""
        return self.scenarios or scenario_names()

    @property
    def interface(self) -> Interface:
        """What a policy or a dataset must agree with to be used in this world."""
        return interface_of(episode_schema(self.config()), environment=ENV_VERSION)


@dataclass(frozen=True, slots=True)
class EvaluationParams:
    """Episodes a scenario, to track online training and to judge at the gate and every run's end.

    The scenarios for evaluation only are played beside the others at the end of a run.
    """

    track_each: Played
    judge_each: Played


@dataclass(frozen=True, slots=True)
class TransferParams:
    """Demonstrations of some scenarios, online training on others.

    Attributes:
        undemonstrated: family that no demonstration shows.
        demonstrated: densities that demonstrations show; the others are trained on.
    """

    undemonstrated: Annotated[str, named(families())]
    demonstrated: Annotated[
        tuple[Annotated[str, named(DENSITIES)], ...], Meta(min_length=1), distinct
    ]

    def is_demonstrated(self, scenario: str) -> bool:
        """Whether demonstrations may show a scenario ``family/density``."""
        family, _, density = scenario.partition("/")
        return family != self.undemonstrated and density in self.demonstrated


@dataclass(frozen=True, slots=True)
class World:
    """What is played, and how often policies are looked at."""

    env: EnvParams
    evaluation: EvaluationParams


def read_world(path: Path, *, transfer: bool = False) -> World:
    """The world of the parameter file; with ``transfer`` only what is not demonstrated."""
    env = read_section(path, "env", EnvParams)
    if transfer:
        shown = read_section(path, "transfer", TransferParams)
        names = [name for name in env.names if not shown.is_demonstrated(name)]
        if not names:
            raise ParamsError(
                f"{path}: transfer: expected a scenario of env.scenarios that is not "
                f"demonstrated, got none of {list(env.scenarios)}; demonstrate less"
            )
        env = replace(env, scenarios=tuple(names))
    return World(env, read_section(path, "evaluation", EvaluationParams))
