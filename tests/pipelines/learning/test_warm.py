"""What a start from a clone does before and beside PPO."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from stable_baselines3.common.vec_env import VecNormalize

from pipelines.learning.features import Features
from pipelines.learning.policy import actor_of, load_policy, weights_of
from pipelines.learning.ppo import AveragedPPO, FromClone
from pipelines.learning.rows import RunError
from pipelines.learning.runlog import RunRecord, RunStatus
from pipelines.learning.shown import PAIRS, read_shown, write_shown
from pipelines.learning.training import Training, run_training
from tests.pipelines import tiny

RNG = np.random.default_rng(0)
SEEN = RNG.normal(size=(64, tiny.SIZE)).astype("float32")
DONE = np.tanh(SEEN[:, :2]).astype("float32")
SHOWN = torch.as_tensor(SEEN), torch.as_tensor(DONE)


def start(folder: Path, params: dict[str, Any] | None = None, **changes: Any) -> Training:
    kept = folder / "start"
    policy = load_policy(kept if kept.exists() else tiny.policy(kept))
    warm = replace(tiny.FROM_CLONE, **changes)
    settings = replace(warm.settings(tiny.PPO), **(params or {}))
    return tiny.training(start=policy, warm=warm, shown=SHOWN, params=settings)


def trained(training: Training, folder: Path) -> AveragedPPO:
    return run_training(training, folder / "run")


def test_critic_steps_count_and_move_nothing_but_the_critic(tmp_path: Path) -> None:
    training = start(tmp_path, critic_steps=30)
    training = replace(training, stop=lambda rows: "enough" if len(rows) == 2 else None)
    model = trained(training, tmp_path)
    assert model.num_timesteps == 30
    assert training.start is not None
    before = weights_of(training.start.policy)
    changed = {k for k, v in weights_of(model.policy).items() if not torch.equal(v, before[k])}
    assert changed - {"log_std"} == {name for name in before if "value" in name}
    assert np.array_equal(actor_of(model.average)(SEEN), training.start.actor(SEEN))


@pytest.mark.parametrize("rewards", [False, True])
def test_a_critic_is_fitted_to_the_returns_of_the_clone(tmp_path: Path, rewards: bool) -> None:
    training = start(tmp_path, critic_steps=2000, params={"normalise_rewards": rewards})
    training = replace(training, stop=lambda rows: "enough" if len(rows) == 2 else None)
    model = trained(training, tmp_path)
    assert training.start is not None
    assert isinstance(model.env, VecNormalize) == rewards
    assert model.env is not None
    model.collect_rollouts(model.env, _quiet(model), model.rollout_buffer, model.n_steps)
    buffer = model.rollout_buffer
    fitted = np.square(buffer.returns - buffer.values).mean()
    fresh = training.start.policy.predict_values(torch.as_tensor(buffer.observations[0]))
    assert fitted < 0.5 * np.square(buffer.returns[0] - fresh.detach().numpy().T).mean()


def _quiet(model: AveragedPPO) -> Any:
    from stable_baselines3.common.callbacks import CallbackList

    callback = CallbackList([])
    callback.init_callback(model)
    return callback


def error(model: AveragedPPO) -> float:
    return float(np.square(actor_of(model.policy)(SEEN) - DONE).mean())


def test_the_cloning_term_alone_learns_what_was_shown_and_fades(tmp_path: Path) -> None:
    alone = {"policy_gradient": False, "cloning_weight": 1.0, "learning_rate": 0.01, "epochs": 9}
    first = start(tmp_path, **alone)
    model = trained(first, tmp_path / "on")
    assert first.start is not None
    begun = float(np.square(first.start.actor(SEEN) - DONE).mean())
    assert error(model) < 0.9 * begun
    assert set(model.last_losses) == {"value", "cloning", "log_std"}
    faded = trained(start(tmp_path, **alone, cloning_fade_steps=1), tmp_path / "faded")
    assert "cloning" not in faded.last_losses
    off = trained(start(tmp_path, **{**alone, "cloning_weight": 0.0}), tmp_path / "off")
    assert np.array_equal(actor_of(off.policy)(SEEN), first.start.actor(SEEN))


def test_an_update_ends_where_the_policy_is_far_from_the_one_that_collected(tmp_path: Path) -> None:
    steps: list[int] = []
    for limit in (None, 1e-6):
        model = trained(
            start(tmp_path, target_kl=limit, epochs=4, learning_rate=0.01), tmp_path / str(limit)
        )
        steps.append(int(model.policy.optimizer.state_dict()["state"][1]["step"]))
    assert 0 < steps[1] < steps[0]


def test_it_goes_back_to_the_best_policy_where_one_is_worse_by_a_tenth(tmp_path: Path) -> None:
    for back, fell in ((True, 0.7), (True, 0.95), (False, 0.7)):
        scores: Iterator[float] = iter([1.0, fell, 1.0, 1.0])
        kept: list[np.ndarray] = []

        def looked_at(
            actor: Any, scores: Iterator[float] = scores, kept: list[np.ndarray] = kept
        ) -> dict[str, Any]:
            kept.append(actor.layers[0][0])
            return tiny.looked_at(actor) | {"success": next(scores)}

        training = replace(
            start(tmp_path, return_to_best=back),
            evaluate=looked_at,
            stop=lambda rows: "enough" if len(rows) == 2 else None,
        )
        model = trained(training, tmp_path / f"{back}{fell}")
        now = actor_of(model.average).layers[0][0]
        assert np.array_equal(now, kept[0]) == (back and fell < 0.9)


def test_the_first_rollout_sets_the_statistics_and_no_weights(tmp_path: Path) -> None:
    params = replace(tiny.PPO, normalise_observations=True)
    looked: list[Any] = []

    def looked_at(actor: Any) -> dict[str, Any]:
        looked.append(actor)
        return tiny.looked_at(actor)

    model = run_training(tiny.training(params=params, evaluate=looked_at), tmp_path)
    assert np.array_equal(looked[0].layers[0][0], looked[1].layers[0][0])
    assert not np.array_equal(looked[1].layers[0][0], looked[2].layers[0][0])
    features = cast(Features, model.average.features_extractor)
    assert features.count == model.num_timesteps
    assert not np.array_equal(looked[1](SEEN), looked[0](SEEN))


def test_the_statistics_of_a_clone_stay(tmp_path: Path) -> None:
    first = tiny.training(params=replace(tiny.PPO, normalise_observations=True))
    made = run_training(first, tmp_path / "first")
    policy = tiny.policy(tmp_path / "start", made=made.average, architecture=made.architecture)
    training = replace(start(tmp_path / "other"), start=load_policy(policy))
    again = trained(training, tmp_path)
    before, after = (cast(Features, it.average.features_extractor) for it in (made, again))
    assert torch.equal(before.mean, after.mean)
    assert torch.equal(before.variance, after.variance)
    assert after.count == before.count


@pytest.mark.parametrize("choices", [(), (3,), (3, 2)])
def test_what_a_clone_was_shown_is_kept_beside_it(tmp_path: Path, choices: tuple[int, ...]) -> None:
    architecture = replace(tiny.ARCHITECTURE, choices=choices, actions=len(choices) or 2)
    action = DONE if not choices else RNG.integers(0, 2, (64, len(choices)))
    action = action[:, 0] if len(choices) == 1 else action
    assert write_shown(tmp_path, SEEN, action) == 64
    from trajstore.disk.files import digest

    name = "demonstrations.safetensors"
    files = {name: digest(tmp_path / name)}
    record = RunRecord("c", 1, RunStatus.COMPLETED, 0, parameters={PAIRS: 64}, files=files)
    seen, done = read_shown(tmp_path, record, architecture)
    assert np.array_equal(seen, SEEN)
    assert np.array_equal(done, action)
    with pytest.raises(RunError, match="kept what it was shown"):
        read_shown(tmp_path, replace(record, parameters={}), architecture)


def test_too_many_pairs_are_thinned_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.learning.shown.MAX_BYTES", 20 * (SEEN[0].nbytes + 8))
    assert write_shown(tmp_path, SEEN, DONE) == 16


def test_an_arm_has_its_own_update_and_the_rest_is_that_of_scratch() -> None:
    warm = FromClone(0.1, -2.0, 3, 4, 5, 6, 0.0, 0.0, 0.0, target_kl=0.03, critic_steps=7)
    settings = warm.settings(replace(tiny.PPO, target_kl=0.5))
    assert (settings.learning_rate, settings.num_envs, settings.target_kl) == (0.1, 3, 0.03)
    assert warm.beginning == {"critic_steps": 7}
    assert not settings.normalise_rewards
    scaled = replace(warm, normalise_rewards=True, gamma=0.5).settings(tiny.PPO)
    assert (scaled.normalise_rewards, scaled.gamma, scaled.entropy) == (True, 0.5, 0.01)
    assert warm.settings(replace(tiny.PPO, normalise_rewards=True)).normalise_rewards
    assert tiny.FROM_CLONE.beginning == {}
    assert (settings.hidden, settings.gamma) == (tiny.PPO.hidden, tiny.PPO.gamma)
