"""The one training loop: every arm of the comparison, and the expert, go through it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from stable_baselines3.common.callbacks import CallbackList
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from pipelines.learning.actor import Actor
from pipelines.learning.architecture import Architecture
from pipelines.learning.checkpoint import checkpoints, load_checkpoint, save_checkpoint
from pipelines.learning.policy import (
    SavedPolicy,
    actor_of,
    put_weights,
    weights_of,
)
from pipelines.learning.ppo import AveragedPPO, FromClone, PpoParams, make_ppo
from pipelines.learning.runlog import write_evaluations, write_losses
from pipelines.learning.warm import (
    fit_critic,
    go_back,
    reward_statistics,
    set_reward_statistics,
)
from pipelines.running.params import Count
from pipelines.tasks.task import RETURN

Evaluate = Callable[[Actor], dict[str, Any]]
"""Plays the fixed evaluation episodes; returns an evaluation without its ``steps``."""
Stop = Callable[[Sequence[Mapping[str, Any]]], str | None]
"""Given the evaluations so far, why to stop now, or ``None``."""
Progress = Callable[[int, Mapping[str, Any]], None]
"""Told the online steps done and the newest evaluation."""

EVALUATIONS_A_CHECKPOINT = 8
"""Episodes go on over so many evaluations before the state is saved and all begin anew."""
STEPS_A_CHECKPOINT = 1024
"""Of each environment at least, for long episodes that are evaluated often."""
FALL = 0.1
"""Share of the best evaluation by which another is worse for a learner to go back to it."""
KEEP = 0.5
"""Share of a scenario's running failure rate that a further evaluation keeps."""


Rank = Callable[[Mapping[str, Any]], float]
"""How good an evaluation is."""


