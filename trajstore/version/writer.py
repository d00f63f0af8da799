"""Write episodes into one new, sealed version."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trajstore.disk.files import whole_directory, write_file
from trajstore.disk.system import storing
from trajstore.episode.episode import Episode
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import JournalError
from trajstore.version.layout import projected_bytes
from trajstore.version.manifest import MANIFEST, Manifest
from trajstore.version.part import Part
from trajstore.version.quota import DEFAULT_QUOTA_BYTES, check_quota
from trajstore.version.sealing import VersionWriter, open_base

BATCH_BYTES = 4 * 2**20


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
