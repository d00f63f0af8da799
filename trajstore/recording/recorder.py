"""Record episodes one by one into a version; each is durable once ``add`` has returned.

Leaving the recorder seals the version. An error or a kill leaves the recording beside it, and the
next recorder on the same target goes on after the last durable episode.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from trajstore.disk import system
from trajstore.disk.files import make_directories, remove_tree, storing, sync_directory
from trajstore.disk.locks import lock
from trajstore.episode.episode import Episode
from trajstore.episode.provenance import check_provenance
from trajstore.episode.schema import EpisodeSchema, check_is_schema
from trajstore.errors import JournalError, NotFoundError, SealedError
from trajstore.recording.journal import Frame
from trajstore.recording.salvage import Salvage, salvage
from trajstore.recording.segment import Segment
from trajstore.recording.unfinished import (
    Recording,
    check_begun,
    check_episodes,
    check_origin,
    check_schema,
    dropped_folder,
    open_recording,
    recording_folder,
    segments_lock,
)
from trajstore.version.manifest import MANIFEST, Manifest, content_digest
from trajstore.version.quota import DEFAULT_QUOTA_BYTES, check_limit
from trajstore.version.sealing import read_digests
from trajstore.version.writer import Plan, seal_version

MAIN = "main"


class Recorder:
    """Records a version: ``with Recorder(...) as recorder: recorder.add(episode)``.

    Leaving the block seals the version from all segments. When the block ends with an error,
    nothing is sealed and the recording stays.

    Args:
        target: folder of the version; must not exist.
        schema: the fields of every episode.
        provenance: plain JSON values; no times, so that the same recipe gives the same bytes.
        quota_bytes: most that the journals and the version may take on disk together, which they
            do while it is sealed; so a version can become about half as large.
        extends: folder of a version whose episodes come first.

    Raises:
        ArgumentError: at once, if the quota is no whole number of 1 or more.
        SealedError: on entering, if the target exists.
        LockedError: on entering, if another process records it; the message names that one.
        SchemaError: on entering, if an unfinished recording there has another schema.
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
        check_provenance(provenance)
        check_limit(quota_bytes)
        check_is_schema(schema)
        base = None if extends is None else Path(extends).absolute()
        self._recording = Recording(Path(target), schema, provenance, quota_bytes, base)
        self._segment = Segment(self._recording.target, MAIN, schema=schema)
        self._stack = ExitStack()
        self.manifest: Manifest | None = None

    def __enter__(self) -> Self:
        recording = self._recording
        with ExitStack() as stack:
            stack.enter_context(_recorder_lock(recording.target))
            _check_target(recording)
            recording.begin()
            stack.enter_context(self._segment)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._stack:
            if error is None:
                self._segment.check_open()
            self._segment.__exit__()
            if error is None:
                self.manifest = _finish(self._recording)

    @property
    def target(self) -> Path:
        """Folder of the version to be; workers open their segments with it."""
        return self._recording.target

    @property
    def episodes(self) -> int:
        """Number of durable episodes, those of earlier runs included, other segments not."""
        return self._segment.episodes

    @property
    def orders(self) -> frozenset[int]:
        """The places of the durable episodes, those of other segments not included."""
        return self._segment.orders

    def add(self, episode: Episode, *, order: int | None = None) -> None:
        """Record an episode; it is durable when this returns.

        Args:
            episode: of the recording's schema.
            order: its place among all episodes; after the last one unless told.

        Raises:
            SchemaError: if it has another schema.
            JournalError: if the place is taken, or in a fork of the process that entered it;
                there, add to a `trajstore.recording.segment.Segment`.
            SealedError: if the version is sealed by now.
            QuotaExceededError: if there would be no room to seal it too; nothing was written.
            StorageError: if the operating system refuses; earlier episodes are safe.
        """
        place = 1 + max(self._segment.orders, default=-1) if order is None else order
        self._segment.add(episode, order=place)


def seal_recording(target: Path) -> Manifest:
    """Seal an unfinished recording with the episodes that it has.

    Raises:
        NotFoundError: if there is none.
        SealedError: if the target exists.
        LockedError: if it is still being recorded.
        CorruptionError: if its record is damaged.
        JournalError: if it has no episode, or a journal is damaged; it then stays as it is.
        StorageError: if the operating system refuses.
    """
    with _about_to_seal(Path(target)) as recording:
        frames = recording.frames()
        check_episodes(recording.target, len(frames))
        return _sealed(recording, frames)


