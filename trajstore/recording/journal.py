"""An append-only file of episodes, each durable once `Journal.append` has returned.

A head names the schema; then frames follow, one an episode: a header with its own checksum, a
payload with another, and room for a mark, which is put there once the disk has taken the frame. A
crash can only cut what was not acknowledged; a frame that was, and is damaged, is an error.
"""

import mmap
import os
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from trajstore.disk import system
from trajstore.disk.files import open_file
from trajstore.disk.system import storing, sync_directory, write_at
from trajstore.episode.episode import Episode
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import JournalError, StorageError
from trajstore.recording.frames import (
    FRAME,
    FRAME_MAGIC,
    JOINED,
    MARK,
    MARK_MAGIC,
    SYNCED,
    Frame,
    decoded,
    frame_at,
    frame_bytes,
    framed,
    mark_at,
)
from trajstore.version.chunks import crc32c

SYNC_BYTES, SYNC_SECONDS = 64 * 2**20, 5.0
_MAGIC = b"TRAJSTORE JOURNAL 1\n"
_HEAD = struct.Struct("<20s32sI")


@dataclass(frozen=True, slots=True)
class Scan:
    """What a journal holds: whole frames in file order, and stretches that hold none.

    Attributes:
        lost: first byte and size of each such stretch behind the head.
        end: of the last whole frame; 0 where not even the head is whole.
        torn: how many bytes follow.
    """

    frames: tuple[Frame, ...] = ()
    lost: tuple[tuple[int, int], ...] = ()
    end: int = 0
    torn: int = 0


