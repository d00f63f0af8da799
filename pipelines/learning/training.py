"""The one training loop: every arm of the comparison, and the expert, go through it."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from stable_baselines3.common.callbacks import CallbackList
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv

from pipelines.learning.actor import Actor
from pipelines.learning.checkpoint import checkpoints, load_checkpoint, save_checkpoint
from pipelines.learning.curriculum import scenario_weights
from pipelines.learning.policy import SavedPolicy, actor_of
from pipelines.learning.ppo import AveragedPPO, PpoParams, make_ppo
from pipelines.learning.runlog import write_evaluations
from pipelines.running.params import Count
from trajstore.disk.files import replace_file

Evaluate = Callable[[Actor], dict[str, Any]]
"""Plays the fixed evaluation episodes; returns an evaluation without its ``steps``."""
Stop = Callable[[Sequence[Mapping[str, Any]]], str | None]
"""Given the evaluations so far, why to stop now, or ``None``."""
Progress = Callable[[int, Mapping[str, Any]], None]
"""Told the online steps done and the newest evaluation."""


EVALUATIONS_A_CHECKPOINT = 8
"""Episodes go on over so many evaluations before the state is saved and all begin anew."""


def rank(row: Mapping[str, Any]) -> float:
    """How good an evaluation is; the policy of the best one is kept."""
    return float(row["success"] - row["collision"])


def never(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Do not stop before the budget is spent."""
    del rows
    return None


@dataclass(frozen=True, slots=True)
class Budget:
    """How long to train and how often to look.

    Attributes:
        steps: online environment steps, rounded up to whole rollouts.
        evaluate_every: online steps between two evaluations.
        stop_on_arrival: end once the target of the comparison has held.
    """

    steps: Count
    evaluate_every: Count
    stop_on_arrival: bool


@dataclass(frozen=True, slots=True)
class Training:
    """One training with one seed.

    Attributes:
        make_env: builds the vectorised environment from a seed.
        evaluate: plays the fixed evaluation episodes.
        params: of the update.
        budget: online steps and evaluations.
        seed: of everything random in this run.
        start: policy to continue from; ``None`` trains from scratch.
        stop: decides after each evaluation whether to go on.
        progress: is told after each evaluation.
    """

    make_env: Callable[[int], VecEnv]
    evaluate: Evaluate
    params: PpoParams
    budget: Budget
    seed: int
    start: SavedPolicy | None = None
    stop: Stop = never
    progress: Progress = lambda _steps, _row: None


def run_training(training: Training, folder: Path) -> AveragedPPO:
    """Train to the end of the budget, or until ``stop``; resume if ``folder`` has a checkpoint.

    Writes ``evaluations.jsonl`` (a line an evaluation, the start included), ``losses.csv`` and
    the newest checkpoint. After a checkpoint everything random is drawn from the seed and the
    step count, and all episodes begin anew, so that a resumed run equals an uninterrupted one bit
    for bit. Checkpoints are far enough apart for episodes to come to their ends.
    """
    torch.set_num_threads(1)
    env = training.make_env(training.seed)
    model = _learner(training, env)
    rows, losses = _restore(model, folder)
    if rows:
        _write_curves(folder, rows, losses)
    else:
        rows = [_evaluation(training, model)]
        _keep_best(model, rows)
        _save(model, folder, rows, losses)
    while _goes_on(training, model, rows):
        _begin(training, model, rows)
        for _ in range(EVALUATIONS_A_CHECKPOINT):
            if _goes_on(training, model, rows):
                _advance(training, model, rows, losses)
                rows.append(_evaluation(training, model))
                _keep_best(model, rows)
        _save(model, folder, rows, losses)
    env.close()
    return model


def _goes_on(training: Training, model: AveragedPPO, rows: list[dict[str, Any]]) -> bool:
    return model.num_timesteps < training.budget.steps and training.stop(rows) is None


def _learner(training: Training, env: VecEnv) -> AveragedPPO:
    steps = training.budget.steps
    model = make_ppo(env, training.params, seed=training.seed, total_steps=steps)
    model.set_logger(Logger(folder=None, output_formats=[]))
    if training.start is not None:
        model.policy.load_state_dict(training.start.policy.state_dict())
        model.set_noise(0.0)
        model.take_average(0.0)
    return model


def _restore(
    model: AveragedPPO, folder: Path
) -> tuple[list[dict[str, Any]], list[dict[str, float]]]:
    found = checkpoints(folder / "checkpoint")
    if not found:
        return [], []
    record = load_checkpoint(model, found[-1])
    return record["evaluations"], record["losses"]


def _segment_seed(seed: int, steps: int) -> int:
    return int(np.random.SeedSequence([seed, steps]).generate_state(1)[0])


def _begin(training: Training, model: AveragedPPO, rows: list[dict[str, Any]]) -> None:
    """Start all episodes anew, with everything random drawn from the seed and the step count."""
    seed = _segment_seed(training.seed, model.num_timesteps)
    set_random_seed(seed)
    env = _env_of(model)
    env.seed(seed)
    _weigh(training, env, rows)
    model._last_obs = cast(np.ndarray, env.reset())
    model._last_episode_starts = np.ones(env.num_envs, bool)


def _weigh(training: Training, env: VecEnv, rows: list[dict[str, Any]]) -> None:
    params = training.params
    if params.hard_share > 0.0:
        env.env_method("weigh", scenario_weights(rows, share=params.hard_share))
    if params.replay_share > 0.0:
        env.env_method("replay", params.replay_share)


def _env_of(model: AveragedPPO) -> VecEnv:
    if model.env is None:
        raise RuntimeError("the learner lost its environment")
    return model.env


def _advance(
    training: Training,
    model: AveragedPPO,
    rows: list[dict[str, Any]],
    losses: list[dict[str, float]],
) -> None:
    """Train until the next evaluation."""
    env = _env_of(model)
    _weigh(training, env, rows)
    callback = CallbackList([])
    callback.init_callback(model)
    goal = min(model.num_timesteps + training.budget.evaluate_every, training.budget.steps)
    while model.num_timesteps < goal:
        model.set_noise(model.num_timesteps / training.budget.steps)
        model.collect_rollouts(env, callback, model.rollout_buffer, model.n_steps)
        done = min(1.0, model.num_timesteps / training.budget.steps)
        model._current_progress_remaining = 1.0 - done
        model.train()
        losses.append({"steps": model.num_timesteps, **model.last_losses})


def _evaluation(training: Training, model: AveragedPPO) -> dict[str, Any]:
    row = {"steps": model.num_timesteps, **training.evaluate(actor_of(model.average))}
    training.progress(model.num_timesteps, row)
    return row


def _keep_best(model: AveragedPPO, rows: list[dict[str, Any]]) -> None:
    if rank(rows[-1]) >= max(map(rank, rows)):
        model.best = {name: value.clone() for name, value in model.average.state_dict().items()}


def _save(
    model: AveragedPPO,
    folder: Path,
    rows: list[dict[str, Any]],
    losses: list[dict[str, float]],
) -> None:
    save_checkpoint(model, folder / "checkpoint", {"evaluations": rows, "losses": losses})
    _write_curves(folder, rows, losses)


def _write_curves(folder: Path, rows: list[dict[str, Any]], losses: list[dict[str, float]]) -> None:
    write_evaluations(folder, rows)
    names = sorted({name for row in losses for name in row})
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, ["steps", *(n for n in names if n != "steps")])
    writer.writeheader()
    writer.writerows(losses)
    replace_file(folder / "losses.csv", table.getvalue().encode())
