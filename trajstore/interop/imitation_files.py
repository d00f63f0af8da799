"""What ``imitation`` saved, read without its loaders: those run code that the files name."""

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from trajstore.disk.files import read_json
from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.nesting import ACTION, OBSERVATION, REWARD
from trajstore.episode.schema import ENDS, EpisodeSchema
from trajstore.episode.texts import shown
from trajstore.errors import CorruptionError, SchemaError
from trajstore.interop.arrays import Arrays, rows_of
from trajstore.interop.arrow import array_of, batches, unplaced
from trajstore.interop.declared import Said, Space, fields_said, known_of, spaces_said
from trajstore.interop.foreign import inside, reading
from trajstore.interop.imitation_infos import Infos, Row, infos_of
from trajstore.interop.imported import (
    Imported,
    fitting,
    read_about,
    told,
    whole_episode,
    widened,
    without,
)

EXPECTED = "a folder that imitation saved"
SIDECAR, REST = "trajstore.json", "trajstore.npz"
"""Beside imitation's own files: schema and provenance, and the fields that it has no place for."""
COLUMNS = {OBSERVATION: "obs", ACTION: "acts", REWARD: "rews"}
"""Fields that imitation has a place for, and how it calls them."""


def import_dataset(
    source: Path,
    *,
    mark_truncated: bool = False,
    leave_out: Collection[str] = (),
    environment: str | None = None,
    spaces: Said = (),
    time_limit: int | None = None,
) -> Imported:
    """Read data in imitation's own format, exported from here or saved by imitation.

    A file of imitation's says ``terminal`` also where the clock ended an episode. Such an episode
    is taken as terminated unless its ``infos`` say that it was truncated, or it has as many steps
    as the time limit. One that is not terminal is taken as truncated. Of ``infos``, numbers that
    every step has become fields; objects are never decoded, as they may hold code.

    Args:
        source: the folder.
        mark_truncated: whether an episode exported from here without an end is truncated.
        leave_out: fields that are not read.
        environment: Gymnasium id; its spaces say what observations and actions are, its time
            limit which episodes were truncated.
        spaces: of ``observation`` and ``action``, by field; before those of the environment.
        time_limit: steps of the episodes that were truncated; before that of the environment.

    Raises:
        NotFoundError: if there is no such folder.
        CorruptionError: if it is something else, or a file of it lies elsewhere.
        SchemaError: if whole numbers could be choices, and nothing says which.
        ArgumentError: if an argument makes no sense, or a field to leave out does not exist.
    """
    with reading(source, EXPECTED):
        paths = _files(source)
        if (source / SIDECAR).exists():
            return _ours(source, paths, leave_out, mark_truncated=mark_truncated)
        known = known_of(environment)
        found = _Survey(source, paths, time_limit or known.time_limit)
        schema = without(found.schema({**known.spaces, **spaces_said(spaces)}), leave_out)
    left_out = (*(f"field {name!r}: as asked" for name in leave_out), *found.left_out)
    notes = found.notes()
    provenance: dict[str, Any] = {"imported_from": "imitation"}
    if known.provenance:
        provenance["environment"] = dict(known.provenance)
    episodes = partial(_theirs, source, paths, schema, found)
    said = told(provenance, left_out, notes)
    return Imported(schema, said, episodes, left_out, notes, len(found.truncated))


def _files(source: Path) -> list[Path]:
    """The files of a folder that the package ``datasets`` wrote, all inside it."""
    if not (source / "state.json").is_file():
        raise CorruptionError(f"{source}: is not {EXPECTED}: it has no state.json")
    state = read_json(inside(source, "state.json"))
    files = state.get("_data_files") if isinstance(state, dict) else None
    listed: list[Any] = [it.get("filename") for it in files or () if isinstance(it, dict)]
    if not isinstance(files, list) or [type(it) for it in listed] != [str] * len(files):
        raise CorruptionError(f"{source}: is not {EXPECTED}: state.json names no files")
    if state.get("_indices_data_files") or not listed:
        raise CorruptionError(f"{source}: is not {EXPECTED}: it is a selection of rows")
    return [inside(source, name) for name in listed]


