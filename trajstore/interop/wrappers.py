"""Wrappers of one Gymnasium environment: record every episode that is played; seed every reset."""

from copy import deepcopy
from typing import Any

import gymnasium as gym

from trajstore.episode.playing import Layers, begin, understood
from trajstore.interop.gymnasium import check_final, check_single
from trajstore.interop.watched import Cut, Seeds, Watched
from trajstore.recording.recorder import Recorder

Env = gym.Env[Any, Any]


class RecordEpisodes(gym.Wrapper[Any, Any, Any, Any]):
    """Records every episode that is played through it; it changes nothing of what is seen.

    A reset without a seed is given one, which follows from the last seed that was given, so that
    each episode can be played again. An episode becomes durable beside the loop, soon after its
    end; `Recorder.wait` returns when all are. ``close`` cuts the one under way.

    Args:
        env: any single Gymnasium environment.
        recorder: that was entered, with the schema of ``env``: ``schema_of(env)``.
        cut: what becomes of an episode that is reset before its end, ``drop`` or ``truncate``.

    Example::

        with Store("store").record("pendulum", schema=schema_of(env), provenance=...) as recorder:
            env = RecordEpisodes(env, recorder)
            train(env)
            env.close()

    Raises:
        SchemaError: if it is no single environment; later, if a value does not fit the schema, or
            the environment resets itself and hides how an episode ended. What does not fit is not
            recorded, and the call raises.
        ArgumentError: if ``cut`` is another word.
    """

    def __init__(self, env: Env, recorder: Recorder, *, cut: Cut = "drop") -> None:
        check_single(env)
        super().__init__(env)
        self._watched = Watched(recorder, cut, "the environment")
        self._seeds = Seeds()
        self._over = False
        self._within = Layers(env)
        self._resets_later = any(type(it).__name__ == "Autoreset" for it in _layers(env))

    @property
    def dropped(self) -> int:
        """How many episodes were cut and dropped."""
        return self._watched.dropped

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset the environment; an episode under way is cut."""
        self._watched.cut()
        chosen = self._seeds.next(seed)
        observation, info = begin(self.env, chosen, options)
        self._watched.began(observation, info, chosen)
        self._over, self._within = False, Layers(self.env)
        return observation, info

    def step(self, action: Any) -> Any:  # noqa: ANN401
        """Take one step, and note it."""
        resets = self._over and self._resets_later
        if not resets:
            self._watched.acted(action)
        result = self._within.step(self.env, action)
        step = understood(result)
        observation, _, _, _, info = result
        self._over = bool(step.terminated or step.truncated)
        if resets:
            self._watched.began(observation, info, None)
            self._within = Layers(self.env)
        else:
            if not step.final:
                self._within.check(ended=self._over)
            self._watched.stepped(step)
        if step.final:
            self._watched.began(observation, info, None)
        elif self._over:
            check_final(self.env)
        return result

    def close(self) -> None:
        """Cut the episode under way, and close the environment."""
        self._watched.cut()
        self.env.close()  # type: ignore[no-untyped-call]


class SeededResets(gym.Wrapper[Any, Any, Any, Any]):
    """Gives each reset a seed, and tells it in ``info``, so that every episode can be replayed.

    Put it around each environment of a vector environment, which resets them by itself:
    ``gym.make_vec(id, num_envs=8, wrappers=[SeededResets])``. A reset with a seed takes that one;
    those without have seeds that follow from the last one that was given. What an episode ends with
    is copied: who resets at once would else hand on what the reset has overwritten, where an
    environment reuses its buffers.

    Args:
        env: any single Gymnasium environment.
        seed: from which the seeds follow until one is given; drawn if ``None``.
    """

    def __init__(self, env: Env, seed: int | None = None) -> None:
        super().__init__(env)
        self._seeds = Seeds(seed)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset with a seed, which is in ``info``."""
        chosen = self._seeds.next(seed)
        observation, info = self.env.reset(seed=chosen, options=options)
        return observation, {**info, "seed": chosen}

    def step(self, action: Any) -> Any:  # noqa: ANN401
        """Take one step."""
        result = self.env.step(action)
        return deepcopy(result) if result[2] or result[3] else result


def _layers(env: Any) -> list[Any]:  # noqa: ANN401
    layers = [env]
    while isinstance(env, gym.Wrapper):
        env = env.env
        layers.append(env)
    return layers
