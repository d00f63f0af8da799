"""Stage: train the expert with several seeds and promote it only on evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from loguru import logger

from pipelines.learning.conditions import check_conditions
from pipelines.learning.evaluation import episode_list, evaluate
from pipelines.learning.job import Job, side_by_side, train, write_final
from pipelines.learning.policy import load_policy
from pipelines.learning.ppo import PpoParams
from pipelines.learning.promotion import (
    Convergence,
    Gate,
    decide,
    diagnose,
    has_converged,
    read_former,
    superseded,
    write_manifest,
)
from pipelines.learning.runlog import read_evaluations, read_run
from pipelines.learning.sealing import EXPERT
from pipelines.learning.training import Budget
from pipelines.learning.world import Played, World, check_each, read_world
from pipelines.running.fanout import Engine
from pipelines.running.params import ParamsError, Seeds, plain_section, read_section
from pipelines.running.stage import add_paths, in_one_line, parser_of
from pipelines.tasks.task import FirstSeed


@dataclass(frozen=True, slots=True)
class ExpertParams:
    """Training and promotion of the expert.

    Attributes:
        select_each: episodes a scenario that choose the best policy of a run.
        convergence: when to stop early.
        gate: what promotion takes.
    """

    seeds: Seeds
    ppo: PpoParams
    budget: Budget
    select_each: Played
    convergence: Convergence
    gate: Gate
    engine: Engine


def train_seed(job: Job, *, judge_each: int) -> dict[str, Any]:
    """Train one seed, keep its best policy, judge it on episodes that chose nothing."""
    train(job)
    saved = load_policy(job.policy)
    judging = episode_list(job.task.names, each=judge_each, first_seed=FirstSeed.JUDGING)
    return {
        "seed": job.seed,
        "steps": read_run(job.folder).steps,
        "policy": saved.digest,
        "selection": max(map(job.task.rank, read_evaluations(job.folder))),
        **evaluate(saved.actor, judging, job.task),
    }


def run(params: ExpertParams, world: World, out: Path) -> Mapping[str, Any]:
    """Train every seed, decide, and write the manifest; the decision is in its ``state``.

    The manifest of an approved expert that this one takes the place of stays in its ``history``.

    Raises:
        ParamsError: there is no seed, or the gate asks for more than will be judged.
    """
    if not params.seeds:
        raise ParamsError("params: expert.seeds: names no seed; add one")
    _check_gate(params, world)
    former = read_former(out)
    task, each = world.task, world.evaluation.judge_each
    train_one = partial(train_seed, judge_each=each)
    rows = side_by_side(train_one, _jobs(params, world, out), out, engine=params.engine)
    promotion = decide(rows, gate=params.gate)
    chosen = rows[promotion.best]
    best = f"seed_{chosen['seed']}/policy"
    actor = load_policy(out / best).actor
    write_final(out, actor, task, each=each)
    track_each = world.evaluation.track_each
    tracked = episode_list(task.names, each=track_each, first_seed=FirstSeed.TRACKING)
    manifest: dict[str, Any] = {
        "id": f"expert-{chosen['policy'][:12]}",
        "policy": chosen["policy"],
        "state": "approved" if promotion.promoted else "draft",
        "promotable": promotion.promoted,
        "reasons": list(promotion.reasons),
        "best_seed": chosen["seed"],
        "best": best,
        "tracking": evaluate(actor, tracked, task),
        "seeds": rows,
        "pooled": promotion.pooled,
        "environment": task.version,
        "diagnosis": [] if promotion.promoted else diagnose(rows, task),
    }
    manifest["history"] = superseded(former, manifest)
    write_manifest(out, manifest)
    return manifest


def _jobs(params: ExpertParams, world: World, out: Path) -> list[Job]:
    each, first = params.select_each, FirstSeed.SELECTION
    selecting = episode_list(world.task.names, each=each, first_seed=first)
    return [
        Job(
            stage="expert",
            arm=EXPERT,
            seed=seed,
            folder=out / f"seed_{seed}",
            task=world.task,
            ppo=params.ppo,
            budget=params.budget,
            episodes=selecting,
            stop=partial(has_converged, convergence=params.convergence, rank=world.task.rank),
            parameters={"select_each": params.select_each, "convergence": params.convergence},
            keeps_best=True,
        )
        for seed in params.seeds
    ]


def _check_gate(params: ExpertParams, world: World) -> None:
    """Refuse a gate that no training could pass, before any is paid for."""
    judged = world.evaluation.judge_each * len(world.task.names)
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
    add_paths(parser, "params", out=("data/models/expert", "folder of the expert"))
    arguments = parser.parse_args(argv)
    if plain_section(arguments.params, "expert") is None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        logger.info("{}: expert is null, so that none is trained", arguments.params)
        return 0
    params = read_section(arguments.params, "expert", ExpertParams)
    world, where = read_world(arguments.params), f"{arguments.params}: expert"
    for key, part in (("gate", params.gate), ("convergence", params.convergence)):
        check_conditions(part.conditions, world.task, where=f"{where}.{key}.conditions")
    check_each(params.select_each, world.task, where=f"{where}.select_each")
    arguments.out.mkdir(parents=True, exist_ok=True)
    manifest = run(params, world, arguments.out)
    for line in [*manifest["reasons"], *manifest["diagnosis"]]:
        logger.info(line)
    return 0 if manifest["promotable"] else 1