def _rows(paths: list[Path]) -> Iterator[Row]:
    for path in paths:
        for batch in batches(path):
            names = batch.schema.names
            missing = {"obs", "acts", "terminal"} - set(names)
            if missing or len(set(names)) < len(names):
                raise CorruptionError(f"{path}: expected obs, acts and terminal, got {names}")
            for row in range(batch.num_rows):
                yield {name: batch.column(name).slice(row, 1) for name in names}


def _said(source: Path, paths: list[Path]) -> Iterator[str]:
    """What the files say of the whole and no field holds, in words."""
    about = source / "dataset_info.json"
    told = read_json(inside(source, about.name)) if about.exists() else {}
    for key in ("description", "citation", "homepage", "license"):
        if isinstance(told, Mapping) and told.get(key):
            yield f"{key} in {about.name}: no place"
    schemas = (next(batches(path), None) for path in paths)
    yield from dict.fromkeys(
        it for batch in schemas if batch is not None for it in unplaced(batch.schema.metadata)
    )


def _array(row: Row, column: str, where: str) -> np.ndarray:
    array: np.ndarray = array_of(row[column], f"{where}: {column}")[0]
    return array


def _ours(
    source: Path, paths: list[Path], leave_out: Collection[str], *, mark_truncated: bool
) -> Imported:
    whole, provenance = read_about(read_json(inside(source, SIDECAR)))
    lengths, others = [], set[str]()
    noted = Infos()
    for row in _rows(paths):
        lengths.append(len(row["acts"].flatten()))
        others |= row.keys()
        noted.add(row, lengths[-1])
    rest = [spec for spec in whole.fields if spec.name not in COLUMNS]
    with Arrays(inside(source, REST)) as arrays:
        strange = sorted(arrays.names - {spec.name for spec in rest})
        if strange:
            raise CorruptionError(
                f"{source / REST}: expected the arrays of its schema, got others: "
                f"{shown(strange)}; export it again"
            )
        for spec in rest:
            arrays.check(spec.name, spec, len(lengths), sum(lengths))
        schema = without(whole, leave_out)
        columns = {it.name: arrays.read(it.name) for it in rest if it.name not in leave_out}
    infos = (f"infos {shown(key)}: no field of the schema" for key in noted.keys)
    asked = (f"field {name!r}: as asked" for name in leave_out)
    left_out = (*asked, *infos, *_unknown(source, others), *_said(source, paths))

    def episodes() -> Iterator[Episode]:
        with reading(source, EXPECTED):
            yield from chosen_episodes()

    def chosen_episodes() -> Iterator[Episode]:
        first = 0
        for index, (row, length) in enumerate(zip(_rows(paths), lengths, strict=True)):
            where = f"{source}: episode {index}"
            found = {
                name: rows_of(column, schema.field(name).axis, index, first, length)
                for name, column in columns.items()
            }
            for name in COLUMNS.keys() & set(schema.names):
                found[name] = fitting(schema.field(name), _array(row, COLUMNS[name], where))
            yield whole_episode(where, schema, found, mark_truncated=mark_truncated)
            first += length

    said = told(provenance, left_out)
    return Imported(schema, said, episodes, left_out, count=len(lengths))


def _unknown(source: Path, columns: set[str]) -> Iterator[str]:
    """Columns that imitation has no name for, and files that it does not write, in words."""
    strange = sorted(columns - {*COLUMNS.values(), "infos", "terminal"})
    yield from (f"column {shown(name)}: no part of the format" for name in strange)
    known = {"state.json", "dataset_info.json", SIDECAR, REST}
    for name in sorted(it.name for it in source.iterdir()):
        if name not in known and not name.endswith(".arrow"):
            yield f"file {shown(name)}: no part of the format"


