"""An append-only file of episodes, each durable once `Journal.append` has returned.

A head names the schema; then frames follow, one an episode: a header with its own checksum, and a
payload with another. A crash can only cut short the last frame; damage before it is an error.
"""

import mmap
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from trajstore.disk import system
from trajstore.disk.files import open_file
from trajstore.disk.system import storing, sync_directory, write_at
from trajstore.episode.episode import Episode, row_bytes
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import JournalError, StorageError
from trajstore.version.chunks import crc32c

_MAGIC = b"TRAJSTORE JOURNAL 1\n"
_HEAD = struct.Struct("<20s32sI")
_FRAME_MAGIC = b"\xf5EP1"
_FRAME = struct.Struct("<4sQQII")
_OPENING = struct.Struct("<32sQ")
_TEXT = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Frame:
    """Where one episode lies in its journal: the place and size of its payload, bytes.

    ``order`` is its place among all episodes of the recording; unique, gaps are allowed.
    """

    order: int
    offset: int
    size: int
    steps: int
    digest: bytes


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
        frames: of all durable episodes, in file order.
        size: of the durable content, bytes.
        torn: bytes of an unfinished frame that were dropped on opening.
    """

    def __init__(self, path: Path, schema: EpisodeSchema) -> None:
        self._path, self._schema = path, schema
        self._failure: str | None = None
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

    def append(self, episode: Episode, *, order: int) -> None:
        """Add an episode; it is durable when this returns.

        When the system refuses, the episode is not in the journal. When even the sync failed,
        nobody can know what the disk holds: every later call fails too, until it is opened anew.
        """
        if self._failure is not None:
            raise StorageError(
                f"{self._path}: expected a journal in good order, got an earlier failure "
                f"({self._failure}); open the recording again to go on"
            )
        content = _framed(episode, order)
        place = self.size + _FRAME.size, len(content) - _FRAME.size
        with storing(self._path):
            write_at(self._descriptor, content, self.size)
            try:
                system.OPS.fdatasync(self._descriptor)
            except OSError as error:
                self._failure = str(error)
                raise
        self.size += len(content)
        self.frames.append(Frame(order, *place, len(episode), bytes.fromhex(episode.digest)))

    def episodes(self) -> Iterator[Episode]:
        """All durable episodes in file order, one in memory at a time."""
        return read_episodes(self._path, self._schema, self.frames)

    def close(self) -> None:
        """Release the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _prepare(self, found: Scan) -> int:
        """Write the head of a new file, or cut what follows the last whole frame."""
        if found.end == 0:
            system.OPS.truncate(self._descriptor, 0)
            write_at(self._descriptor, _head(bytes.fromhex(self._schema.digest)), 0)
        elif found.torn:
            system.OPS.truncate(self._descriptor, found.end)
        system.OPS.fsync(self._descriptor)
        sync_directory(self._path.parent)
        return found.end or _HEAD.size


def frame_bytes(episode: Episode) -> int:
    """Size of an episode in a journal, bytes."""
    return _FRAME.size + sum(map(len, _payload(episode)))


def _framed(episode: Episode, order: int) -> bytearray:
    """An episode as it stands in a journal."""
    content = bytearray().join([bytes(_FRAME.size), *_payload(episode)])
    payload = memoryview(content)[_FRAME.size :]
    _FRAME.pack_into(content, 0, _FRAME_MAGIC, order, len(payload), crc32c(payload), 0)
    own = crc32c(content[: _FRAME.size - 4])
    content[_FRAME.size - 4 : _FRAME.size] = own.to_bytes(4, "little")
    return content


def _payload(episode: Episode) -> Iterator[bytes | memoryview]:
    """The pieces of a payload: digest and length, then each field's bytes in schema order."""
    yield _OPENING.pack(bytes.fromhex(episode.digest), len(episode))
    for field in episode.schema.fields:
        content = row_bytes(field, episode.arrays[field.name])
        if field.is_text:
            yield _TEXT.pack(len(content))
        yield content


