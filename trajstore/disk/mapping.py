"""Sealed files mapped into memory: whole, regular, of the recorded size, never a link."""

import ctypes
import mmap
import os
import stat
from pathlib import Path

import google_crc32c
import numpy as np

from trajstore.errors import CorruptionError, StorageError

GRANULARITY = mmap.ALLOCATIONGRANULARITY
"""Bytes; a file can be placed at multiples of this only."""

CRC_BYTES = 4

_MAP_FIXED = 0x10
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]


def open_sealed(path: Path, size: int) -> int:
    """Open a sealed file for reading and return its descriptor, which the caller closes.

    Raises:
        CorruptionError: if it is missing, a link, no plain file, or not of ``size`` bytes.
        StorageError: if the system refuses to open it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise CorruptionError(f"{path}: is missing, {size:,} bytes") from None
    except OSError as error:
        if path.is_symlink():
            raise CorruptionError(f"{path}: expected a plain file, got a symbolic link") from None
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from error
    found = os.fstat(descriptor)
    complaint = None
    if not stat.S_ISREG(found.st_mode):
        complaint = "expected a plain file, got something else"
    elif found.st_size != size:
        complaint = f"expected {size:,} bytes, got {found.st_size:,}"
    if complaint:
        os.close(descriptor)
        raise CorruptionError(f"{path}: {complaint}; get the version anew from its remote")
    return descriptor


def map_sealed(path: Path, size: int) -> np.ndarray:
    """Map a whole sealed file; ``uint8[size]``, read-only. Raises as ``open_sealed`` does."""
    descriptor = open_sealed(path, size)
    try:
        if size == 0:
            return np.empty(0, np.uint8)
        return np.frombuffer(mmap.mmap(descriptor, size, access=mmap.ACCESS_READ), np.uint8)
    finally:
        os.close(descriptor)


def check_crc(data: np.ndarray, path: Path, recorded: str | None = None) -> None:
    """Compare the last four bytes with the crc32c of those before; a difference is corruption.

    ``recorded`` is what the manifest says of them, eight hexadecimal digits.
    """
    if len(data) < CRC_BYTES:
        raise CorruptionError(f"{path}: expected a checksum of 4 bytes, got {len(data)} bytes")
    stored = int.from_bytes(data[-CRC_BYTES:].tobytes(), "little")
    if recorded is not None and stored != int(recorded, 16):
        raise CorruptionError(
            f"{path}: expected a file that ends with crc32c 0x{recorded}, got {stored:#010x}, "
            "another file's; get the version anew from its remote"
        )
    found = google_crc32c.value(data[:-CRC_BYTES])
    if stored != found:
        raise CorruptionError(
            f"{path}: expected bytes with crc32c {stored:#010x}, got {found:#010x}; "
            "get the version anew from its remote"
        )


class Reservation:
    """A range of addresses into which files are placed at known distances.

    Reading a part in which no file lies ends the process: there is nothing to read, and
    zeros would be invented data. Whoever reads places first.
    """

    def __init__(self, size: int) -> None:
        """Reserve ``size`` bytes of addresses, no memory."""
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        try:
            self._memory = mmap.mmap(-1, max(size, 1), flags=flags, prot=0)
        except (OSError, OverflowError) as error:
            raise StorageError(
                f"memory: expected {size:,} bytes of addresses for the files of a field, got "
                f"{error}; raise the limit (ulimit -v)"
            ) from error
        self.bytes = np.frombuffer(self._memory, np.uint8)
        self._address = self.bytes.ctypes.data

    def place(self, path: Path, size: int, offset: int) -> np.ndarray:
        """Map a sealed file at ``offset``, a multiple of ``GRANULARITY``; ``uint8[size]``."""
        descriptor = open_sealed(path, size)
        try:
            flags = mmap.MAP_SHARED | _MAP_FIXED
            at = self._address + offset
            if _libc.mmap(at, size, mmap.PROT_READ, flags, descriptor, 0) != at:
                reason = os.strerror(ctypes.get_errno())
                raise StorageError(f"{path}: expected room to map {size:,} bytes, got {reason}")
        finally:
            os.close(descriptor)
        return self.bytes[offset : offset + size]
