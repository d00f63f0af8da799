"""Record episodes one by one into a version; each is durable once ``add`` has returned.

Leaving the recorder seals the version. An error or a kill leaves the recording beside it, and the
next recorder on the same target goes on after the last durable episode. Workers add to segments.
Threads may share a segment or a recorder.
"""

import os
import threading
from collections.abc import Iterable, KeysView, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any, Self

import numpy as np
from loguru import logger

from trajstore.disk.locks import lock
from trajstore.episode.episode import Episode, check_episode
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import JournalError, SealedError
from trajstore.recording.frames import SEALED_SHARE, frame_bytes
from trajstore.recording.journal import Journal
from trajstore.recording.recover import check_target, finish, seeds_of
from trajstore.recording.unfinished import (
    Recording,
    journal_bytes,
    open_recording,
    recorder_lock,
    segments_lock,
)
from trajstore.version.layout import Part, metadata_files
from trajstore.version.manifest import MANIFEST, Manifest
from trajstore.version.writer import DEFAULT_QUOTA_BYTES, check_quota, check_recipe, open_base


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
        with self._guard:
            self._check_open()
            whole = isinstance(order, int | np.integer) and not isinstance(order, bool)
            if not whole or order in self._orders or not 0 <= order < 2**63:
                raise JournalError(
                    f"recording {self.target.name}: expected a place from 0 on that is free, "
                    f"got {ascii(order)[:80]}"
                )
            journals = journal_bytes(self.target) + frame_bytes(episode)
            needed = self._fixed_bytes + int(journals * (1 + SEALED_SHARE))
            check_quota(self.target, needed=needed, quota_bytes=self._quota_bytes)
            self._journal.append(episode, order=int(order), sync=sync)
            self._orders[int(order)] = None
            self._next = max(self._next, int(order) + 1)

    def _alone(self) -> AbstractContextManager[object]:
        """Keeps other threads out; in a fork, where their locks are never released, nobody is."""
        forked = self._process is not None and self._process != os.getpid()
        return nullcontext() if forked else self._guard

    def _check_open(self) -> None:
        """Refuse what would not become durable here: after the end, or in a fork."""
        where = f"recording {self.target.name}"
        if self._process == os.getpid():
            return
        if self._process is not None:
            raise JournalError(
                f"{where}: expected to be used by process {self._process}, which opened it, got a "
                f"fork of it, {os.getpid()}; give each worker a segment of its own: "
                'with Segment(target, "worker-1", schema=schema) as segment: '
                "segment.add(episode, order=...)"
            )
        if (self.target / MANIFEST).exists():
            raise SealedError(
                f"{where}: expected an open recorder, got one that is closed, its version sealed; "
                "record again with extends= that version to add episodes to it"
            )
        raise JournalError(
            f"{where}: expected an open recorder, got one that is closed; enter a new one "
            "with 'with' to go on"
        )


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
        LockedError: on entering, if another process records it; the message names that one.
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
        base = None if extends is None else Path(extends).resolve()
        self._recording = Recording(self.target, schema, provenance, quota_bytes, base)
        self._whole = ExitStack()
        self.manifest: Manifest | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(recorder_lock(self.target))
            check_target(self._recording)
            open_base(self._recording.extends, self._schema)
            self._recording.begin()
            super().__enter__()
            stack.callback(super().__exit__)
            self._whole = stack.pop_all()
        return self

    def __exit__(self, *raised: object) -> None:
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
