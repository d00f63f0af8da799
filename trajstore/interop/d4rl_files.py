"""D4RL's files (HDF5): the steps of all episodes end to end, read with h5py alone."""

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.nesting import ACTION, OBSERVATION, REWARD
from trajstore.episode.provenance import check_provenance
from trajstore.episode.schema import ENDS, EpisodeSchema
from trajstore.errors import CorruptionError, SchemaError
from trajstore.interop import hdf5
from trajstore.interop.final_state import FinalState, check_following
from trajstore.interop.foreign import reading
from trajstore.interop.imported import (
    Imported,
    check_leave_out,
    field_name,
    fitting,
    told,
    whole_episode,
)

EXPECTED = "a D4RL file"
FOLLOWING = "next_observations"
TERMINALS, TIMEOUTS = "terminals", "timeouts"
AT_ONCE = 16 * 2**20
"""Bytes of one array that are read together."""
_PLACES = {"observations": OBSERVATION, "actions": ACTION, "rewards": REWARD}


def import_dataset(
    source: Path,
    *,
    mark_truncated: bool = False,
    leave_out: Collection[str] = (),
    final_state: str | None = None,
    time_limit: int | None = None,
) -> Imported:
    """Read a D4RL file; an episode ends where ``terminals`` or ``timeouts`` says so.

    ``terminals`` become ``terminated``, ``timeouts`` ``truncated``; arrays of ``infos`` with a row
    a step become fields, text and single numbers part of the provenance.

    Args:
        source: the file.
        mark_truncated: whether steps behind the last end are a truncated episode, not refused.
        leave_out: fields that are not read, as ``infos/qpos``.
        final_state: what stands for the state after the last action, one of `FinalState`, in
            place of ``next_observations``; in files without those ``drop`` unless given.
        time_limit: steps after which an episode was truncated, in files without ``timeouts``.

    Raises:
        NotFoundError: if there is no such file.
        CorruptionError: if it is something else, leads out of the file or contradicts itself.
        SchemaError: if nothing ends the last episode.
        ArgumentError: if an argument makes no sense, or a field to leave out does not exist.
    """
    with reading(source, EXPECTED), hdf5.opened(source) as file:
        missing = sorted({*_PLACES, TERMINALS} - {*file, "rewards"})
        if missing:
            raise CorruptionError(f"{source}: is not {EXPECTED}: it has no {missing[0]}")
        chosen = None if final_state is None else FinalState(final_state)
        plan = _Plan(source, file, chosen, leave_out, time_limit)
        provenance = {"imported_from": "d4rl", "d4rl": plan.told}
    left_out = (*(f"field {name!r}: as asked" for name in leave_out), *plan.left_out)
    notes = plan.notes(marked=mark_truncated)
    read = partial(_episodes, source, plan, mark_truncated=mark_truncated)
    said = told(provenance, left_out, notes)
    return Imported(plan.schema, said, read, left_out, notes, len(plan.stops))


