"""The episodes of a Minari dataset as its files hold them: HDF5, Arrow or Parquet."""

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
from gymnasium import spaces
from minari.dataset.minari_storage import is_image_space
from PIL import Image

from trajstore.disk.files import read_json
from trajstore.episode.nesting import ACTION, flatten
from trajstore.episode.texts import shown
from trajstore.errors import CorruptionError
from trajstore.interop import hdf5
from trajstore.interop.arrow import array_of, batches, parquet, unplaced
from trajstore.interop.foreign import inside

FILE = "main_data.hdf5"
MAX_RATIO, FREE_BYTES = hdf5.MAX_RATIO, hdf5.FREE_BYTES

Space = spaces.Space[Any]
Table = Mapping[str, Any]
"""Columns by name, Arrow arrays."""
Rows = Any
"""Rows in memory, ``np.ndarray`` or a list of texts, or still in the file; see `values`."""

_STEPS = {"reward": "rewards", "terminated": "terminations", "truncated": "truncations"}
_PLACES = {"observations", "actions", "infos", *_STEPS.values()}


@dataclass(frozen=True, slots=True)
class Stored:
    """One episode as a file holds it.

    Attributes:
        notes: on the episode: numbers, arrays, text; ``None`` for what is something else.
        infos: rows by their keys, joined by ``/``.
        steps: rewards and the two ends, by our names.
        nested: reads ``observation`` or ``action`` as the space lies, but for fields to skip.
        others: what else there is, in words; no field can hold it.
    """

    notes: Mapping[str, Any]
    infos: Mapping[str, Rows]
    steps: Mapping[str, Rows]
    nested: Callable[[str, frozenset[str]], Any]
    others: tuple[str, ...] = ()


