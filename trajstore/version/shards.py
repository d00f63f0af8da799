"""Rows of a wide field, decoded from shards: a few rows compressed together, a file of many.

The index at the end of a shard says where each block of rows lies. It is read once; a block
is checked and decoded when a row of it is read, and the blocks decoded last are kept.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

import google_crc32c
import numpy as np

from trajstore.disk.mapping import CRC_BYTES, check_crc, map_sealed
from trajstore.errors import CorruptionError
from trajstore.version.codecs import unpack
from trajstore.version.stored import StoredArray

KEPT_BYTES = 8 * 2**20
"""Decoded blocks that a field keeps."""

_ABSENT = np.uint64(2**64 - 1)
_MAGIC = 0xFD2FB528
_HEADER_BYTES = 18


class ShardedRows:
    """The rows of one wide field over all parts of a version."""

    def __init__(self, arrays: Sequence[StoredArray], *, kept_bytes: int = KEPT_BYTES) -> None:
        """Read nothing yet; ``arrays`` are the field's, a part each."""
        self.shape = arrays[0].shape
        self.dtype = arrays[0].dtype
        self._arrays = arrays
        self._ends = np.cumsum([array.rows for array in arrays])
        self._shards: dict[tuple[int, int], _Shard] = {}
        self._kept: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()
        self._most_kept = max(1, kept_bytes // max(1, _block_bytes(arrays[0])))

    def at(self, rows: np.ndarray) -> np.ndarray:
        """Copies of rows in any order; ``rows.shape + row shape``. Each block is decoded once."""
        flat = rows.ravel()
        out = np.empty((len(flat), *self.shape), self.dtype)
        for part, chosen, local in self._by_part(flat):
            inner = self._arrays[part].block_rows or 1
            order = local.argsort(kind="stable")
            blocks, offsets = np.divmod(local[order], inner)
            current, block = -1, out
            targets = chosen[order].tolist()
            for target, number, offset in zip(
                targets, blocks.tolist(), offsets.tolist(), strict=True
            ):
                if number != current:
                    block = self._block(part, number)
                    current = number
                out[target] = block[offset]
        return out.reshape(*rows.shape, *self.shape)

    def span(self, first: int, stop: int) -> np.ndarray:
        """Rows ``first`` to ``stop``."""
        out = np.empty((max(stop - first, 0), *self.shape), self.dtype)
        start = 0
        for part, end in enumerate(self._ends.tolist()):
            low, high = max(first, start), min(stop, end)
            if low < high:
                self._fill(out[low - first : high - first], part, low - start)
            start = end
        out.flags.writeable = False
        return out

    def _fill(self, out: np.ndarray, part: int, first: int) -> None:
        """Write the rows of a part from ``first`` on into ``out``."""
        inner = self._arrays[part].block_rows or 1
        stop = first + len(out)
        for number in range(first // inner, -(-stop // inner)):
            start = number * inner
            low, high = max(first, start), min(stop, start + inner)
            target = out[low - first : high - first]
            if high - low == inner and (part, number) not in self._kept:
                target[...] = self._decode(part, number)
            else:
                target[...] = self._block(part, number)[low - start : high - start]

    def _by_part(self, rows: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Yield a part, the places in ``rows`` of its rows, and the rows counted within it."""
        if len(self._arrays) == 1:
            yield 0, np.arange(len(rows)), rows
            return
        parts = self._ends.searchsorted(rows, side="right")
        for part in np.unique(parts).tolist():
            chosen = np.flatnonzero(parts == part)
            yield part, chosen, rows[chosen] - (self._ends[part] - self._arrays[part].rows)

    def _block(self, part: int, number: int) -> np.ndarray:
        key = (part, number)
        block = self._kept.get(key)
        if block is not None:
            self._kept.move_to_end(key)
            return block
        while len(self._kept) >= self._most_kept:
            self._kept.popitem(last=False)
        block = self._kept[key] = self._decode(part, number)
        return block

    def _decode(self, part: int, number: int) -> np.ndarray:
        array = self._arrays[part]
        shard, within = divmod(number, array.file_rows // (array.block_rows or 1))
        opened = self._shards.get((part, shard))
        if opened is None:
            opened = self._shards[part, shard] = _Shard(array, shard)
        return opened.decode(within).view(self.dtype).reshape(-1, *self.shape)


class _Shard:
    """One file of blocks, mapped, with its index."""

    def __init__(self, array: StoredArray, number: int) -> None:
        self._path, size = array.files[number]
        self._data = map_sealed(array.present(self._path), size)
        blocks = array.file_rows // (array.block_rows or 1)
        self._starts, self._stops = _index(self._data, self._path, blocks, array.ending(number))
        rows = min(array.rows - number * array.file_rows, array.file_rows)
        self._used = -(-rows // (array.block_rows or 1))
        self._block_bytes = _block_bytes(array)
        _check_sizes(self._data, self._starts[: self._used], self._block_bytes, self._path)

    def decode(self, block: int) -> np.ndarray:
        """Check and decode a block; its bytes, read-only."""
        data = self._checked(block)
        try:
            return np.frombuffer(unpack(data.data, self._block_bytes), np.uint8)
        except CorruptionError as error:
            raise CorruptionError(f"{self._path}: block {block}: {error}") from None

    def check(self) -> None:
        """Compare the checksums of all blocks."""
        for block in range(self._used):
            self._checked(block)

    def _checked(self, block: int) -> np.ndarray:
        start, stop = self._starts[block], self._stops[block]
        data = self._data[start : stop - CRC_BYTES]
        stored = int.from_bytes(self._data[stop - CRC_BYTES : stop].tobytes(), "little")
        if google_crc32c.value(data) != stored:
            raise CorruptionError(
                f"{self._path}: block {block}: expected bytes with crc32c {stored:#010x}, "
                "got others; get the version anew from its remote"
            )
        return data


def _block_bytes(array: StoredArray) -> int:
    return array.row_bytes * (array.block_rows or 1)


def _index(
    data: np.ndarray, path: Path, blocks: int, recorded: str | None
) -> tuple[list[int], list[int]]:
    """Where each block starts and stops; ``-1`` twice for one that is not there."""
    size = blocks * 16 + CRC_BYTES
    if len(data) < size:
        raise CorruptionError(f"{path}: expected an index of {size:,} bytes, got {len(data):,}")
    index = data[-size:]
    check_crc(index, path, recorded)
    entries: np.ndarray = np.frombuffer(index[:-CRC_BYTES].tobytes(), "<u8").reshape(blocks, 2)
    there = entries[:, 0] != _ABSENT
    limit = np.uint64(len(data) - size)
    starts, lengths = entries[there].T
    wrong = (starts > limit) | (lengths > limit) | (lengths < CRC_BYTES + _HEADER_BYTES // 2)
    if np.any(wrong) or np.any(starts + lengths > limit):
        raise CorruptionError(f"{path}: expected an index of blocks within the file, got others")
    found = np.full((2, blocks), -1, np.int64)
    found[0, there] = starts
    found[1, there] = starts + lengths
    return found[0].tolist(), found[1].tolist()


def _check_sizes(data: np.ndarray, starts: Sequence[int], size: int, path: Path) -> None:
    """Refuse blocks that are absent, or whose header does not announce ``size`` bytes.

    So a shard that is not what it should be is refused before anything of it is decoded.
    """
    at = np.array(starts, np.int64)
    if np.any(at < 0):
        block = int(np.flatnonzero(at < 0)[0])
        raise CorruptionError(f"{path}: block {block}: expected a block of rows, got none")
    near = np.minimum(at[:, None] + np.arange(_HEADER_BYTES), len(data) - 1)
    found = frame_sizes(data[near])
    if np.any(found != size):
        block = int(np.flatnonzero(found != size)[0])
        raise CorruptionError(
            f"{path}: block {block}: expected {size:,} bytes when decoded, got {found[block]:,}"
        )


def frame_sizes(headers: np.ndarray) -> np.ndarray:
    """Sizes that zstd frames announce in their first bytes (RFC 8878, section 3.1.1.1).

    Args:
        headers: ``uint8[N, 18]``, the first bytes of each frame.

    Returns:
        ``int64[N]``, bytes when decoded; -1 where a frame does not say or is none.
    """
    head = headers.astype(np.int64)
    magic = head[:, :4] @ (1 << np.arange(0, 32, 8))
    descriptor = head[:, 4]
    kind, single = descriptor >> 6, (descriptor >> 5) & 1
    width = np.array([0, 2, 4, 8])[kind] + ((kind == 0) & (single == 1))
    first = 5 + (1 - single) + np.array([0, 1, 2, 4])[descriptor & 3]
    columns = np.minimum(first[:, None] + np.arange(8), headers.shape[1] - 1)
    digits = np.take_along_axis(head, columns, axis=1)
    digits[np.arange(8) >= width[:, None]] = 0
    sizes = digits @ (np.int64(1) << np.arange(0, 64, 8)) + np.where(width == 2, 256, 0)
    return np.where((magic == _MAGIC) & (width > 0), sizes, -1)


def check_shard(array: StoredArray, number: int) -> None:
    """Compare the checksums of a shard file: of its index and of every block of rows.

    Raises:
        CorruptionError: for the first that differs.
    """
    _Shard(array, number).check()