def never(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Do not stop before the budget is spent."""
    del rows
    return None


@dataclass(frozen=True, slots=True)
class Grid:
    """Evaluations that are close at the beginning: every ``first`` steps until ``until``."""

    first: Count
    until: Count
    then: Count


@dataclass(frozen=True, slots=True)
class Budget:
    """Online steps to train, rounded up to whole rollouts, and those between two evaluations.

    With ``stop_on_arrival`` training ends once the target of the comparison has held.
    """

    steps: Count
    evaluate_every: Count | Grid
    stop_on_arrival: bool

    def next_look(self, steps: int) -> int:
        """Steps at the evaluation after ``steps``; the last one is at the end.

        Example:
            >>> budget = Budget(60, Grid(10, 20, 30), stop_on_arrival=False)
            >>> [budget.next_look(steps) for steps in (0, 10, 20, 50)]
            [10, 20, 50, 60]
        """
        every = self.evaluate_every
        if isinstance(every, Grid):
            every = every.first if steps < every.until else every.then
        return min(steps + every, self.steps)


@dataclass(frozen=True, slots=True)
class Training:
    """One training with one seed, from ``start`` or from scratch.

    A start may be ``warm``; ``shown`` are the observations and actions that it was cloned from. An
    ``architecture`` is needed for images alone.

    After each evaluation ``progress`` is told, and ``stop`` decides whether to go on. Checkpoints
    carry ``plan``, the digest of what the run is made from; that of another plan is refused.
    """

    make_env: Callable[[int], VecEnv]
    evaluate: Evaluate
    params: PpoParams
    budget: Budget
    seed: int
    start: SavedPolicy | None = None
    warm: FromClone | None = None
    shown: tuple[torch.Tensor, torch.Tensor] | None = None
    architecture: Architecture | None = None
    stop: Stop = never
    rank: Rank = lambda row: float(row[RETURN])
    progress: Progress = lambda _steps, _row: None
    plan: str = ""


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
    rows: list[dict[str, Any]] = []
    losses: list[dict[str, float]] = []
    if found := checkpoints(folder / "checkpoint"):
        record = load_checkpoint(model, found[-1], plan=training.plan)
        rows, losses = record["evaluations"], record["losses"]
        set_reward_statistics(model, record["rewards"])
        _write_curves(folder, rows, losses)
    else:
        _look(training, model, rows)
        _save(training, model, folder, rows, losses)
    while _goes_on(training, model, rows):
        _begin(training, model, rows)
        for _ in range(_evaluations_a_checkpoint(training)):
            if _goes_on(training, model, rows):
                _advance(training, model, rows, losses)
                _look(training, model, rows)
        _save(training, model, folder, rows, losses)
    env.close()
    return model


def _goes_on(training: Training, model: AveragedPPO, rows: list[dict[str, Any]]) -> bool:
    return model.num_timesteps < training.budget.steps and training.stop(rows) is None


def _learner(training: Training, env: VecEnv) -> AveragedPPO:
    steps = training.budget.steps
    params, start = training.params, training.start
    made = start.architecture if start is not None else training.architecture
    if params.normalise_rewards:
        env = VecNormalize(env, norm_obs=False, gamma=params.gamma)
    model = make_ppo(env, params, seed=training.seed, total_steps=steps, architecture=made)
    model.set_logger(Logger(folder=None, output_formats=[]))
    if start is not None:
        put_weights(model.policy, weights_of(start.policy))
        model.learns_statistics = False
        model.warm, model.shown = training.warm, training.shown
        model.set_noise(0.0)
        model.take_average(0.0)
    return model


def _evaluations_a_checkpoint(training: Training) -> int:
    each = training.budget.next_look(0) // training.params.num_envs
    return max(EVALUATIONS_A_CHECKPOINT, -(-STEPS_A_CHECKPOINT // max(each, 1)))


def _segment_seed(seed: int, steps: int) -> int:
    return int(np.random.SeedSequence([seed, steps]).generate_state(1)[0])


def _begin(training: Training, model: AveragedPPO, rows: list[dict[str, Any]]) -> None:
    """Start all episodes anew, with everything random drawn from the seed and the step count."""
    seed = _segment_seed(training.seed, model.num_timesteps)
    set_random_seed(seed)
    env = cast(VecEnv, model.env)
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


def scenario_weights(rows: Sequence[Mapping[str, Any]], *, share: float) -> dict[str, float]:
    """Chance of each scenario in training, given the evaluations so far, oldest first.

    A share of the episodes is drawn in proportion to how often a scenario failed, with older
    evaluations counting less; the rest is drawn evenly, so that nothing is forgotten.
    The chances sum to 1, and are even where nothing failed.

    Example:
        >>> played = {"a": {"success": 1.0}, "b": {"success": 0.5}}
        >>> scenario_weights([{"by_scenario": played}], share=0.5)
        {'a': 0.25, 'b': 0.75}
    """
    failures: dict[str, float] = {}
    for row in rows:
        for name, rates in row["by_scenario"].items():
            now = 1.0 - rates["success"]
            failures[name] = KEEP * failures.get(name, now) + (1.0 - KEEP) * now
    total = sum(failures.values())
    even = 1.0 / max(1, len(failures))
    if total <= 0.0:
        return dict.fromkeys(failures, even)
    return {
        name: (1.0 - share) * even + share * failed / total for name, failed in failures.items()
    }


def _advance(
    training: Training,
    model: AveragedPPO,
    rows: list[dict[str, Any]],
    losses: list[dict[str, float]],
) -> None:
    """Train until the next evaluation."""
    env = cast(VecEnv, model.env)
    _weigh(training, env, rows)
    callback = CallbackList([])
    callback.init_callback(model)
    if model.num_timesteps == 0 and model.warm is not None and model.warm.critic_steps:
        fit_critic(model, callback, model.warm.critic_steps)
        return
    goal = training.budget.next_look(model.num_timesteps)
    while model.num_timesteps < goal:
        model.set_noise(model.num_timesteps / training.budget.steps)
        model.collect_rollouts(env, callback, model.rollout_buffer, model.n_steps)
        done = min(1.0, model.num_timesteps / training.budget.steps)
        model._current_progress_remaining = 1.0 - done
        model.train()
        losses.append({"steps": model.num_timesteps, **model.last_losses})


def _look(training: Training, model: AveragedPPO, rows: list[dict[str, Any]]) -> None:
    """Evaluate the policy as it stands, and keep it if none was better."""
    rows.append({"steps": model.num_timesteps, **training.evaluate(actor_of(model.average))})
    training.progress(model.num_timesteps, rows[-1])
    if training.rank(rows[-1]) >= max(map(training.rank, rows)):
        model.best = {name: value.clone() for name, value in weights_of(model.average).items()}
    elif training.warm is not None and training.warm.return_to_best:
        best = max(map(training.rank, rows))
        if training.rank(rows[-1]) < best - FALL * abs(best):
            go_back(model)


def _save(
    training: Training,
    model: AveragedPPO,
    folder: Path,
    rows: list[dict[str, Any]],
    losses: list[dict[str, float]],
) -> None:
    record = {
        "evaluations": rows,
        "losses": losses,
        "plan": training.plan,
        "rewards": reward_statistics(model),
    }
    save_checkpoint(model, folder / "checkpoint", record)
    _write_curves(folder, rows, losses)


def _write_curves(folder: Path, rows: list[dict[str, Any]], losses: list[dict[str, float]]) -> None:
    write_evaluations(folder, rows)
    names = {name for row in losses for name in row} - {"steps"}
    write_losses(folder, losses, names=["steps", *sorted(names)])