def around(folder: Path, metadata: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What stands around the episodes: notes on an HDF5 file, which is looked through, and files.

    Raises:
        CorruptionError: if the file leads elsewhere, or claims more than it holds.
    """
    known = {"metadata.json", FILE}
    notes: dict[str, Any] = {}
    plain = metadata.get("data_format", "hdf5") == "hdf5"
    if plain:
        with hdf5.opened(inside(folder, FILE)) as file:
            found = hdf5.attributes(file)
        notes = {key: it.tolist() if hasattr(it, "tolist") else it for key, it in found.items()}
    inner = (it.name for it in folder.iterdir() if plain or not it.is_dir())
    return notes, [
        f"file {shown(name)}: no part of the format" for name in sorted({*inner} - known)
    ]


def stored(
    folder: Path, metadata: Mapping[str, Any], said: Mapping[str, Space]
) -> Iterator[Stored]:
    """The episodes of a folder in their order; `around` has looked through an HDF5 file.

    Raises:
        CorruptionError: if a file leads elsewhere, claims more than it holds, or is damaged.
    """
    jpeg = bool(metadata.get("jpeg_encoding", True))
    if metadata.get("data_format", "hdf5") == "hdf5":
        yield from _in_hdf5(inside(folder, FILE), said, jpeg=jpeg)
    else:
        yield from _in_tables(folder, metadata, said, jpeg=jpeg)


def children(name: str, space: Space) -> list[tuple[Any, str, Space]]:
    """The key, the field's name and the space of what a Dict or Tuple holds; none of a leaf."""
    if isinstance(space, spaces.Tuple):
        return [(place, f"{name}/{place}", child) for place, child in enumerate(space.spaces)]
    inner = space.spaces if isinstance(space, spaces.Dict) else {}
    return [(key, next(iter(flatten(name, {key: 0}))), child) for key, child in inner.items()]


def values(rows: Rows, where: str) -> Any:  # noqa: ANN401 - an array or a list
    """Rows in memory: an array of numbers, or a list of texts."""
    if not isinstance(rows, h5py.Dataset):
        return rows
    return hdf5.texts(rows, where) if hdf5.is_text(rows) else hdf5.array(rows, where)


def _in_hdf5(path: Path, said: Mapping[str, Space], *, jpeg: bool) -> Iterator[Stored]:
    with hdf5.opened(path, checked=True) as file:
        for index in range(len(file)):
            where = f"{path}: episode_{index}"
            group = file.get(f"episode_{index}")
            if not isinstance(group, h5py.Group):
                raise CorruptionError(f"{where}: expected an episode, got none of that number")

            def nested(name: str, skip: frozenset[str], group: h5py.Group = group) -> Any:  # noqa: ANN401
                return _nested(group[f"{name}s"], said[name], name, skip, jpeg=jpeg)

            infos = dict(hdf5.leaves(group["infos"])) if "infos" in group else {}
            more = dict(hdf5.leaves({key: group[key] for key in group.keys() - _PLACES}))
            yield Stored(
                hdf5.attributes(group),
                more | infos,
                {ours: group[theirs] for ours, theirs in _STEPS.items()},
                nested,
                (*hdf5.unplaced(group), *_twice(more, infos)),
            )


def _twice(more: Mapping[str, Any], infos: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(more.keys() & infos.keys()):
        yield f"array {shown(name)}: infos have one of that name"


def _nested(
    item: Any,  # noqa: ANN401 - a group or a dataset
    space: Space,
    name: str,
    skip: frozenset[str],
    *,
    jpeg: bool,
) -> Any:  # noqa: ANN401 - as the space
    inner = children(name, space)
    if inner:
        keys = {f"_index_{key}" if isinstance(key, int) else key for key, _, _ in inner}
        if not isinstance(item, h5py.Group) or set(item) != keys:
            raise CorruptionError(f"{item.name}: expected {sorted(keys)} as its space says")
        found = {
            str(key): _nested(
                item[f"_index_{key}" if isinstance(key, int) else key], child, leaf, skip, jpeg=jpeg
            )
            for key, leaf, child in inner
            if leaf not in skip
        }
        return _like(space, found)
    where = str(item.name)
    if jpeg and is_image_space(space) and isinstance(item, h5py.Dataset) and item.ndim < 3:
        return _images(item, space, where, item.file.id.get_filesize())
    return values(item, where)


def _like(space: Any, found: dict[str, Any]) -> Any:  # noqa: ANN401 - as the space
    """The children of a Tuple as one, unless one is left out: then their places are keys."""
    whole = isinstance(space, spaces.Tuple) and len(found) == len(space.spaces)
    return tuple(found.values()) if whole else found


def _images(rows: Any, space: Space, where: str, stored: int) -> np.ndarray:  # noqa: ANN401
    """Frames that were encoded as JPEG one by one, in so many bytes."""
    shape = space.shape or ()
    if len(rows) * prod(shape) > max(FREE_BYTES, 10 * MAX_RATIO * stored):
        raise CorruptionError(f"{where}: expected frames of {shape}, got too few bytes for them")
    frames: np.ndarray = np.empty((len(rows), *shape), np.uint8)
    for row in range(len(rows)):
        with Image.open(io.BytesIO(bytes(rows[row])), formats=["JPEG"]) as image:
            if image.size != (shape[1], shape[0]):
                raise CorruptionError(f"{where}: expected frames of {shape}, got {image.size}")
            frames[row] = np.asarray(image)
    return frames


def _in_tables(
    folder: Path, metadata: Mapping[str, Any], said: Mapping[str, Space], *, jpeg: bool
) -> Iterator[Stored]:
    """Episodes in a folder each, of one table; the last action, reward and ends are padding."""
    if metadata["data_format"] not in ("arrow", "parquet"):
        held = shown(metadata["data_format"])
        raise CorruptionError(f"{folder}: holds {held}, neither HDF5 nor Arrow nor Parquet")
    for index in range(sum(path.is_dir() for path in folder.iterdir())):
        notes = read_json(inside(folder, f"{index}/metadata.json"))
        options = notes.pop("options", None) or {}
        notes |= {f"options/{key}": value for key, value in options.items()}
        (table, around), where = _table(folder, index), f"{folder}: episode {index}"

        def nested(name: str, skip: frozenset[str], table: Table = table) -> Any:  # noqa: ANN401 - as the space
            rows = table[f"{name}s"]
            rows = rows.slice(0, len(rows) - 1) if name == ACTION else rows
            return _column(rows, said[name], name, skip, jpeg=jpeg)

        infos = dict(_flat(table["infos"], where)) if "infos" in table else {}
        more, others = _more(table, where)
        yield Stored(
            {key: it if isinstance(it, str) else np.asarray(it)[()] for key, it in notes.items()},
            more | infos,
            {ours: array_of(table[theirs], where)[:-1] for ours, theirs in _STEPS.items()},
            nested,
            (*others, *_twice(more, infos), *around),
        )


def _more(table: Table, where: str) -> tuple[dict[str, Rows], list[str]]:
    """Columns that Minari has no name for, and those of a type that no field has, in words."""
    found: dict[str, Rows] = {}
    others = []
    for name in sorted(table.keys() - _PLACES):
        fields = [pa.field(name, table[name].type)]
        try:
            found |= _flat(pa.StructArray.from_arrays([table[name]], fields=fields), where)
        except CorruptionError:
            others.append(f"column {shown(name)}: neither numbers nor text in each row")
    return found, others


def _table(folder: Path, index: int) -> tuple[Table, tuple[str, ...]]:
    """The columns of an episode, and what stands around them, in words."""
    found: list[Any] = []
    for path in sorted((folder / str(index)).iterdir()):
        file = inside(folder, f"{index}/{path.name}")
        if path.suffix == ".arrow":
            found += batches(file)
        elif path.suffix == ".parquet":
            found += _parquet(file)
    if len(found) != 1 or not {"observations", "actions", *_STEPS.values()} <= {
        *found[0].schema.names
    }:
        raise CorruptionError(f"{folder}: episode {index}: expected one table, got {len(found)}")
    schema = found[0].schema
    return {it: found[0].column(it) for it in schema.names}, tuple(unplaced(schema.metadata))


def _parquet(file: Path) -> list[Any]:
    rows: list[Any] = parquet(file).read(use_threads=False).combine_chunks().to_batches()
    for batch in rows:
        batch.validate(full=True)
    return rows


def _column(
    rows: Any,  # noqa: ANN401 - an Arrow array
    space: Space,
    name: str,
    skip: frozenset[str],
    *,
    jpeg: bool,
) -> Any:  # noqa: ANN401 - as the space
    inner = children(name, space)
    if inner:
        found = {
            str(key): _column(rows.field(str(key)), child, leaf, skip, jpeg=jpeg)
            for key, leaf, child in inner
            if leaf not in skip
        }
        return _like(space, found)
    if isinstance(space, spaces.Text):
        return rows.to_pylist()
    if pa.types.is_binary(rows.type) and jpeg and is_image_space(space):
        return _images(rows.to_pylist(), space, name, rows.nbytes)
    array = array_of(rows, name)
    return array.reshape(len(array), *(space.shape or ()))


def _flat(rows: Any, where: str, above: str = "") -> Iterator[tuple[str, Rows]]:  # noqa: ANN401 - an Arrow array
    for place, field in enumerate(rows.type):
        column, name = rows.field(place), f"{above}{field.name}"
        if pa.types.is_struct(field.type):
            yield from _flat(column, where, f"{name}/")
        elif pa.types.is_string(field.type):
            yield name, column.to_pylist()
        else:
            found = array_of(column, f"{where}: {name}")
            shape = (field.metadata or {}).get(b"shape", b"").split(b",")
            yield name, found.reshape(len(found), *(int(size) for size in shape if size))
