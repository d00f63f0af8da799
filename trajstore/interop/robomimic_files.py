"""robomimic's files (HDF5), read with h5py alone."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.nesting import ACTION, OBSERVATION, REWARD
from trajstore.episode.schema import ENDS, EpisodeSchema
from trajstore.episode.texts import shown
from trajstore.errors import CorruptionError, SchemaError
from trajstore.interop import hdf5, robomimic_ours
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
from trajstore.interop.robomimic_notes import (
    DATA,
    FILTERS,
    MASK,
    MODEL,
    filters,
    model_text,
    provenance_of,
)

EXPECTED = "a robomimic file"
OBS, NEXT_OBS = "obs", "next_obs"
FLAT = "flat"
"""Key of an observation that has no name of its own."""
_STEPS = {"actions": ACTION, "rewards": REWARD}
_UNKNOWN = "nothing that robomimic knows"
_DEMO = re.compile(r"demo_(\d{1,9})")


def import_dataset(
    source: Path,
    *,
    leave_out: Collection[str] = (),
    final_state: str | None = None,
    time_limit: int | None = None,
) -> Imported:
    """Read a robomimic file, exported from here or any other.

    Observations are states, the last of ``next_obs`` the final one. ``dones`` at the last step is
    taken as terminated, unless the time limit says otherwise; none there as truncated. Filter keys
    become fields ``filter_key/NAME`` of truth values, the text of ``model_file`` bytes of the
    field ``model_file``, ``env_args`` part of the provenance.

    Args:
        source: the file.
        leave_out: fields that are not read, as ``observation/agentview_image``.
        final_state: what stands for the state after the last action, one of `FinalState`, in
            place of the last of ``next_obs``; in files without those ``drop`` unless given.
        time_limit: steps of the episodes that were truncated, where the file cannot say it.

    Raises:
        NotFoundError: if there is no such file.
        CorruptionError: if it is something else, leads out of the file or contradicts itself.
        SchemaError: if demonstrations differ in what they hold.
        ArgumentError: if an argument makes no sense, or a field to leave out does not exist.
    """
    with reading(source, EXPECTED), hdf5.opened(source) as file:
        if DATA not in file or not isinstance(file[DATA], h5py.Group):
            raise CorruptionError(f"{source}: is not {EXPECTED}: it has none of its groups")
        if robomimic_ours.is_ours(file):
            return robomimic_ours.import_ours(source, file, _demos(source, file), leave_out)
        chosen = None if final_state is None else FinalState(final_state)
        plan = _Plan(source, file, chosen, leave_out, time_limit)
        provenance = provenance_of(file, plan.left_out)
    left_out = (*(f"field {name!r}: as asked" for name in leave_out), *plan.left_out)
    read = partial(_episodes, source, plan)
    said = told(provenance, left_out, plan.notes)
    return Imported(plan.schema, said, read, left_out, tuple(plan.notes), len(plan.demos))


def _demos(source: Path, file: h5py.File) -> list[tuple[int, str]]:
    """Numbers and names of the demonstrations, by number."""
    found = [(int(it[1]), it[0]) for it in map(_DEMO.fullmatch, file[DATA]) if it]
    if len(found) != len(file[DATA]) or not found:
        raise CorruptionError(
            f"{source}: expected groups demo_0, demo_1 and so on in {DATA}, got "
            f"{shown(sorted(file[DATA])[:5])}"
        )
    return sorted(found)


def _beside(file: h5py.File) -> Iterator[str]:
    """What lies beside the demonstrations and robomimic has no name for, in words."""
    yield from (f"attribute {key!r} of the file: no place" for key in file.attrs)
    yield from (f"group {key!r}: {_UNKNOWN}" for key in sorted({*file} - {DATA, MASK}))
    if MASK in file:
        yield from (f"attribute {key!r} of {MASK!r}: no place" for key in file[MASK].attrs)
        yield from hdf5.unplaced(file[MASK], f"{MASK}/")


@dataclass
class _Demo:
    """The datasets of one demonstration, by our names; none of their rows were read."""

    states: dict[str, h5py.Dataset] = field(default_factory=dict)
    following: dict[str, h5py.Dataset] = field(default_factory=dict)
    steps: dict[str, h5py.Dataset] = field(default_factory=dict)
    strange: list[str] = field(default_factory=list)

    def shapes(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Shape of a row and dtype of each field."""
        all_of = {**self.states, **self.steps}
        return {name: (it.shape[1:], it.dtype.name) for name, it in all_of.items()}


def _demo(group: h5py.Group, where: str) -> _Demo:
    found = _Demo()
    for key in group:
        if key in (OBS, NEXT_OBS):
            named = {_observation(it, found): group[key][it] for it in group[key]}
            (found.states if key == OBS else found.following).update(named)
            continue
        name = _STEPS.get(key) or field_name(key, {OBSERVATION, *_STEPS.values(), *ENDS, MODEL})
        if name is None or not isinstance(group[key], h5py.Dataset):
            found.strange.append(key)
        else:
            found.steps[name] = group[key]
    length = len(group["actions"])
    for name, rows in {**found.states, **found.following, **found.steps}.items():
        if not isinstance(rows, h5py.Dataset) or rows.shape[:1] != (length,):
            raise CorruptionError(
                f"{where}: {name}: expected {length:,} rows as it has actions, got "
                f"{shown(getattr(rows, 'shape', 'a group'))}"
            )
    _check_count(group, "num_samples", length, where)
    return found


def _check_count(group: h5py.Group, attribute: str, count: int, where: object) -> None:
    said = np.asarray(group.attrs.get(attribute, count)).tolist()
    if said != count or not count:
        raise CorruptionError(
            f"{where}: expected {shown(said)} samples as {attribute!r} says, got {count:,}; "
            "export it again"
        )


