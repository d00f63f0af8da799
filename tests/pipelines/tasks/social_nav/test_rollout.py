"""A fixed list of episodes is played to its end, each as if it were alone, and recorded whole."""

import subprocess
import sys

import numpy as np
import pytest

from pipelines.tasks.make import make_env
from pipelines.tasks.social_nav.config import EnvConfig
from pipelines.tasks.social_nav.robots import ROBOTS, social_force, straight
from pipelines.tasks.social_nav.rollout import record_rollout, rollout
from pipelines.tasks.social_nav.scenarios import scenario_names
from pipelines.tasks.social_nav.schema import episode_schema
from trajstore.episode.schema import EpisodeSchema

CONFIG = EnvConfig()
EPISODES = [(name, 700 + turn) for turn in range(2) for name in scenario_names()]


def test_rows_come_in_the_order_of_the_list() -> None:
    rows = rollout(straight, EPISODES, CONFIG)
    assert [(row.scenario, row.seed) for row in rows] == EPISODES
    assert all(row.success == (row.outcome == "goal") for row in rows)
    assert all(row.collision == row.outcome.startswith("collision") for row in rows)
    assert all(1 <= row.steps <= CONFIG.horizon for row in rows)


def test_the_order_of_the_list_plays_no_part() -> None:
    forward = record_rollout(social_force, EPISODES, CONFIG)
    backward = record_rollout(social_force, EPISODES[::-1], CONFIG)[::-1]
    few = record_rollout(social_force, EPISODES[5:8], CONFIG)
    digests = [episode.digest for episode in forward]
    assert digests == [episode.digest for episode in backward]
    assert digests[5:8] == [episode.digest for episode in few]
    assert len(set(digests)) == len(EPISODES)


def test_recorded_episodes_say_what_their_rows_say() -> None:
    rows = rollout(social_force, EPISODES, CONFIG)
    episodes = record_rollout(social_force, EPISODES, CONFIG)
    for row, episode in zip(rows, episodes, strict=True):
        assert str(episode["scenario"]) == row.scenario
        assert int(episode["seed"]) == row.seed
        assert str(episode["outcome"]) == row.outcome
        assert len(episode) == row.steps
        assert float(episode["reward"].sum()) == pytest.approx(row.total_reward, abs=1e-4)
        assert bool(episode["terminated"][-1]) == (row.outcome != "timeout")


def test_a_recorded_episode_replays_to_the_bit() -> None:
    env = make_env(CONFIG)
    for episode in record_rollout(social_force, EPISODES[::6], CONFIG):
        options = {"scenario": str(episode["scenario"])}
        seen = [env.reset(seed=int(episode["seed"]), options=options)[0]]
        rewards, poses = [], []
        for action in episode["action"]:
            observation, reward, *_, info = env.step(action)
            seen.append(observation)
            rewards.append(reward)
            poses.append(info["robot_pose"])
        assert np.array_equal(seen, episode["observation"])
        assert np.array_equal(np.float32(rewards), episode["reward"])
        assert np.array_equal(poses, episode["robot_pose"][1:])


def test_the_clearance_is_that_of_the_recorded_scene() -> None:
    for episode in record_rollout(social_force, EPISODES[:10], CONFIG):
        offset = episode["pedestrian_position"] - episode["robot_pose"][:, None, :2]
        nearest = np.nanmin(np.linalg.norm(offset, axis=2), axis=1) - 0.6
        assert np.minimum(nearest[1:], 10.0) == pytest.approx(episode["clearance"], abs=1e-5)


def test_the_grid_is_recorded_beside_the_vector() -> None:
    config = EnvConfig(observation="grid", horizon=20)
    (episode,) = record_rollout(social_force, EPISODES[:1], config)
    assert episode["observation/grid"].shape == (len(episode) + 1, 64, 64)
    assert episode["observation/vector"].shape == (len(episode) + 1, 56)


@pytest.mark.parametrize("config", [CONFIG, EnvConfig(observation="grid")], ids=["vector", "grid"])
def test_the_schema_survives_json(config: EnvConfig) -> None:
    schema = episode_schema(config)
    assert EpisodeSchema.from_json(schema.to_json()).digest == schema.digest


def test_an_unknown_scenario_is_refused_before_anything_is_played() -> None:
    with pytest.raises(ValueError, match="got 'lobby/low'"):
        rollout(straight, [("lobby/low", 1)], CONFIG)


@pytest.mark.parametrize("name", ROBOTS)
def test_scripted_robots_keep_to_the_action_space(name: str) -> None:
    seen = np.random.default_rng(0).uniform(-2, 2, (50, 56)).astype(np.float32)
    actions = ROBOTS[name](seen)
    assert actions.shape == (50, 2)
    assert actions.dtype == np.float32
    assert np.abs(actions).max() <= 1.0


PLAYED = [("blind_corner/low", 3), ("frontal_approach/high", 3)]
UNCOMPILED = f"""
from pipelines.tasks.social_nav.config import EnvConfig
from pipelines.tasks.social_nav.robots import straight
from pipelines.tasks.social_nav.rollout import record_rollout
print([episode.digest for episode in record_rollout(straight, {PLAYED}, EnvConfig())])
"""


@pytest.mark.slow
def test_uncompiled_the_same_episodes_are_played_to_the_bit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    told = subprocess.run(
        [sys.executable, "-c", UNCOMPILED], capture_output=True, text=True, check=True
    ).stdout
    episodes = record_rollout(straight, PLAYED, CONFIG)
    assert told.strip() == str([episode.digest for episode in episodes])
