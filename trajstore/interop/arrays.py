"""The arrays of an NPZ file, none of which is believed before it was compared with the file."""

import os
import re
import struct
import zipfile
from contextlib import ExitStack
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np

from trajstore.disk.files import open_file
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.texts import shown
from trajstore.errors import CorruptionError

EXPECTED = "an NPZ file that trajstore exported"
MAX_DIRECTORY_BYTES = 4 * 2**20
"""Of the list of arrays at the end of the file."""

_END, _LOCATOR, _END_64 = b"PK\x05\x06", b"PK\x06\x07", b"PK\x06\x06"
_HEADER = re.compile(
    r"\{'descr': '([<|][biufU]\d{1,8})', 'fortran_order': (False|True), "
    r"'shape': \(((?:\d{1,18}, ?)*(?:\d{1,18})?)\), \} *\n"
)


class Arrays:
    """The arrays of an NPZ file, by name; a size that one claims is compared with the file first.

    Raises:
        CorruptionError: if the file is no zip, or has entries that are compressed, encrypted, no
            arrays, named twice, or larger together than the file.
    """

    def __init__(self, source: Path) -> None:
        self._source = source
        self._stack = ExitStack()
        with ExitStack() as stack:
            file = stack.enter_context(open_file(source))
            size = os.fstat(file.fileno()).st_size
            self._check_directory(file, size)
            self._zip = stack.enter_context(zipfile.ZipFile(file))
            self._infos = self._entries(size)
            self._stack = stack.pop_all()

    def __enter__(self) -> "Arrays":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def names(self) -> set[str]:
        """Of the arrays."""
        return set(self._infos)

    def shape(self, name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
        """Dtype and shape of an array, which the file is long enough for."""
        with self._opened(name) as file:
            return self._header(file, name)

    def read(self, name: str, *, most: int | None = None) -> np.ndarray:
        """An array, of at most that many bytes."""
        with self._opened(name) as file:
            dtype, shape = self._header(file, name)
            size = prod(shape) * dtype.itemsize
            if most is not None and size > most:
                raise self._refused(name, f"at most {most:,} bytes", f"{size:,}")
            return np.frombuffer(file.read(size), dtype).reshape(shape)

    def check(self, name: str, spec: FieldSpec, episodes: int, steps: int) -> None:
        """Refuse an array that is not a field of so many episodes, of so many steps in all."""
        rows = {Axis.EPISODE: episodes, Axis.STATE: steps + episodes, Axis.STEP: steps}[spec.axis]
        dtype, shape = self.shape(name)
        fits = dtype.kind == "U" if spec.is_text else dtype == spec.numpy_dtype
        if not fits or shape != (rows, *spec.shape):
            expected = f"{(rows, *spec.shape)} of {spec.dtype} for {episodes:,} episodes"
            raise self._refused(name, expected, f"{shape} of {dtype}")

    def stream(self, name: str) -> IO[bytes]:
        """The rows of an array, one after the other; the caller closes it."""
        file = self._opened(name)
        self._header(file, name)
        return file

    def _opened(self, name: str) -> IO[bytes]:
        if name not in self._infos:
            raise CorruptionError(
                f"{self._source}: is not {EXPECTED}: it has no array {name!r}; export it again"
            )
        return self._zip.open(self._infos[name])

    def _header(self, file: IO[bytes], name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
        start = file.read(10)
        if start[:8] != b"\x93NUMPY\x01\x00" or len(start) < 10:
            raise self._refused(name, "an array of NumPy's format 1.0", shown(start))
        text = file.read(int.from_bytes(start[8:], "little"))
        found = _HEADER.fullmatch(text.decode("latin1"))
        if found is None or found[2] == "True":
            raise self._refused(name, "numbers or text in rows", shown(text.strip(), 120))
        dtype = np.dtype(found[1])
        shape = tuple(int(size) for size in found[3].split(",") if size.strip())
        claimed = prod(shape) * dtype.itemsize
        held = self._infos[name].file_size - len(start) - len(text)
        if claimed != held:
            raise self._refused(name, f"{claimed:,} bytes as its header says", f"{held:,}")
        return dtype, shape

    def _check_directory(self, file: IO[bytes], size: int) -> None:
        """Refuse a long list of entries before it is read."""
        file.seek(max(0, size - 65_536 - 98))
        tail = file.read()
        at = tail.rfind(_END)
        if at < 0 or len(tail) < at + 22:
            raise CorruptionError(
                f"{self._source}: is not {EXPECTED}, and no zip at all; export it again"
            )
        (length,) = struct.unpack_from("<L", tail, at + 12)
        if at >= 76 and tail[at - 20 : at - 16] == _LOCATOR and tail[at - 76 : at - 72] == _END_64:
            (length,) = struct.unpack_from("<Q", tail, at - 76 + 40)
        if length > min(size, MAX_DIRECTORY_BYTES):
            raise CorruptionError(
                f"{self._source}: expected a list of arrays of at most {MAX_DIRECTORY_BYTES:,} "
                f"bytes, got {length:,}; export it again"
            )

    def _entries(self, size: int) -> dict[str, zipfile.ZipInfo]:
        found: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            name, dot, suffix = info.orig_filename.rpartition(".")
            plain = info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 0x1
            if dot + suffix != ".npy" or not _is_relative(name) or name in found:
                raise self._refused(info.orig_filename, "arrays named once", "another entry")
            if not plain or info.compress_size != info.file_size:
                raise self._refused(name, "an array that is stored as it is", "a compressed one")
            found[name] = info
        if sum(info.file_size for info in found.values()) > size:
            raise CorruptionError(
                f"{self._source}: expected arrays beside each other, got more bytes than the file "
                f"has ({size:,}); export it again"
            )
        return found

    def _refused(self, name: str, expected: str, got: str) -> CorruptionError:
        return CorruptionError(
            f"{self._source}: array {shown(name)}: expected {expected}, got {got}; export it again"
        )


def _is_relative(name: str) -> bool:
    return "\\" not in name and all(part not in ("", ".", "..") for part in name.split("/"))


def rows_of(column: np.ndarray, axis: Axis, index: int, first: int, length: int) -> np.ndarray:
    """The rows of one episode in a column of all, whose first step and length are told."""
    chosen: dict[Axis, Any] = {
        Axis.EPISODE: index,
        Axis.STATE: slice(first + index, first + length + index + 1),
        Axis.STEP: slice(first, first + length),
    }
    return np.asarray(column[chosen[axis]])
