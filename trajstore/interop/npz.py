"""NPZ: one file of NumPy arrays, for whoever has nothing but NumPy.

``state/observation`` and its like hold the rows of all episodes end to end, ``length`` the steps
of each episode, ``schema`` and ``provenance`` JSON text. Nothing in it is pickled.
"""

import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from trajstore.dataset import Dataset
from trajstore.disk.files import canonical_json, parse_json
from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import CorruptionError
from trajstore.interop.imported import Imported, about, read_about, reading, whole_export

EXPECTED = "an NPZ file that trajstore exported"

_TIME = (1980, 1, 1, 0, 0, 0)


def export_dataset(dataset: Dataset, target: Path) -> None:
    """Write a version into a new NPZ file; memory is that of one episode.

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


def import_dataset(source: Path) -> Imported:
    """Read what ``export_dataset`` wrote.

    Raises:
        NotFoundError: if there is no such file.
        CorruptionError: if it is something else.
    """
    with reading(source, EXPECTED), zipfile.ZipFile(source) as archive:
        texts = {name: str(_read(archive, name)[()]) for name in ("schema", "provenance")}
        record = {name: parse_json(text.encode(), name) for name, text in texts.items()}
        schema, provenance = read_about(record)
        lengths = [int(length) for length in _read(archive, "length").tolist()]
    return Imported(schema, provenance, _episodes(source, schema, lengths))


def _open(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    entry = zipfile.ZipInfo(f"{name}.npy", _TIME)
    return archive.open(entry, "w", force_zip64=True)


def _write(archive: zipfile.ZipFile, name: str, values: np.ndarray) -> None:
    with _open(archive, name) as file:
        npy.write_array(file, values, allow_pickle=False)


def _key(spec: FieldSpec) -> str:
    return f"{spec.axis.value}/{spec.name}"


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


def _read(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(f"{name}.npy") as file:
        values: np.ndarray = npy.read_array(file, allow_pickle=False)
    return values


def _episodes(source: Path, schema: EpisodeSchema, lengths: list[int]) -> Iterator[Episode]:
    with reading(source, EXPECTED), ExitStack() as stack:
        archive = stack.enter_context(zipfile.ZipFile(source))
        whole = {spec.name: _read(archive, _key(spec)) for spec in schema.on(Axis.EPISODE)}
        streams = {
            spec.name: stack.enter_context(archive.open(f"{_key(spec)}.npy"))
            for spec in schema.fields
            if spec.axis is not Axis.EPISODE
        }
        for name, stream in streams.items():
            _check_header(stream, schema.field(name), source)
        for index, length in enumerate(lengths):
            arrays = {name: column[index] for name, column in whole.items()}
            for name, stream in streams.items():
                arrays[name] = _rows(stream, schema.field(name), length, source)
            yield Episode(schema, arrays)


def _check_header(stream: IO[bytes], spec: FieldSpec, source: Path) -> None:
    npy.read_magic(stream)
    shape, fortran, dtype = npy.read_array_header_1_0(stream)
    if shape[1:] != spec.shape or fortran or dtype != spec.numpy_dtype:
        raise CorruptionError(
            f"{source}: field {spec.name!r}: expected rows {spec.shape} of {spec.dtype}, "
            f"got {shape[1:]} of {dtype}"
        )


def _rows(stream: IO[bytes], spec: FieldSpec, length: int, source: Path) -> np.ndarray:
    shape = spec.rows(length)
    wanted = shape[0] * spec.row_bytes
    data = stream.read(wanted)
    if len(data) != wanted:
        raise CorruptionError(f"{source}: field {spec.name!r}: expected more rows, got the end")
    return np.frombuffer(data, spec.numpy_dtype).reshape(shape)