class _Survey:
    """What all trajectories of a folder have in common, found before the first becomes an episode.

    Attributes:
        infos: fields made of ``infos``, by their key there.
        truncated: whether the clock ended each trajectory, ``bool[N]``.
    """

    def __init__(self, source: Path, paths: list[Path], limit: int | None) -> None:
        self._source, self._limit = source, limit
        self.infos: dict[str, FieldSpec] = {}
        self.left_out: tuple[str, ...] = ()
        terminal, limited, lengths = [], [], []
        types: dict[str, tuple[tuple[int, ...], str]] = {}
        largest: dict[str, int] = {}
        noted = Infos()
        others: set[str] = set()
        for index, row in enumerate(_rows(paths)):
            where = f"{source}: episode {index}"
            others |= row.keys()
            for name, column in COLUMNS.items():
                if column not in row:
                    continue
                array = _array(row, column, where)
                types.setdefault(name, (array.shape[1:], array.dtype.name))
                if array.dtype.kind in "iu" and array.size:
                    largest[name] = max(largest.get(name, 0), int(array.max()))
            terminal.append(bool(_array(row, "terminal", where)))
            lengths.append(len(array_of(row["acts"], where)[0]))
            limited.append(noted.add(row, lengths[-1]))
        if not lengths:
            raise CorruptionError(f"{source}: holds no trajectory")
        self._types, self._largest = types, largest
        self._says = None not in limited
        by_limit = np.array(lengths) == limit
        self.truncated: np.ndarray = ~np.array(terminal)
        self._unsaid = int((~self.truncated & ~by_limit).sum())
        self.truncated |= np.array(limited, bool) if self._says else by_limit
        self._not_terminal = len(terminal) - sum(terminal)
        self.infos, lost = noted.fields(consumed=self._says)
        self.left_out = (*lost, *_unknown(source, others), *_said(source, paths))

    def notes(self) -> tuple[str, ...]:
        """How the ends were taken."""
        notes = []
        if not self._says and self._unsaid:
            notes.append(
                f"a file of imitation's cannot tell truncation from termination: {self._unsaid:,} "
                "episodes that say terminal are taken as terminated; if the clock ended some, say "
                "its limit: --time-limit STEPS (in Python time_limit=STEPS)"
            )
        if not self._says and self._limit:
            notes.append(f"episodes of {self._limit:,} steps, the time limit, are truncated")
        if self._not_terminal:
            notes.append(f"{self._not_terminal:,} episodes that are not terminal are truncated")
        return tuple(notes)

    def schema(self, said: Mapping[str, Space]) -> EpisodeSchema:
        """The schema: spaces that were said, else what the arrays show."""
        axes = {OBSERVATION: Axis.STATE, ACTION: Axis.STEP}
        fields = [self._field(name, axis, said.get(name)) for name, axis in axes.items()]
        if REWARD in self._types:
            fields.append(FieldSpec(REWARD, Axis.STEP, (), self._types[REWARD][1]))
        ends = [FieldSpec(name, Axis.STEP, (), "bool") for name in ENDS]
        return EpisodeSchema((*fields, *ends, *self.infos.values()))

    def _field(self, name: str, axis: Axis, space: Space | None) -> FieldSpec:
        shape, dtype = self._types[name]
        if space is not None:
            found = fields_said(name, space, axis=axis)
            if len(found) != 1 or found[0].name != name or found[0].shape != shape:
                raise SchemaError(
                    f"{self._source}: field {name!r}: expected values of {space}, got rows of "
                    f"shape {shape}; say another environment or space"
                )
            return widened(found[0], np.dtype(dtype))
        if np.dtype(dtype).kind in "iu" and dtype != "uint8" and len(shape) < 2:
            kind = "MultiDiscrete([...])" if shape else f"Discrete({self._largest[name] + 1})"
            raise SchemaError(
                f"{self._source}: field {name!r}: the file cannot say whether its whole "
                "numbers are choices or quantities; name the environment, --environment "
                "CartPole-v1 (in Python environment=...), or the space, --space "
                f"'{name}={kind}' (spaces={{{name!r}: ...}}), or 'Box(low, high, shape, "
                f"dtype)' for quantities; the largest is {self._largest[name]}"
            )
        return FieldSpec(name, axis, shape, dtype)


def _theirs(
    source: Path, paths: list[Path], schema: EpisodeSchema, found: _Survey
) -> Iterator[Episode]:
    with reading(source, EXPECTED):
        for index, row in enumerate(_rows(paths)):
            where = f"{source}: episode {index}"
            arrays = {
                name: fitting(schema.field(name), _array(row, column, where))
                for name, column in COLUMNS.items()
                if name in schema.names
            }
            steps = len(array_of(row["acts"], where)[0])
            ends = np.zeros((2, steps), bool)
            ends[int(found.truncated[index]), -1:] = True
            arrays["terminated"], arrays["truncated"] = ends
            infos = infos_of(row, steps) if found.infos else []
            for key, spec in found.infos.items():
                if spec.name in schema.names:
                    arrays[spec.name] = np.array([info[key] for info in infos], spec.dtype)
            yield whole_episode(where, schema, arrays, mark_truncated=False)
