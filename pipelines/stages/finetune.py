"""Stage: online training of one arm, every seed; a start policy is all that tells arms apart."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from loguru import logger

from pipelines.learning.contract import check_contract, contract_of
from pipelines.learning.evaluation import evaluate, judged, tracking_episodes
from pipelines.learning.inputs import code_digest, drop_other_seeds, is_finished, start_afresh
from pipelines.learning.policy import Architecture, SavedPolicy, load_policy, save_policy
from pipelines.learning.promotion import has_arrived
from pipelines.learning.runlog import (
    RunRecord,
    RunStatus,
    episode_row,
    read_evaluations,
    write_episodes,
    write_run,
)
from pipelines.learning.settings import EnvParams, EvaluationParams, FinetuneParams, TransferParams
from pipelines.learning.training import Training, never, run_training, settings
from pipelines.learning.unfinished import unfinished
from pipelines.running.fanout import check_engine, run_tasks
from pipelines.running.params import ParamsError, read_section
from pipelines.running.progress import note, watch
from pipelines.running.stage import add_paths, in_one_line, parser_of
from pipelines.tasks.make import make_vec_env
from pipelines.tasks.social_nav.config import ENV_VERSION
from pipelines.tasks.social_nav.scenarios import scenario_names
from pipelines.tasks.social_nav.schema import episode_schema
from pipelines.tasks.social_nav.snqi import load_baseline


@dataclass(frozen=True, slots=True)
class Task:
    """One seed of one arm."""

    arm: str
    params: FinetuneParams
    env: EnvParams
    evaluation: EvaluationParams
    seed: int
    start: Path | None
    folder: Path


def train_seed(task: Task) -> str:
    """Train one seed of an arm unless its finished run is there; say what was done."""
    start = load_policy(task.start) if task.start else None
    inputs = _inputs(task, start)
    training = _training(task, start)
    parameters = settings(training) | {
        "env": asdict(task.env),
        "evaluation": asdict(task.evaluation),
    }
    if is_finished(task.folder, inputs=inputs, parameters=parameters):
        last = read_evaluations(task.folder)[-1]
        note(f"{task.arm}/seed_{task.seed}", training.budget.steps, last)
        return f"{task.arm} seed {task.seed}: finished before"
    start_afresh(task.folder, inputs=inputs, parameters=parameters)
    record = RunRecord(task.arm, task.seed, RunStatus.COMPLETED, 0, inputs, parameters)
    with unfinished(task.folder, record):
        steps = _train_and_judge(task, training)
        write_run(task.folder, replace(record, steps=steps))
    return f"{task.arm} seed {task.seed}: {steps:,} online steps"


def _train_and_judge(task: Task, training: Training) -> int:
    model = run_training(training, task.folder)
    config = task.env.config()
    contract = contract_of(episode_schema(config), environment=ENV_VERSION)
    architecture = Architecture(
        model.observation_space.shape[0],  # type: ignore[index]
        model.action_space.shape[0],  # type: ignore[index]
        task.params.ppo.hidden,
    )
    target = task.folder / "policy"
    if not target.exists():
        save_policy(model.average, target, architecture=architecture, contract=contract)
    scenarios = task.env.scenarios or scenario_names()
    actor, each = load_policy(target).actor, task.evaluation.judge_each
    episodes = judged(actor, scenarios, each=each, config=config)
    baseline = load_baseline()
    write_episodes(task.folder, [episode_row(episode, baseline) for episode in episodes])
    return model.num_timesteps


def _check_size(start: SavedPolicy, params: FinetuneParams, *, where: Path) -> None:
    got, expected = list(start.architecture.hidden), list(params.ppo.hidden)
    if got != expected:
        raise ParamsError(
            f"finetune.ppo.hidden: expected {got}, the hidden layers of the clone {where}, "
            f"got {expected}; clone again, or change the section"
        )


def _inputs(task: Task, start: SavedPolicy | None) -> dict[str, str]:
    inputs = {"code": code_digest()}
    if start is not None:
        inputs["start"] = start.digest
    return inputs


def _training(task: Task, start: SavedPolicy | None) -> Training:
    params, config = task.params, task.env.config()
    scenarios = task.env.scenarios or scenario_names()
    episodes = tracking_episodes(scenarios, each=task.evaluation.track_each)
    run, budget = f"{task.arm}/seed_{task.seed}", params.budgets[task.arm]
    ppo = params.ppo
    if start is not None:
        contract = contract_of(episode_schema(config), environment=ENV_VERSION)
        check_contract(contract, start.contract, where=f"start policy {task.start}")
        ppo = params.from_clone[task.arm].settings(ppo)
    return Training(
        make_env=lambda seed: make_vec_env(config, num_envs=ppo.num_envs, seed=seed),
        evaluate=lambda actor: evaluate(actor, episodes, config),
        params=ppo,
        budget=budget,
        seed=task.seed,
        start=start,
        stop=partial(has_arrived, arrival=params.arrival) if budget.stop_on_arrival else never,
        progress=lambda steps, row: note(run, steps, row),
    )


@dataclass(frozen=True, slots=True)
class World:
    """What is played, and how often policies are looked at."""

    env: EnvParams
    evaluation: EvaluationParams


def read_world(path: Path, *, transfer: bool) -> World:
    """The world of the parameter file; with ``transfer`` only what is not demonstrated."""
    env = read_section(path, "env", EnvParams)
    if transfer:
        shown = read_section(path, "transfer", TransferParams)
        names = [n for n in env.scenarios or scenario_names() if not shown.is_demonstrated(n)]
        if not names:
            raise ParamsError(
                f"{path}: transfer: expected a scenario of env.scenarios that is not "
                f"demonstrated, got none of {list(env.scenarios)}; demonstrate less"
            )
        env = replace(env, scenarios=tuple(names))
    return World(env, read_section(path, "evaluation", EvaluationParams))


def run(
    arm: str,
    params: FinetuneParams,
    world: World,
    out: Path,
    *,
    start: Path | None = None,
) -> list[str]:
    """Train every seed of an arm; ``start`` holds a clone for each of them.

    Raises:
        ParamsError: the section lists no budget for the arm, no settings for this start, or
            layers that a clone does not have.
        NotFoundError: there is no clone for a seed.
    """
    tasks = [
        Task(
            arm,
            params,
            world.env,
            world.evaluation,
            seed,
            start / f"seed_{seed}" / "policy" if start else None,
            out / f"seed_{seed}",
        )
        for seed in params.seeds
    ]
    if arm not in params.budgets:
        raise ParamsError(
            f"finetune.budgets: expected a budget for arm {arm!r}, got {sorted(params.budgets)}"
        )
    if start is not None and arm not in params.from_clone:
        raise ParamsError(
            f"finetune.from_clone: expected settings for arm {arm!r}, "
            f"got {sorted(params.from_clone)}"
        )
    budget = params.budgets[arm]
    check_engine(params.engine)
    for task in tasks:
        if task.start:
            _check_size(load_policy(task.start), params, where=task.start)
    drop_other_seeds(out, params.seeds)
    with watch({f"{arm}/seed_{seed}": budget.steps for seed in params.seeds}):
        return run_tasks(train_seed, tasks, engine=params.engine)


@in_one_line
def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage for one arm."""
    parser = parser_of(
        "finetune",
        __doc__,
        example="--arm finetune --start data/runs/clone --out data/runs/finetune",
    )
    add_paths(parser, "params")
    parser.add_argument("--arm", required=True, help="name of the arm, such as baseline")
    parser.add_argument("--start", type=Path, help="folder of clones; none trains from scratch")
    parser.add_argument("--transfer", action="store_true", help="train on what is not shown")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    arguments = parser.parse_args(argv)
    params = read_section(arguments.params, "finetune", FinetuneParams)
    if arguments.start is None and arguments.arm in params.from_clone:
        parser.error(
            f"--start: expected clones for arm {arguments.arm!r}, which finetune.from_clone "
            "lists, got none; name their folder"
        )
    done = run(
        arguments.arm,
        params,
        read_world(arguments.params, transfer=arguments.transfer),
        arguments.out,
        start=arguments.start,
    )
    for line in done:
        logger.info(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
