"""One environment, two doors: Gymnasium's and Stable-Baselines3's.

Both pass their library's checker and give the same episode to the bit for the same scenario,
seed and actions; an episode's last observation is not lost; what does not exist is refused by name.
"""

import pickle
from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as check_gymnasium
from stable_baselines3.common.env_checker import check_env as check_sb3

from pipelines.tasks.make import make_env, make_vec_env
from pipelines.tasks.social_nav.config import EnvConfig, RewardWeights
from pipelines.tasks.social_nav.scenarios import scenario_names
from pipelines.tasks.social_nav.schema import SCENE
from pipelines.tasks.social_nav.social_nav import SocialNavEnv
from trajstore.episode.schema import Axis

GRID = EnvConfig(observation="grid", scenarios=("narrow_doorway/medium",))


class Comparable(SocialNavEnv):
    """The environment, where nobody is far away instead of nowhere.

    Gymnasium compares what two steps tell, and since 1.4 finds ``nan`` unequal to itself.
    """

    def _info(self) -> dict[str, Any]:
        return {name: np.nan_to_num(value, nan=1e9) for name, value in super()._info().items()}


@pytest.mark.parametrize("config", [EnvConfig(), GRID], ids=["vector", "grid"])
def test_gymnasium_accepts_the_environment(config: EnvConfig) -> None:
    check_gymnasium(Comparable(config), skip_render_check=True)


@pytest.mark.parametrize("config", [EnvConfig(), GRID], ids=["vector", "grid"])
@pytest.mark.filterwarnings("ignore:Your observation grid has an unconventional shape")
def test_stable_baselines3_accepts_the_environment(config: EnvConfig) -> None:
    check_sb3(SocialNavEnv(config), skip_render_check=True)


def episodes_of_a_batch(config: EnvConfig, count: int) -> list[dict[str, Any]]:
    """The first episodes that end in a batch: names, actions, observations, rewards."""
    env = make_vec_env(config, num_envs=7, seed=3)
    rng = np.random.default_rng(0)
    seen = [[row] for row in env.reset()]  # type: ignore[union-attr]
    names = [(info["scenario"], info["seed"]) for info in env.reset_infos]
    actions: list[list[np.ndarray]] = [[] for _ in seen]
    rewards: list[list[float]] = [[] for _ in seen]
    ended: list[dict[str, Any]] = []
    while len(ended) < count:
        action = rng.uniform(-1, 1, (7, 2)).astype(np.float32)
        action[:, 0] = np.abs(action[:, 0])
        observations, reward, ends, infos = env.step(action)
        for row in range(7):
            actions[row].append(action[row])
            rewards[row].append(float(reward[row]))
            last = infos[row].get("terminal_observation", observations[row])
            seen[row].append(last)
            if ends[row]:
                ended.append(
                    {"names": names[row], "info": infos[row], "rewards": rewards[row]}
                    | {"seen": seen[row], "actions": actions[row]}
                )
                seen[row], actions[row], rewards[row] = [observations[row]], [], []
                names[row] = (env.worlds.episodes[row][0].name, env.worlds.episodes[row][1])
    return ended


def test_alone_and_in_a_batch_the_episode_is_the_same_to_the_bit() -> None:
    env = SocialNavEnv()
    for episode in episodes_of_a_batch(EnvConfig(horizon=250), 20):
        scenario, seed = episode["names"]
        observation, _ = env.reset(seed=seed, options={"scenario": scenario})
        seen, rewards = [observation], []
        for action in episode["actions"]:
            observation, reward, terminated, truncated, info = env.step(action)
            seen.append(observation)
            rewards.append(np.float32(reward))
        assert np.array(seen).tobytes() == np.array(episode["seen"]).tobytes()
        assert np.float32(rewards).tobytes() == np.float32(episode["rewards"]).tobytes()
        assert terminated or truncated
        last = episode["info"]
        assert (last["scenario"], last["seed"]) == (scenario, seed)
        assert last["outcome"] == info["outcome"]
        assert last["TimeLimit.truncated"] == truncated
        assert last["success"] == (info["outcome"] == "goal")
        assert last["episode"]["l"] == len(rewards)
        assert last["episode"]["r"] == pytest.approx(float(np.sum(rewards)), abs=1e-4)


def test_time_out_truncates() -> None:
    env = make_env(EnvConfig(horizon=4))
    env.reset(seed=1)
    ends = [env.step(np.float32([-1, 0]))[2:4] for _ in range(4)]
    assert ends == [(False, False)] * 3 + [(False, True)]