class _Plan:
    """Which fields there are, and where each episode stops, before the first becomes one."""

    def __init__(
        self,
        source: Path,
        file: h5py.File,
        final_state: FinalState | None,
        leave_out: Collection[str],
        time_limit: int | None,
    ) -> None:
        length = len(file["actions"])
        self.left_out: list[str] = []
        self.told: dict[str, Any] = {}
        self.keys: dict[str, str] = {}
        self.following = FOLLOWING in file and final_state is None
        usual = FinalState.REPEAT if self.following else FinalState.DROP
        self.final_state = usual if final_state is None else final_state
        fields = []
        for key, item in hdf5.leaves(file):
            spec = self._field(source, key, item, length)
            if spec is not None:
                self.keys[spec.name] = key
                fields.append(spec)
        for key, value in hdf5.attributes(file).items():
            self._note(key, value)
        self.left_out += hdf5.unplaced(file)
        fields += [FieldSpec(name, Axis.STEP, (), "bool") for name in ENDS]
        check_leave_out(leave_out, {spec.name for spec in fields})
        self.schema = EpisodeSchema(tuple(it for it in fields if it.name not in leave_out))
        self._ends(source, file, length, time_limit)

    def _field(self, source: Path, key: str, item: h5py.Dataset, length: int) -> FieldSpec | None:
        """The field of an array, if it has a row a step; else it is noted, or left out."""
        if key in (TERMINALS, TIMEOUTS) or (key == FOLLOWING and self.following):
            if item.shape[:1] != (length,):
                raise self._unlike(source, key, item, length)
            return None
        if key in _PLACES and item.shape[:1] != (length,):
            raise self._unlike(source, key, item, length)
        if item.shape[:1] != (length,) or item.dtype.kind not in "biuf":
            self._note(key, item[()] if item.ndim == 0 else None)
            return None
        name = _PLACES.get(key) or field_name(key, {*_PLACES.values(), *ENDS, *self.keys})
        if name is None or key == FOLLOWING:
            said = "as --final-state says" if key == FOLLOWING else "its name is taken"
            self.left_out.append(f"array {key!r}: {said}")
            return None
        axis = self.final_state.axis if name == OBSERVATION else Axis.STEP
        return FieldSpec(name, axis, item.shape[1:], item.dtype.name, finite=False)

    def _unlike(self, source: Path, key: str, item: h5py.Dataset, length: int) -> CorruptionError:
        return CorruptionError(
            f"{source}: {key}: expected {length:,} rows as there are actions, got {item.shape}"
        )

    def _note(self, key: str, value: Any) -> None:  # noqa: ANN401 - of a file
        plain = value.decode(errors="replace") if isinstance(value, bytes) else value
        plain = plain.item() if isinstance(plain, np.generic) else plain
        try:
            if plain is None or isinstance(plain, np.ndarray):
                raise SchemaError("no text and no single number")
            check_provenance({key: plain})
            self.told[key] = plain
        except SchemaError:
            self.left_out.append(f"array {key!r}: neither a row a step, nor text or one number")

    def _ends(self, source: Path, file: h5py.File, length: int, limit: int | None) -> None:
        """Where the episodes stop, and which of them terminated."""
        terminals = hdf5.array(file[TERMINALS], TERMINALS).reshape(-1) != 0
        self.timed = TIMEOUTS in file
        timeouts = np.zeros(length, bool)
        if self.timed:
            timeouts = hdf5.array(file[TIMEOUTS], TIMEOUTS).reshape(-1) != 0
        elif limit is not None:
            timeouts = _limited(terminals, limit)
        if len(terminals) != length or len(timeouts) != length or not length:
            raise CorruptionError(
                f"{source}: does not say for each of {length:,} steps whether the episode ends"
            )
        stops = np.flatnonzero(terminals | timeouts) + 1
        self.endless = not len(stops) or stops[-1] != length
        self.stops = [*stops.tolist(), *([length] if self.endless else [])]
        self.terminals, self.timeouts, self.limited = terminals, timeouts, limit is not None

    def notes(self, *, marked: bool) -> tuple[str, ...]:
        """How the rest was taken."""
        notes = [] if self.following else [self.final_state.note()]
        if not self.timed and not self.limited:
            notes.append(
                "without timeouts only terminals end an episode; if the clock ended some, say its "
                "limit: --time-limit STEPS (in Python time_limit=STEPS)"
            )
        if self.endless and marked:
            notes.append("the steps behind the last end are taken as a truncated episode")
        return tuple(notes)


def _limited(terminals: np.ndarray, limit: int) -> np.ndarray:
    """Where the clock stops episodes that begin behind an end, or behind such a stop."""
    found = np.zeros(len(terminals), bool)
    stops = [-1, *np.flatnonzero(terminals).tolist(), len(terminals)]
    for start, stop in pairwise(stops):
        found[start + limit : min(stop, len(terminals)) : limit] = True
    return found


class _Column:
    """The rows of an array, many read together."""

    def __init__(self, item: h5py.Dataset) -> None:
        self._item = item
        row = max(1, item.nbytes // max(1, len(item)))
        self._at_once = max(1, AT_ONCE // row)
        self._first, self._rows = 0, np.empty(0)

    def rows(self, first: int, stop: int) -> np.ndarray:
        """Rows in the byte order of this machine."""
        if first < self._first or stop > self._first + len(self._rows):
            until = max(stop, first + self._at_once)
            found = np.asarray(self._item[first:until])
            self._rows = found.astype(found.dtype.newbyteorder("="), copy=False)
            self._first = first
        return self._rows[first - self._first : stop - self._first]


def _episodes(source: Path, plan: _Plan, *, mark_truncated: bool) -> Iterator[Episode]:
    with reading(source, EXPECTED), hdf5.opened(source, checked=True) as file:
        columns = {it.name: _Column(file[plan.keys[it.name]]) for it in plan.schema.fields
                   if it.name not in ENDS}  # fmt: skip
        following = _Column(file[FOLLOWING]) if plan.following else None
        first = 0
        for index, stop in enumerate(plan.stops):
            where = f"{source}: episode {index}"
            rows = {
                name: fitting(plan.schema.field(name), column.rows(first, stop))
                for name, column in columns.items()
            }
            arrays = _arrays(plan, rows, stop, where)
            if following is not None and OBSERVATION in rows:
                spec = plan.schema.field(OBSERVATION)
                after = fitting(spec, following.rows(first, stop))
                check_following(rows[OBSERVATION], after, where)
                arrays[OBSERVATION][-1] = after[-1]
            yield whole_episode(where, plan.schema, arrays, mark_truncated=mark_truncated)
            first = stop


def _arrays(
    plan: _Plan, rows: Mapping[str, np.ndarray], stop: int, where: str
) -> dict[str, np.ndarray]:
    states = {OBSERVATION: rows[OBSERVATION]} if OBSERVATION in rows else {}
    steps = {name: values for name, values in rows.items() if name not in states}
    length = len(next(iter(rows.values())))
    terminated, timed = bool(plan.terminals[stop - 1]), bool(plan.timeouts[stop - 1])
    arrays = plan.final_state.arrays(where, states, steps)
    ends = plan.final_state.ends(length, terminated=terminated, marked=timed)
    if timed and terminated and plan.final_state is not FinalState.DROP:
        ends["truncated"][-1] = True
    return arrays | ends