class Journal:
    """The open end of a journal; one process at a time, which the caller sees to.

    Attributes:
        frames: of all episodes, in file order.
        size: of the content, bytes.
        unsynced: how many of them are not durable yet.
        torn: bytes of what was never acknowledged that were dropped on opening.
    """

    def __init__(self, path: Path, schema: EpisodeSchema) -> None:
        self._path, self._schema = path, schema
        self._failure: str | None = None
        self.unsynced, self._synced = 0, time.monotonic()
        with storing(path):
            found = scan(path, schema) if path.exists() else Scan()
            self._descriptor = system.OPS.open(path, os.O_RDWR | os.O_CREAT)
            try:
                self.size = self._prepare(found)
            except BaseException:
                os.close(self._descriptor)
                raise
        self.frames = list(found.frames)
        self.torn = found.torn

    def append(self, episode: Episode, *, order: int, sync: bool = True) -> None:
        """Add an episode; it is durable when this returns.

        Without ``sync`` it becomes so with others: after 64 MiB, after 5 seconds, or by `sync`.
        When the system refuses, the episode is not in the journal. When even the sync failed,
        nobody can know what the disk holds: every later call fails too, until it is opened anew.
        """
        self._check_sound()
        total = frame_bytes(episode)
        offset, size = self.size + FRAME.size, total - FRAME.size - MARK.size
        waiting = self.unsynced + total
        due = sync or waiting > SYNC_BYTES or time.monotonic() - self._synced > SYNC_SECONDS
        with storing(self._path):
            for place, content in framed(episode, order, JOINED if self.unsynced else SYNCED):
                write_at(self._descriptor, content, self.size + place)
            if due:
                self._sync(offset + size)
        self.size += total
        self.unsynced = 0 if due else waiting
        self.frames.append(Frame(order, offset, size, len(episode), bytes.fromhex(episode.digest)))

    def sync(self) -> None:
        """Make durable what was added without."""
        self._check_sound()
        if self.unsynced:
            with storing(self._path):
                self._sync(self.size - MARK.size)

    def _sync(self, stop: int) -> None:
        """Make all up to the end of a payload durable, then mark it so."""
        try:
            system.OPS.fdatasync(self._descriptor)
        except OSError as error:
            self._failure = str(error)
            raise
        self.unsynced, self._synced = 0, time.monotonic()
        with suppress(OSError):  # the episodes are safe, and the mark is no promise
            write_at(self._descriptor, mark_at(stop), stop)

    def _check_sound(self) -> None:
        if self._failure is not None:
            raise StorageError(
                f"{self._path}: could not be written earlier ({self._failure}); open the "
                "recording again to go on"
            )

    def episodes(self) -> Iterator[Episode]:
        """All durable episodes in file order, one in memory at a time."""
        return read_episodes(self._path, self._schema, self.frames)

    def close(self) -> None:
        """Release the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _prepare(self, found: Scan) -> int:
        """Write the head of a new file, or cut what follows the last whole frame and mark that."""
        if found.end == 0:
            system.OPS.truncate(self._descriptor, 0)
            write_at(self._descriptor, _head(bytes.fromhex(self._schema.digest)), 0)
        elif found.torn:
            system.OPS.truncate(self._descriptor, found.end)
        system.OPS.fsync(self._descriptor)
        sync_directory(self._path.parent)
        if not found.frames:
            return _HEAD.size
        stop = found.frames[-1].offset + found.frames[-1].size
        write_at(self._descriptor, mark_at(stop), stop)
        return stop + MARK.size


def scan(path: Path, schema: EpisodeSchema, *, damaged: bool = False) -> Scan:
    """Find the whole frames of a journal, those behind damage only when told.

    Raises:
        JournalError: if it holds another schema, or, unless told, if the head or an episode that
            was acknowledged is damaged: a crash leaves only what was not yet synced unfinished.
    """
    with _opened(path) as (journal, size):
        if size < _HEAD.size:
            return Scan(torn=size)
        sound = _check_head(path, os.pread(journal, _HEAD.size, 0), schema, damaged=damaged)
        frames: list[Frame] = []
        lost = [] if sound else [(0, _HEAD.size)]
        end = _HEAD.size
        with mmap.mmap(journal, size, access=mmap.ACCESS_READ) as content:
            acknowledged = _last_mark(content)  # first: a recorder may be adding more meanwhile
            for frame in _whole_frames(journal, content, size):
                start = frame.offset - FRAME.size
                if content[start + 3 : start + 4] == SYNCED:
                    acknowledged = max(acknowledged, start)
                gap = start - end
                if gap and not damaged:
                    continue
                lost += [(end, gap)] if gap else []
                frames.append(frame)
                end = _end_of(content, frame)
        if end < acknowledged and not damaged:
            raise JournalError(
                f"{path}: damaged at byte {end}, in an episode that was recorded; restore the "
                "file from a copy, or save the whole episodes: trajstore recover NAME "
                "--salvage"
            )
        lost += [(end, size - end)] if end < size else []
    return Scan(tuple(frames), tuple(lost), end, size - end)


def read_episodes(path: Path, schema: EpisodeSchema, frames: Iterable[Frame]) -> Iterator[Episode]:
    """Yield the episodes of frames that a scan found; memory is that of one episode."""
    with _opened(path) as (journal, size):
        for frame in frames:
            found = frame_at(journal, frame.offset - FRAME.size, size)
            if found is None or found[0] != frame:
                raise JournalError(f"{path}: expected the episode {frame.order}, got damage")
            yield decoded(schema, memoryview(found[1]))


def _head(digest: bytes) -> bytes:
    return _HEAD.pack(_MAGIC, digest, crc32c(_MAGIC + digest))


def _check_head(path: Path, head: bytes, schema: EpisodeSchema, *, damaged: bool) -> bool:
    """Refuse another schema's head and, unless told, a damaged one; say whether it is whole."""
    digest = head[len(_MAGIC) : -4]
    whole = head == _head(digest)
    if not whole and not damaged:
        raise JournalError(
            f"{path}: is no journal, or its beginning is damaged; restore it from a copy, or "
            "save the whole episodes in it: trajstore recover NAME --salvage"
        )
    if whole and digest.hex() != schema.digest:
        raise JournalError(
            f"{path}: this recording was begun with another schema ({digest.hex()[:12]}, now "
            f"{schema.digest[:12]}); seal or discard it first"
        )
    return whole


def _whole_frames(journal: int, content: mmap.mmap, size: int) -> Iterator[Frame]:
    """Each whole frame behind the head, wherever it starts."""
    place = content.find(FRAME_MAGIC, _HEAD.size)
    while place >= 0:
        found = frame_at(journal, place, size)
        after = place + 1
        if found is not None:
            yield found[0]
            after = found[0].offset + found[0].size
        place = content.find(FRAME_MAGIC, after)


def _last_mark(content: mmap.mmap) -> int:
    """Where the last mark stands, before which all was durable; -1 if there is none."""
    place = content.rfind(MARK_MAGIC)
    while place >= 0 and content[place : place + MARK.size] != mark_at(place):
        place = content.rfind(MARK_MAGIC, 0, place)
    return place


def _end_of(content: mmap.mmap, frame: Frame) -> int:
    """Where a frame ends, with its mark, sound or not; those of the first release have none."""
    stop = frame.offset + frame.size
    behind = content[stop : stop + MARK.size]
    return stop + (0 if behind.startswith(FRAME_MAGIC) else len(behind))


@contextmanager
def _opened(path: Path) -> Iterator[tuple[int, int]]:
    """A descriptor for reading, closed at the end of the block, and the size of the file."""
    with storing(path), open_file(path) as file:
        yield file.fileno(), os.fstat(file.fileno()).st_size
