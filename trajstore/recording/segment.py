"""One worker's share of a recording."""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import numpy as np
from loguru import logger

from trajstore.disk.locks import lock
from trajstore.episode.episode import Episode, check_episode
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import JournalError, SealedError
from trajstore.recording.journal import Journal, frame_bytes
from trajstore.recording.unfinished import Recording, check_schema, open_recording, segments_lock
from trajstore.version.layout import metadata_files
from trajstore.version.manifest import MANIFEST, Manifest
from trajstore.version.part import Part
from trajstore.version.quota import check_quota

SEALED_SHARE = 1.02
"""Most that a version takes on disk, in terms of the journals that it is made from."""


class Segment:
    """One worker's journal of a recording that a `Recorder` has begun.

    Several processes may hold one each. Which episode comes first is said by ``order``, so that
    the version does not depend on how many workers there were. A segment belongs to the process
    that entered it; a fork of that process opens one of its own.

    Example::

        with Segment(target, "worker-3", schema=schema) as segment:
            segment.add(episode, order=17)

    Raises:
        NotFoundError: on entering, if no recording was begun.
        SchemaError: on entering, if it was begun with another schema.
        LockedError: on entering, if another process holds this segment, or is sealing.
    """

    def __init__(self, target: Path, name: str, *, schema: EpisodeSchema) -> None:
        self._target, self._name, self._schema = Path(target), name, schema
        self._stack = ExitStack()
        self._process: int | None = None
        self._orders: set[int] = set()

    def __enter__(self) -> Self:
        recording = open_recording(self._target)
        check_schema(recording, self._schema)
        path = recording.journal(self._name)
        purpose = f"recording {self._target.name}"
        with ExitStack() as stack:
            stack.enter_context(lock(segments_lock(self._target), purpose=purpose, shared=True))
            stack.enter_context(lock(path.with_suffix(".lock"), purpose=purpose))
            self._journal = Journal(path, self._schema)
            stack.callback(self._journal.close)
            self._stack = stack.pop_all()
        if self._journal.torn:
            logger.warning(
                "{}: dropped an unfinished episode of {} bytes", path, self._journal.torn
            )
        self._recording = recording
        self._fixed = _fixed_bytes(recording)
        self._orders = {frame.order for frame in self._journal.frames}
        self._process = os.getpid()
        return self

    def __exit__(self, *_: object) -> None:
        self._process = None
        self._stack.close()

    @property
    def episodes(self) -> int:
        """Number of durable episodes in this segment, those of earlier runs included."""
        return len(self._orders)

    @property
    def orders(self) -> frozenset[int]:
        """The places of the durable episodes in this segment."""
        return frozenset(self._orders)

    def add(self, episode: Episode, *, order: int) -> None:
        """Record an episode; it is durable when this returns.

        Args:
            episode: of the recording's schema.
            order: its place among all episodes of all segments; gaps are allowed.

        Raises:
            SchemaError: if it has another schema.
            JournalError: if this segment has an episode in that place, is closed, or was entered
                by another process.
            SealedError: if it is closed because its version is sealed.
            QuotaExceededError: if there would be no room to seal it too; nothing was written.
            StorageError: if the operating system refuses; earlier episodes are safe.
        """
        self.check_open()
        check_episode(episode, self._schema)
        whole = isinstance(order, int | np.integer) and not isinstance(order, bool)
        if not whole or order in self._orders or not 0 <= order < 2**63:
            raise JournalError(
                f"recording {self._target.name}: expected a place from 0 on that is free, "
                f"got {ascii(order)[:80]}"
            )
        journals = self._recording.journal_bytes + frame_bytes(episode)
        needed = self._fixed + int(journals * (1 + SEALED_SHARE))
        check_quota(self._target, needed=needed, quota_bytes=self._recording.quota_bytes)
        self._journal.append(episode, order=order)
        self._orders.add(order)

    def check_open(self) -> None:
        """Refuse what would not become durable here: after the end, or in a fork.

        Raises:
            JournalError: if it is closed, or was entered by another process.
            SealedError: if it is closed because its version is sealed.
        """
        where = f"recording {self._target.name}"
        if self._process == os.getpid():
            return
        if self._process is not None:
            raise JournalError(
                f"{where}: expected to be used by process {self._process}, which opened it, got a "
                f"fork of it, {os.getpid()}; give each worker a segment of its own: "
                'with Segment(target, "worker-1", schema=schema) as segment: '
                "segment.add(episode, order=...)"
            )
        if (self._target / MANIFEST).exists():
            raise SealedError(
                f"{where}: expected an open recorder, got one that is closed, its version sealed; "
                "record again with extends= that version to add episodes to it"
            )
        raise JournalError(
            f"{where}: expected an open recorder, got one that is closed; enter a new one "
            "with 'with' to go on"
        )


def _fixed_bytes(recording: Recording) -> int:
    """What a version takes on disk beside its rows, about, bytes."""
    metadata = metadata_files(recording.schema, Part("", 1, 1))
    size = 2 * sum(len(content) for _, content in metadata)
    if recording.extends is None:
        return size
    return size + Manifest.read(recording.extends).size_bytes
