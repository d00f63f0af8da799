"""Stage: train the expert with several seeds and promote it only on evidence."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from loguru import logger

from pipelines.learning.contract import contract_of
from pipelines.learning.evaluation import (
    evaluate,
    judged,
    judging_episodes,
    selection_episodes,
    tracking_episodes,
)
from pipelines.learning.inputs import code_digest, drop_other_seeds, start_afresh
from pipelines.learning.policy import Architecture, build_policy, load_policy, save_policy
from pipelines.learning.promotion import decide, diagnose, has_converged, superseded
from pipelines.learning.runlog import (
    RunRecord,
    RunStatus,
    episode_row,
    read_evaluations,
    write_episodes,
    write_run,
)
from pipelines.learning.settings import EnvParams, EvaluationParams, ExpertParams
from pipelines.learning.training import Training, run_training, settings
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
from trajstore.disk.files import read_json, write_json


@dataclass(frozen=True, slots=True)
class Task:
    """One seed's training."""

    params: ExpertParams
    env: EnvParams
    evaluation: EvaluationParams
    seed: int
    folder: Path


def train_seed(task: Task) -> dict[str, Any]:
    """Train one seed, keep its best policy, judge it on episodes that chose nothing."""
    params, config = task.params, task.env.config()
    scenarios = task.env.scenarios or scenario_names()
    run = f"expert/seed_{task.seed}"
    choosing = selection_episodes(scenarios, each=params.select_each)
    training = Training(
        make_env=lambda seed: make_vec_env(config, num_envs=params.ppo.num_envs, seed=seed),
        evaluate=lambda actor: evaluate(actor, choosing, config),
        params=params.ppo,
        budget=params.budget,
        seed=task.seed,
        stop=partial(has_converged, convergence=params.convergence),
        progress=lambda steps, row: note(run, steps, row),
    )
    parameters = settings(training) | {
        "env": asdict(task.env),
        "select_each": params.select_each,
        "convergence": asdict(params.convergence),
    }
    record = RunRecord(
        "expert", task.seed, RunStatus.COMPLETED, 0, {"code": code_digest()}, parameters
    )
    start_afresh(task.folder, inputs=record.inputs, parameters=parameters)
    with unfinished(task.folder, record):
        row = _judged(task, training)
        write_run(task.folder, replace(record, steps=row["steps"]))
    return row


def _judged(task: Task, training: Training) -> dict[str, Any]:
    params, config = task.params, task.env.config()
    scenarios = task.env.scenarios or scenario_names()
    model = run_training(training, task.folder)
    architecture = Architecture(
        model.observation_space.shape[0],  # type: ignore[index]
        model.action_space.shape[0],  # type: ignore[index]
        params.ppo.hidden,
    )
    policy = build_policy(architecture)
    policy.load_state_dict(model.best)
    contract = contract_of(episode_schema(config), environment=ENV_VERSION)
    target = task.folder / "policy"
    if not target.exists():
        save_policy(
            policy,
            target,
            architecture=architecture,
            contract=contract,
            record={"seed": task.seed, "settings": settings(training)},
        )
    saved = load_policy(target)
    judging = judging_episodes(scenarios, each=task.evaluation.judge_each)
    row = evaluate(saved.actor, judging, config)
    return {
        "seed": task.seed,
        "steps": model.num_timesteps,
        "policy": saved.digest,
        "selection": max(map(training.score, read_evaluations(task.folder))),
        **row,
    }


def run(
    params: ExpertParams, env: EnvParams, evaluation: EvaluationParams, out: Path
) -> Mapping[str, Any]:
    """Train every seed, decide, and write the manifest; the decision is in its ``state``.

    The manifest of an approved expert that this one takes the place of stays in its ``history``.

    Raises:
        ParamsError: there is no seed, or the gate asks for more than will be judged.
    """
    tasks = [Task(params, env, evaluation, seed, out / f"seed_{seed}") for seed in params.seeds]
    totals = {f"expert/seed_{seed}": params.budget.steps for seed in params.seeds}
    if not tasks:
        raise ParamsError("params: expert.seeds: expected at least one seed, got none; add one")
    check_engine(params.engine)
    _check_gate(params, evaluation, env)
    drop_other_seeds(out, params.seeds)
    with watch(totals):
        rows = run_tasks(train_seed, tasks, engine=params.engine)
    decision = decide(rows, gate=params.gate)
    best = f"seed_{rows[decision.best]['seed']}/policy"
    actor, config = load_policy(out / best).actor, env.config()
    scenarios = env.scenarios or scenario_names()
    tracked = tracking_episodes(scenarios, each=evaluation.track_each)
    baseline = load_baseline()
    episodes = judged(actor, scenarios, each=evaluation.judge_each, config=config)
    write_episodes(out, [episode_row(episode, baseline) for episode in episodes])
    manifest: dict[str, Any] = {
        "id": f"expert-{rows[decision.best]['policy'][:12]}",
        "policy": rows[decision.best]["policy"],
        "state": "approved" if decision.promoted else "draft",
        "promotable": decision.promoted,
        "reasons": list(decision.reasons),
        "best_seed": rows[decision.best]["seed"],
        "best": best,
        "tracking": evaluate(actor, tracked, config),
        "seeds": rows,
        "pooled": decision.pooled,
        "environment": ENV_VERSION,
        "diagnosis": [] if decision.promoted else diagnose(rows),
    }
    path = out / "manifest.json"
    former = read_json(path) if path.is_file() else {}
    manifest["history"] = superseded(former, manifest)
    write_json(path, manifest)
    return manifest


def _check_gate(params: ExpertParams, evaluation: EvaluationParams, env: EnvParams) -> None:
    """Refuse a gate that no training could pass, before any is paid for."""
    judged = evaluation.judge_each * len(env.scenarios or scenario_names())
    for key, asked, there in (
        ("seeds", params.gate.seeds, len(params.seeds)),
        ("episodes", params.gate.episodes, judged),
    ):
        if asked > there:
            raise ParamsError(
                f"params: expert.gate.{key}: expected at most {there}, as many as there will be, "
                f"got {asked}; train or judge more, or ask for less"
            )


@in_one_line
def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; exit status 1 when no expert is promoted."""
    parser = parser_of("expert", __doc__, example="--out data/models/expert")
    add_paths(parser, "params")
    parser.add_argument(
        "--out", type=Path, default=Path("data/models/expert"), help="folder of the expert"
    )
    arguments = parser.parse_args(argv)
    params = read_section(arguments.params, "expert", ExpertParams)
    env = read_section(arguments.params, "env", EnvParams)
    evaluation = read_section(arguments.params, "evaluation", EvaluationParams)
    arguments.out.mkdir(parents=True, exist_ok=True)
    manifest = run(params, env, evaluation, arguments.out)
    for line in [*manifest["reasons"], *manifest["diagnosis"]]:
        logger.info(line)
    return 0 if manifest["promotable"] else 1


if __name__ == "__main__":
    sys.exit(main())
