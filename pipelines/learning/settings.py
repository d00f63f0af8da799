"""Records of the sections of ``params.yaml``, one a stage."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated

from pipelines.learning.evaluation import COLLECTION_SEEDS, TRAINING_SEEDS
from pipelines.learning.ppo import FromClone, PpoParams
from pipelines.learning.training import Budget
from pipelines.running.fanout import ENGINES
from pipelines.running.params import (
    Count,
    ParamsError,
    Seeds,
    Share,
    above,
    at_least,
    at_most,
    distinct,
    each,
    keys,
    named,
    some,
)
from pipelines.tasks.social_nav.config import EnvConfig, RewardWeights
from pipelines.tasks.social_nav.scenarios import (
    DENSITIES,
    catalogue,
    families,
    held_out_names,
    scenario_names,
)

LISTED_SEEDS = 100_000
"""Seeds from one list of evaluation episodes to the next."""
SHARE = (at_least(0.0), at_most(1.0))
FROM_CLONE = {
    "learning_rate": above(0.0),
    "num_envs": at_least(1),
    "num_steps": at_least(1),
    "minibatch": at_least(2),
    "epochs": at_least(1),
    "averaging": SHARE,
    "hard_share": SHARE,
    "replay_share": SHARE,
}
PPO = FROM_CLONE | {
    "hidden": (some, each(at_least(1))),
    "final_learning_rate": at_least(0.0),
    "gamma": SHARE,
    "gae_lambda": SHARE,
    "clip": above(0.0),
    "entropy": at_least(0.0),
    "value_weight": at_least(0.0),
    "max_grad_norm": above(0.0),
}
REWARD = dict.fromkeys(
    ("progress", "step", "discomfort", "comfort_distance", "goal", "collision", "timeout"),
    at_least(0.0),
)

Amount = Annotated[int, at_least(0)]
Engine = Annotated[str, named(ENGINES)]
Played = Annotated[int, at_least(1), at_most(LISTED_SEEDS // len(scenario_names()))]
"""Episodes a scenario, so many that no list of episodes runs into the seeds of the next."""
Recorded = Annotated[
    int, at_least(1), at_most((TRAINING_SEEDS - COLLECTION_SEEDS) // len(scenario_names()))
]
LimitedPpo = Annotated[PpoParams, keys(**PPO)]
LimitedBudget = Annotated[Budget, keys(steps=at_least(1), evaluate_every=at_least(1))]


@dataclass(frozen=True, slots=True)
class EnvParams:
    """The world of every stage.

    Attributes:
        horizon: steps after which an episode is truncated.
        goal_radius: metres.
        scenarios: ``family/density`` names; empty means all but those for evaluation only.
        reward: its weights.

    Raises:
        ParamsError: a scenario is for evaluation only.
    """

    horizon: Count
    goal_radius: Annotated[float, above(0.0), at_most(2.0)]
    scenarios: Annotated[tuple[Annotated[str, named(catalogue())], ...], distinct]
    reward: Annotated[RewardWeights, keys(**REWARD)]

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


@dataclass(frozen=True, slots=True)
class Gate:
    """What an expert must show on held-out episodes, each seed alone and all together.

    Attributes:
        success: least share of episodes that end at the goal.
        collision: largest share of episodes with a collision.
        seeds: least number of trained seeds.
        episodes: least number of evaluation episodes a seed.
    """

    success: Share
    collision: Share
    seeds: Count
    episodes: Count


@dataclass(frozen=True, slots=True)
class Convergence:
    """When the expert's training may end before its budget.

    Attributes:
        success: reached ...
        collision: ... and not exceeded ...
        hold: ... at so many evaluations in a row.
        plateau_window: or: no better score in so many evaluations; 0 never.
    """

    success: Share
    collision: Share
    hold: Count
    plateau_window: Amount


@dataclass(frozen=True, slots=True)
class EvaluationParams:
    """How many episodes policies are looked at with.

    Attributes:
        track_each: episodes a scenario at every evaluation during online training.
        judge_each: episodes a scenario at the gate and at the end of every run, where the
            scenarios for evaluation only are played beside the others.
    """

    track_each: Played
    judge_each: Played


@dataclass(frozen=True, slots=True)
class Arrival:
    """Rates that must hold for so many evaluations in a row."""

    success: Share
    collision: Share
    hold: Count


@dataclass(frozen=True, slots=True)
class TransferParams:
    """Demonstrations of some scenarios, online training on others.

    Attributes:
        undemonstrated: family that no demonstration shows.
        demonstrated: densities that demonstrations show; the others are trained on.
    """

    undemonstrated: Annotated[str, named(families())]
    demonstrated: Annotated[tuple[Annotated[str, named(DENSITIES)], ...], some, distinct]

    def is_demonstrated(self, scenario: str) -> bool:
        """Whether demonstrations may show a scenario ``family/density``."""
        family, _, density = scenario.partition("/")
        return family != self.undemonstrated and density in self.demonstrated


@dataclass(frozen=True, slots=True)
class ExpertParams:
    """Training and promotion of the expert.

    Attributes:
        seeds: one training each.
        ppo: settings of the update.
        budget: online steps and how often to evaluate.
        select_each: episodes a scenario that choose the best policy of a run.
        convergence: when to stop early.
        gate: what promotion takes.
        engine: what runs the seeds side by side.
    """

    seeds: Seeds
    ppo: LimitedPpo
    budget: LimitedBudget
    select_each: Played
    convergence: Convergence
    gate: Gate
    engine: Engine


@dataclass(frozen=True, slots=True)
class RecordParams:
    """Recording of the expert's episodes.

    Attributes:
        each: episodes a scenario.
        shards: parts that the episodes are split into for the workers.
        quota_bytes: largest size of a dataset version.
        engine: what runs the shards side by side.
    """

    each: Recorded
    shards: Count
    quota_bytes: Count
    engine: Engine


@dataclass(frozen=True, slots=True)
class PretrainParams:
    """Behavioural cloning, and the critic's first lesson.

    Attributes:
        seeds: one clone each, matched to the seeds of fine-tuning.
        episodes: so many of the dataset, evenly over families; 0 means all.
        only_successes: leave out episodes that did not reach the goal.
        epochs: passes over the demonstrations.
        least_updates: gradient steps at least, for few demonstrations.
        batch: transitions a gradient step.
        learning_rate: of Adam at the first step; falls along a cosine.
        l2_weight: of the policy's weights.
        critic_epochs: passes of the critic over the discounted returns.
    """

    seeds: Seeds
    episodes: Amount
    only_successes: bool
    epochs: Amount
    least_updates: Amount
    batch: Count
    learning_rate: Annotated[float, above(0.0)]
    l2_weight: Annotated[float, at_least(0.0)]
    critic_epochs: Amount

    def with_episodes(self, episodes: int) -> "PretrainParams":
        """The same settings for another number of episodes."""
        return replace(self, episodes=episodes)


@dataclass(frozen=True, slots=True)
class FinetuneParams:
    """Online training of every arm of the comparison.

    Attributes:
        seeds: matched over the arms.
        ppo: settings of the update for a start from scratch.
        budgets: of each arm by name.
        from_clone: what each arm that begins with a clone sets differently.
        arrival: the target at which an arm may end.
        engine: what runs the seeds side by side.
    """

    seeds: Seeds
    ppo: LimitedPpo
    budgets: Mapping[str, LimitedBudget]
    from_clone: Mapping[str, Annotated[FromClone, keys(**FROM_CLONE)]]
    arrival: Arrival
    engine: Engine
