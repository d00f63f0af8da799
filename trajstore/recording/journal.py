"""An append-only file of episodes, each durable once `Journal.append` has returned.

The file starts with a head that names the schema; then frames follow, one an episode: a header
with its own checksum, and a payload with another. What is cut short by a crash can only be the
last frame, and is dropped; damage before the last frame is an error, skipped by `salvage` only.
"""

import mmap
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trajstore.disk import system
from trajstore.disk.system import storing, sync_directory, write_at
from trajstore.episode.episode import Episode, row_bytes
from trajstore.episode.fields import FieldSpec
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import JournalError, StorageError
from trajstore.version.codecs import crc32c

_MAGIC = b"TRAJSTORE JOURNAL 1\n"
_HEAD = struct.Struct("<20s32sI")
HEAD_BYTES = _HEAD.size
FRAME_MAGIC = b"\xf5EP1"
_FRAME = struct.Struct("<4sQQII")
_OPENING = struct.Struct("<32sQ")
_TEXT = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Frame:
    """Where one episode lies in its journal.

    Attributes:
        order: its place among all episodes of the recording; unique, gaps are allowed.
        offset: of its payload in the file, bytes.
        size: of its payload, bytes.
        steps: length of the episode.
        digest: the episode's, 32 bytes.
    """

    order: int
    offset: int
    size: int
    steps: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Scan:
    """What a journal holds: its whole frames, where they end, and how many bytes follow them."""

    frames: tuple[Frame, ...]
    end: int
    torn: int


class Journal:
    """The open end of a journal; one process at a time, which the caller sees to.

    Attributes:
        frames: of all durable episodes, in file order.
        torn: bytes of an unfinished frame that were dropped on opening.

    Raises:
        JournalError: if the file is damaged or holds another schema.
        StorageError: if the operating system refuses.
    """

    def __init__(self, path: Path, schema: EpisodeSchema) -> None:
        self._path, self._schema = path, schema
        self._failure: str | None = None
        with storing(path):
            found = scan(path, schema) if path.exists() else Scan((), 0, 0)
            self._descriptor = system.OPS.open(path, os.O_RDWR | os.O_CREAT)
            try:
                self._end = self._prepare(found)
            except BaseException:
                os.close(self._descriptor)
                raise
        self.frames = list(found.frames)
        self.torn = found.torn

    @property
    def size(self) -> int:
        """Size of the durable content, bytes."""
        return self._end

    def append(self, episode: Episode, *, order: int) -> None:
        """Add an episode; it is durable when this returns.

        Raises:
            StorageError: if the operating system refuses: the episode is not in the journal. When
                even the sync failed, nobody can know what the disk holds: every later call fails
                too, until the journal is opened anew.
        """
        if self._failure is not None:
            raise StorageError(
                f"{self._path}: expected a journal in good order, got an earlier failure "
                f"({self._failure}); open the recording again to go on"
            )
        payload = encode(episode)
        size = sum(len(piece) for piece in payload)
        frame = Frame(order, self._end + _FRAME.size, size, len(episode), bytes(payload[0][:32]))
        with storing(self._path):
            write_at(self._descriptor, b"".join([_header(order, payload), *payload]), self._end)
            try:
                system.OPS.fdatasync(self._descriptor)
            except OSError as error:
                self._failure = str(error)
                raise
        self._end = frame.offset + size
        self.frames.append(frame)

    def close(self) -> None:
        """Release the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _prepare(self, found: Scan) -> int:
        """Write the head of a new file, or cut what follows the last whole frame."""
        if found.end == 0:
            system.OPS.truncate(self._descriptor, 0)
            write_at(self._descriptor, _head(self._schema), 0)
        elif found.torn:
            system.OPS.truncate(self._descriptor, found.end)
        system.OPS.fsync(self._descriptor)
        sync_directory(self._path.parent)
        return found.end or _HEAD.size


def frame_bytes(episode: Episode) -> int:
    """Size of an episode in a journal, bytes."""
    schema, arrays = episode.schema, episode.arrays
    texts = [str(arrays[field.name][()]) for field in schema.fields if field.is_text]
    numbers = sum(arrays[field.name].nbytes for field in schema.fields if not field.is_text)
    packed = sum(len(text.encode()) + _TEXT.size for text in texts)
    return _FRAME.size + _OPENING.size + numbers + packed


def encode(episode: Episode) -> list[bytes | memoryview]:
    """The pieces of a payload: digest and length, then each field's bytes in schema order."""
    pieces: list[bytes | memoryview] = [_OPENING.pack(bytes.fromhex(episode.digest), len(episode))]
    for field in episode.schema.fields:
        content = row_bytes(field, episode.arrays[field.name])
        if field.is_text:
            pieces.append(_TEXT.pack(len(content)))
        pieces.append(content)
    return pieces


