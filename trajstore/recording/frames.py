"""How an episode stands in a journal: a header, a payload, and room for a mark behind it."""

import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from trajstore.episode.episode import Episode, row_bytes
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import JournalError
from trajstore.version.cameras import EncodedEpisode, of_encoded
from trajstore.version.chunks import crc32c
from trajstore.version.coders import Encoded, Group

SEALED_SHARE = 1.02
"""Most that a version takes on disk, in terms of the journals that it is made from."""
FRAME_MAGIC = b"\xf5EP"
SYNCED, JOINED = b"1", b"+"
"""Fourth byte of a frame: was all before it durable when it was written, or is it one of several
that are synced together?"""
FRAME = struct.Struct("<4sQQII")
MARK_MAGIC = b"\xf5ACK"
MARK = struct.Struct("<4sQI")
PIECE_BYTES = 2 * 2**20
"""Most of a frame that is written, or read into memory, at once."""
Content = bytes | bytearray | memoryview
_OPENING = struct.Struct("<32sQ")
_TEXT = struct.Struct("<I")
_FRAMES = struct.Struct("<IQQ")


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


def frame_bytes(episode: Episode) -> int:
    """Size of an episode in a journal, bytes."""
    return FRAME.size + sum(map(len, _payload(episode))) + MARK.size


def framed(episode: Episode, order: int, kind: bytes) -> Iterator[tuple[int, Content]]:
    """An episode as it stands in a journal, with room for the mark: where what is to be written.

    A large one comes in pieces, so that no memory holds it twice, its header last: it is no frame
    before it is whole.
    """
    parts = list(_payload(episode))
    if sum(map(len, parts)) <= PIECE_BYTES:
        content = bytearray().join([bytes(FRAME.size), *parts, bytes(MARK.size)])
        payload = memoryview(content)[FRAME.size : -MARK.size]
        content[: FRAME.size] = _header(kind, order, len(payload), crc32c(payload))
        yield 0, content
        return
    at, crc = FRAME.size, 0
    for part in parts:
        whole = memoryview(part)
        for start in range(0, len(whole), PIECE_BYTES):
            # a copy: mapped pages come from the disk while NumPy lets other threads run
            piece = np.array(np.frombuffer(whole[start : start + PIECE_BYTES], np.uint8)).data
            yield at, piece
            crc, at = crc32c(piece, crc), at + len(piece)
    yield at, bytes(MARK.size)
    yield 0, _header(kind, order, at - FRAME.size, crc)


def _header(kind: bytes, order: int, size: int, crc: int) -> bytes:
    header = FRAME.pack(FRAME_MAGIC + kind, order, size, crc, 0)[:-4]
    return header + crc32c(header).to_bytes(4, "little")


def _payload(episode: Episode) -> Iterator[bytes | memoryview]:
    """The pieces of a payload: digest and length, then each field's bytes in schema order."""
    yield _OPENING.pack(bytes.fromhex(episode.digest), len(episode))
    for field in episode.schema.fields:
        if isinstance(episode, EncodedEpisode) and field.codec is not None:
            yield from _packed(episode.encoded[field.name])
            continue
        content = row_bytes(field, episode.arrays[field.name])
        if field.is_text:
            yield _TEXT.pack(len(content))
        yield content


def decoded(schema: EpisodeSchema, payload: memoryview) -> Episode:
    """The episode of a payload; its arrays are views of the payload's memory.

    Frames of a codec are not decoded: that the payload is what it was its checksum says.
    """
    (digest, steps), at = _OPENING.unpack_from(payload), _OPENING.size
    arrays: dict[str, np.ndarray] = {}
    encoded: dict[str, Encoded] = {}
    for field in schema.fields:
        shape = field.rows(steps)
        size = prod(shape) * field.numpy_dtype.itemsize
        if field.codec is not None:
            encoded[field.name], size = _unpacked(payload[at:])
        elif field.is_text:
            (size,) = _TEXT.unpack_from(payload, at)
            at += _TEXT.size
            texts = bytes(payload[at : at + size]).decode()
            arrays[field.name] = np.array(texts.split("\0") if shape else texts)
        else:
            rows = np.frombuffer(payload[at : at + size], field.numpy_dtype)
            arrays[field.name] = rows.reshape(shape)
        at += size
    episode = of_encoded(schema, arrays, encoded) if encoded else Episode(schema, arrays)
    if at != len(payload) or not (encoded or episode.digest == digest.hex()):
        raise JournalError("frame: expected an episode with its digest, got other content")
    return episode


def _packed(encoded: Encoded) -> Iterator[Group]:
    """Encoded frames in a payload: how many groups, what they lost, the size of each, all bytes."""
    groups = encoded.groups
    yield _FRAMES.pack(len(groups), encoded.squared_error, encoded.compared)
    yield np.array([len(group) for group in groups], "<u4").tobytes()
    yield from groups


def _unpacked(payload: memoryview) -> tuple[Encoded, int]:
    """Encoded frames that a payload begins with, and their size there, bytes."""
    count, error, compared = _FRAMES.unpack_from(payload)
    at = _FRAMES.size + 4 * count
    groups: list[Group] = []
    for size in np.frombuffer(payload[_FRAMES.size : at], "<u4").tolist():
        groups.append(payload[at : at + size])
        at += size
    return Encoded(tuple(groups), error, compared), at


def mark_at(stop: int) -> bytes:
    """Says that all before ``stop``, where it stands, was durable."""
    mark = MARK.pack(MARK_MAGIC, stop, 0)[:-4]
    return mark + crc32c(mark).to_bytes(4, "little")


def frame_at(journal: int, start: int, end: int) -> tuple[Frame, Content] | None:
    """The whole frame that starts there in a file that ends there, and its payload, or ``None``.

    A large payload is mapped, not read: the system may take its memory back.
    """
    offset = start + FRAME.size
    if offset + _OPENING.size > end:
        return None
    header = os.pread(journal, FRAME.size, start)
    magic, order, size, crc, own = FRAME.unpack(header)
    if magic[:3] != FRAME_MAGIC or own != crc32c(header[:-4]):
        return None
    if size < _OPENING.size or size > end - offset:
        return None
    payload = _read(journal, size, offset)
    if crc != crc32c(payload):
        return None
    digest, steps = _OPENING.unpack_from(payload)
    return Frame(order, offset, size, steps, digest), payload


def _read(journal: int, size: int, offset: int) -> Content:
    if size <= PIECE_BYTES:
        return os.pread(journal, size, offset)
    before = offset % mmap.ALLOCATIONGRANULARITY
    found = mmap.mmap(journal, before + size, offset=offset - before, access=mmap.ACCESS_READ)
    return memoryview(found)[before:]
