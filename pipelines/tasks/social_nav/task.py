"""Social navigation as a task, and the section of the parameters that chooses it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

from msgspec import Meta

from pipelines.running.params import Count, ParamsError, distinct, named
from pipelines.tasks.coding import Coding
from pipelines.tasks.social_nav.config import ENV_VERSION, EnvConfig, RewardWeights
from pipelines.tasks.social_nav.metrics import METRICS, episode_row
from pipelines.tasks.social_nav.rollout import record_rollout, rollout
from pipelines.tasks.social_nav.scenarios import (
    DENSITIES,
    catalogue,
    held_out_names,
    scenario_names,
)
from pipelines.tasks.social_nav.schema import episode_schema
from pipelines.tasks.social_nav.snqi import load_baseline
from pipelines.tasks.social_nav.social_nav import ENV_ID, SocialNavEnv
from pipelines.tasks.social_nav.vector import SocialNavVecEnv
from pipelines.tasks.social_nav.worlds import action_space, observation_space
from pipelines.tasks.task import Act, Key, Outcome, Task
from trajstore.episode.episode import Episode
from trajstore.episode.schema import EpisodeSchema


@dataclass(frozen=True, slots=True)
class SocialNavTask(Task):
    """The world of every stage, as `EnvConfig` has it; it names no scenario for evaluation only."""

    version = ENV_VERSION
    rates = ("success", "collision")
    held_out = held_out_names()
    levels = DENSITIES
    draws = True

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
    def names(self) -> tuple[str, ...]:
        """The scenarios that are played, all of them by name."""
        return self.scenarios or scenario_names()

    @property
    def known(self) -> tuple[str, ...]:
        """Every scenario of the catalogue."""
        return tuple(catalogue())

    def only(self, names: Sequence[str]) -> "SocialNavTask":
        """The same world with some of its scenarios."""
        return replace(self, scenarios=tuple(names))

    def make(self) -> SocialNavEnv:
        """One environment."""
        return SocialNavEnv(self.config())

    def make_vec(self, count: int, seed: int) -> SocialNavVecEnv:
        """``count`` worlds in one batch."""
        return SocialNavVecEnv(self.config(), num_envs=count, seed=seed)

    def schema(self) -> EpisodeSchema:
        """Of its episodes."""
        return episode_schema(self.config())

    @property
    def coding(self) -> Coding:
        """Observations and actions as they are."""
        return Coding(observation_space(self.config()), action_space())

    def record(self, act: Act, episodes: Sequence[Key]) -> list[Episode]:
        """Play all episodes at once."""
        return record_rollout(act, episodes, self.config())

    def play(self, act: Act, episodes: Sequence[Key]) -> list[Outcome]:
        """Play all episodes at once, and keep how they ended."""
        return [
            Outcome(
                row.scenario,
                row.seed,
                row.outcome,
                {"success": row.success, "collision": row.collision},
                row.total_reward,
                row.steps,
            )
            for row in rollout(act, episodes, self.config())
        ]

    def outcome(self, episode: Episode) -> Outcome:
        """How a recorded episode ended."""
        row = episode_row(episode)
        rates = {rate: row[rate] for rate in self.rates}
        return Outcome(
            row["scenario"], row["seed"], row["outcome"], rates, row["return"], row["steps"]
        )

    def metrics(self, episode: Episode) -> dict[str, float | None]:
        """Every metric of social navigation."""
        metrics: dict[str, float | None] = self.row(episode)["metrics"]
        return metrics

    def row(self, episode: Episode) -> dict[str, Any]:
        """One episode as a line of ``episodes.jsonl``."""
        return episode_row(episode, load_baseline())

    def units(self) -> dict[str, str]:
        """The unit of each metric."""
        return {name: metric.unit for name, metric in METRICS.items()}

    def environment(self) -> dict[str, Any]:
        """What makes it again."""
        return {
            "id": ENV_ID,
            "version": ENV_VERSION,
            "entry_point": "pipelines.tasks.social_nav.simulator:simulate",
            "config": asdict(self.config()),
        }

    def advice(self, *, failing: str) -> str:
        """What to change where most episodes end by this failure, or by none."""
        return "heavier env.reward.collision" if failing else "longer env.horizon"

    def rank(self, row: Mapping[str, Any]) -> float:
        """Success less collisions."""
        return float(row["success"] - row["collision"])