def _observation(key: str, found: _Demo) -> str:
    name = field_name(key.replace(".", "/"), set())
    if name is None:
        raise SchemaError(f"observation {shown(key)}: expected a name that a field can have")
    return f"{OBSERVATION}/{name}"


class _Plan:
    """Which fields there are and where they come from, before the first row is read."""

    def __init__(
        self,
        source: Path,
        file: h5py.File,
        final_state: FinalState | None,
        leave_out: Collection[str],
        time_limit: int | None,
    ) -> None:
        self.demos, self.limit, self.skip = _demos(source, file), time_limit, frozenset(leave_out)
        self.filters = filters(file, {name for _, name in self.demos})
        shapes: dict[str, tuple[tuple[int, ...], str]] = {}
        strange: dict[str, None] = {}
        self.observed = final_state is None
        self.longest = models = steps = 0
        for _, name in self.demos:
            where = f"{source}: {name}"
            group = file[DATA][name]
            demo = _demo(group, where)
            steps += len(group["actions"])
            shapes = shapes or demo.shapes()
            if demo.shapes() != shapes:
                unlike = sorted(set(shapes.items()) ^ set(demo.shapes().items()))[0][0]
                raise SchemaError(f"{where}: {unlike}: expected it as in {self.demos[0][1]}")
            strange |= dict.fromkeys(f"group {key!r}: {_UNKNOWN}" for key in demo.strange)
            attributes = sorted({*group.attrs} - {"num_samples", MODEL})
            strange |= dict.fromkeys(f"attribute {key!r} of a demo: no place" for key in attributes)
            strange |= dict.fromkeys(hdf5.unplaced(group, "demo/"))
            self.observed &= demo.following.keys() == demo.states.keys()
            model = model_text(group, where)
            self.longest, models = max(self.longest, len(model)), models + bool(model)
        _check_count(file[DATA], "total", steps, source)
        self.alone = {it for it in shapes if it.startswith(OBSERVATION)} == {
            f"{OBSERVATION}/{FLAT}"
        }
        usual = FinalState.REPEAT if self.observed else FinalState.DROP
        self.final_state = usual if final_state is None else final_state
        fields = [self._field(name, *told) for name, told in shapes.items()]
        fields += [FieldSpec(name, Axis.STEP, (), "bool") for name in ENDS]
        for name in self.filters:
            fields.append(FieldSpec(f"{FILTERS}/{name}", Axis.EPISODE, (), "bool"))
        if models:
            said = "robomimic's model_file as UTF-8, filled up with zeros"
            fields.append(
                FieldSpec(MODEL, Axis.EPISODE, (self.longest,), "uint8", description=said)
            )
        self.numbered = [number for number, _ in self.demos] != list(range(len(self.demos)))
        if self.numbered:
            fields.append(FieldSpec("demo", Axis.EPISODE, (), "int64"))
        check_leave_out(leave_out, {spec.name for spec in fields})
        self.schema = EpisodeSchema(tuple(it for it in fields if it.name not in leave_out))
        self.left_out = [*strange, *_beside(file)]
        self.notes: list[str] = []
        if not self.observed:
            self.notes.append(self.final_state.note())
        if "dones" in shapes:
            self.notes.append(
                "dones at the last step is taken as terminated; if the clock ended some episodes, "
                "say its limit: --time-limit STEPS (in Python time_limit=STEPS)"
            )
        else:
            self.notes.append("nothing says how episodes ended: they are taken as truncated")

    def name(self, name: str) -> str:
        """Our name of a field: a single observation needs none of its own."""
        return OBSERVATION if self.alone and name == f"{OBSERVATION}/{FLAT}" else name

    def _field(self, name: str, shape: tuple[int, ...], dtype: str) -> FieldSpec:
        states = name.startswith(f"{OBSERVATION}/")
        axis = self.final_state.axis if states else Axis.STEP
        return FieldSpec(self.name(name), axis, shape, dtype, finite=False)


def _episodes(source: Path, plan: _Plan) -> Iterator[Episode]:
    with reading(source, EXPECTED), hdf5.opened(source, checked=True) as file:
        for number, name in plan.demos:
            where = f"{source}: {name}"
            group = file[DATA][name]
            arrays = _arrays(plan, _demo(group, where), where)
            extra: dict[str, Any] = {
                f"{FILTERS}/{key}": name in demos for key, demos in plan.filters.items()
            }
            extra["demo"] = np.int64(number)
            model = np.zeros(plan.longest, np.uint8)
            text = np.frombuffer(model_text(group, where), np.uint8)
            model[: len(text)] = text
            extra[MODEL] = model
            arrays |= {key: np.asarray(it) for key, it in extra.items() if key in plan.schema.names}
            yield whole_episode(where, plan.schema, arrays, mark_truncated=False)


def _arrays(plan: _Plan, demo: _Demo, where: str) -> dict[str, np.ndarray]:
    def read(rows: Mapping[str, h5py.Dataset]) -> dict[str, np.ndarray]:
        wanted = {plan.name(it): values for it, values in rows.items()}
        return {
            it: fitting(plan.schema.field(it), hdf5.array(values, where))
            for it, values in wanted.items()
            if it in plan.schema.names
        }

    states, steps = read(demo.states), read(demo.steps)
    length = len(next(iter(demo.steps.values())))
    done = "dones" in demo.steps and bool(demo.steps["dones"][-1])
    terminated = done and length != plan.limit
    arrays = plan.final_state.arrays(where, states, steps)
    if plan.observed:
        for name, rows in read(demo.following).items():
            check_following(states[name], rows, f"{where}: {name}")
            arrays[name][-1] = rows[-1]
    return arrays | plan.final_state.ends(length, terminated=terminated, marked=True)
