"""Episodes of unknown number, held on disk until they can be counted."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from trajstore.disk.files import make_directories, remove_tree, storing
from trajstore.episode.episode import Episode, check_episode
from trajstore.episode.schema import EpisodeSchema
from trajstore.recording.journal import Frame, Journal, frame_bytes, read_episodes
from trajstore.version.layout import projected_bytes
from trajstore.version.part import Part
from trajstore.version.quota import check_quota


class Spool:
    """Episodes in a journal, to be read once more.

    Attributes:
        episodes: how many.
        steps: sum of their lengths.
        size: of the journal, bytes.
    """

    def __init__(self, path: Path, schema: EpisodeSchema, frames: list[Frame], size: int) -> None:
        self._path, self._schema, self._frames = path, schema, frames
        self.episodes = len(frames)
        self.steps = sum(frame.steps for frame in frames)
        self.size = size

    def __iter__(self) -> Iterator[Episode]:
        return read_episodes(self._path, self._schema, self._frames)


@contextmanager
def spooled(
    target: Path, episodes: Iterable[Episode], *, schema: EpisodeSchema, quota_bytes: int
) -> Iterator[Spool]:
    """Write episodes into a journal beside the target, which is removed when the block ends.

    Raises:
        SchemaError: if an episode has another schema.
        QuotaExceededError: if journal and version would take more than the quota.
        StorageError: if the operating system refuses.
    """
    folder = target.with_name(f".{target.name}.spool")
    with storing(folder):
        remove_tree(folder)
        make_directories(folder)
    journal = Journal(folder / "journal.log", schema)
    try:
        part = Part("", 0, 0)
        for episode in episodes:
            check_episode(episode, schema)
            part = Part("", part.episodes + 1, part.steps + len(episode))
            needed = journal.size + frame_bytes(episode) + projected_bytes(schema, part)
            check_quota(target, needed=needed, quota_bytes=quota_bytes)
            journal.append(episode, order=part.episodes)
        yield Spool(folder / "journal.log", schema, journal.frames, journal.size)
    finally:
        journal.close()
        with storing(folder):
            remove_tree(folder)
