"""Any Gymnasium environment as a task: a registered id, or what a function of the user builds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from typing import Annotated, Any

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import TimeLimit  # type: ignore[attr-defined]
from msgspec import Meta
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from pipelines.running.params import ParamsError, distinct
from pipelines.tasks.coding import Coding
from pipelines.tasks.task import (
    RETURN,
    TRAINING_SEEDS,
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

    Attributes:
        id: registered with Gymnasium, or ``package.module:function``.
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
        return _Told(self._bare(), self)

    def _bare(self) -> gym.Env[Any, Any]:
        if ":" in self.id and self.id not in gym.registry:
            try:
                env = imported(self.id)(**self.kwargs)
            except TypeError as error:
                raise ParamsError(
                    f"params: env.kwargs: expected what {self.id} takes, got {error}; correct them"
                ) from error
            if not isinstance(env, gym.Env):
                raise ParamsError(
                    f"params: env.id: expected {self.id} to build a gymnasium.Env, got "
                    f"{type(env).__name__}; return one"
                )
            return TimeLimit(env, self.horizon) if self.horizon else env
        steps = {"max_episode_steps": self.horizon} if self.horizon else {}
        try:
            return gym.make(self.id, **{**self.kwargs, **steps})
        except (gym.error.Error, TypeError, ModuleNotFoundError) as error:
            raise ParamsError(
                f"params: env.id: expected an environment that Gymnasium makes with these kwargs, "
                f"got {self.id!r} ({error}); correct the name, or install what it needs"
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
        vec = DummyVecEnv([lambda: _Coded(self.make(), self) for _ in range(count)])
        vec.seed(seed)
        return vec

    @cached_property
    def _schema(self) -> EpisodeSchema:
        return schema_of(self._sample, extra=LABELS)

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
        if ":" not in self.id:
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


class _Coded(gym.Wrapper[Any, Any, Any, Any]):
    """In coded observations and actions; episodes draw their seeds as training may."""

    def __init__(self, env: gym.Env[Any, Any], task: GymTask) -> None:
        super().__init__(env)
        self._coding, self._names = task.coding, task.scenarios
        self.observation_space, self.action_space = self._coding.spaces()
        self._draws = np.random.default_rng(0)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; a seed starts the draws anew."""
        if seed is not None:
            self._draws = np.random.default_rng(seed)
        if self._names:
            options = {"scenario": self._names[int(self._draws.integers(len(self._names)))]}
        drawn = int(self._draws.integers(*TRAINING_SEEDS))
        observation, info = self.env.reset(seed=drawn, options=options)
        return self._coding.seen(observation), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:  # noqa: ANN401
        """One step by a coded action."""
        decoded = self._coding.decode(np.asarray(action)[None])[0]
        observation, reward, *ends, info = self.env.step(decoded)
        return self._coding.seen(observation), float(reward), *ends, info  # type: ignore[return-value]


def imported(name: str, key: str = "env.id") -> Any:  # noqa: ANN401 - whatever the user names
    """The function ``package.module:function`` that the parameters, the user's own code, name."""
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ParamsError(
            f"params: {key}: expected a function that can be imported, got {name!r} ({error}); "
            "install its module, or put its folder on PYTHONPATH"
        ) from error
    if not callable(found):
        raise ParamsError(f"params: {key}: expected a function, got {name!r}; name another")
    return found
