"""Behavioural cloning takes our batches as they are, and sees what was recorded."""

import gymnasium as gym
import numpy as np
import pytest
from imitation.data import types

from tests import factories
from trajstore.dataset import Dataset
from trajstore.interop.imitation import TransitionBatches, trajectories


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    target = tmp_path_factory.mktemp("imitation") / "v1"
    factories.dataset(target, count=12)
    return Dataset.open(target)


def test_trajectories_are_the_episodes(dataset):
    for trajectory, episode in zip(trajectories(dataset), dataset, strict=True):
        np.testing.assert_array_equal(trajectory.obs, episode["observation"])
        np.testing.assert_array_equal(trajectory.acts, episode["action"])
        np.testing.assert_array_equal(trajectory.rews.astype("float32"), episode["reward"])
        assert trajectory.terminal == episode["terminated"][-1]


def test_where_chooses_trajectories(dataset):
    chosen = trajectories(dataset, where=lambda table: table["length"] > 20)
    assert [len(it) for it in chosen] == [int(it) for it in dataset.lengths if it > 20]


def test_each_pass_has_whole_batches_in_another_order(dataset):
    batches = TransitionBatches(dataset, 32, rng=np.random.default_rng(0))
    first, second = list(batches), list(batches)
    assert len(first) == len(second) == len(batches) == dataset.steps // 32
    assert all(len(batch["acts"]) == 32 for batch in first)
    assert not np.array_equal(first[0]["acts"], second[0]["acts"])


def test_nested_observations_become_dict_observations(tmp_path):
    from tests.trajstore.interop.test_exchange import version

    nested = version(tmp_path / "v1", "nested")
    batch = next(iter(TransitionBatches(nested, 8, rng=np.random.default_rng(0))))
    assert isinstance(batch["obs"], types.DictObs)
    assert batch["next_obs"].get("picture").shape == (8, 40, 40, 3)


def test_too_few_steps_for_a_batch_are_refused(dataset):
    with pytest.raises(ValueError, match="there are fewer steps than that"):
        TransitionBatches(dataset, 100_000, rng=np.random.default_rng(0))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Converting a tensor:UserWarning")
def test_cloning_learns_from_streamed_batches(dataset, tmp_path):
    from imitation.algorithms import bc
    from imitation.util import logger
    from stable_baselines3.common.policies import ActorCriticPolicy

    observation_space = gym.spaces.Box(-100, 100, (4,))
    action_space = gym.spaces.Box(-1, 1, (2,))
    log = logger.configure(tmp_path, format_strs=[])
    cloner = bc.BC(
        custom_logger=log,
        observation_space=observation_space,
        action_space=action_space,
        rng=np.random.default_rng(0),
        policy=ActorCriticPolicy(observation_space, action_space, lambda _: 1e-3),
        demonstrations=TransitionBatches(dataset, 32, rng=np.random.default_rng(0)),
        batch_size=32,
    )
    before = [parameter.clone() for parameter in cloner.policy.parameters()]
    cloner.train(n_epochs=2, progress_bar=False, log_interval=10_000)
    moved = [
        not bool((a == b).all()) for a, b in zip(before, cloner.policy.parameters(), strict=True)
    ]
    log.close()
    assert any(moved)
