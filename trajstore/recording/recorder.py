"""Record episodes one by one into a version; each is durable once ``add`` has returned.

Leaving the recorder seals the version. An error or a kill leaves the recording beside it, and the
next recorder on the same target goes on after the last durable episode. Workers add to segments.
Threads may share a segment or a recorder.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from loguru import logger

from trajstore.episode.episode import Episode
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import LockedError, SealedError
from trajstore.recording.live import Live, LiveEpisode, Recorded
from trajstore.recording.recover import check_target, finish, seeds_of
from trajstore.recording.segment import Segment
from trajstore.recording.unfinished import Recording, recorder_lock, recording_folder
from trajstore.version.manifest import Manifest
from trajstore.version.writer import DEFAULT_QUOTA_BYTES, check_recipe, open_base

__all__ = ["LiveEpisode", "Recorder", "Segment"]


class Recorder(Segment):
    """Records a version: ``with Recorder(...) as recorder: recorder.add(episode)``.

    It begins the recording and is its first segment. Leaving the block seals the version from all
    segments. When the block ends with an error, nothing is sealed and the recording stays.

    Args:
        target: folder of the version; must not exist.
        schema: the fields of every episode.
        provenance: plain JSON values; no times, so that the same recipe gives the same bytes.
        quota_bytes: most that the journals and the version may take on disk together, which they
            do while it is sealed; so a version can become about half as large.
        extends: folder of a version whose episodes come first.

    Attributes:
        manifest: of the version, once it is sealed.

    Raises:
        ArgumentError: at once, if the quota is no whole number of 1 or more.
        SealedError: on entering, if the target exists.
        LockedError: on entering, if another process records it; the message names that one. Also if
            one has sealed it since this recorder was made.
        SchemaError: on entering, if the version to extend, or an unfinished recording there, has
            another schema; it says which field.
        JournalError: on entering, if an unfinished recording there has another provenance, extends
            another version, or is damaged; on leaving, if there is no episode, or in a fork of the
            process that entered it.
        QuotaExceededError: on leaving, if the version came out larger than foreseen.
        StorageError: if the operating system refuses; durable episodes stay in the recording.
    """

    def __init__(
        self,
        target: Path,
        *,
        schema: EpisodeSchema,
        provenance: Mapping[str, Any],
        quota_bytes: int = DEFAULT_QUOTA_BYTES,
        extends: Path | None = None,
    ) -> None:
        check_recipe(schema, provenance, quota_bytes)
        super().__init__(target, "main", schema=schema)
        base = None if extends is None else Path(os.path.realpath(extends))
        self._recording = Recording(self.target, schema, provenance, quota_bytes, base)
        self._was_new = not os.path.lexists(self.target)
        self._whole = ExitStack()
        self._live: Live | None = None
        self.manifest: Manifest | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(recorder_lock(self.target))
            self._check_target()
            open_base(self._recording.extends, self._schema)
            self._recording.begin()
            super().__enter__()
            stack.callback(super().__exit__)
            self._whole = stack.pop_all()
        return self

    def _check_target(self) -> None:
        try:
            check_target(self._recording)
        except SealedError as error:
            if not self._was_new:
                raise
            raise LockedError(
                f"{self.target}: another process has sealed meanwhile; record again, to the next"
            ) from error

    def __exit__(self, *raised: object) -> None:
        with ExitStack() as stack:
            stack.push(self._leave if raised[0] is None else lambda *_: self._leave(*raised))
            if self._live is not None and self.is_open:
                self._live.end(failing=raised[0] is not None)

    def _leave(self, *raised: object) -> None:
        with ExitStack() as stack:
            with self._alone():
                stack.push(self._whole.pop_all())
                if raised[0] is None:
                    self._check_open()
                super().__exit__()
            if raised[0] is None:
                self.manifest = finish(self._recording)

    def add(self, episode: Episode, *, order: int | None = None) -> None:
        """Record an episode, after the last one here unless told; see `Segment.add`."""
        self._put_after(episode, order, sync=True)

    def _put_after(self, episode: Episode, order: int | None, *, sync: bool) -> None:
        self._check_open()
        with self._guard:
            self._put(episode, self._next if order is None else order, sync=sync)

    def add_all(self, episodes: Iterable[Episode]) -> int:
        """Record many episodes after the last one here; all are durable when this returns.

        They become durable together: every 64 MiB or 5 seconds, at the end, and when an error ends
        the stream. That is faster than `add` for short episodes that can be had again.

        Returns:
            How many were added.

        Raises:
            Exception: as `add`, or as what gives the episodes; those before it are durable.
        """
        count = 0
        try:
            for episode in episodes:
                self._put_after(episode, None, sync=False)
                count += 1
        finally:
            with self._alone():
                self._check_open()
                self._journal.sync()
        return count

    def missing(self, seeds: Iterable[int], *, scenario: str | None = None) -> list[int]:
        """Those seeds with which no episode of the scenario is there yet, each once, in order.

        So a program that was killed and is run again goes on where it ended; the log says how many
        are skipped. Looked at are the fields ``seed`` and, if told, ``scenario`` of all durable
        episodes: of every segment, and of the version that is extended.

        Raises:
            SchemaError: if the schema lacks one of the two fields.
        """
        wanted = list(dict.fromkeys(map(int, seeds)))
        with self._alone():
            self._check_open()
            there = seeds_of(self._recording, scenario)
        left = [seed for seed in wanted if seed not in there]
        if len(left) < len(wanted):
            skipped = len(wanted) - len(left)
            name = f"{self.target.parent.name}@{self.target.name}"
            logger.info("{}: {:,} of {:,} seeds are there, skipped", name, skipped, len(wanted))
        return left

    def begin(self, values: Mapping[str, Any]) -> LiveEpisode:
        """Begin an episode of a loop that belongs to somebody else, such as a teleoperation.

        Several may be under way at once, in any threads; they come in the order in which they end.
        Memory is bounded: what does not fit waits in files that are gone with the process.

        Args:
            values: of the first state, and of those fields of the episode axis that are known, by
                field; see `LiveEpisode.step`.

        Raises:
            SchemaError: if a value is missing or does not fit; nothing was begun.
            JournalError: if the recorder is closed, or was entered by another process.
            QuotaExceededError: if an earlier episode found no room; it is lost.
            StorageError: if an earlier episode could not be written; it is lost.
        """
        with self._guard:
            self._check_open()
            if self._live is None:
                self._live = Live(
                    Recorded(
                        f"recording {self.target.name}",
                        self._schema,
                        recording_folder(self.target),
                        self._check_open,
                        self._check_room,
                        lambda episode: self._put_after(episode, None, sync=False),
                        self._sync,
                    )
                )
        return self._live.begin(values)

    def wait(self) -> None:
        """Return when every episode that was ended is durable; raises as `begin` does."""
        self._check_open()
        if self._live is not None:
            self._live.wait()

    @property
    def lag(self) -> float:
        """How long loops waited in all because the disk was behind, seconds."""
        return 0.0 if self._live is None else self._live.lag

    def _sync(self) -> None:
        with self._guard:
            self._journal.sync()
