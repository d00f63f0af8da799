"""Rows of a field with a codec: frames of a camera, decoded from shards of encoded ones.

Every frame is a block of its shard. Frames of a group share bytes: the places of its blocks begin
one byte apart, at the number of the frame in its group, and end together. A group that a shard's
end divides lies in both shards.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import google_crc32c
import numpy as np

from trajstore.disk.mapping import CRC_BYTES
from trajstore.errors import CorruptionError
from trajstore.version.coders import Encoded, codec_of, coder
from trajstore.version.layout import ArraySpec, Files
from trajstore.version.lent import Memory
from trajstore.version.shards import Shard


class CameraRows:
    """The frames of one camera over all parts of a version; none is kept when it was read."""

    def __init__(self, specs: Sequence[ArraySpec], files: Files) -> None:
        """Read nothing yet; ``specs`` are the field's arrays, a part each."""
        self.shape = specs[0].field.shape
        self.dtype = specs[0].field.numpy_dtype
        self._coder = coder(codec_of(specs[0].field).name)
        self._specs, self._files = specs, files
        self._ends = np.cumsum([spec.rows for spec in specs])
        self._shards: dict[tuple[int, int], FrameShard] = {}
        self._memory = Memory()

    def at(self, rows: np.ndarray) -> np.ndarray:
        """Copies of frames in any order; ``rows.shape + row shape``. Each is decoded once."""
        flat = rows.ravel()
        out = self._memory.empty((len(flat), *self.shape))
        order = flat.argsort(kind="stable")
        self._fill(out, order.tolist(), flat[order])
        return out.reshape(*rows.shape, *self.shape)

    def span(self, first: int, stop: int) -> np.ndarray:
        """Rows ``first`` to ``stop``, read-only; the files they lie in are compared first."""
        rows = np.arange(first, max(first, stop))
        self._opened(rows)
        out = self._memory.empty((len(rows), *self.shape))
        self._fill(out, list(range(len(rows))), rows)
        out.flags.writeable = False
        return out

    def encoded(self, first: int, stop: int) -> Encoded:
        """Rows ``first`` to ``stop``, all of an episode, as they are stored."""
        rows = np.arange(first, stop)
        found = []
        for shard, blocks in self._by_shard(rows):
            for block in blocks.tolist():
                number, group = shard.group(block)
                if number == 0:
                    found.append(bytes(group))
        return Encoded(tuple(found))

    def _fill(self, out: np.ndarray, targets: list[int], rows: np.ndarray) -> None:
        """Decode rows, which ascend, into the given places of ``out``."""
        at = 0
        for shard, blocks in self._by_shard(rows):
            for numbers, group in shard.groups(blocks):
                places = targets[at : at + len(numbers)]
                at += len(numbers)
                frames = {it: out[place] for it, place in zip(numbers, places, strict=True)}
                try:
                    self._coder.decode(group, frames)
                except CorruptionError as error:
                    raise CorruptionError(f"{shard.path}: {error}") from None
                if len(frames) < len(numbers):
                    for number, place in zip(numbers, places, strict=True):
                        out[place] = frames[number]

    def _by_shard(self, rows: np.ndarray) -> Iterator[tuple["FrameShard", np.ndarray]]:
        """Yield each shard with some of the rows, which ascend, and their blocks in it."""
        for (part, number), blocks in self._places(rows):
            yield self._shard(part, number), blocks

    def _opened(self, rows: np.ndarray) -> None:
        for place, _ in self._places(rows):
            self._shard(*place)

    def _places(self, rows: np.ndarray) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
        starts = [0, *self._ends.tolist()]
        for part, (start, end) in enumerate(pairwise(starts)):
            low, high = np.searchsorted(rows, (start, end)).tolist()
            if low == high:
                continue
            shards, blocks = np.divmod(rows[low:high] - start, self._specs[part].file_rows)
            edges = [0, *(np.flatnonzero(np.diff(shards)) + 1).tolist(), high - low]
            for one, other in pairwise(edges):
                yield (part, int(shards[one])), blocks[one:other]

    def _shard(self, part: int, number: int) -> "FrameShard":
        opened = self._shards.get((part, number))
        if opened is None:
            opened = FrameShard(self._specs[part], number, self._files)
            self._shards[part, number] = opened
        return opened


class FrameShard(Shard):
    """One file of encoded frames, mapped, with its index."""

    def __init__(self, spec: ArraySpec, number: int, files: Files) -> None:
        super().__init__(spec, number, files)
        codec = codec_of(spec.field)
        self._coder, self._most, self._shape = coder(codec.name), codec.most, spec.field.shape

    def group(self, block: int) -> tuple[int, memoryview]:
        """Which frame of its group a block is, and the group's bytes, checked."""
        number, start, stop = self._place(block)
        return number, self._whole(block, start, stop)

    def groups(self, blocks: np.ndarray) -> Iterator[tuple[list[int], memoryview]]:
        """Yield which frames of a group are wanted, ascending, and the group; ``blocks`` ascend."""
        numbers: list[int] = []
        first = start = stop = -1
        for block in blocks.tolist():
            number, *place = self._place(block)
            if [block - number, *place] != [first, start, stop]:
                if numbers:
                    yield numbers, self._whole(first + numbers[0], start, stop)
                numbers, first, (start, stop) = [], block - number, place
            numbers.append(number)
        if numbers:
            yield numbers, self._whole(first + numbers[0], start, stop)

    def check(self) -> None:
        """Compare the checksums of all groups, and the frames that they announce."""
        block, count = 0, len(self._blocks)
        while block < count:
            number, data = self.group(block)
            following = block + 1
            while following < count and self._joins(following, block):
                following += 1
            held = self._held(data)
            if following < count and following - block + number != held:
                raise self._damage(block, "as many frames as its group has")
            try:
                self._coder.check(data, held, self._shape)
            except CorruptionError as error:
                raise CorruptionError(f"{self.path}: block {block}: {error}") from None
            block = following

    def _held(self, data: memoryview) -> int:
        return data[0] if self._most > 1 and len(data) else 1

    def _joins(self, block: int, other: int) -> bool:
        """Whether a block is of the same group as one before it."""
        number, *place = self._place(block)
        before, *same = self._place(other)
        return place == same and number - before == block - other

    def _place(self, block: int) -> tuple[int, int, int]:
        """Number of a frame in its group, and where the group's bytes start and stop."""
        start, size = self._blocks[block]
        stop = start + size - CRC_BYTES
        if self._most == 1:
            return 0, start, stop
        number = int(self._data[start])
        if number >= self._most or start + number + 1 >= stop:
            raise self._damage(block, f"a frame of a group of {self._most}")
        return number, start + number + 1, stop

    def _whole(self, block: int, start: int, stop: int) -> memoryview:
        data, stored = self._data[start:stop], self._data[stop : stop + CRC_BYTES]
        if google_crc32c.value(data) != int.from_bytes(stored.data, "little"):
            raise self._damage(block, f"bytes with crc32c 0x{stored[::-1].tobytes().hex()}")
        return data.data

    def _damage(self, block: int, expected: str) -> CorruptionError:
        return CorruptionError(
            f"{self.path}: block {block}: expected {expected}, got others; get the version anew "
            "from its remote"
        )
