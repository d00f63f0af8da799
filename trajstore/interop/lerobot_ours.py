"""What LeRobot has no place for, in a folder of ours beside its files: read and written.

``meta/trajstore/about.json`` holds schema and provenance, ``rest.parquet`` a row an episode: for a
field that LeRobot keeps, its row after the last action; for any other, all of it; as plain bytes.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trajstore.dataset import Dataset
from trajstore.disk.files import read_json, write_file
from trajstore.disk.json_text import canonical_json
from trajstore.episode.episode import Episode, row_bytes
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import CorruptionError
from trajstore.interop.arrow import parquet
from trajstore.interop.foreign import inside, reading
from trajstore.interop.imported import (
    Imported,
    about,
    fitting,
    read_about,
    told,
    whole_episode,
    without,
)
from trajstore.interop.lerobot_fields import by_key, own_names
from trajstore.interop.lerobot_info import row_shape
from trajstore.interop.lerobot_layout import Layout
from trajstore.interop.lerobot_rows import episodes

FOLDER = "meta/trajstore"
ABOUT, REST = f"{FOLDER}/about.json", f"{FOLDER}/rest.parquet"
LENGTH = "length"


@dataclass(frozen=True, slots=True)
class Whole:
    """The schema that was exported, and the features of the fields that LeRobot keeps."""

    schema: EpisodeSchema
    keys: Mapping[str, str]

    @property
    def rest(self) -> tuple[FieldSpec, ...]:
        """Fields of which a row an episode lies in the file of the rest."""
        fields = self.schema.fields
        return tuple(it for it in fields if it.name not in self.keys or it.axis is Axis.STATE)

    def content(self, spec: FieldSpec, episode: Episode) -> bytes:
        """What the file of the rest holds of a field."""
        rows = episode.arrays[spec.name]
        return bytes(row_bytes(spec, rows[-1:] if spec.name in self.keys else rows))


class RestWriter:
    """Writes the file of the rest, an episode after the other."""

    def __init__(self, folder: Path, dataset: Dataset, whole: Whole) -> None:
        (folder / FOLDER).mkdir(parents=True)
        told = about(dataset) | {"features": dict(whole.keys)}
        write_file(folder / ABOUT, canonical_json(told))
        self._whole = whole
        columns = [(spec.name, pa.large_binary()) for spec in whole.rest]
        self._schema = pa.schema([(LENGTH, pa.int64()), *columns])
        self._file = pq.ParquetWriter(folder / REST, self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0

    def add(self, episode: Episode) -> None:
        """Note an episode."""
        row: dict[str, Any] = {it.name: self._whole.content(it, episode) for it in self._whole.rest}
        self._rows.append({LENGTH: len(episode), **row})
        self._bytes += sum(map(len, row.values()))
        if self._bytes > 2**24 or len(self._rows) >= 1000:
            self._flush()

    def close(self) -> None:
        """Write what is left."""
        with self._file:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._file.write_table(pa.Table.from_pylist(self._rows, self._schema))
        self._rows, self._bytes = [], 0


def is_ours(source: Path) -> bool:
    """Whether a dataset was exported from here."""
    return (source / ABOUT).exists()


def read_schema(source: Path) -> tuple[Whole, dict[str, Any]]:
    """What was exported, and its provenance."""
    told = read_json(inside(source, ABOUT))
    schema, provenance = read_about(told, also=["features"])
    keys = told.get("features")
    if not isinstance(keys, dict) or not keys.keys() <= {*schema.names}:
        raise _unlike(source, "the features of fields")
    return Whole(schema, {name: str(key) for name, key in keys.items()}), provenance


def import_ours(
    found: Layout, whole: Whole, provenance: Mapping[str, Any], leave_out: Collection[str]
) -> Imported:
    """The dataset that was exported, but for what video lost of its pictures."""
    leave_out = own_names(leave_out, whole.keys)
    schema = without(whole.schema, leave_out)
    whole = Whole(schema, {it: key for it, key in whole.keys.items() if it in schema.names})
    for name, key in whole.keys.items():
        feature, spec = found.features.get(key), schema.field(name)
        if feature is None or feature.shape != row_shape(spec.shape):
            raise _unlike(found.source, f"the feature {key!r} of field {name!r}")
    rest = parquet(inside(found.source, REST))
    if rest.metadata.num_rows != len(found.entries):
        raise _unlike(found.source, f"{rest.metadata.num_rows:,} episodes")
    left_out = tuple(f"field {name!r}: as asked" for name in leave_out)
    notes = tuple(
        f"{name}: decoded from video, which is lossy; the decoded frames are kept"
        for name, key in whole.keys.items()
        if found.features[key].kind == "video"
    )

    def read() -> Iterator[Episode]:
        with reading(found.source, "a LeRobot dataset"):
            rows = _rest(found.source, whole)
            for (entry, columns), row in zip(
                episodes(found, set(whole.keys.values())), rows, strict=True
            ):
                where = f"{found.source}: episode {entry.index}"
                if row[LENGTH] != entry.length:
                    raise _unlike(where, f"{row[LENGTH]:,} steps")
                arrays = {
                    spec.name: _stored(spec, row[spec.name], entry.length, whole, where)
                    for spec in whole.rest
                }
                for name, key in whole.keys.items():
                    kept = _fitted(schema.field(name), columns[key])
                    last = arrays.get(name)
                    arrays[name] = kept if last is None else np.concatenate([kept, last])
                yield whole_episode(where, schema, arrays, mark_truncated=False)

    said, count = told(provenance, left_out, notes), len(found.entries)
    return Imported(schema, said, read, left_out, notes, count, by_key(whole.keys))


def _fitted(spec: FieldSpec, rows: Any) -> Any:  # noqa: ANN401 - rows
    """Rows of a feature as its field has them."""
    if spec.shape != row_shape(spec.shape) and isinstance(rows, np.ndarray):
        rows = rows.reshape(-1, *spec.shape)
    return fitting(spec, rows)


def _rest(source: Path, whole: Whole) -> Iterator[dict[str, Any]]:
    file = parquet(inside(source, REST))
    columns = [LENGTH, *(spec.name for spec in whole.rest)]
    for place in range(file.metadata.num_row_groups):
        yield from file.read_row_group(place, columns=columns, use_threads=False).to_pylist()


def _stored(spec: FieldSpec, content: bytes, length: int, whole: Whole, where: str) -> np.ndarray:
    shape = (1, *spec.shape) if spec.name in whole.keys else spec.rows(length)
    if spec.is_text:
        texts = content.decode().split("\0")
        fits = len(texts) == prod(shape)
        rows = np.array(texts).reshape(shape) if fits else np.empty(0)
    else:
        fits = len(content) == prod(shape) * spec.numpy_dtype.itemsize
        rows = np.frombuffer(content, spec.numpy_dtype).reshape(shape) if fits else np.empty(0)
    if not fits:
        raise CorruptionError(f"{where}: {REST}: {spec.name}: expected rows of {shape}, got others")
    return rows


def _unlike(where: object, what: str) -> CorruptionError:
    return CorruptionError(
        f"{where}: expected {what} as {FOLDER} says, got another dataset; if it was changed "
        f"since it was exported, remove {FOLDER} to import what LeRobot keeps"
    )
