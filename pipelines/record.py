"""Stage: record the promoted expert's episodes into a sealed dataset version."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loguru import logger

from pipelines.env.config import ENV_VERSION
from pipelines.env.rollout import record_rollout
from pipelines.env.scenarios import scenario_names
from pipelines.env.schema import episode_schema
from pipelines.env.social_nav import ENV_ID
from pipelines.evaluation import COLLECTION_SEEDS, episode_list
from pipelines.fanout import run_tasks
from pipelines.params import read_section
from pipelines.policy import SavedPolicy, load_policy
from pipelines.settings import EnvParams, RecordParams
from trajstore.errors import StatusError
from trajstore.files import read_json
from trajstore.recorder import Recorder
from trajstore.segment import Segment

BATCH = 64
"""Episodes simulated at once; a recording that died loses at most these."""


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of the episodes, for one worker."""

    target: Path
    policy: Path
    env: EnvParams
    name: str
    episodes: tuple[tuple[int, str, int], ...]


def read_expert(folder: Path) -> tuple[Mapping[str, Any], SavedPolicy]:
    """The expert's manifest and its best policy.

    Raises:
        StatusError: the expert is not approved.
    """
    manifest = read_json(folder / "manifest.json")
    if manifest.get("state") != "approved":
        raise StatusError(
            f"expert {folder}: expected state approved, got {manifest.get('state')!r}; "
            "train it until it passes its gate"
        )
    return manifest, load_policy(folder / manifest["best"])


def record_shard(shard: Shard) -> int:
    """Play the shard's episodes that are not durable yet, and add each at its place."""
    actor = load_policy(shard.policy).actor
    config = shard.env.config()
    with Segment(shard.target, shard.name, schema=episode_schema(config)) as segment:
        left = [episode for episode in shard.episodes if episode[0] not in segment.orders]
        for first in range(0, len(left), BATCH):
            batch = left[first : first + BATCH]
            played = record_rollout(actor, [(name, seed) for _, name, seed in batch], config)
            for (order, _, _), episode in zip(batch, played, strict=True):
                segment.add(episode, order=order)
        return len(left)


def provenance(expert: Mapping[str, Any], policy: SavedPolicy, env: EnvParams) -> dict[str, Any]:
    """What made the dataset; nothing in it depends on when or where."""
    return {
        "environment": {
            "id": ENV_ID,
            "version": ENV_VERSION,
            "entry_point": "pipelines.env.make:make_env",
            "config": asdict(env.config()),
        },
        "policy": {"id": expert["id"], "digest": policy.digest, "deterministic": True},
        "contract": policy.contract.to_json(),
    }


def run(params: RecordParams, env: EnvParams, expert: Path, out: Path) -> int:
    """Record every episode once, with as many workers as there are cores; resume what died."""
    manifest, policy = read_expert(expert)
    scenarios = env.scenarios or scenario_names()
    episodes = [
        (order, name, seed)
        for order, (name, seed) in enumerate(
            episode_list(scenarios, each=params.each, first_seed=COLLECTION_SEEDS)
        )
    ]
    size = -(-len(episodes) // params.shards)
    recorder = Recorder(
        out,
        schema=episode_schema(env.config()),
        provenance=provenance(manifest, policy, env),
        quota_bytes=params.quota_bytes,
    )
    with recorder:
        shards = [
            Shard(
                out,
                expert / manifest["best"],
                env,
                f"shard-{index:04d}",
                tuple(episodes[index * size : (index + 1) * size]),
            )
            for index in range(params.shards)
        ]
        run_tasks(record_shard, shards, engine=params.engine)
    return len(episodes)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--policy", type=Path, default=Path("data/models/expert"))
    parser.add_argument("--out", type=Path, default=Path("data/current/expert"))
    arguments = parser.parse_args(argv)
    params = read_section(arguments.params, "record", RecordParams)
    env = read_section(arguments.params, "env", EnvParams)
    count = run(params, env, arguments.policy, arguments.out)
    logger.info("recorded {} episodes into {}", count, arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
