"""Any Gymnasium environment as a task: a registered id, or what a function of the user builds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any

import gymnasium as gym
from gymnasium.wrappers import TimeLimit  # type: ignore[attr-defined]
from msgspec import Meta
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from pipelines.running.params import ParamsError, distinct
from pipelines.tasks.coding import Coding
from pipelines.tasks.drawing import Drawn
from pipelines.tasks.naming import named_task
from pipelines.tasks.task import (
    RETURN,
    WHOLE,
    Act,
    Key,
    Outcome,
    Scripted,
    Task,
)
from trajstore.episode.episode import Episode
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec
from trajstore.interop.environment import environment_of
from trajstore.interop.gymnasium import record, schema_of

Name = Annotated[str, Meta(pattern=r"^[a-z0-9_]+(/[a-z0-9_]+)?$")]
LABELS = (
    FieldSpec("scenario", Axis.EPISODE, (), "str"),
    FieldSpec("outcome", Axis.EPISODE, (), "str", description="how it ended"),
)


@dataclass(frozen=True)
class GymTask(Task):
    """A Gymnasium environment, by its id or by a function that builds it.

    A class of the user's derives from this one, and says what is different: `build`, `judge`,
    `metrics`, `units`, ``scene``, ``held_out``; or fields of its own, which the section then has.

    Attributes:
        id: registered with Gymnasium, ``package.module:name`` of a function or a class, or the
            name of an installed package's task.
        kwargs: for ``gym.make`` or the function.
        scenarios: handed to ``reset`` as ``options={"scenario": name}``; may be empty.
        success: key of the last ``info`` that says yes, such as ``is_success``, or a return to
            reach, or nothing where there is only the return.
        failure: what a true end without success is called; nothing where there is none.
        horizon: steps after which an episode is truncated; 0 leaves it to the environment.
    """

    id: Annotated[str, Meta(min_length=1)]
    kwargs: Mapping[str, Any]
    scenarios: Annotated[tuple[Name, ...], distinct]
    success: str | float | None
    failure: Annotated[str, Meta(pattern="^[a-z_]+$")] | None
    horizon: Annotated[int, Meta(ge=0)]

    def __post_init__(self) -> None:
        if self.failure is not None and self.success is None:
            raise ParamsError(
                "params: env.failure: expected a success beside it, got none; say env.success, or "
                "leave out both"
            )
        if self.failure in ("success", RETURN, "steps", "episodes", "scenario", "seed", "outcome"):
            raise ParamsError(
                f"params: env.failure: expected a name of its own, got {self.failure!r}; rename it"
            )

    draws = True

    @property
    def rates(self) -> tuple[str, ...]:  # type: ignore[override]
        """Success and the failure, where the task has them."""
        success = () if self.success is None else ("success",)
        return success if self.failure is None else (*success, self.failure)

    @property
    def names(self) -> tuple[str, ...]:
        """The scenarios, or one for all."""
        return self.scenarios or (WHOLE,)

    def only(self, names: Sequence[str]) -> "GymTask":
        """The same task with some of its scenarios."""
        return replace(self, scenarios=tuple(names))

    def make(self) -> gym.Env[Any, Any]:
        """One environment that tells scenario and outcome in ``info``."""
        env = self.build()
        if not isinstance(env, gym.Env):
            raise ParamsError(
                f"params: env.id: expected {self.id} to build a gymnasium.Env, got "
                f"{type(env).__name__}; return one"
            )
        if self.horizon and not self._registered:
            env = TimeLimit(env, self.horizon)
        return _Told(env, self)

    @cached_property
    def _function(self) -> Any:  # noqa: ANN401 - whatever the user names
        return named_task(self.id)

    @property
    def _registered(self) -> bool:
        """Whether Gymnasium makes it, from its id."""
        return self._function is None

    def build(self) -> gym.Env[Any, Any]:
        """The environment itself; a class of the user's may build another."""
        if isinstance(self._function, type) and issubclass(self._function, Task):
            raise ParamsError(
                f"params: env.id: expected {self.id} to have a method build that returns its "
                "environment, got none; write it"
            )
        if not self._registered:
            try:
                return self._function(**self.kwargs)  # type: ignore[no-any-return]
            except TypeError as error:
                raise ParamsError(
                    f"params: env.kwargs: expected what {self.id} takes, got {error}; correct them"
                ) from error
        steps = {"max_episode_steps": self.horizon} if self.horizon else {}
        try:
            return gym.make(self.id, **{**self.kwargs, **steps})
        except (gym.error.Error, TypeError, ModuleNotFoundError) as error:
            raise ParamsError(
                f"params: env.id: expected an environment that Gymnasium makes with these kwargs, "
                f"got {self.id!r} ({error}); correct the name, install what it needs, or put the "
                f"module that registers it before it, module:{self.id.rpartition(':')[2]}"
            ) from error

    @cached_property
    def _sample(self) -> gym.Env[Any, Any]:
        return self.make()

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @cached_property
    def version(self) -> str:  # type: ignore[override]
        """Id, and the environment's own version if it has one."""
        own = getattr(self._sample.unwrapped, "version", None)
        return self.id if own is None else f"{self.id} {own}"

    @cached_property
    def coding(self) -> Coding:  # type: ignore[override]
        """Of the environment's spaces."""
        return Coding(self._sample.observation_space, self._sample.action_space)

    def make_vec(self, count: int, seed: int) -> VecEnv:
        """Environments one after another in this process."""
        vec = DummyVecEnv(
            [lambda: Drawn(self.make(), self.coding, self.scenarios) for _ in range(count)]
        )
        vec.seed(seed)
        return vec

    @cached_property
    def _schema(self) -> EpisodeSchema:
        return schema_of(self._sample, extra=(*LABELS, *self.scene))

    def schema(self) -> EpisodeSchema:
        """Fields of the spaces, and scenario, seed and outcome."""
        return self._schema

    def record(self, act: Act, episodes: Sequence[Key]) -> list[Episode]:
        """Play one episode after another."""
        coding, env = self.coding, self._sample

        def decide(observation: Any) -> Any:  # noqa: ANN401 - of any space
            if isinstance(act, Scripted):
                return act.function(observation)
            return coding.decode(act(coding.seen(observation)[None]))[0]

        found = []
        for scenario, seed in episodes:
            options = {"scenario": scenario} if self.scenarios else None
            played = record(env, decide, seeds=[seed], schema=self._schema, options=options)
            found += list(played)
        return found

    def outcome(self, episode: Episode) -> Outcome:
        """As it was told when the episode ended."""
        ended = str(episode["outcome"])
        rates = {rate: ended == rate for rate in self.rates}
        total = float(episode["reward"].astype(float).sum())
        scenario, seed = str(episode["scenario"]), int(episode["seed"])
        return Outcome(scenario, seed, ended, rates, total, len(episode))

    def judge(self, info: Mapping[str, Any], *, total: float, terminated: bool) -> str:
        """The outcome of an episode in a word."""
        if isinstance(self.success, str):
            if bool(info.get(self.success, False)):
                return "success"
        elif self.success is not None and total >= self.success:
            return "success"
        if not terminated:
            return "timeout"
        return self.failure or "ended"

    def environment(self) -> dict[str, Any]:
        """What makes it again; of a function its name, which a dataset does not import."""
        own: dict[str, Any] = {"id": self.id, "kwargs": dict(self.kwargs)}
        if self._registered:
            own = environment_of(self._sample.env)  # type: ignore[attr-defined]
        return {**own, "version": self.version}


class _Told(gym.Wrapper[Any, Any, Any, Any]):
    """Tells scenario and outcome in every ``info``."""

    def __init__(self, env: gym.Env[Any, Any], task: GymTask) -> None:
        super().__init__(env)
        self._task, self._scenario, self._total = task, WHOLE, 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        self._scenario, self._total = str((options or {}).get("scenario", WHOLE)), 0.0
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, {**info, "scenario": self._scenario}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:  # noqa: ANN401
        """One step."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._total += float(reward)
        told = self._task.judge(info, total=self._total, terminated=bool(terminated))
        more = {"scenario": self._scenario, "outcome": told}
        return observation, reward, terminated, truncated, {**info, **more}
