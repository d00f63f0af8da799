"""What a user of the environment may choose, and the constants of its physics."""

from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta

ENV_VERSION = "1.0.0"
"""Changes with every change of dynamics, scenarios, observation or reward."""

NEIGHBOURS = 6
RAYS = 18
OWN_FEATURES = 8
NEIGHBOUR_FEATURES = 5
OBSERVATION_SIZE = OWN_FEATURES + NEIGHBOURS * NEIGHBOUR_FEATURES + RAYS
OBSERVATION_LIMIT = 2.0
"""Relative velocity is the largest entry: 1.56 + 1.2 m/s over 2 m/s is 1.38."""
GRID_CELLS = 64


class Constants(NamedTuple):
    """The numbers of the physics, the observation and the reward, as the kernel takes them.

    The first nine are an ``EnvConfig``'s. The pedestrian model is the elliptical social force of
    Helbing & Molnar (1995) with the relative velocity of Johansson, Helbing & Shukla (2007).
    Lengths in metres, times in seconds.
    """

    goal_radius: float
    horizon: int
    reward_progress: float
    reward_step: float
    reward_discomfort: float
    reward_comfort_distance: float
    reward_goal: float
    reward_collision: float
    reward_timeout: float
    dt: float = 0.1
    substeps: int = 2
    robot_radius: float = 0.3
    max_speed: float = 1.2
    max_turn_rate: float = 1.5
    max_acceleration: float = 1.5
    max_turn_acceleration: float = 3.0
    pedestrian_radius: float = 0.3
    relaxation: float = 0.5
    pedestrian_strength: float = 2.1
    robot_strength: float = 3.0
    force_range: float = 0.3
    anticipation: float = 0.6
    anisotropy: float = 0.35
    force_reach: float = 4.0
    wall_strength: float = 3.0
    wall_range: float = 0.12
    max_push: float = 5.0
    speed_ratio: float = 1.3
    arrival: float = 0.6
    sight_margin: float = 0.3
    sensing_range: float = 6.0
    urgency_horizon: float = 5.0
    grid_cell: float = 0.125
    neighbours: int = NEIGHBOURS
    rays: int = RAYS


Weight = Annotated[float, Meta(ge=0.0)]


@dataclass(frozen=True, slots=True)
class RewardWeights:
    """Weights of the reward; all positive, costs are subtracted.

    A step earns ``progress`` per metre gained towards the goal, costs ``step``, and costs up to
    ``discomfort`` for being closer than ``comfort_distance`` metres to a pedestrian, more so
    while closing in. The last step adds ``goal`` or subtracts ``collision`` or ``timeout``.
    """

    progress: Weight = 0.1
    step: Weight = 0.001
    discomfort: Weight = 0.05
    comfort_distance: Weight = 0.6
    goal: Weight = 1.0
    collision: Weight = 5.0
    timeout: Weight = 0.5


@dataclass(frozen=True, slots=True)
class EnvConfig:
    """Which scenarios are played, what is observed, when an episode ends, what is rewarded.

    Attributes:
        scenarios: names ``family/density``; empty means all but those for evaluation only.
        observation: ``vector`` is ``float32[56]``; ``grid`` adds ``uint8[64, 64]``.
        horizon: steps after which an episode is truncated.
        goal_radius: metres between centre and goal that count as arrived.
        reward: weights of the reward.

    Raises:
        ValueError: a scenario or observation that does not exist, or a number out of range.
    """

    scenarios: tuple[str, ...] = ()
    observation: Literal["vector", "grid"] = "vector"
    horizon: int = 250
    goal_radius: float = 0.5
    reward: RewardWeights = field(default_factory=RewardWeights)

    def __post_init__(self) -> None:
        if self.observation not in ("vector", "grid"):
            raise ValueError(
                f"observation: expected 'vector' or 'grid', got {self.observation!r}; "
                "choose one of the two"
            )
        if self.horizon < 1:
            raise ValueError(f"horizon: expected at least 1 step, got {self.horizon}; raise it")
        if not 0.0 < self.goal_radius <= 2.0:
            raise ValueError(
                f"goal_radius: expected a length in (0, 2] m, got {self.goal_radius}; change it"
            )
        if isinstance(self.scenarios, str):
            raise ValueError(
                f"scenarios: expected a tuple of names, got the text {self.scenarios!r}; "
                "write it as a list"
            )
        object.__setattr__(self, "scenarios", tuple(self.scenarios))

    def constants(self) -> Constants:
        """The configuration as the kernel takes it."""
        weights: dict[str, Any] = {
            f"reward_{name}": float(value) for name, value in asdict(self.reward).items()
        }
        return Constants(float(self.goal_radius), int(self.horizon), **weights)


PHYSICS = EnvConfig().constants()
"""The constants of the default configuration; those of the physics are the same in every one."""
