"""Stage: record the promoted expert's episodes into a sealed dataset version."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from loguru import logger
from msgspec import Meta

import pipelines
import trajstore
from pipelines.learning.evaluation import FirstSeed, episode_list
from pipelines.learning.policy import SavedPolicy, load_policy
from pipelines.learning.promotion import read_expert
from pipelines.learning.world import EnvParams
from pipelines.running.fanout import Engine, check_engine, run_jobs
from pipelines.running.params import Count, read_section
from pipelines.running.stage import PLACES, add_paths, in_one_line, parser_of
from pipelines.tasks.social_nav.config import ENV_VERSION
from pipelines.tasks.social_nav.rollout import record_rollout
from pipelines.tasks.social_nav.scenarios import scenario_names
from pipelines.tasks.social_nav.schema import episode_schema
from pipelines.tasks.social_nav.social_nav import ENV_ID
from pipelines.tasks.social_nav.vector import TRAINING_SEEDS
from trajstore.disk.json_text import canonical_json
from trajstore.episode.provenance import git_state
from trajstore.errors import NotFoundError
from trajstore.recording.recorder import Recorder, Segment
from trajstore.recording.recover import discard_recording
from trajstore.recording.unfinished import open_recording

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
    """

    each: Annotated[int, Meta(ge=1, le=_SEEDS // len(scenario_names()))]
    shards: Count
    quota_bytes: Count
    engine: Engine


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of the episodes, for one worker."""

    target: Path
    policy: Path
    env: EnvParams
    blocks: tuple[tuple[Item, ...], ...]


def record_shard(shard: Shard) -> int:
    """Play the shard's episodes that are not durable yet, and add each at its place."""
    actor = load_policy(shard.policy).actor
    config = shard.env.config()
    added = 0
    for block in shard.blocks:
        segment = Segment(shard.target, f"block-{block[0][0]:06d}", schema=episode_schema(config))
        with segment:
            left = [item for item in block if item[0] not in segment.orders]
            names = [(scenario, seed) for _, scenario, seed in left]
            played = record_rollout(actor, names, config) if left else []
            for (order, _, _), episode in zip(left, played, strict=True):
                segment.add(episode, order=order)
        added += len(left)
    return added


def provenance(expert: Mapping[str, Any], policy: SavedPolicy, env: EnvParams) -> dict[str, Any]:
    """What made the dataset; nothing in it depends on when or where, and no content on ``git``."""
    return {
        "git": git_state(CODE[0], CODE),
        "environment": {
            "id": ENV_ID,
            "version": ENV_VERSION,
            "entry_point": "pipelines.tasks.social_nav.simulator:simulate",
            "config": asdict(env.config()),
        },
        "policy": {"id": expert["id"], "digest": policy.digest, "deterministic": True},
        "contract": policy.interface.to_json(),
    }


def run(params: RecordParams, env: EnvParams, expert: Path, out: Path) -> int:
    """Record every episode once, with as many workers as there are cores; resume what died.

    An unfinished recording by another policy, or of another world, is dropped: its episodes
    would not be those that the new provenance tells of.
    """
    check_engine(params.engine)
    manifest, policy = read_expert(expert)
    listed = episode_list(env.names, each=params.each, first_seed=FirstSeed.COLLECTION)
    episodes = [(order, name, seed) for order, (name, seed) in enumerate(listed)]
    made_by = provenance(manifest, policy, env)
    _drop_foreign(out, made_by, count=len(episodes))
    recorder = Recorder(
        out,
        schema=episode_schema(env.config()),
        provenance=made_by,
        quota_bytes=params.quota_bytes,
    )
    with recorder:
        blocks = [
            tuple(episodes[first : first + BLOCK]) for first in range(0, len(episodes), BLOCK)
        ]
        shards = [
            Shard(out, expert / manifest["best"], env, tuple(blocks[index :: params.shards]))
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
        policy=PLACES["expert"],
        out=(PLACES["dataset"][0], "version folder to write"),
    )
    arguments = parser.parse_args(argv)
    params = read_section(arguments.params, "record", RecordParams)
    env = read_section(arguments.params, "env", EnvParams)
    count = run(params, env, arguments.policy, arguments.out)
    logger.info("recorded {} episodes into {}", count, arguments.out)
    return 0
