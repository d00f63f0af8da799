"""What a model of Stable-Baselines3 learns from is recorded, and the learning stays the same."""

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("stable_baselines3")
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecNormalize

from tests.trajstore.interop.test_recorded_loops import Rooms
from trajstore.errors import SchemaError
from trajstore.interop.gymnasium import schema_of
from trajstore.interop.stable_baselines3 import RecordCallback, RecordEpisodes
from trajstore.interop.wrappers import SeededResets
from trajstore.quality.replay import verify_replay
from trajstore.store import Store

PROVENANCE = {"environment": {"id": "CartPole-v1"}}
SETTINGS = {"n_steps": 64, "batch_size": 64, "n_epochs": 1, "seed": 0, "device": "cpu"}


def poles(count=2, **more):
    return make_vec_env("CartPole-v1", count, seed=0, wrapper_class=SeededResets, **more)


def replayed(path: Path) -> int:
    dataset = Store(path).open("poles@v1")
    report = verify_replay(dataset, lambda _: gym.make("CartPole-v1"))
    assert not report.differences and report.equal == len(dataset)
    return report.equal


def recorder_of(path: Path, venv):
    return Store(path).record("poles", schema=schema_of(venv), provenance=PROVENANCE)


@pytest.mark.parametrize("kind", [DummyVecEnv, SubprocVecEnv])
def test_every_episode_of_a_vec_env_plays_again_equal(tmp_path: Path, kind):
    venv = poles(3, vec_env_cls=kind)
    with recorder_of(tmp_path, venv) as recorder:
        assert recorder.schema.field("reward").dtype == "float32"
        env = RecordEpisodes(venv, recorder)
        env.reset()
        ends = 0
        for step in range(80):
            _, _, dones, infos = env.step(np.array([step % 2, step % 3 == 0, 1]))
            ends += int(dones.sum())
            assert len(infos) == 3
        env.close()
        assert env.dropped <= 3
    assert replayed(tmp_path) == ends > 5


@pytest.mark.parametrize("around", [lambda it: it, VecNormalize], ids=["plain", "normalized"])
def test_learning_is_recorded_and_stays_the_same(tmp_path: Path, around):
    def learned(*callbacks):
        model = PPO("MlpPolicy", around(poles()), **SETTINGS)
        for callback in callbacks:
            model.learn(300, callback=callback, reset_num_timesteps=model.num_timesteps == 0)
        return model

    with recorder_of(tmp_path, poles()) as recorder:
        watched = learned(RecordCallback(recorder), RecordCallback(recorder))
    plain = learned(None, None)
    assert replayed(tmp_path) > 10
    assert type(watched.get_env()) is type(plain.get_env())
    for one, other in zip(plain.policy.parameters(), watched.policy.parameters(), strict=True):
        assert (one == other).all()
    seeds = [int(it["seed"]) for it in Store(tmp_path).open("poles@v1")]
    assert 0 in seeds and len(seeds) == len(set(seeds))


def test_a_learning_that_fails_leaves_a_model_that_can_learn_on(tmp_path: Path):
    venv = poles()

    class Stops(RecordCallback):
        def _on_step(self) -> bool:
            if self.n_calls > 40:
                raise KeyboardInterrupt
            return True

    model = DQN("MlpPolicy", venv, learning_starts=10, seed=0, device="cpu")
    with pytest.raises(KeyboardInterrupt), recorder_of(tmp_path, venv) as recorder:
        model.learn(400, callback=Stops(recorder))
    with recorder_of(tmp_path, venv) as recorder:
        before = recorder.episodes
        model.learn(200, callback=RecordCallback(recorder))
    assert model.get_env() is venv
    assert replayed(tmp_path) > before


def test_what_is_no_vec_env_is_named(tmp_path: Path):
    with pytest.raises(SchemaError, match="expected a VecEnv of Stable-Baselines3, got Rooms"):
        RecordEpisodes(Rooms(), None)
