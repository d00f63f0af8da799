"""Stage: clone the expert's episodes into fresh policies, one a seed."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from loguru import logger

from pipelines.learning.clones import (
    CloneJob,
    may_be_shown,
    not_excluded,
    open_dataset,
    train_clone,
)
from pipelines.learning.cloning import PretrainParams
from pipelines.learning.job import FinetuneParams
from pipelines.learning.run import drop_other_seeds
from pipelines.learning.sealing import seal_arm, unseal_arm
from pipelines.learning.verdict import check_verdict, excluded_episodes
from pipelines.learning.world import read_transfer
from pipelines.running.fanout import check_engine, run_jobs
from pipelines.running.params import read_section
from pipelines.running.stage import add_paths, in_one_line, parser_of
from pipelines.tasks.reading import read_task
from trajstore.dataset import Dataset


def _say_what_is_shown(job: CloneJob) -> None:
    dataset = open_dataset(job)
    out = len(dataset) - int(not_excluded(job, dataset).sum())
    if out:
        logger.info("{:,} of {:,} episodes are marked exclude: not shown", out, len(dataset))
    there, asked = int(may_be_shown(job, dataset).sum()), job.params.episodes
    if asked > there:
        logger.info("asked for {:,} episodes, only {:,} may be shown; shows all", asked, there)


def run(jobs: Sequence[CloneJob], out: Path, *, engine: str) -> None:
    """Make the clones of one folder anew, and seal them; other seeds' clones go."""
    seeds = [job.seed for job in jobs]
    unseal_arm(out, jobs[0].arm)
    drop_other_seeds(out, seeds)
    run_jobs(train_clone, jobs, engine=engine)
    seal_arm(out, jobs[0].arm, seeds)


@in_one_line
def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage."""
    parser = parser_of("pretrain", __doc__, example="--episodes 10 --out data/runs/clone_10")
    usual = "data/runs/clone", "folder of the clones"
    add_paths(parser, "params", "dataset", "report", "reviews", out=usual)
    parser.add_argument("--shuffle-actions", action="store_true", help="the negative control")
    parser.add_argument("--excluded", action="store_true", help="show episodes marked exclude too")
    parser.add_argument("--transfer", action="store_true", help="only what may be demonstrated")
    parser.add_argument("--episodes", type=int, help="instead of the section's number; 0 means all")
    arguments = parser.parse_args(argv)
    if (arguments.episodes or 0) < 0:
        parser.error(f"--episodes: expected a number >= 0, got {arguments.episodes}; raise it")
    params = read_section(arguments.params, "pretrain", PretrainParams)
    if arguments.episodes is not None:
        params = replace(params, episodes=arguments.episodes)
    task = read_task(arguments.params)
    shown = read_transfer(arguments.params, task) if arguments.transfer else None
    online = read_section(arguments.params, "finetune", FinetuneParams)
    dataset, reviews = arguments.dataset, arguments.reviews
    out = frozenset[str]() if arguments.excluded else excluded_episodes(dataset, reviews)
    clone_of = partial(CloneJob, params, online, task, dataset, arguments.shuffle_actions, shown)
    jobs = [clone_of(seed, arguments.out / f"seed_{seed}", out) for seed in params.seeds]
    check_engine(online.engine)
    check_verdict(arguments.report, Dataset.open(dataset), reviews=reviews, where=dataset)
    _say_what_is_shown(jobs[0])
    run(jobs, arguments.out, engine=online.engine)
    logger.info("{} clones in {}", len(jobs), arguments.out)
    return 0
