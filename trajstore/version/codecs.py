"""How the bytes of a chunk are stored: codec chains by name.

A chain is what Zarr calls by the same name: ``encode`` takes the little-endian bytes of a chunk,
``decode`` gives them back or raises. The checksum is outermost, so that it covers all.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import google_crc32c
import numpy as np
import zstandard

from trajstore.errors import CorruptionError

Buffer = bytes | bytearray | memoryview
CHECKSUM_BYTES = 4
ZSTD_LEVEL = 3


@dataclass(frozen=True, slots=True)
class Codec:
    """One codec chain.

    Attributes:
        name: by which `CODECS` knows it.
        metadata: Zarr 3 configuration, after the ``bytes`` codec.
        encode: bytes of a chunk to bytes on disk.
        decode: the reverse, given the size that must come out, bytes; raises `CorruptionError`.
    """

    name: str
    metadata: tuple[dict[str, Any], ...]
    encode: Callable[[Buffer], bytes]
    decode: Callable[[Buffer, int], Buffer]


def crc32c(data: Buffer, start: int = 0) -> int:
    """CRC-32C (Castagnoli) of data that continues data of checksum ``start``.

    Example:
        >>> hex(crc32c(b"123456789"))
        '0xe3069283'
    """
    readable = data if isinstance(data, bytes) else np.frombuffer(data, np.uint8)
    return int(google_crc32c.extend(start, readable))


def checksum(data: Buffer) -> bytes:
    """The four bytes that follow checked data: its CRC-32C, little endian."""
    return crc32c(data).to_bytes(CHECKSUM_BYTES, "little")


def split_checked(data: Buffer) -> memoryview:
    """The data in front of its checksum.

    Raises:
        CorruptionError: if the checksum is another one.
    """
    view = memoryview(data)
    body, stored = view[:-CHECKSUM_BYTES], bytes(view[-CHECKSUM_BYTES:])
    if len(view) < CHECKSUM_BYTES or checksum(body) != stored:
        raise CorruptionError(
            f"chunk of {len(view)} bytes: expected the checksum of its content, got {stored.hex()}"
        )
    return body


def _seal_raw(data: Buffer) -> bytes:
    return b"".join((data, checksum(data)))


def _open_raw(data: Buffer, size: int) -> memoryview:
    body = split_checked(data)
    if len(body) != size:
        raise CorruptionError(f"chunk: expected {size} bytes of rows, got {len(body)}")
    return body


class _Zstd(threading.local):
    """One compressor and one decompressor a thread; making them takes longer than a chunk."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=False)
        self.decompressor = zstandard.ZstdDecompressor()


_ZSTD_OF_THREAD = _Zstd()


def unpack(data: Buffer, size: int) -> bytes:
    """Decompress one zstd frame that holds ``size`` bytes, and nothing else.

    Raises:
        CorruptionError: if it does not.
    """
    try:
        announced = zstandard.frame_content_size(data)
        if announced != size:
            raise CorruptionError(f"chunk: expected {size:,} bytes when decoded, got {announced:,}")
        rows = _ZSTD_OF_THREAD.decompressor.decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise CorruptionError(f"chunk: expected {size:,} packed bytes, got {error}") from error
    return rows


def _seal_zstd(data: Buffer) -> bytes:
    packed = _ZSTD_OF_THREAD.compressor.compress(data)
    return packed + checksum(packed)


def _open_zstd(data: Buffer, size: int) -> bytes:
    return unpack(split_checked(data), size)


_CRC32C: dict[str, Any] = {"name": "crc32c"}
_ZSTD: dict[str, Any] = {"name": "zstd", "configuration": {"level": ZSTD_LEVEL, "checksum": False}}

CODECS: dict[str, Codec] = {
    "raw": Codec("raw", (_CRC32C,), _seal_raw, _open_raw),
    "zstd": Codec("zstd", (_ZSTD, _CRC32C), _seal_zstd, _open_zstd),
}
"""Every codec chain of a sealed version; ``raw`` for narrow fields, ``zstd`` for wide ones."""
