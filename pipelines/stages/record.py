"""Stage: record the promoted expert's episodes into a sealed dataset version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from loguru import logger
from msgspec import Meta

import pipelines
import trajstore
from pipelines.learning.evaluation import episode_list
from pipelines.learning.teacher import Teacher, is_version, read_policy, scripted
from pipelines.learning.world import check_each
from pipelines.running.fanout import Engine, check_engine, run_jobs
from pipelines.running.params import Count, read_section
from pipelines.running.stage import PLACES, add_paths, in_one_line, parser_of
from pipelines.tasks.reading import read_task
from pipelines.tasks.task import TRAINING_SEEDS, FirstSeed, Task
from trajstore.disk.files import whole_directory, write_file
from trajstore.disk.json_text import canonical_json
from trajstore.episode.provenance import git_state
from trajstore.errors import NotFoundError
from trajstore.lifecycle.moving import check_sound
from trajstore.recording.recorder import Recorder, Segment
from trajstore.recording.recover import discard_recording
from trajstore.recording.unfinished import open_recording
from trajstore.version.files import LocalFiles
from trajstore.version.manifest import MANIFEST, Manifest

BLOCK = 64
"""Episodes simulated at once, a segment of the recording each; who died loses at most these."""
CODE = tuple(Path(str(package.__file__)).parent for package in (pipelines, trajstore))
"""Folders whose changes make the commit of a dataset a dirty one."""
_SEEDS = TRAINING_SEEDS[0] - FirstSeed.COLLECTION
Item = tuple[int, str, int]
"""An episode's place in the version, its scenario, its seed."""


@dataclass(frozen=True, slots=True)
class RecordParams:
    """Recording of the expert's episodes.

    Attributes:
        each: episodes a scenario, so many that their seeds end before those of training.
        shards: parts that the episodes are split into for the workers.
        quota_bytes: largest size of a dataset version.
        teacher: ``package.module:function`` that acts instead of the expert.
    """

    each: Annotated[int, Meta(ge=1, le=_SEEDS)]
    shards: Count
    quota_bytes: Count
    engine: Engine
    teacher: str | None = None


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of the episodes, for one worker."""

    target: Path
    teacher: Teacher
    task: Task
    blocks: tuple[tuple[Item, ...], ...]


def record_shard(shard: Shard) -> int:
    """Play the shard's episodes that are not durable yet, and add each at its place."""
    act = shard.teacher.act()
    schema = shard.task.schema()
    added = 0
    for block in shard.blocks:
        segment = Segment(shard.target, f"block-{block[0][0]:06d}", schema=schema)
        with segment:
            left = [item for item in block if item[0] not in segment.orders]
            names = [(scenario, seed) for _, scenario, seed in left]
            played = shard.task.record(act, names) if left else []
            for (order, _, _), episode in zip(left, played, strict=True):
                segment.add(episode, order=order)
        added += len(left)
    return added


def take_over(source: Path, out: Path) -> int:
    """Copy a sealed version, whole or not at all; return its number of episodes.

    Raises:
        CorruptionError: it is not as it was sealed.
    """
    check_sound(source, source, "show")
    manifest = Manifest.read(source)
    with whole_directory(out) as folder:
        LocalFiles(source, manifest).copy_all(folder)
        write_file(folder / MANIFEST, manifest.to_bytes())
    return manifest.episodes


def provenance(teacher: Teacher, task: Task) -> dict[str, Any]:
    """What made the dataset; nothing in it depends on when or where, and no content on ``git``."""
    return {
        "git": git_state(CODE[0], CODE),
        "environment": task.environment(),
        "contract": task.interface.to_json(),
        **teacher.provenance(),
    }


def run(params: RecordParams, task: Task, expert: Path, out: Path) -> int:
    """Record every episode once, with as many workers as there are cores; resume what died.

    An unfinished recording by another policy, or of another world, is dropped: its episodes
    would not be those that the new provenance tells of.
    """
    check_engine(params.engine)
    name = params.teacher
    teacher = scripted(name) if name else read_policy(expert, task)[0]
    listed = episode_list(task.names, each=params.each, first_seed=FirstSeed.COLLECTION)
    episodes = [(order, name, seed) for order, (name, seed) in enumerate(listed)]
    made_by = provenance(teacher, task)
    _drop_foreign(out, made_by, count=len(episodes))
    recorder = Recorder(
        out,
        schema=task.schema(),
        provenance=made_by,
        quota_bytes=params.quota_bytes,
    )
    with recorder:
        blocks = [
            tuple(episodes[first : first + BLOCK]) for first in range(0, len(episodes), BLOCK)
        ]
        shards = [
            Shard(out, teacher, task, tuple(blocks[index :: params.shards]))
            for index in range(min(params.shards, len(blocks)))
        ]
        run_jobs(record_shard, shards, engine=params.engine)
    return len(episodes)


def _drop_foreign(out: Path, made_by: Mapping[str, Any], *, count: int) -> None:
    try:
        found = open_recording(out)
    except NotFoundError:
        return
    same = canonical_json(dict(found.provenance)) == canonical_json(dict(made_by))
    if not same or any(frame.order >= count for _, frame in found.frames()):
        logger.info("dropped an unfinished recording of {} made otherwise", out.name)
        discard_recording(out)


@in_one_line
def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage."""
    parser = parser_of(
        "record", __doc__, example="--policy data/models/expert --out data/current/expert"
    )
    add_paths(
        parser,
        "params",
        policy=(PLACES["expert"][0], "folder of the teacher: expert, policy, or sealed version"),
        out=(PLACES["dataset"][0], "version folder to write"),
    )
    arguments = parser.parse_args(argv)
    params = read_section(arguments.params, "record", RecordParams)
    task = read_task(arguments.params)
    check_each(params.each, task, where=f"{arguments.params}: record.each", most=_SEEDS)
    teacher = arguments.policy
    if params.teacher is None and is_version(teacher):
        count = take_over(teacher, arguments.out)
        logger.info("took over {} episodes of {} as {}", count, teacher, arguments.out)
        return 0
    count = run(params, task, teacher, arguments.out)
    logger.info("recorded {} episodes into {}", count, arguments.out)
    return 0