def _decoded(schema: EpisodeSchema, payload: memoryview) -> Episode:
    """The episode of a payload; its arrays are views of the payload's memory."""
    (digest, steps), at = _OPENING.unpack_from(payload), _OPENING.size
    arrays: dict[str, np.ndarray] = {}
    for field in schema.fields:
        shape = field.rows(steps)
        size = prod(shape) * field.numpy_dtype.itemsize
        if field.is_text:
            (size,) = _TEXT.unpack_from(payload, at)
            at += _TEXT.size
            texts = bytes(payload[at : at + size]).decode()
            arrays[field.name] = np.array(texts.split("\0") if shape else texts)
        else:
            rows = np.frombuffer(payload[at : at + size], field.numpy_dtype)
            arrays[field.name] = rows.reshape(shape)
        at += size
    episode = Episode(schema, arrays)
    if at != len(payload) or episode.digest != digest.hex():
        raise JournalError("frame: expected an episode with its digest, got other content")
    return episode


def scan(path: Path, schema: EpisodeSchema, *, damaged: bool = False) -> Scan:
    """Find the whole frames of a journal, those behind damage only when told.

    Raises:
        JournalError: if it holds another schema, or, unless told, whole frames behind damage: a
            crash leaves one unfinished frame at most, and nothing behind it.
    """
    with _opened(path) as (journal, size):
        if size < _HEAD.size:
            return Scan(torn=size)
        _check_head(path, os.pread(journal, _HEAD.size, 0), schema)
        frames: list[Frame] = []
        lost: list[tuple[int, int]] = []
        end = _HEAD.size
        for frame in _whole_frames(journal, size):
            gap = frame.offset - _FRAME.size - end
            if gap and not damaged:
                raise JournalError(
                    f"{path}: expected a whole frame at byte {end}, got damage, with whole frames "
                    "behind it; restore the file from a copy, or save the whole ones: "
                    "trajstore recover NAME --salvage"
                )
            lost += [(end, gap)] if gap else []
            frames.append(frame)
            end = frame.offset + frame.size
        torn = size - end
        lost += [(end, torn)] if torn else []
    return Scan(tuple(frames), tuple(lost), end, torn)


def read_episodes(path: Path, schema: EpisodeSchema, frames: Iterable[Frame]) -> Iterator[Episode]:
    """Yield the episodes of frames that a scan found; memory is that of one episode."""
    with _opened(path) as (journal, size):
        for frame in frames:
            if _frame_at(journal, frame.offset - _FRAME.size, size) != frame:
                raise JournalError(f"{path}: expected the episode {frame.order}, got damage")
            yield _decoded(schema, memoryview(os.pread(journal, frame.size, frame.offset)))


def _head(digest: bytes) -> bytes:
    return _HEAD.pack(_MAGIC, digest, crc32c(_MAGIC + digest))


def _check_head(path: Path, head: bytes, schema: EpisodeSchema) -> None:
    digest = head[len(_MAGIC) : -4]
    if head != _head(digest):
        raise JournalError(f"{path}: expected a journal, got another file or a damaged head")
    if digest.hex() != schema.digest:
        raise JournalError(
            f"{path}: expected the schema it was begun with ({digest.hex()[:12]}), "
            f"got {schema.digest[:12]}; seal or discard that recording first"
        )


def _frame_at(journal: int, start: int, end: int) -> Frame | None:
    """The whole frame that starts there in a file that ends there, or ``None``."""
    offset = start + _FRAME.size
    if offset + _OPENING.size > end:
        return None
    header = os.pread(journal, _FRAME.size, start)
    magic, order, size, crc, own = _FRAME.unpack(header)
    if magic != _FRAME_MAGIC or own != crc32c(header[:-4]):
        return None
    if size < _OPENING.size or size > end - offset:
        return None
    payload = os.pread(journal, size, offset)
    if crc != crc32c(payload):
        return None
    digest, steps = _OPENING.unpack_from(payload)
    return Frame(order, offset, size, steps, digest)


def _whole_frames(journal: int, size: int) -> Iterator[Frame]:
    """Each whole frame behind the head, wherever it starts."""
    with mmap.mmap(journal, 0, access=mmap.ACCESS_READ) as content:
        place = content.find(_FRAME_MAGIC, _HEAD.size)
        while place >= 0:
            frame = _frame_at(journal, place, size)
            if frame is not None:
                yield frame
            after = place + 1 if frame is None else frame.offset + frame.size
            place = content.find(_FRAME_MAGIC, after)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[int, int]]:
    """A descriptor for reading, closed at the end of the block, and the size of the file."""
    with storing(path), open_file(path) as file:
        yield file.fileno(), os.fstat(file.fileno()).st_size
