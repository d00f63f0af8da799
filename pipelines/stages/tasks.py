"""Stage: the table of public tasks; teachers, demonstrations, clones and every arm, resumable."""

import signal
import time
from collections.abc import Sequence
from types import FrameType

from loguru import logger

from pipelines.running.fanout import cores
from pipelines.running.stage import add_paths, in_one_line, parser_of
from pipelines.table.flow import Flow, is_fixed, write_table
from pipelines.table.page import mean_words
from pipelines.table.plan import Place
from pipelines.table.settings import PUBLIC, read_settings


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@in_one_line
def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; exit status 1 where a piece of work failed or a target is not fixed."""
    parser = parser_of("tasks", __doc__, example="--task LunarLander-v3 --workers 2")
    add_paths(
        parser,
        settings=(str(PUBLIC), "folder of the settings, a file a task"),
        out=("data/tasks", "folder of everything that is made"),
        docs=("docs", "folder of tasks.json, tasks.md and images/tasks.png"),
    )
    parser.add_argument("--task", action="append", default=[], help="only this one; repeatable")
    parser.add_argument("--arm", action="append", default=[], help="only this one; repeatable")
    parser.add_argument("--workers", type=int, default=cores(), help="processes side by side")
    parser.add_argument("--stop-after", type=float, help="seconds; run again to go on")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--prepare", action="store_true", help="teachers and demonstrations only")
    only.add_argument("--report", action="store_true", help="only write what is there")
    arguments = parser.parse_args(argv)
    if arguments.workers < 1:
        parser.error(f"--workers: expected a number >= 1, got {arguments.workers}")
    deadline = None if arguments.stop_after is None else time.time() + arguments.stop_after
    signal.signal(signal.SIGTERM, _stop)
    tasks = read_settings(arguments.task, arguments.settings)
    places = [Place(arguments.out, it) for it in tasks]
    flow = Flow(places, arguments.workers, deadline, arguments.arm)
    alone = set(arguments.arm) == {"baseline"}
    done = [] if arguments.report or alone else flow.prepare()
    if not arguments.report and not arguments.prepare:
        done += flow.train()
    if not arguments.prepare:
        table = write_table(places, arguments.docs)
        logger.info(
            "mean ratio over {} tasks: {}", len(table.counted), mean_words(table.mean_ratio)
        )
    return int(any(it.failed for it in done) or not all(map(is_fixed, tasks)))
