"""The same seed gives the same bytes, however often the training was interrupted."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.learning import training as module
from pipelines.learning.checkpoint import checkpoints
from pipelines.learning.policy import build_policy, load_policy
from pipelines.learning.training import Training, run_training
from pipelines.tasks.social_nav.vector import SocialNavVecEnv
from tests.pipelines import tiny
from trajstore.errors import CorruptionError


@pytest.fixture(autouse=True)
def checkpoints_that_fall_between_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two evaluations a checkpoint: an interruption may lose one."""
    monkeypatch.setattr(module, "EVALUATIONS_A_CHECKPOINT", 2)
    monkeypatch.setattr(module, "STEPS_A_CHECKPOINT", 1)


class Killed(BaseException):
    """The process would be gone."""


def from_clone(folder: Path, **changes: Any) -> Training:
    """A training that goes on from a policy."""
    start = folder / "start"
    if not start.exists():
        tiny.policy(start)
    params = tiny.FROM_CLONE.settings(tiny.PPO)
    return tiny.training(start=load_policy(start), params=params, **changes)


def killed_after(evaluations: int) -> Callable[[int, Any], None]:
    """A progress callback that dies at the given evaluation."""
    seen = 0

    def progress(steps: int, row: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == evaluations:
            raise Killed

    return progress


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("two", 1), ("other", 2)):
        run_training(tiny.training(seed), tmp_path / name)
    one, two = tiny.contents(tmp_path / "one"), tiny.contents(tmp_path / "two")
    assert one == two
    assert one != tiny.contents(tmp_path / "other")
    assert {"evaluations.jsonl", "losses.csv"} <= one.keys()
    assert one["evaluations.jsonl"].count(b"\n") == 4


def normalising(**changes: Any) -> Training:
    """A training from scratch whose observations and rewards are normalised."""
    own = {"normalise_observations": True, "normalise_rewards": True, "target_kl": 1e-3}
    return tiny.training(params=replace(tiny.PPO, **own), **changes)


def warm(folder: Path, **changes: Any) -> Training:
    """A training that goes on from a policy with all that a warm start has."""
    rng = np.random.default_rng(0)
    seen = torch.as_tensor(rng.normal(size=(9, tiny.SIZE)).astype("float32"))
    shown = seen, torch.as_tensor(rng.uniform(-1.0, 1.0, (9, 2)).astype("float32"))
    begun = {"critic_steps": 16, "cloning_weight": 0.5, "cloning_fade_steps": 40}
    own = replace(tiny.FROM_CLONE, **begun, return_to_best=True, target_kl=1e-3)
    training = from_clone(folder, warm=own, shown=shown, **changes)
    return replace(training, params=replace(training.params, normalise_rewards=True))


@pytest.mark.parametrize("kind", ["from scratch", "from a clone", "normalising", "warm"])
def test_a_resumed_training_equals_an_uninterrupted_one(tmp_path: Path, kind: str) -> None:
    makers: dict[str, Callable[..., Training]] = {
        "from scratch": tiny.training,
        "from a clone": lambda **c: from_clone(tmp_path, **c),
        "normalising": normalising,
        "warm": lambda **c: warm(tmp_path, **c),
    }
    make = makers[kind]
    run_training(make(), tmp_path / "whole")
    for evaluations in (3, 2):
        with pytest.raises(Killed):
            run_training(make(progress=killed_after(evaluations)), tmp_path / "torn")
        torch.manual_seed(evaluations)
    run_training(make(), tmp_path / "torn")
    assert tiny.contents(tmp_path / "torn") == tiny.contents(tmp_path / "whole")


def test_a_finished_training_takes_no_further_step(tmp_path: Path) -> None:
    run_training(tiny.training(), tmp_path)
    before = tiny.contents(tmp_path)
    (tmp_path / "losses.csv").unlink()

    def looked_at(actor: object) -> dict[str, Any]:
        raise AssertionError("it was evaluated again")

    model = run_training(tiny.training(evaluate=looked_at), tmp_path)
    assert model.num_timesteps == 48
    assert tiny.contents(tmp_path) == before


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    run_training(tiny.training(), tmp_path)
    path = checkpoints(tmp_path / "checkpoint")[-1] / "learner.safetensors"
    path.write_bytes(path.read_bytes()[:-4] + b"\1\2\3\4")
    with pytest.raises(CorruptionError, match="delete the checkpoint and train again"):
        run_training(tiny.training(), tmp_path)


def test_the_best_policy_is_kept(tmp_path: Path) -> None:
    scores = iter([0.1, 0.9, 0.2, 0.3])
    kept = []

    def looked_at(actor: Any) -> dict[str, Any]:
        kept.append(actor.layers[0][0].copy())
        return tiny.looked_at(actor) | {"success": next(scores)}

    model = run_training(tiny.training(evaluate=looked_at), tmp_path)
    best = model.best["mlp_extractor.policy_net.0.weight"].numpy().T
    assert np.array_equal(best, kept[1])
    assert not np.array_equal(best, kept[3])


def test_it_stops_when_told(tmp_path: Path) -> None:
    stop = lambda rows: "enough" if len(rows) == 2 else None  # noqa: E731
    assert run_training(tiny.training(stop=stop), tmp_path).num_timesteps == 16


def test_the_first_evaluation_is_that_of_the_start(tmp_path: Path) -> None:
    looked: list[np.ndarray] = []

    def looked_at(actor: Any) -> dict[str, Any]:
        looked.append(actor.layers[-1][0])
        return tiny.looked_at(actor)

    training = from_clone(tmp_path, evaluate=looked_at)
    run_training(training, tmp_path / "run")
    assert training.start is not None
    start = build_policy(tiny.ARCHITECTURE)
    start.load_state_dict(training.start.policy.state_dict())
    assert np.array_equal(looked[0], training.start.actor.layers[-1][0])


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_the_environment_is_told_how_often_failures_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    told: list[float] = []
    monkeypatch.setattr(SocialNavVecEnv, "replay", lambda _, share: told.append(share))
    training = tiny.training()
    run_training(replace(training, params=replace(training.params, replay_share=share)), tmp_path)
    assert set(told) == ({share} if share else set())


def test_random_numbers_are_drawn_from_seed_and_step_alone() -> None:
    seeds = {module._segment_seed(seed, steps) for seed in range(20) for steps in range(0, 640, 16)}
    assert len(seeds) == 20 * 40


def test_episodes_go_on_over_an_evaluation_and_begin_anew_after_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    begin = module._begin

    def counted(training: Training, model: Any, rows: Any) -> None:
        steps.append(model.num_timesteps)
        begin(training, model, rows)

    monkeypatch.setattr(module, "_begin", counted)
    run_training(tiny.training(), tmp_path / "run")
    assert steps == [0, 32]
