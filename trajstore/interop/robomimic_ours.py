"""What robomimic has no place for, in groups of ours in its file, and how it is read again."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from trajstore.dataset import Dataset
from trajstore.disk.json_text import canonical_json, parse_json
from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.nesting import ACTION, OBSERVATION, REWARD, below
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import CorruptionError
from trajstore.interop import hdf5
from trajstore.interop.foreign import reading
from trajstore.interop.imported import (
    Imported,
    about,
    fitting,
    read_about,
    told,
    whole_episode,
    without,
)

ABOUT, REST = "trajstore", "trajstore"
"""The dataset of the file, and the group of a demonstration."""
Places = dict[str, tuple[str, ...]]


def places(schema: EpisodeSchema) -> Places:
    """Where a field lies in a demonstration; the first path has its rows but for the last."""
    found: Places = {ACTION: ("actions",), REWARD: ("rewards",)}
    for spec in schema.fields:
        if below(spec.name, OBSERVATION) and spec.axis is Axis.STATE and not spec.is_text:
            key = spec.name.removeprefix(OBSERVATION).strip("/").replace("/", ".") or "flat"
            found[spec.name] = (f"obs/{key}", f"next_obs/{key}")
        elif spec.axis is Axis.STEP and spec.name == "states":
            found[spec.name] = ("states",)
    return {spec.name: found.get(spec.name, (f"{REST}/{spec.name}",)) for spec in schema.fields}


def write_about(file: h5py.File, dataset: Dataset) -> None:
    """Note schema and provenance."""
    text = canonical_json(about(dataset))
    file[ABOUT] = np.frombuffer(text, np.uint8)


def is_ours(file: h5py.File) -> bool:
    """Whether a file was exported from here."""
    return isinstance(file.get(ABOUT), h5py.Dataset)


def import_ours(
    source: Path, file: h5py.File, demos: list[tuple[int, str]], leave_out: Collection[str]
) -> Imported:
    """The version that was exported."""
    text = bytes(hdf5.array(file[ABOUT], f"{source}: {ABOUT}").astype(np.uint8))
    whole, provenance = read_about(parse_json(text, source))
    schema = without(whole, leave_out)
    left_out = tuple(f"field {name!r}: as asked" for name in leave_out)
    lying = places(whole)

    def read() -> Iterator[Episode]:
        with reading(source, "a robomimic file"), hdf5.opened(source, checked=True) as again:
            for _, name in demos:
                where = f"{source}: {name}"
                group = again["data"][name]
                arrays = {it.name: _read(group, it, lying[it.name], where) for it in schema.fields}
                yield whole_episode(where, schema, arrays, mark_truncated=False)

    return Imported(schema, told(provenance, left_out), read, left_out, count=len(demos))


def _read(group: h5py.Group, spec: FieldSpec, paths: tuple[str, ...], where: str) -> np.ndarray:
    for path in paths:
        if not isinstance(group.get(path), h5py.Dataset):
            raise CorruptionError(f"{where}: {spec.name}: expected it at {path}, got none")
    if spec.is_text:
        rows = np.array(hdf5.texts(group[paths[0]], where))
        return rows.reshape(()) if spec.axis is Axis.EPISODE else rows
    rows = fitting(spec, hdf5.array(group[paths[0]], where))
    if len(paths) > 1:
        last = fitting(spec, hdf5.array(group[paths[1]], where))
        rows = np.concatenate([rows, last[-1:]])
    return rows


def write(group: h5py.Group, episode: Episode, lying: Places) -> None:
    """Write the fields of an episode where they lie in a demonstration."""
    for spec in episode.schema.fields:
        rows: Any = episode.arrays[spec.name]
        if spec.is_text:
            rows = np.array(np.atleast_1d(rows).tolist(), dtype=h5py.string_dtype())
        first, *following = lying[spec.name]
        group.create_dataset(first, data=rows[:-1] if following else rows)
        for path in following:
            group.create_dataset(path, data=rows[1:])
