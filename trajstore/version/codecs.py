"""How the bytes of a chunk are stored: behind each a CRC-32C; those of wide fields compressed."""

import threading
from typing import Any

import google_crc32c
import numpy as np
import zstandard

from trajstore.disk.mapping import CRC_BYTES
from trajstore.errors import CorruptionError

Buffer = bytes | bytearray | memoryview
ZSTD_LEVEL = 3
RAW: list[dict[str, Any]] = [{"name": "crc32c"}]
PACKED: list[dict[str, Any]] = [
    {"name": "zstd", "configuration": {"level": ZSTD_LEVEL, "checksum": False}},
    *RAW,
]
"""Codecs of a narrow and of a wide field, as Zarr 3 names them, after the ``bytes`` codec."""


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
    return crc32c(data).to_bytes(CRC_BYTES, "little")


class _Zstd(threading.local):
    """One compressor and one decompressor a thread; making them takes longer than a chunk."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=False)
        self.decompressor = zstandard.ZstdDecompressor()


_ZSTD_OF_THREAD = _Zstd()


def compress(data: Buffer) -> bytes:
    """One zstd frame that holds the data, and the frame's checksum."""
    packed = _ZSTD_OF_THREAD.compressor.compress(data)
    return packed + checksum(packed)


def check_frame(data: Buffer, size: int) -> None:
    """Refuse what is no zstd frame of ``size`` bytes, by what its first bytes announce."""
    try:
        announced = zstandard.frame_content_size(data)
    except zstandard.ZstdError as error:
        raise CorruptionError(f"expected {size:,} bytes when decoded, got {error}") from error
    if announced != size:
        raise CorruptionError(f"expected {size:,} bytes when decoded, got {announced:,}")


def decompress(data: Buffer, size: int) -> bytes:
    """Decompress one zstd frame, without its checksum, that holds ``size`` bytes and no more."""
    check_frame(data, size)
    try:
        return _ZSTD_OF_THREAD.decompressor.decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise CorruptionError(f"expected {size:,} packed bytes, got {error}") from error