def decode(schema: EpisodeSchema, payload: memoryview) -> Episode:
    """The episode of a payload; its arrays are views of the payload's memory.

    Raises:
        JournalError: if the payload is not an episode of that schema.
        SchemaError: if its values do not fit the schema.
    """
    digest, steps = _OPENING.unpack_from(payload)
    rest = payload[_OPENING.size :]
    arrays: dict[str, np.ndarray] = {}
    for field in schema.fields:
        arrays[field.name], rest = _decode_field(field, steps, rest)
    episode = Episode(schema, arrays)
    if len(rest) or episode.digest != digest.hex():
        raise JournalError("frame: expected an episode with its digest, got other content")
    return episode


def scan(path: Path, schema: EpisodeSchema) -> Scan:
    """Find the whole frames of a journal.

    Raises:
        JournalError: if it holds another schema, or is damaged before its last frame.
        StorageError: if it cannot be read.
    """
    with storing(path), opened(path) as journal:
        size = os.fstat(journal).st_size
        if size < _HEAD.size:
            return Scan((), 0, size)
        check_head(path, os.pread(journal, _HEAD.size, 0), schema)
        frames: list[Frame] = []
        end = _HEAD.size
        while (frame := frame_at(journal, end, size)) is not None:
            frames.append(frame)
            end = frame.offset + frame.size
        _check_tail(path, journal, end)
    return Scan(tuple(frames), end, size - end)


def read_episodes(path: Path, schema: EpisodeSchema, frames: Iterable[Frame]) -> Iterator[Episode]:
    """Yield the episodes of frames that a scan found; memory is that of one episode.

    Raises:
        JournalError: if a frame is damaged.
        StorageError: if the file cannot be read.
    """
    with storing(path), opened(path) as journal:
        size = os.fstat(journal).st_size
        for frame in frames:
            if frame_at(journal, frame.offset - _FRAME.size, size) != frame:
                raise JournalError(f"{path}: expected the episode {frame.order}, got damage")
            yield decode(schema, memoryview(os.pread(journal, frame.size, frame.offset)))


def _head(schema: EpisodeSchema) -> bytes:
    digest = bytes.fromhex(schema.digest)
    return _HEAD.pack(_MAGIC, digest, crc32c(_MAGIC + digest))


def check_head(path: Path, head: bytes, schema: EpisodeSchema) -> None:
    """Refuse the first ``HEAD_BYTES`` bytes of a file that is no journal of a schema.

    Raises:
        JournalError: if it is another file, a damaged one, or holds another schema.
    """
    magic, digest, crc = _HEAD.unpack(head)
    if magic != _MAGIC or crc != crc32c(magic + digest):
        raise JournalError(f"{path}: expected a journal, got another file or a damaged head")
    if digest.hex() != schema.digest:
        raise JournalError(
            f"{path}: expected the schema it was begun with ({digest.hex()[:12]}), "
            f"got {schema.digest[:12]}; seal or discard that recording first"
        )


def _header(order: int, payload: list[bytes | memoryview]) -> bytes:
    crc = size = 0
    for piece in payload:
        crc, size = crc32c(piece, crc), size + len(piece)
    head = _FRAME.pack(FRAME_MAGIC, order, size, crc, 0)
    return head[:-4] + crc32c(head[:-4]).to_bytes(4, "little")


def frame_at(journal: int, start: int, end: int) -> Frame | None:
    """The whole frame that starts there in a file that ends there, or ``None``."""
    offset = start + _FRAME.size
    if offset + _OPENING.size > end:
        return None
    header = os.pread(journal, _FRAME.size, start)
    magic, order, size, crc, own = _FRAME.unpack(header)
    if magic != FRAME_MAGIC or own != crc32c(header[:-4]):
        return None
    if size < _OPENING.size or size > end - offset:
        return None
    payload = os.pread(journal, size, offset)
    if crc != crc32c(payload):
        return None
    digest, steps = _OPENING.unpack_from(payload)
    return Frame(order, offset, size, steps, digest)


def _check_tail(path: Path, journal: int, end: int) -> None:
    """A crash leaves one unfinished frame at most; a whole frame behind it proves damage."""
    size = os.fstat(journal).st_size
    with mmap.mmap(journal, 0, access=mmap.ACCESS_READ) as content:
        place = content.find(FRAME_MAGIC, end + 1)
        while place >= 0:
            if frame_at(journal, place, size) is not None:
                raise JournalError(
                    f"{path}: expected a whole frame at byte {end}, got damage, with whole frames "
                    "behind it; restore the file from a copy, or save the whole ones: "
                    "trajstore recover NAME --salvage"
                )
            place = content.find(FRAME_MAGIC, place + 1)


def _decode_field(field: FieldSpec, steps: int, rest: memoryview) -> tuple[np.ndarray, memoryview]:
    if field.is_text:
        (size,) = _TEXT.unpack_from(rest)
        text = bytes(rest[_TEXT.size : _TEXT.size + size]).decode()
        return np.array(text), rest[_TEXT.size + size :]
    shape = field.rows(steps)
    size = int(np.prod(shape, dtype=np.int64)) * field.numpy_dtype.itemsize
    rows = np.frombuffer(rest[:size], field.numpy_dtype).reshape(shape)
    return rows, rest[size:]


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A descriptor for reading, closed at the end of the block."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
