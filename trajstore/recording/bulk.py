"""Many episodes into a new version at once; those of unknown number are counted on disk."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trajstore.disk.files import check_new, make_directories, remove_tree
from trajstore.disk.system import storing
from trajstore.episode.episode import Episode, check_episode
from trajstore.episode.schema import EpisodeSchema
from trajstore.recording.frames import SEALED_SHARE, frame_bytes
from trajstore.recording.journal import Journal
from trajstore.version.cameras import recordable
from trajstore.version.layout import Part, projected_bytes
from trajstore.version.manifest import Manifest
from trajstore.version.writer import (
    DEFAULT_QUOTA_BYTES,
    Plan,
    check_quota,
    check_recipe,
    seal_version,
)


def write_dataset(
    target: Path,
    episodes: Iterable[Episode],
    *,
    schema: EpisodeSchema,
    provenance: Mapping[str, Any],
    quota_bytes: int = DEFAULT_QUOTA_BYTES,
) -> Manifest:
    """Write episodes into a new version; it is there whole, or not at all.

    Nothing is durable before this returns, and then all is. Episodes that are no sequence are
    spooled beside the target first, where they are synced by size and time only.

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
    check_recipe(schema, provenance, quota_bytes)
    if isinstance(episodes, Sequence):
        for episode in episodes:
            check_episode(episode, schema)
        steps = sum(len(episode) for episode in episodes)
        plan = Plan(schema, len(episodes), steps, provenance, quota_bytes)
        return seal_version(target, episodes, plan)
    with _spooled(target, episodes, schema, quota_bytes) as journal:
        count, steps = len(journal.frames), sum(frame.steps for frame in journal.frames)
        plan = Plan(schema, count, steps, provenance, quota_bytes, journal.size)
        return seal_version(target, journal.episodes(), plan)


@contextmanager
def _spooled(
    target: Path, episodes: Iterable[Episode], schema: EpisodeSchema, quota_bytes: int
) -> Iterator[Journal]:
    """A journal of the episodes beside the target, removed at the end; it counts as well."""
    folder = target.with_name(f".{target.name}.spool")
    with storing(folder):
        remove_tree(folder)
        make_directories(folder)
    journal = Journal(folder / "journal.log", schema)
    try:
        steps, fixed = 0, projected_bytes(schema, Part("", 1, 1))
        for order, episode in enumerate(episodes):
            check_episode(episode, schema)
            episode = recordable(episode)
            steps += len(episode)
            journals = journal.size + frame_bytes(episode)
            if fixed + journals * (1 + SEALED_SHARE) > quota_bytes:
                needed = journals + projected_bytes(schema, Part("", order + 1, steps))
                check_quota(target, needed=needed, quota_bytes=quota_bytes)
            journal.append(episode, order=order, sync=False)
        yield journal
    finally:
        journal.close()
        with storing(folder):
            remove_tree(folder)
