"""Stage: online training of one arm, every seed; a start policy is all that tells arms apart."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import cast

from loguru import logger

from pipelines.learning.conditions import check_conditions
from pipelines.learning.evaluation import episode_list
from pipelines.learning.job import FinetuneParams, Job, read_start, side_by_side, train
from pipelines.learning.promotion import has_arrived
from pipelines.learning.runlog import read_run
from pipelines.learning.training import never
from pipelines.learning.verdict import check_quarantine
from pipelines.learning.world import World, read_world
from pipelines.running.params import ParamsError, read_section
from pipelines.running.stage import add_paths, in_one_line, parser_of
from pipelines.tasks.task import FirstSeed


def train_seed(job: Job) -> str:
    """Train one seed of an arm unless its finished run is there; say what was done."""
    done = train(job)
    said = f"{read_run(job.folder).steps:,} online steps" if done else "finished before"
    return f"{job.arm} seed {job.seed}: {said}"


def jobs_of(
    arm: str, params: FinetuneParams, world: World, out: Path, *, start: Path | None = None
) -> list[Job]:
    """The training of each seed of an arm; ``start`` holds a clone for each of them."""
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
    each, first = world.evaluation.track_each, FirstSeed.TRACKING
    tracked = episode_list(world.task.names, each=each, first_seed=first)
    arrived = partial(has_arrived, criterion=params.arrival)
    return [
        Job(
            stage="finetune",
            arm=arm,
            seed=seed,
            folder=out / f"seed_{seed}",
            task=world.task,
            ppo=params.from_clone[arm].settings(params.ppo) if start else params.ppo,
            budget=budget,
            episodes=tracked,
            stop=arrived if budget.stop_on_arrival else never,
            parameters={"evaluation": world.evaluation},
            judge_each=world.evaluation.judge_each,
            start=start,
            warm=params.from_clone[arm] if start else None,
        )
        for seed in params.seeds
    ]


def run(
    arm: str,
    params: FinetuneParams,
    world: World,
    out: Path,
    *,
    start: Path | None = None,
    reviews: Path | None = None,
) -> list[str]:
    """Train every seed of an arm; a clone of other layers, or of a refused dataset, is refused."""
    jobs = jobs_of(arm, params, world, out, start=start)
    hidden = params.ppo.hidden
    for seed in params.seeds if start is not None else ():
        clone, record = read_start(cast(Path, start), seed)
        check_quarantine(record.inputs["dataset"], reviews, where=f"clone {start}/seed_{seed}")
        got = clone.architecture.hidden
        if got != hidden:
            raise ParamsError(
                f"finetune.ppo.hidden: expected {list(got)}, the hidden layers of the clone "
                f"{start}/seed_{seed}, got {list(hidden)}; clone again, or change the section"
            )
    return side_by_side(train_seed, jobs, out, engine=params.engine)


@in_one_line
def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage for one arm."""
    parser = parser_of(
        "finetune",
        __doc__,
        example="--arm finetune --start data/runs/clone --out data/runs/finetune",
    )
    add_paths(parser, "params", "reviews")
    parser.add_argument("--arm", required=True, help="name of the arm, such as baseline")
    parser.add_argument("--start", type=Path, help="folder of clones; none trains from scratch")
    parser.add_argument("--transfer", action="store_true", help="train on what is not shown")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    arguments = parser.parse_args(argv)
    arm, start = arguments.arm, arguments.start
    params = read_section(arguments.params, "finetune", FinetuneParams)
    if start is None and arm in params.from_clone:
        parser.error(
            f"--start: expected clones for arm {arm!r}, which finetune.from_clone "
            "lists, got none; name their folder"
        )
    world = read_world(arguments.params, transfer=arguments.transfer)
    where = f"{arguments.params}: finetune.arrival.conditions"
    check_conditions(params.arrival.conditions, world.task, where=where)
    reviews = arguments.reviews
    for line in run(arm, params, world, arguments.out, start=start, reviews=reviews):
        logger.info(line)
    return 0
