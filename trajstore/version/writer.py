"""Write episodes into one new, sealed version."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trajstore.disk.files import check_new, storing, whole_directory, write_file
from trajstore.episode.episode import Episode, check_episode
from trajstore.episode.provenance import check_provenance
from trajstore.episode.schema import EpisodeSchema, check_is_schema
from trajstore.errors import JournalError
from trajstore.version.layout import projected_bytes
from trajstore.version.manifest import MANIFEST, Manifest
from trajstore.version.part import Part
from trajstore.version.quota import DEFAULT_QUOTA_BYTES, check_limit, check_quota
from trajstore.version.sealing import VersionWriter, open_base
from trajstore.version.spool import spooled

BATCH_BYTES = 4 * 2**20


def write_dataset(
    target: Path,
    episodes: Iterable[Episode],
    *,
    schema: EpisodeSchema,
    provenance: Mapping[str, Any],
    quota_bytes: int = DEFAULT_QUOTA_BYTES,
) -> Manifest:
    """Write episodes into a new version; it is there whole, or not at all.

    Args:
        target: folder of the version; must not exist.
        episodes: all of one schema. A sequence is read twice.
        schema: the fields of every episode.
        provenance: plain JSON values; no times, so that the same recipe gives the same bytes.
        quota_bytes: most that the version may take on disk, 25 GB unless told.

    Raises:
        SealedError: if the target exists.
        SchemaError: if an episode has another schema, the schema is none, or the provenance is no
            plain JSON.
        ArgumentError: if the quota is no whole number of 1 or more.
        JournalError: if there is no episode.
        QuotaExceededError: if the version would be larger; nothing was written.
        StorageError: if the operating system refuses.
    """
    target = Path(target)
    check_new(target)
    check_provenance(provenance)
    check_limit(quota_bytes)
    check_is_schema(schema)
    if isinstance(episodes, Sequence):
        for episode in episodes:
            check_episode(episode, schema)
        steps = sum(len(episode) for episode in episodes)
        plan = Plan(schema, len(episodes), steps, provenance, quota_bytes)
        return seal_version(target, episodes, plan)
    with spooled(target, episodes, schema=schema, quota_bytes=quota_bytes) as spool:
        plan = Plan(schema, spool.episodes, spool.steps, provenance, quota_bytes, spool.size)
        return seal_version(target, spool, plan)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be sealed.

    Attributes:
        schema: the fields of every episode.
        episodes: how many will come.
        steps: sum of their lengths.
        provenance: of the version.
        quota_bytes: most that the version and what is held beside it may take on disk.
        held_bytes: of the journals that the episodes come from; they stay until it is sealed.
        extends: folder of the version whose episodes come first; its files are copied as they are.
    """

    schema: EpisodeSchema
    episodes: int
    steps: int
    provenance: Mapping[str, Any]
    quota_bytes: int = DEFAULT_QUOTA_BYTES
    held_bytes: int = 0
    extends: Path | None = None


def seal_version(target: Path, episodes: Iterable[Episode], plan: Plan) -> Manifest:
    """Write episodes into a new version; it is there whole, or not at all.

    Raises:
        SealedError: if the target exists.
        SchemaError: if an episode has another schema, or they are not as many as planned.
        JournalError: if there is no episode.
        CorruptionError: if the version that is extended is damaged.
        QuotaExceededError: if the version would be larger than its quota.
        StorageError: if the operating system refuses.
    """
    if not plan.episodes:
        raise JournalError(f"version {target.name}: expected at least one episode, got none")
    base = None if plan.extends is None else open_base(plan.extends, plan.schema)
    part = Part(f"parts/{len(base.parts)}" if base else "", plan.episodes, plan.steps)
    held = plan.held_bytes + (base.size_bytes if base else 0)
    needed = held + projected_bytes(plan.schema, part)
    check_quota(target, needed=needed, quota_bytes=plan.quota_bytes)
    room = plan.quota_bytes - plan.held_bytes
    contents = Contents(plan.schema, part, plan.provenance, plan.extends, room)
    with whole_directory(target) as folder:
        return fill(folder, episodes, contents)


@dataclass(frozen=True, slots=True)
class Contents:
    """What goes into the folder of a version.

    Attributes:
        schema: the fields of every episode.
        part: where the episodes go, and how many there are.
        provenance: of the version.
        extends: folder of the version whose files come first.
        most_bytes: what all files together may take.
    """

    schema: EpisodeSchema
    part: Part
    provenance: Mapping[str, Any]
    extends: Path | None = None
    most_bytes: int = DEFAULT_QUOTA_BYTES


def fill(folder: Path, episodes: Iterable[Episode], contents: Contents) -> Manifest:
    """Write all files of a version into an empty folder, the manifest last.

    Raises:
        SchemaError: if an episode has another schema, or they are not as many as said.
        CorruptionError: if the version that is extended is damaged.
        QuotaExceededError: if the files would take more than they may.
        StorageError: if the operating system refuses.
    """
    with storing(folder):
        writer = VersionWriter(folder, contents.schema, contents.part)
        try:
            if contents.extends is not None:
                base = open_base(contents.extends, contents.schema)
                writer.take_over(contents.extends, base)
            writer.begin()
            for batch in _batches(episodes):
                writer.append(batch)
            manifest = writer.close(contents.provenance)
        finally:
            writer.abandon()
        content = manifest.to_bytes()
        needed = manifest.size_bytes + len(content)
        check_quota(folder, needed=needed, quota_bytes=contents.most_bytes)
        write_file(folder / MANIFEST, content)
    return manifest


def _batches(episodes: Iterable[Episode]) -> Iterator[list[Episode]]:
    """Lists of episodes of a few megabytes, so that NumPy has something to work on."""
    batch: list[Episode] = []
    size = 0
    for episode in episodes:
        batch.append(episode)
        size += sum(array.nbytes for array in episode.arrays.values())
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
