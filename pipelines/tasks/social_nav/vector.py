"""Many worlds as one Stable-Baselines3 vector environment."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from pipelines.tasks.social_nav.config import EnvConfig
from pipelines.tasks.social_nav.scenarios import find_scenario
from pipelines.tasks.social_nav.state import Outcome
from pipelines.tasks.social_nav.worlds import (
    Observation,
    Start,
    Worlds,
    action_space,
    observation_space,
    scenarios_of,
)
from pipelines.tasks.task import TRAINING_SEEDS

KEPT_FAILURES = 1024
"""So many episodes that failed last are kept to be played again."""
ENOUGH_FAILURES = 32
"""None is played again before so many are kept."""


class SocialNavVecEnv(VecEnv):
    """``num_envs`` worlds in one batch; an ended one starts its next episode at once.

    World ``i`` draws scenarios and episode seeds from a generator of its own, made of ``seed``
    and ``i``; scenarios evenly, until ``weigh`` says otherwise. With ``replay`` a share of the
    episodes are those that failed before, until they succeed. Infos are empty but for the last
    step of an episode: ``terminal_observation``, ``TimeLimit.truncated``, ``outcome``,
    ``success`` (also as ``is_success``), ``scenario``, ``seed``, ``robot_at_fault`` and
    ``episode`` with return ``r`` and length ``l``.
    """

    render_mode: str | None = None

    def __init__(self, config: EnvConfig, *, num_envs: int, seed: int = 0) -> None:
        self.config = config
        self.worlds = Worlds(num_envs, config)
        self._pool = scenarios_of(config)
        self._up_to: NDArray[np.float64] | None = None
        self._seed = seed
        self._replay_share = 0.0
        self._failed: dict[Start, None] = {}
        self._draws: list[np.random.Generator] = []
        self._returns = np.zeros(num_envs)
        self._actions = np.zeros((num_envs, 2), np.float32)
        super().__init__(num_envs, observation_space(config), action_space())
        self._start_draws([seed + i for i in range(num_envs)])

    def _start_draws(self, seeds: Sequence[int]) -> None:
        self._failed = {}
        self._draws = [
            np.random.Generator(np.random.PCG64(np.random.SeedSequence([int(seed), row])))
            for row, seed in enumerate(seeds)
        ]

    def _next_episode(self, row: int) -> Start:
        draws = self._draws[row]
        may_replay = self._replay_share > 0.0 and len(self._failed) >= ENOUGH_FAILURES
        if may_replay and draws.random() < self._replay_share:
            return list(self._failed)[int(draws.integers(len(self._failed)))]
        if self._up_to is None:
            index = int(draws.integers(len(self._pool)))
        else:
            index = int(np.searchsorted(self._up_to, draws.random(), side="right"))
        return self._pool[index], int(draws.integers(*TRAINING_SEEDS))

    def weigh(self, chances: Mapping[str, float]) -> None:
        """Draw the scenarios of further episodes with these chances; none draws evenly.

        Raises:
            ValueError: chances that are negative, all zero, or not of this environment's
                scenarios.
        """
        self._up_to = None
        if not chances:
            return
        names = [scenario.name for scenario in self._pool]
        row = np.array([chances.get(name, 0.0) for name in names])
        if set(chances) - set(names) or not (row >= 0.0).all() or row.sum() <= 0.0:
            raise ValueError(
                f"chances of scenarios: expected numbers of at least 0, not all 0, for some of "
                f"{names}, got {dict(chances)}; name scenarios of the configuration"
            )
        self._up_to = np.cumsum(row) / row.sum()
        self._up_to[-1] = 1.0

    def replay(self, share: float) -> None:
        """Let a share of further episodes be ones that failed, until they succeed.

        Failures come back with the same scenario and episode seed; a seed given to ``seed``
        forgets them. The idea is that of prioritised level replay (Jiang et al., 2021).

        Raises:
            ValueError: a share outside [0, 1].
        """
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"share of replayed episodes: expected 0 to 1, got {share}")
        self._replay_share = share

    def _judge(self, row: int) -> None:
        """Keep the ended episode of a world if it failed, let go of it if it succeeded."""
        episode = self.worlds.episodes[row]
        if self.worlds.states[row]["outcome"] == Outcome.GOAL:
            self._failed.pop(episode, None)
            return
        self._failed[episode] = None
        if len(self._failed) > KEPT_FAILURES:
            del self._failed[next(iter(self._failed))]

    def reset(self) -> Observation:  # type: ignore[override]
        """Start an episode everywhere; seeds and options given before count once."""
        if self._seeds[0] is not None:
            self._start_draws([seed for seed in self._seeds if seed is not None])
        episodes = {row: self._next_episode(row) for row in range(self.num_envs)}
        for row, options in enumerate(self._options):
            if "scenario" in options:
                episodes[row] = find_scenario(options["scenario"]), episodes[row][1]
        self._start(episodes)
        self.reset_infos = [
            {"scenario": scenario.name, "seed": seed} for scenario, seed in episodes.values()
        ]
        self._reset_seeds()
        self._reset_options()
        return self.worlds.observation()

    def _start(self, episodes: dict[int, Start]) -> None:
        self._returns[list(episodes)] = 0.0
        self.worlds.place(episodes)

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the actions, ``[num_envs, 2]``, for ``step_wait``."""
        self._actions = actions

    def step_wait(self) -> tuple[Observation, np.ndarray, np.ndarray, list[dict[str, Any]]]:  # type: ignore[override]
        """Observations, ``float32[N]`` rewards, ``bool[N]`` ends, infos."""
        self.worlds.advance(self._actions)
        states = self.worlds.states
        rewards = states["reward"].astype(np.float32)
        self._returns += states["reward"]
        ends = states["outcome"] != Outcome.RUNNING
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        ended = np.flatnonzero(ends).tolist()
        for row in ended:
            infos[row] = self.worlds.ending(row) | {
                "terminal_observation": self.worlds.observation(row),
                "TimeLimit.truncated": bool(states[row]["outcome"] == Outcome.TIMEOUT),
                "episode": {"r": float(self._returns[row]), "l": int(states[row]["time"])},
            }
            self._judge(row)
        if ended:
            self._start({row: self._next_episode(row) for row in ended})
        return self.worlds.observation(), rewards, ends, infos

    def close(self) -> None:
        """Nothing to release."""

    def get_attr(self, attr_name: str, indices: int | Iterable[int] | None = None) -> list[Any]:
        """The attribute of the batch, once for each chosen world."""
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(
        self, attr_name: str, value: object, indices: int | Iterable[int] | None = None
    ) -> None:
        """Set an attribute of the whole batch; a part of it is refused."""
        if len(list(self._get_indices(indices))) != self.num_envs:
            raise ValueError(
                f"set_attr {attr_name}: expected all {self.num_envs} worlds, got a part of them; "
                "leave out indices"
            )
        setattr(self, attr_name, value)

    def env_method(
        self,
        method_name: str,
        *method_args: object,
        indices: int | Iterable[int] | None = None,
        **method_kwargs: object,
    ) -> list[Any]:
        """Call a method of the batch once, and return the answer for each chosen world."""
        answer = getattr(self, method_name)(*method_args, **method_kwargs)
        return [answer for _ in self._get_indices(indices)]

    def env_is_wrapped(
        self, wrapper_class: type[Any], indices: int | Iterable[int] | None = None
    ) -> list[bool]:
        """Never."""
        return [False for _ in self._get_indices(indices)]
