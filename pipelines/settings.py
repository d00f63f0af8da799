"""Records of the sections of ``params.yaml``, one a stage."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipelines.env.config import EnvConfig, RewardWeights
from pipelines.env.scenarios import held_out_names
from pipelines.params import ParamsError
from pipelines.ppo import FromClone, PpoParams
from pipelines.training import Budget


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

    horizon: int
    goal_radius: float
    scenarios: tuple[str, ...]
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


@dataclass(frozen=True, slots=True)
class Gate:
    """What an expert must show on held-out episodes, each seed alone and all together.

    Attributes:
        success: least share of episodes that end at the goal.
        collision: largest share of episodes with a collision.
        seeds: least number of trained seeds.
        episodes: least number of evaluation episodes a seed.
    """

    success: float
    collision: float
    seeds: int
    episodes: int


@dataclass(frozen=True, slots=True)
class Convergence:
    """When the expert's training may end before its budget.

    Attributes:
        success: reached ...
        collision: ... and not exceeded ...
        hold: ... at so many evaluations in a row.
        plateau_window: or: no better score in so many evaluations; 0 never.
    """

    success: float
    collision: float
    hold: int
    plateau_window: int


@dataclass(frozen=True, slots=True)
class EvaluationParams:
    """How many episodes policies are looked at with.

    Attributes:
        track_each: episodes a scenario at every evaluation during online training.
        judge_each: episodes a scenario at the gate and at the end of every run, where the
            scenarios for evaluation only are played beside the others.
    """

    track_each: int
    judge_each: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """Rates that must hold for so many evaluations in a row."""

    success: float
    collision: float
    hold: int


@dataclass(frozen=True, slots=True)
class TransferParams:
    """Demonstrations of some scenarios, online training on others.

    Attributes:
        undemonstrated: family that no demonstration shows.
        demonstrated: densities that demonstrations show; the others are trained on.
    """

    undemonstrated: str
    demonstrated: tuple[str, ...]

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

    seeds: tuple[int, ...]
    ppo: PpoParams
    budget: Budget
    select_each: int
    convergence: Convergence
    gate: Gate
    engine: str


@dataclass(frozen=True, slots=True)
class RecordParams:
    """Recording of the expert's episodes.

    Attributes:
        each: episodes a scenario.
        shards: parts that the episodes are split into for the workers.
        quota_bytes: largest size of a dataset version.
        engine: what runs the shards side by side.
    """

    each: int
    shards: int
    quota_bytes: int
    engine: str


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

    seeds: tuple[int, ...]
    episodes: int
    only_successes: bool
    epochs: int
    least_updates: int
    batch: int
    learning_rate: float
    l2_weight: float
    critic_epochs: int

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

    seeds: tuple[int, ...]
    ppo: PpoParams
    budgets: Mapping[str, Budget]
    from_clone: Mapping[str, FromClone]
    arrival: Arrival
    engine: str
