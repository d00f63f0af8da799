"""Clones of few demonstrations, and fine-tuning that goes on from them, on others' environments."""

import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
import yaml

from pipelines.__main__ import main
from pipelines.learning.features import Features
from pipelines.learning.policy import load_policy
from pipelines.learning.runlog import read_evaluations, read_run
from pipelines.learning.sealing import SHOWN
from trajstore.dataset import Dataset
from trajstore.disk.checked import write_checked

SMALL = Path(__file__).parents[2] / "tiny" / "cartpole.yaml"
OWN = '''
import gymnasium as gym
import numpy as np


class Bright(gym.Env):
    """Which half of the picture is bright; a true answer pays."""

    version = "1"
    observation_space = gym.spaces.Dict(
        {
            "camera": gym.spaces.Box(0, 255, (10, 12, 3), np.uint8),
            "time": gym.spaces.Box(0.0, 8.0, (1,), np.float32),
        }
    )
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return self._seen(), {}

    def step(self, action):
        self.time += 1
        right = float(action == self.side)
        return self._seen(), right, self.time == 8, False, {}

    def _seen(self):
        self.side = int(self.np_random.integers(2))
        picture = self.np_random.integers(0, 80, (10, 12, 3), dtype=np.uint8)
        picture[:, 6 * self.side : 6 * self.side + 6] += 120
        return {"camera": picture, "time": np.array([self.time], np.float32)}


def teach(seen):
    return int(seen["camera"][:, 6:].mean() > seen["camera"][:, :6].mean())
'''
PRETRAIN = {"critic_epochs": 0, "every": 2, "held_out": 0.3, "log_std": -1.5, "normalise": True}
WARM = {"critic_steps": 128, "cloning_weight": 0.1, "cloning_fade_steps": 4096, "target_kl": 0.05}


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    (tmp_path / "own_bright.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_bright", raising=False)
    monkeypatch.chdir(tmp_path)
    made: dict[str, Any] = yaml.safe_load(SMALL.read_text())
    made["env"] |= {"id": "own_bright:Bright"}
    made["record"] |= {"teacher": "own_bright:teach", "each": 6}
    made["pretrain"] |= {**PRETRAIN, "episodes": 6, "seeds": [1], "batch": 16}
    finetune = made["finetune"]
    finetune["seeds"] = [1]
    finetune["ppo"] |= {"normalise_rewards": True, "normalise_observations": True}
    finetune["from_clone"]["finetune"] |= {**WARM, "num_steps": 16}
    finetune["arrival"]["conditions"] = [{"metric": "return", "at_least": 9.0}]
    budget = {"steps": 512, "evaluate_every": 128, "stop_on_arrival": True}
    finetune["budgets"] = {"baseline": budget, "finetune": budget}
    return made


def cloned(params: dict[str, Any], *arguments: str) -> None:
    Path("params.yaml").write_text(yaml.safe_dump(params))
    if not Path("data").exists():
        assert main(["record"]) == 0
        digest = Dataset.open(Path("data/current/expert")).manifest.content_digest
        Path("data/reports").mkdir(parents=True)
        report = {"digest": digest, "status": "validated"}
        write_checked(Path("data/reports/validation.json"), report)
    assert main(["pretrain", "--reviews", "reviews.json", *arguments]) == 0


def test_a_task_of_images_is_cloned_fine_tuned_and_judged(params: dict[str, Any]) -> None:
    cloned(params)
    for arm, more in (("finetune", ["--start", "data/runs/clone"]), ("baseline", [])):
        run = ["finetune", "--arm", arm, "--out", f"data/runs/{arm}", *more]
        assert main([*run, "--reviews", "reviews.json"]) == 0
    clone, tuned, fresh = (
        load_policy(Path(f"data/runs/{arm}/seed_1/policy"))
        for arm in ("clone", "finetune", "baseline")
    )
    assert [it.channels for it in clone.architecture.images] == [3]
    assert clone.architecture == tuned.architecture == fresh.architecture
    rows = read_evaluations(Path("data/runs/finetune/seed_1"))
    assert [row["steps"] for row in rows[:3]] == [0, 128, 256]
    assert rows[0]["return"] == rows[1]["return"] > 5.5
    before, after = (cast(Features, it.policy.features_extractor) for it in (clone, tuned))
    assert torch.equal(before.mean, after.mean)
    assert not torch.equal(before.nets[0][0].weight, after.nets[0][0].weight)
    picture = np.zeros((2, clone.architecture.observations), np.float32)
    picture[0, :360].reshape(10, 12, 3)[:, 6:] = picture[1, :360].reshape(10, 12, 3)[:, :6] = 0.6
    assert clone.actor(picture).tolist() == [1, 0]


def test_a_clone_of_few_pairs_chooses_its_updates_and_keeps_what_it_was_shown(
    params: dict[str, Any],
) -> None:
    cloned(params)
    run = read_run(Path("data/runs/clone/seed_1"))
    assert run.parameters["pairs"] == 6 * 4
    assert 0 < run.parameters["updates"] <= 50
    assert SHOWN in run.files
    policy = load_policy(Path("data/runs/clone/seed_1/policy"))
    statistics = cast(Features, policy.policy.features_extractor)
    assert statistics.count == 24
    assert statistics.mean.item() == 3.0
    params["finetune"]["from_clone"]["finetune"]["cloning_weight"] = 0.0
    cloned(params)
    assert SHOWN not in read_run(Path("data/runs/clone/seed_1")).files


def test_a_critic_taught_on_another_scale_is_refused(
    params: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    cloned(params)
    params["pretrain"]["critic_epochs"] = 2
    Path("params.yaml").write_text(yaml.safe_dump(params))
    assert main(["pretrain", "--reviews", "reviews.json"]) == 1
    assert "pretrain.critic_epochs: expected 0" in capsys.readouterr().err


def test_updates_are_chosen_on_two_episodes_at_least(
    params: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    params["pretrain"]["episodes"] = 1
    Path("params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(AssertionError):
        cloned(params)
    assert "pretrain.held_out: expected 0, since one episode" in capsys.readouterr().err
