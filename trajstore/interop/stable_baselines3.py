"""Stable-Baselines3: record every episode of a ``VecEnv``, or of what a model learns from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from loguru import logger
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecCheckNan,
    VecEnv,
    VecEnvWrapper,
    VecMonitor,
    VecNormalize,
)

from trajstore.episode.playing import Step
from trajstore.errors import SchemaError
from trajstore.interop.batched import part
from trajstore.interop.watched import Cut, Watched
from trajstore.recording.recorder import Recorder

_TERMINAL, _TIMED_OUT = "terminal_observation", "TimeLimit.truncated"


class RecordEpisodes(VecEnvWrapper):
    """Records every episode of a ``VecEnv``; it changes nothing of what is seen.

    Episodes come in the order in which they end; of those that end in the same step, by the number
    of their environment. Where both happened at once, a ``VecEnv`` tells that an episode was
    terminated, and not that it was truncated. For a field ``seed`` each reset has to tell its
    seed: ``make_vec_env(id, n_envs=8, seed=0, wrapper_class=SeededResets)``.

    Args:
        venv: whose episodes are recorded; put it below ``VecNormalize``, to record what was seen.
        recorder: that was entered, with the schema of ``venv``: ``schema_of(venv)``.
        cut: what becomes of an episode that is reset before its end, ``drop`` or ``truncate``.

    Raises:
        SchemaError: if it is no ``VecEnv``; later, if a reset does not tell its seed, or a value
            does not fit the schema.
        ArgumentError: if ``cut`` is another word.
    """

    def __init__(self, venv: VecEnv, recorder: Recorder, *, cut: Cut = "drop") -> None:
        if not isinstance(venv, VecEnv):
            raise SchemaError(
                f"environment: expected a VecEnv of Stable-Baselines3, got {type(venv).__name__}; "
                "make one: stable_baselines3.common.env_util.make_vec_env(...)"
            )
        super().__init__(venv)
        self.recorder, self._inner = recorder, _unwrapped(venv)
        names = [f"environment {number}" for number in range(venv.num_envs)]
        self._watched = [Watched(recorder, cut, name) for name in names]
        self._actions: Any = None

    @property
    def dropped(self) -> int:
        """How many episodes were cut and dropped."""
        return sum(it.dropped for it in self._watched)

    def reset(self) -> Any:  # noqa: ANN401
        """Reset all environments; the episodes under way are cut."""
        seeds = list(getattr(self._inner, "_seeds", None) or [None] * self.num_envs)
        observations = self.venv.reset()
        self.went_on(observations, seeds)
        return observations

    def went_on(self, observations: Any, seeds: Sequence[int | None]) -> None:  # noqa: ANN401
        """All environments were reset, with these seeds where they are known."""
        for number in range(len(self._watched)):
            self._begin(number, observations, seeds[number])

    def step_async(self, actions: np.ndarray) -> None:
        """Begin to step all environments."""
        for number, watched in enumerate(self._watched):
            watched.acted(part(self.action_space, actions, number))
        self.venv.step_async(actions)

    def step_wait(self) -> Any:  # noqa: ANN401
        """Wait for the step, and note what each environment did."""
        observations, rewards, dones, infos = self.venv.step_wait()
        for number, watched in enumerate(self._watched):
            done, info = bool(dones[number]), infos[number]
            truncated = done and bool(info.get(_TIMED_OUT, False))
            last = part(self.observation_space, observations, number)
            if done:
                last = self._last(info, number)
            ends = done and not truncated, truncated
            watched.stepped(Step(last, rewards[number], *ends, info))
            if done:
                self._begin(number, observations, None)
        return observations, rewards, dones, infos

    def close(self) -> None:
        """Cut the episodes under way, and close the environments."""
        self.cut()
        self.venv.close()

    def cut(self) -> None:
        """Nothing more will come of the episodes under way."""
        for watched in self._watched:
            watched.cut()

    def _begin(self, number: int, observations: Any, seed: int | None) -> None:  # noqa: ANN401
        first = part(self.observation_space, observations, number)
        info = self._inner.reset_infos[number] or {}
        self._watched[number].began(first, info, seed)

    def _last(self, info: dict[str, Any], number: int) -> Any:  # noqa: ANN401
        if info.get(_TERMINAL) is None:
            raise SchemaError(
                f"environment {number}: does not report the last observation of its episode; "
                f"have the VecEnv put it into info as {_TERMINAL!r}"
            )
        return info[_TERMINAL]


class RecordCallback(BaseCallback):
    """Records every episode that a model learns from: ``model.learn(..., callback=...)``.

    It puts `RecordEpisodes` around the innermost ``VecEnv`` while the model learns: recorded is
    what the environments return, before ``VecNormalize`` and the like. The episodes under way at
    the end are cut.

    Args:
        recorder: that was entered, with the schema of that ``VecEnv``:
            ``schema_of(model.get_env().unwrapped)``.
        cut: what becomes of an episode that is cut, ``drop`` or ``truncate``.

    Raises:
        SchemaError: from ``learn``, as of `RecordEpisodes`.
    """

    def __init__(self, recorder: Recorder, *, cut: Cut = "drop") -> None:
        super().__init__()
        self._recorder, self._cut = recorder, cut
        self._within: RecordEpisodes | None = None
        self._before: Any = None

    def _on_training_start(self) -> None:
        outer: Any = self.model.get_env()
        innermost = _unwrapped(outer)
        first = _first_seen(outer, self.model._last_obs) if not self.model.num_timesteps else None
        self._within = _Within(innermost, self._recorder, cut=self._cut)
        self._before = self._put(self._within)
        if first is None:
            logger.info("the episodes under way are recorded from their next reset on")
        else:
            self._within.went_on(first, [None] * innermost.num_envs)

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        if self._within is not None:
            self._within.cut()
            self._put(self._before)
            self._within = None

    def _put(self, innermost: VecEnv) -> VecEnv:
        """Put another environment below the model's wrappers; returns what stood there before."""
        above: Any = None
        env: Any = self.model.get_env()
        while isinstance(env, VecEnvWrapper) and not isinstance(env, _Within):
            above, env = env, env.venv
        if above is None:
            self.model.env = innermost
        else:
            above.venv = innermost
        stale = isinstance(env, _Within)  # of a learning that an error has ended
        found: VecEnv = _unwrapped(env) if stale else env
        return found


class _Within(RecordEpisodes):
    """What the callback puts around the innermost environment, and takes away again.

    One that an error has left there, with its recorder closed, records nothing more.
    """

    def reset(self) -> Any:  # noqa: ANN401
        """Reset all environments; the episodes under way are cut."""
        if not self.recorder.is_open:
            self._watched.clear()
        return super().reset()


def _unwrapped(venv: Any) -> Any:  # noqa: ANN401
    while isinstance(venv, VecEnvWrapper):
        venv = venv.venv
    return venv


def _first_seen(outer: VecEnv, seen: Any) -> Any:  # noqa: ANN401
    """What the innermost environments returned last, or ``None`` where wrappers hide it."""
    innermost = _unwrapped(outer)
    if isinstance(innermost, DummyVecEnv):
        return innermost._obs_from_buf()
    layer = outer
    while isinstance(layer, VecEnvWrapper):
        if isinstance(layer, VecNormalize):
            return layer.get_original_obs() if layer.venv is innermost else None
        if not isinstance(layer, VecMonitor | VecCheckNan | RecordEpisodes):
            return None
        layer = layer.venv
    return seen
