"""One worker's part of a recording: a journal of its own; threads may share it."""

import os
import threading
from collections.abc import KeysView
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Self

import numpy as np
from loguru import logger

from trajstore.disk.locks import lock
from trajstore.episode.episode import Episode, check_episode
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import JournalError, SealedError
from trajstore.recording.frames import SEALED_SHARE, frame_bytes
from trajstore.recording.journal import Journal
from trajstore.recording.unfinished import journal_bytes, open_recording, segments_lock
from trajstore.version.cameras import recordable
from trajstore.version.layout import Part, metadata_files
from trajstore.version.manifest import MANIFEST, Manifest
from trajstore.version.writer import check_quota


class Segment:
    """One worker's journal of a recording that a `Recorder` has begun.

    Several processes may hold one each. Which episode comes first is said by ``order``, so that
    the version does not depend on how many workers there were. A segment belongs to the process
    that entered it, whose threads may share it; a fork of that process opens one of its own.

    Attributes:
        target: folder of the version to be.
        torn: bytes that were never acknowledged, found and dropped on entering.

    Example::

        with Segment(target, "worker-3", schema=schema) as segment:
            segment.add(episode, order=17)

    Raises:
        NotFoundError: on entering, if no recording was begun.
        SchemaError: on entering, if it was begun with another schema.
        LockedError: on entering, if another process holds this segment, or is sealing.
    """

    def __init__(self, target: Path, name: str, *, schema: EpisodeSchema) -> None:
        self.target = Path(target)
        self._name, self._schema = name, schema
        self._stack = ExitStack()
        self._process: int | None = None
        self._orders: dict[int, None] = {}
        self.torn = 0
        self._next = 0
        self._guard = threading.RLock()

    def __enter__(self) -> Self:
        recording = open_recording(self.target)
        recording.check_schema(self._schema)
        path = recording.journal(self._name)
        purpose = f"recording {self.target.name}"
        with ExitStack() as stack:
            stack.enter_context(segments_lock(self.target, shared=True))
            stack.enter_context(lock(path.with_suffix(".lock"), purpose=purpose))
            self._journal = Journal(path, self._schema)
            stack.callback(self._journal.close)
            self._quota_bytes = recording.quota_bytes
            metadata = metadata_files(recording.schema, Part("", 1, 1))
            base = recording.extends and Manifest.read(recording.extends).size_bytes
            self._fixed_bytes = (base or 0) + 2 * sum(len(content) for _, content in metadata)
            self._stack = stack.pop_all()
        self.torn = self._journal.torn
        if self.torn:
            logger.warning("{}: dropped {:,} bytes that were never acknowledged", path, self.torn)
        self._orders = dict.fromkeys(frame.order for frame in self._journal.frames)
        self._next = 1 + max(self._orders, default=-1)
        self._process = os.getpid()
        return self

    def __exit__(self, *_: object) -> None:
        with self._alone():
            self._process = None
            self._stack.close()

    @property
    def schema(self) -> EpisodeSchema:
        """The fields of every episode."""
        return self._schema

    @property
    def is_open(self) -> bool:
        """Whether this process has entered it, and not left it yet."""
        return self._process == os.getpid()

    @property
    def episodes(self) -> int:
        """Number of durable episodes in this segment, those of earlier runs included."""
        return len(self._orders)

    @property
    def orders(self) -> KeysView[int]:
        """The places of the durable episodes in this segment, also of those to come."""
        return self._orders.keys()

    def add(self, episode: Episode, *, order: int) -> None:
        """Record an episode; it is durable when this returns.

        Args:
            episode: of the recording's schema.
            order: its place among all episodes of all segments; gaps are allowed.

        Raises:
            SchemaError: if it has another schema.
            JournalError: if this segment has an episode in that place, is closed, or was entered
                by another process; a fork of that one adds to a segment of its own.
            SealedError: if it is closed because its version is sealed.
            QuotaExceededError: if there would be no room to seal it too; nothing was written.
            StorageError: if the operating system refuses; earlier episodes are safe.
        """
        self._put(episode, order)

    def _put(self, episode: Episode, order: int, *, sync: bool = True) -> None:
        self._check_open()
        check_episode(episode, self._schema)
        episode = recordable(episode)
        with self._guard:
            self._check_open()
            whole = isinstance(order, int | np.integer) and not isinstance(order, bool)
            if not whole or order in self._orders or not 0 <= order < 2**63:
                raise JournalError(
                    f"recording {self.target.name}: expected a place from 0 on that is free, "
                    f"got {ascii(order)[:80]}"
                )
            self._check_room(frame_bytes(episode))
            self._journal.append(episode, order=int(order), sync=sync)
            self._orders[int(order)] = None
            self._next = max(self._next, int(order) + 1)

    def _check_room(self, more: int) -> None:
        """Refuse that many more bytes if there would be no room to seal them too."""
        needed = int((journal_bytes(self.target) + more) * (1 + SEALED_SHARE)) + self._fixed_bytes
        check_quota(self.target, needed=needed, quota_bytes=self._quota_bytes)

    def _alone(self) -> AbstractContextManager[object]:
        """Keeps other threads out; in a fork, where their locks are never released, nobody is."""
        forked = self._process is not None and self._process != os.getpid()
        return nullcontext() if forked else self._guard

    def _check_open(self) -> None:
        """Refuse what would not become durable here: after the end, or in a fork."""
        where = f"recording {self.target.name}"
        if self.is_open:
            return
        if self._process is not None:
            raise JournalError(
                f"{where}: was opened by process {self._process} and is used in {os.getpid()}, "
                "a fork of it; give each worker a segment of its own: with Segment(target, "
                '"worker-1", schema=schema) as segment: segment.add(episode, order=...)'
            )
        if (self.target / MANIFEST).exists():
            raise SealedError(
                f"{where}: is closed and its version sealed; to add episodes, record the next "
                "version with extends= this one"
            )
        raise JournalError(f"{where}: is closed; enter a new one with 'with' to go on")
