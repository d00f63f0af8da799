"""NPZ: one file of NumPy arrays, for whoever has nothing but NumPy.

``state/observation`` and its like hold the rows of all episodes end to end, ``length`` the steps
of each episode, ``schema`` and ``provenance`` JSON text. Nothing in it is pickled.
"""

import zipfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from trajstore.dataset import Dataset
from trajstore.disk.json_text import canonical_json, parse_json
from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.schema import EpisodeSchema
from trajstore.episode.texts import shown
from trajstore.errors import CorruptionError
from trajstore.interop.arrays import EXPECTED, Arrays, rows_of
from trajstore.interop.foreign import reading
from trajstore.interop.imported import (
    Imported,
    Progress,
    about,
    read_about,
    told,
    unwatched,
    whole_episode,
    whole_export,
    without,
)

MAX_TEXT = 16 * 2**20
"""Letters of the schema and of the provenance."""
_TIME = (1980, 1, 1, 0, 0, 0)


def export_dataset(
    dataset: Dataset, target: Path, *, progress: Progress = unwatched
) -> tuple[str, ...]:
    """Write a version into a new NPZ file; memory is that of one episode. Nothing is left out.

    Raises:
        SealedError: if the target exists.
        StorageError: if the operating system refuses.
    """
    with whole_export(target) as whole, zipfile.ZipFile(whole, "w") as archive:
        for name, value in about(dataset).items():
            _write(archive, name, np.array(canonical_json(value).decode()))
        _write(archive, "length", dataset.lengths)
        fields = dataset.schema.fields
        for place, spec in enumerate(fields):
            _write_field(archive, dataset, spec)
            before, now = (len(dataset) * it // len(fields) for it in (place, place + 1))
            progress(now - before)
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
    said = told(provenance, left_out)
    return Imported(schema, said, episodes, left_out, count=len(lengths))


_ABOUT = ("schema", "provenance")


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
        streams: dict[FieldSpec, IO[bytes]] = {}
        whole: dict[FieldSpec, np.ndarray] = {}
        for spec in schema.fields:
            if spec.axis is Axis.EPISODE or spec.is_text:
                whole[spec] = archive.read(_key(spec))
            else:
                streams[spec] = stack.enter_context(archive.stream(_key(spec)))
        first = 0
        for index, length in enumerate(lengths.tolist()):
            arrays = {
                spec.name: rows_of(column, spec.axis, index, first, length)
                for spec, column in whole.items()
            }
            for spec, stream in streams.items():
                shape = spec.rows(length)
                data = stream.read(shape[0] * spec.row_bytes)
                arrays[spec.name] = np.frombuffer(data, spec.numpy_dtype).reshape(shape)
            first += length
            where = f"{source}: episode {index}"
            yield whole_episode(where, schema, arrays, mark_truncated=mark_truncated)


def _open(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    entry = zipfile.ZipInfo(f"{name}.npy", _TIME)
    return archive.open(entry, "w", force_zip64=True)


def _write(archive: zipfile.ZipFile, name: str, values: np.ndarray) -> None:
    with _open(archive, name) as file:
        npy.write_array(file, values, allow_pickle=False)


def _write_field(archive: zipfile.ZipFile, dataset: Dataset, spec: FieldSpec) -> None:
    if spec.axis is Axis.EPISODE or spec.is_text:
        _write(archive, _key(spec), dataset.column(spec.name))
        return
    rows = dataset.steps + (len(dataset) if spec.axis is Axis.STATE else 0)
    descr = npy.dtype_to_descr(spec.numpy_dtype)
    header = {"shape": (rows, *spec.shape), "fortran_order": False, "descr": descr}
    with _open(archive, _key(spec)) as file:
        npy.write_array_header_1_0(file, header)
        for rows_of_episode in dataset.rows(spec.name):
            file.write(np.ascontiguousarray(rows_of_episode).data)