def test_a_batch_starts_with_other_episodes_in_each_world_and_for_each_seed() -> None:
    one, other = (make_vec_env(EnvConfig(), num_envs=5, seed=seed) for seed in (0, 1))
    one.reset()
    other.reset()
    seeds = [info["seed"] for env in (one, other) for info in env.reset_infos]
    assert len(set(seeds)) == 10
    assert all(10_000_000 <= seed < 2**31 for seed in seeds)


def test_the_same_seed_starts_a_batch_the_same_way() -> None:
    one, other = (make_vec_env(EnvConfig(), num_envs=3, seed=8) for _ in range(2))
    assert np.array_equal(one.reset(), other.reset())  # type: ignore[arg-type]
    one.seed(4)
    other.seed(4)
    assert np.array_equal(one.reset(), other.reset())  # type: ignore[arg-type]


def test_a_batch_takes_the_scenario_from_its_options() -> None:
    env = make_vec_env(EnvConfig(), num_envs=2, seed=0)
    env.set_options({"scenario": "blind_corner/low"})
    env.reset()
    assert [info["scenario"] for info in env.reset_infos] == ["blind_corner/low"] * 2


def test_the_grid_shows_walls_and_people() -> None:
    env = make_vec_env(GRID, num_envs=2, seed=0)
    observation = env.reset()
    assert isinstance(observation, dict)
    assert observation["grid"].shape == (2, 64, 64)
    assert set(np.unique(observation["grid"])) == {0, 128, 255}


def test_info_carries_the_scene_that_datasets_keep() -> None:
    env = SocialNavEnv()
    _, info = env.reset(seed=2)
    for field in SCENE:
        assert np.shape(info[field.name]) == field.shape, field.name
        assert info[field.name].dtype == field.dtype, field.name
    assert {field.axis for field in SCENE} == {Axis.STATE, Axis.STEP, Axis.EPISODE}


def test_a_pickled_environment_goes_on_as_the_original() -> None:
    env = SocialNavEnv()
    env.reset(seed=6)
    env.step(np.float32([1, 0.2]))
    other = pickle.loads(pickle.dumps(env))  # noqa: S301
    for _ in range(20):
        one, two = (each.step(np.float32([0.5, -0.1])) for each in (env, other))
        assert one[0].tobytes() == two[0].tobytes()
        assert one[1] == two[1]


def test_a_reset_without_a_seed_draws_another_episode() -> None:
    env = make_env("SocialNav-v0", seed=3)
    seeds = [env.reset()[1]["seed"] for _ in range(3)]
    again = make_env("SocialNav-v0", seed=3)
    assert len(set(seeds)) == 3
    assert [again.reset()[1]["seed"] for _ in range(3)] == seeds


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1"])
def test_any_registered_environment_can_be_made(name: str) -> None:
    env = make_env(name, seed=1)
    assert env.spec is not None
    assert env.spec.id == name


def test_an_environment_that_nobody_registered_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected SocialNav-v0 or .*got 'Nowhere-v3'"):
        make_env("Nowhere-v3")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"observation": "pixels"}, "expected 'vector' or 'grid', got 'pixels'"),
        ({"horizon": 0}, "horizon: expected at least 1 step, got 0"),
        ({"goal_radius": -1.0}, r"goal_radius: expected a length in \(0, 2\] m, got -1.0"),
        ({"scenarios": "blind_corner/low"}, "expected a tuple of names, got the text"),
        ({"scenarios": ("lobby/low",)}, "expected one of .* got 'lobby/low'"),
    ],
)
def test_a_wrong_configuration_is_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make_env(EnvConfig(**changes))


def test_an_unknown_scenario_in_the_options_is_refused() -> None:
    with pytest.raises(ValueError, match="got 'lobby/low'"):
        SocialNavEnv().reset(options={"scenario": "lobby/low"})


def test_the_reward_follows_its_weights() -> None:
    plain, double = (
        SocialNavEnv(EnvConfig(reward=RewardWeights(progress=p, step=0.0))) for p in (1.0, 2.0)
    )
    options = {"scenario": scenario_names()[0]}
    plain.reset(seed=4, options=options)
    double.reset(seed=4, options=options)
    ahead = np.float32([1, 0])
    rewards = [(plain.step(ahead)[1], double.step(ahead)[1]) for _ in range(5)]
    assert all(twice == pytest.approx(2 * once) for once, twice in rewards)
