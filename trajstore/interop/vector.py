"""Gymnasium's vector environments: record every episode of each of theirs."""

from enum import StrEnum
from typing import Any

import gymnasium as gym
import numpy as np

from trajstore.episode.playing import Step
from trajstore.errors import SchemaError
from trajstore.interop.batched import ending_of, info_of, part
from trajstore.interop.watched import Cut, Watched
from trajstore.recording.recorder import Recorder

_Wrapper: Any = getattr(gym.vector, "VectorWrapper", None) or gym.vector.VectorEnvWrapper  # type: ignore[attr-defined]
_IS_OLD = gym.__version__.startswith("0.")
Result = tuple[Any, Any, Any, Any, dict[str, Any]]


class Mode(StrEnum):
    """When a vector environment resets one of its environments whose episode has ended."""

    NEXT_STEP = "nextstep"
    """The next step resets it, whatever the action is; its reward is 0."""
    SAME_STEP = "samestep"
    """At once; the last observation is in ``info``."""
    DISABLED = "disabled"
    """Whoever steps it resets it, with ``options={"reset_mask": ...}``."""


class RecordEpisodes(_Wrapper):  # type: ignore[misc]
    """Records every episode of a vector environment; it changes nothing of what is seen.

    Episodes come in the order in which they end; of those that end in the same step, by the number
    of their environment. Works with Gymnasium 0.29 and with each autoreset mode of 1.x. For a
    field ``seed`` each reset has to tell its seed: see `SeededResets`.

    Args:
        env: of ``gym.make_vec``, a ``SyncVectorEnv`` or ``AsyncVectorEnv``, or another one.
        recorder: that was entered, with the schema of ``env``: ``schema_of(env)``.
        cut: what becomes of an episode that is reset before its end, ``drop`` or ``truncate``.

    Raises:
        SchemaError: if it is no vector environment; later, if a reset does not tell its seed, a
            value does not fit the schema, or a last observation is not told.
        ArgumentError: if ``cut`` is another word.
    """

    def __init__(self, env: Any, recorder: Recorder, *, cut: Cut = "drop") -> None:  # noqa: ANN401
        if not isinstance(env, gym.vector.VectorEnv):
            raise SchemaError(
                f"environment: expected a vector environment of gymnasium, got {type(env).__name__}"
                "; put this right around the vector environment; for a single one there is "
                "trajstore.interop.wrappers.RecordEpisodes"
            )
        super().__init__(env)
        inner: Any = env.unwrapped
        for name in _TAKEN_OVER - set(dir(_Wrapper)) if _IS_OLD else ():
            setattr(self, name, getattr(inner, name))
        self._count = int(inner.num_envs)
        self._mode = _mode(env)
        self._each_seeded = isinstance(inner, gym.vector.SyncVectorEnv | gym.vector.AsyncVectorEnv)
        names = [f"environment {number}" for number in range(self._count)]
        self._watched = [Watched(recorder, cut, name) for name in names]
        self._over = np.zeros(self._count, bool)

    def __del__(self) -> None:
        """Leave the environment to itself, as it may be used elsewhere."""

    @property
    def dropped(self) -> int:
        """How many episodes were cut and dropped."""
        return sum(it.dropped for it in self._watched)

    @property
    def closed(self) -> bool:
        """Whether the environment is closed."""
        return bool(self.env.closed)

    @closed.setter
    def closed(self, value: bool) -> None:
        self.env.closed = value

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401
        """Reset all environments, or those of ``options["reset_mask"]``; theirs are cut."""
        mask = (options or {}).get("reset_mask")
        return self._began(self.env.reset(seed=seed, options=options), seed, mask)

    def reset_wait(self, **given: Any) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401
        """Wait for the reset that ``reset_async`` has begun."""
        return self._began(self.env.reset_wait(**given), given.get("seed"), None)

    def step(self, actions: Any) -> Result:  # noqa: ANN401
        """Step all environments, and note what each did."""
        self._act(actions)
        return self._stepped(self.env.step(actions))

    def step_async(self, actions: Any) -> None:  # noqa: ANN401
        """Begin to step all environments."""
        self._act(actions)
        self.env.step_async(actions)

    def step_wait(self, **given: Any) -> Result:  # noqa: ANN401
        """Wait for the step that ``step_async`` has begun, and note it."""
        return self._stepped(self.env.step_wait(**given))

    def close(self, **given: Any) -> None:  # noqa: ANN401
        """Cut the episodes under way, and close the environments."""
        for watched in self._watched:
            watched.cut()
        self.env.close(**given)

    def _began(self, result: Any, seed: Any, mask: Any) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401
        observations, infos = result
        seeds = self._seeds(seed)
        for number in range(self._count) if mask is None else np.flatnonzero(mask):
            self._begin(int(number), observations, infos, seeds[number])
        return observations, infos

    def _begin(self, number: int, observations: Any, infos: Any, seed: int | None) -> None:  # noqa: ANN401
        watched = self._watched[number]
        self._over[number] = False
        first = part(self.single_observation_space, observations, number)
        watched.began(first, info_of(infos, watched.names, number), seed)

    def _seeds(self, seed: Any) -> list[int | None]:  # noqa: ANN401
        """The seed that each environment was reset with, where that is known."""
        if isinstance(seed, list | tuple | np.ndarray):
            return [None if it is None else int(it) for it in seed]
        if seed is None or not self._each_seeded:
            return [None] * self._count
        return [int(seed) + number for number in range(self._count)]

    def _act(self, actions: Any) -> None:  # noqa: ANN401
        for number, watched in enumerate(self._watched):
            if not self._over[number]:
                watched.acted(part(self.single_action_space, actions, number))

    def _stepped(self, result: Result) -> Result:
        observations, rewards, terminated, truncated, infos = result
        for number, watched in enumerate(self._watched):
            if self._over[number]:
                if self._mode is Mode.NEXT_STEP:
                    self._begin(number, observations, infos, None)
                continue
            over = bool(terminated[number] or truncated[number])
            resets = over and self._mode is Mode.SAME_STEP
            if resets:
                last, info = self._ending(infos, number)
            else:
                last = part(self.single_observation_space, observations, number)
                info = info_of(infos, watched.names, number)
            watched.stepped(
                Step(last, rewards[number], terminated[number], truncated[number], info)
            )
            self._over[number] = over
            if resets:
                self._begin(number, observations, infos, None)
        return result

    def _ending(self, infos: Any, number: int) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401
        found = ending_of(infos, self._watched[number].names, number)
        if found is None:
            raise SchemaError(
                f"environment {number}: does not report the last observation of its episode; "
                "have it put it into info as 'final_observation' (Gymnasium 0.29) or "
                "'final_obs' (1.x)"
            )
        return found


_TAKEN_OVER = {
    *("num_envs", "observation_space", "action_space", "single_observation_space"),
    *("single_action_space", "is_vector_env", "spec", "metadata", "render_mode"),
}
"""What a wrapper of Gymnasium 0.29 does not have of itself."""


def _mode(env: Any) -> Mode:  # noqa: ANN401
    """As the environment tells it; else as its Gymnasium does."""
    told = (env.metadata or {}).get("autoreset_mode")
    if told is None:
        return Mode.SAME_STEP if _IS_OLD else Mode.NEXT_STEP
    return Mode(str(getattr(told, "value", told)).lower().replace("_", ""))
