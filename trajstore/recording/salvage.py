"""What is left of a recording with damaged journals: each episode whose own checksums hold."""

import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trajstore.disk.system import storing
from trajstore.recording.journal import FRAME_MAGIC, HEAD_BYTES, Frame, check_head, frame_at, opened
from trajstore.recording.unfinished import Recording, in_order

Stretch = tuple[str, int, int]
"""Name of a journal, the first damaged byte, and how many there are."""


@dataclass(frozen=True, slots=True)
class Salvage:
    """What was found in the journals of a recording.

    Attributes:
        frames: of all whole episodes in their order, each with its journal.
        lost: the stretches between them that hold no whole episode.
    """

    frames: list[tuple[Path, Frame]]
    lost: tuple[Stretch, ...]

    @property
    def missing(self) -> list[int]:
        """Places before the last found episode that none has; workers may have left gaps too."""
        orders = {frame.order for _, frame in self.frames}
        return [order for order in range(max(orders, default=0)) if order not in orders]


def salvage(recording: Recording) -> Salvage:
    """Find the whole episodes before and behind the damage; nothing is changed.

    Raises:
        JournalError: if a journal holds another schema, or two episodes have one place.
        StorageError: if a journal cannot be read.
    """
    frames: list[tuple[Path, Frame]] = []
    lost: list[Stretch] = []
    for path in recording.journals().values():
        end = HEAD_BYTES
        with storing(path), opened(path) as journal:
            size = os.fstat(journal).st_size
            if size < HEAD_BYTES:
                continue
            check_head(path, os.pread(journal, HEAD_BYTES, 0), recording.schema)
            for frame, start in _frames(journal, size):
                if start > end:
                    lost.append((path.name, end, start - end))
                frames.append((path, frame))
                end = frame.offset + frame.size
        if size > end:
            lost.append((path.name, end, size - end))
    return Salvage(in_order(recording.target.name, frames), tuple(lost))


def _frames(journal: int, size: int) -> Iterator[tuple[Frame, int]]:
    """Each whole frame behind the head, and the byte at which it starts."""
    with mmap.mmap(journal, 0, access=mmap.ACCESS_READ) as content:
        place = content.find(FRAME_MAGIC, HEAD_BYTES)
        while place >= 0:
            frame = frame_at(journal, place, size)
            if frame is not None:
                yield frame, place
            after = place + 1 if frame is None else frame.offset + frame.size
            place = content.find(FRAME_MAGIC, after)