def seal_salvaged(target: Path) -> tuple[Manifest, Salvage]:
    """Seal the whole episodes of a recording whose journals are damaged; returns what was lost too.

    Raises:
        NotFoundError: if there is none.
        SealedError: if the target exists.
        LockedError: if it is still being recorded.
        CorruptionError: if its record is damaged.
        JournalError: if no episode is whole, or a journal's head is damaged; it stays as it is.
        StorageError: if the operating system refuses.
    """
    with _about_to_seal(Path(target)) as recording:
        found = salvage(recording)
        check_episodes(recording.target, len(found.frames))
        return _sealed(recording, found.frames), found


def discard_recording(target: Path) -> None:
    """Remove an unfinished recording and the episodes in it, damaged or not.

    Raises:
        NotFoundError: if there is none.
        LockedError: if it is still being recorded.
        StorageError: if the operating system refuses.
    """
    target = Path(target)
    check_begun(target)
    with _recorder_lock(target), _sealing_lock(target):
        _drop(target)


@contextmanager
def _recorder_lock(target: Path) -> Iterator[None]:
    with storing(target):
        make_directories(target.parent)
    path = target.with_name(f".{target.name}.lock")
    with lock(path, purpose=f"recording {target.name}"):
        yield


@contextmanager
def _about_to_seal(target: Path) -> Iterator[Recording]:
    recording = open_recording(target)
    with _recorder_lock(target):
        _check_target(recording)
        with _sealing_lock(target):
            yield recording


@contextmanager
def _sealing_lock(target: Path) -> Iterator[None]:
    with lock(segments_lock(target), purpose=f"sealing {target.name}"):
        yield


def _check_target(wanted: Recording) -> None:
    """Refuse a target that is sealed, or an unfinished recording that is another one."""
    try:
        found = open_recording(wanted.target)
    except NotFoundError:
        found = None
    with storing(wanted.folder):
        remove_tree(dropped_folder(wanted.target))
    if os.path.lexists(wanted.target):
        if found is not None:
            _drop_if_sealed(found)
        raise SealedError(f"{wanted.target}: expected a new version, got one that is sealed")
    if found is None:
        return
    check_schema(found, wanted.schema)
    check_origin(found, wanted.provenance)
    if found.extends != wanted.extends:
        raise JournalError(
            f"recording {wanted.target.name}: expected to extend {found.extends}, as it was begun, "
            f"got {wanted.extends}; seal or discard that recording first"
        )


def drop_if_sealed(recording: Recording) -> bool:
    """Remove a recording whose version was sealed before a crash; say whether it was one.

    Raises:
        LockedError: if another process is at it.
        JournalError: if a journal is damaged.
        CorruptionError: if the version is damaged.
        StorageError: if the operating system refuses.
    """
    with _recorder_lock(recording.target):
        return _drop_if_sealed(recording)


def _drop_if_sealed(recording: Recording) -> bool:
    if not (recording.target / MANIFEST).exists():
        return False
    digests = [frame.digest for _, frame in recording.frames()]
    if recording.extends is not None:
        base = Manifest.read(recording.extends)
        digests = read_digests(recording.extends, base) + digests
    sealed = Manifest.read(recording.target).content_digest
    if sealed != content_digest(recording.schema, digests):
        return False
    _drop(recording.target)
    return True


def _finish(recording: Recording) -> Manifest:
    """Seal at the end of a recorder; what holds no episode is removed, and refused."""
    with _sealing_lock(recording.target):
        frames = recording.frames()
        if not frames:
            _drop(recording.target)
        return _sealed(recording, frames)


def _sealed(recording: Recording, frames: list[tuple[Path, Frame]]) -> Manifest:
    plan = Plan(
        recording.schema,
        len(frames),
        sum(frame.steps for _, frame in frames),
        recording.provenance,
        recording.quota_bytes,
        recording.journal_bytes,
        recording.extends,
    )
    manifest = seal_version(recording.target, recording.episodes(frames), plan)
    _drop(recording.target)
    return manifest


def _drop(target: Path) -> None:
    """Remove a recording so that a crash leaves it whole, or gone but for litter."""
    folder, dropped = recording_folder(target), dropped_folder(target)
    with storing(folder):
        remove_tree(dropped)
        system.OPS.rename(folder, dropped)
        sync_directory(dropped.parent)
        remove_tree(dropped)
