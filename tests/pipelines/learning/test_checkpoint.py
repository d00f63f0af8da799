"""A checkpoint is whole or the one before it is there, and puts a learner where it was."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.learning.checkpoint import (
    RECORD,
    TENSORS,
    checkpoints,
    load_checkpoint,
    save_checkpoint,
)
from pipelines.learning.ppo import AveragedPPO, make_ppo
from pipelines.tasks.make import make_vec_env
from tests.pipelines import tiny
from tests.pipelines.learning.test_policy import KillAt, Killed
from trajstore.disk import system as disk
from trajstore.errors import CorruptionError, TrajStoreError

STORED = {"evaluations": [{"steps": 0}], "losses": [{"steps": 1, "value": 0.1}]}


@pytest.fixture(scope="module")
def env():
    return make_vec_env(tiny.ENV.config(), num_envs=2, seed=0)


def learner(env, *, seed: int = 0, steps: int = 16) -> AveragedPPO:
    """A learner that has taken one gradient step, so that Adam has moments."""
    model = make_ppo(env, tiny.PPO, seed=seed, total_steps=48)
    model.num_timesteps = steps
    model.best = {name: value + 1 for name, value in model.policy.state_dict().items()}
    rows = torch.ones(3, tiny.SIZE)
    sum(v.sum() for v in model.policy.evaluate_actions(rows, torch.zeros(3, 2))).backward()
    model.policy.optimizer.step()
    return model


def tensors(model: AveragedPPO) -> dict[str, torch.Tensor]:
    adam = model.policy.optimizer.state_dict()["state"]
    moments = {f"{i}/{k}": v for i, state in adam.items() for k, v in state.items()}
    return {**model.policy.state_dict(), **moments}


def test_a_learner_is_put_where_it_was(env, tmp_path: Path) -> None:
    model = learner(env)
    path = save_checkpoint(model, tmp_path, STORED)
    other = learner(env, seed=9, steps=0)
    record = load_checkpoint(other, path)
    assert {key: record[key] for key in STORED} == STORED
    assert other.num_timesteps == 16
    expected = tensors(model)
    assert expected.keys() == tensors(other).keys()
    for name, value in tensors(other).items():
        assert torch.equal(value, expected[name]), name
    for name, value in model.best.items():
        assert torch.equal(value, other.best[name]), name


def test_the_newest_alone_is_kept(env, tmp_path: Path) -> None:
    for steps in (16, 32, 48):
        save_checkpoint(learner(env, steps=steps), tmp_path, STORED)
    assert [path.name for path in checkpoints(tmp_path)] == ["0000000048"]


def test_at_every_kill_point_a_whole_checkpoint_is_there(
    env, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, fresh = learner(env, steps=16), learner(env, steps=32), learner(env, steps=0)
    point, finished = 0, False
    while not finished:
        folder = tmp_path / str(point)
        save_checkpoint(first, folder, STORED)
        with monkeypatch.context() as patch:
            patch.setattr(disk, "OPS", KillAt(point))
            try:
                save_checkpoint(second, folder, STORED)
                finished = True
            except Killed:
                pass
        load_checkpoint(fresh, checkpoints(folder)[-1])
        assert fresh.num_timesteps in (16, 32)
        save_checkpoint(learner(env, steps=48), folder, STORED)
        assert [path.name for path in checkpoints(folder)] == ["0000000048"]
        point += 1
    assert point > 10


@pytest.mark.parametrize("name", [TENSORS, RECORD])
def test_a_flipped_byte_is_refused(env, tmp_path: Path, name: str) -> None:
    model = learner(env)
    path = save_checkpoint(model, tmp_path, STORED)
    whole = (path / name).read_bytes()
    rng = np.random.default_rng(0)
    for place, mask in zip(
        rng.integers(len(whole), size=250), rng.integers(1, 256, 250), strict=True
    ):
        data = bytearray(whole)
        data[place] ^= mask
        (path / name).write_bytes(data)
        try:
            load_checkpoint(model, path)
        except TrajStoreError as error:
            assert isinstance(error, CorruptionError)
        else:
            assert json.loads(data) == json.loads(whole)
