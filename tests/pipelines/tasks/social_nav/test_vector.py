"""Which episodes the vector environment plays next."""

import numpy as np
import pytest

from pipelines.tasks.make import make_vec_env
from pipelines.tasks.social_nav.config import EnvConfig
from pipelines.tasks.social_nav.state import Outcome
from pipelines.tasks.social_nav.vector import SocialNavVecEnv


def test_weighed_scenarios_are_drawn_by_their_chances_and_none_draws_evenly_again() -> None:
    names = ("frontal_approach/low", "blind_corner/low", "crowd_navigation/low")
    env = make_vec_env(EnvConfig(scenarios=names), num_envs=300, seed=1)

    def drawn() -> list[int]:
        env.reset()
        shown = [info["scenario"] for info in env.reset_infos]
        return [shown.count(name) for name in names]

    env.weigh({names[0]: 1.0, names[2]: 3.0})
    first, second, third = drawn()
    assert second == 0
    assert 190 < third < 260
    assert first + third == 300
    env.weigh({})
    assert min(drawn()) > 60


@pytest.mark.parametrize("chances", [{"nowhere/low": 1.0}, {"blind_corner/low": -1.0}])
def test_chances_of_other_scenarios_or_below_zero_are_refused(chances: dict[str, float]) -> None:
    env = make_vec_env(EnvConfig(scenarios=("blind_corner/low",)), num_envs=2, seed=1)
    with pytest.raises(ValueError, match="chances of scenarios: expected numbers of at least 0"):
        env.weigh(chances)


def _play(env: SocialNavVecEnv, steps: int) -> list[tuple[str, int, bool]]:
    """Let every robot stand still; return what ended, in order."""
    ended = []
    for _ in range(steps):
        env.step_async(np.zeros((env.num_envs, 2), np.float32))
        _, _, _, infos = env.step_wait()
        ended += [(i["scenario"], i["seed"], i["success"]) for i in infos if i]
    return ended


def test_episodes_that_failed_are_played_again_and_a_seed_forgets_them() -> None:
    config = EnvConfig(scenarios=("blind_corner/low",), horizon=10)
    env = make_vec_env(config, num_envs=40, seed=1)
    env.replay(1.0)
    env.reset()
    first = _play(env, 10)
    second = _play(env, 10)
    assert not any(success for _, _, success in first)
    assert {seed for _, seed, _ in second} <= {seed for _, seed, _ in first}
    env.seed(1)
    env.reset()
    assert _play(env, 10) == first
    env.replay(0.0)
    assert not {seed for _, seed, _ in _play(env, 20)[40:]} & {seed for _, seed, _ in first}


def test_an_episode_that_succeeds_is_not_played_again(monkeypatch: pytest.MonkeyPatch) -> None:
    env = make_vec_env(EnvConfig(scenarios=("blind_corner/low",)), num_envs=2, seed=1)
    monkeypatch.setattr("pipelines.tasks.social_nav.vector.ENOUGH_FAILURES", 1)
    monkeypatch.setattr("pipelines.tasks.social_nav.vector.KEPT_FAILURES", 1)
    env.replay(1.0)
    env.reset()
    lost = [episode[1] for episode in env.worlds.episodes.values()]
    for row, outcome in ((0, Outcome.TIMEOUT), (1, Outcome.COLLISION_WALL)):
        env.worlds.states[row]["outcome"] = outcome
        env._judge(row)
    assert env._next_episode(0)[1] == lost[1]
    env.worlds.states[1]["outcome"] = Outcome.GOAL
    env._judge(1)
    assert env._next_episode(0)[1] not in lost


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_outside_of_nought_to_one_is_refused(share: float) -> None:
    env = make_vec_env(EnvConfig(), num_envs=2, seed=1)
    with pytest.raises(ValueError, match="share of replayed episodes: expected 0 to 1, got"):
        env.replay(share)
