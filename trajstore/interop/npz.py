"""NPZ: one file of NumPy arrays, for whoever has nothing but NumPy.

``state/observation`` and its like hold the rows of all episodes end to end, ``length`` the steps
of each episode, ``schema`` and ``provenance`` JSON text. Nothing in it is pickled.
"""

import os
import re
import struct
import zipfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from functools import partial
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from trajstore.dataset import Dataset
from trajstore.disk.files import canonical_json, open_file, parse_json
from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.schema import EpisodeSchema
from trajstore.episode.texts import shown
from trajstore.errors import CorruptionError
from trajstore.interop.imported import (
    Imported,
    about,
    read_about,
    reading,
    told,
    whole_episode,
    whole_export,
    without,
)

EXPECTED = "an NPZ file that trajstore exported"
MAX_TEXT = 4 * 2**20
"""Letters of the schema and of the provenance."""
MAX_DIRECTORY_BYTES = 4 * 2**20
"""Of the list of arrays at the end of the file."""

_TIME = (1980, 1, 1, 0, 0, 0)
_END, _LOCATOR, _END_64 = b"PK\x05\x06", b"PK\x06\x07", b"PK\x06\x06"
_HEADER = re.compile(
    r"\{'descr': '([<|][biufU]\d{1,10})', 'fortran_order': (False|True), "
    r"'shape': \(((?:\d{1,18}, ?)*(?:\d{1,18})?)\), \} *\n"
)


def export_dataset(dataset: Dataset, target: Path) -> tuple[str, ...]:
    """Write a version into a new NPZ file; memory is that of one episode. Nothing is left out.

    Raises:
        SealedError: if the target exists.
        StorageError: if the operating system refuses.
    """
    with whole_export(target) as whole, zipfile.ZipFile(whole, "w") as archive:
        for name, value in about(dataset).items():
            _write(archive, name, np.array(canonical_json(value).decode()))
        _write(archive, "length", dataset.lengths)
        for spec in dataset.schema.fields:
            _write_field(archive, dataset, spec)
    return ()


def import_dataset(
    source: Path, *, mark_truncated: bool = False, leave_out: Collection[str] = ()
) -> Imported:
    """Read what ``export_dataset`` wrote.

    Args:
        source: the file.
        mark_truncated: whether an episode without an end is taken as truncated, not refused.
        leave_out: fields that are not read.

    Raises:
        NotFoundError: if there is no such file.
        CorruptionError: if it is something else, or its arrays contradict each other.
        ArgumentError: if a field to leave out does not exist, or is an end.
    """
    with reading(source, EXPECTED), ExitStack() as stack:
        arrays = stack.enter_context(Arrays(source))
        texts = {name: str(arrays.read(name, most=4 * MAX_TEXT)) for name in _ABOUT}
        record = {name: parse_json(text.encode(), name) for name, text in texts.items()}
        schema, provenance = read_about(record)
        lengths = arrays.read("length")
        _check_lengths(source, lengths)
        fields = {_key(spec): spec for spec in schema.fields}
        strange = sorted(arrays.names - fields.keys() - {*_ABOUT, "length"})
        if strange:
            raise CorruptionError(
                f"{source}: expected the arrays of its schema, got others: {shown(strange)}; "
                "export it again"
            )
        schema = without(schema, leave_out)
        for spec in schema.fields:
            arrays.check(_key(spec), spec, len(lengths), int(lengths.sum(dtype=np.int64)))
        left_out = tuple(f"field {name!r}: as asked" for name in leave_out)
    episodes = partial(_episodes, source, schema, lengths, mark_truncated=mark_truncated)
    return Imported(schema, told(provenance, left_out), episodes, left_out)


_ABOUT = ("schema", "provenance")


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
                f"{self._source}: expected {EXPECTED}, got no array {name!r}; export it again"
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
            raise CorruptionError(f"{self._source}: expected {EXPECTED}, got no zip; export again")
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


def _check_lengths(source: Path, lengths: np.ndarray) -> None:
    fits = lengths.ndim == 1 and lengths.dtype == np.int64 and len(lengths)
    if not fits or lengths.min() < 1 or lengths.max() > 2**62 // len(lengths):
        raise CorruptionError(
            f"{source}: array 'length': expected the steps of each episode, 1 or more, got "
            f"{shown(lengths.ravel()[:8].tolist())} of {lengths.dtype}; export it again"
        )


def _key(spec: FieldSpec) -> str:
    return f"{spec.axis.value}/{spec.name}"


def _episodes(
    source: Path, schema: EpisodeSchema, lengths: np.ndarray, *, mark_truncated: bool
) -> Iterator[Episode]:
    with reading(source, EXPECTED), ExitStack() as stack:
        archive = stack.enter_context(Arrays(source))
        whole = {spec.name: archive.read(_key(spec)) for spec in schema.on(Axis.EPISODE)}
        streams = {
            spec: stack.enter_context(archive.stream(_key(spec)))
            for spec in schema.fields
            if spec.axis is not Axis.EPISODE
        }
        for index, length in enumerate(lengths.tolist()):
            arrays = {name: np.asarray(column[index]) for name, column in whole.items()}
            for spec, stream in streams.items():
                shape = spec.rows(length)
                data = stream.read(shape[0] * spec.row_bytes)
                arrays[spec.name] = np.frombuffer(data, spec.numpy_dtype).reshape(shape)
            where = f"{source}: episode {index}"
            yield whole_episode(where, schema, arrays, mark_truncated=mark_truncated)


def _open(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    entry = zipfile.ZipInfo(f"{name}.npy", _TIME)
    return archive.open(entry, "w", force_zip64=True)


def _write(archive: zipfile.ZipFile, name: str, values: np.ndarray) -> None:
    with _open(archive, name) as file:
        npy.write_array(file, values, allow_pickle=False)


def _write_field(archive: zipfile.ZipFile, dataset: Dataset, spec: FieldSpec) -> None:
    if spec.axis is Axis.EPISODE:
        _write(archive, _key(spec), dataset.column(spec.name))
        return
    rows = dataset.steps + (len(dataset) if spec.axis is Axis.STATE else 0)
    descr = npy.dtype_to_descr(spec.numpy_dtype)
    header = {"shape": (rows, *spec.shape), "fortran_order": False, "descr": descr}
    with _open(archive, _key(spec)) as file:
        npy.write_array_header_1_0(file, header)
        for rows_of_episode in dataset.rows(spec.name):
            file.write(np.ascontiguousarray(rows_of_episode).data)
