"""LeRobot datasets of v3.0 and v2, read without LeRobot: Parquet, and video through PyAV."""

import re
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.provenance import check_provenance
from trajstore.episode.schema import ENDS, EpisodeSchema
from trajstore.episode.texts import shown
from trajstore.errors import ArgumentError, CorruptionError, NotFoundError, SchemaError
from trajstore.interop import lerobot_ours
from trajstore.interop.final_state import FinalState
from trajstore.interop.foreign import reading
from trajstore.interop.imported import (
    Imported,
    check_leave_out,
    field_name,
    fitting,
    told,
    whole_episode,
)
from trajstore.interop.lerobot_fields import (
    DONE,
    ENDINGS,
    SUCCESS,
    TASK,
    TERMINATED,
    TRUNCATED,
    Taken,
    by_key,
    own_names,
    spec_of,
    taken,
)
from trajstore.interop.lerobot_info import Feature, check_rates
from trajstore.interop.lerobot_layout import Entry, Layout, layout, unplaced
from trajstore.interop.lerobot_rows import Columns, episodes

EXPECTED = "a LeRobot dataset"
_COUNTED = {
    *("features", "data_path", "video_path", "names", "chunks_size", "data_files_size_in_mb"),
    *("video_files_size_in_mb", "total_episodes", "total_frames", "total_tasks", "total_chunks"),
    *("total_videos",),
}
_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_TOLD = ("codebase_version", "fps", "robot_type", "splits")


def import_dataset(
    source: Path,
    *,
    leave_out: Collection[str] = (),
    final_state: str = FinalState.DROP,
    time_limit: int | None = None,
) -> Imported:
    """Read a LeRobot dataset, exported from here or any other.

    Of a dataset made elsewhere, ``observation.*`` are states, the rest belongs to steps;
    ``next.reward`` becomes ``reward``, and there is none where there is none. ``next.done`` says
    that the task ended unless ``next.truncated`` or the time limit says otherwise; where nothing
    says it, episodes are truncated. Tasks become the field ``task``, what the metadata say of an
    episode fields of the episode axis. Videos are decoded and kept without further loss.

    Args:
        source: the folder.
        leave_out: fields that are not read, as ``observation/images/top``; LeRobot's own names
            do as well.
        final_state: what stands for the state after the last action, which LeRobot does not
            keep: one of `FinalState`.
        time_limit: frames of the episodes that were truncated, where the file cannot say it.

    Raises:
        NotFoundError: if there is no such folder.
        CorruptionError: if it is something else, leads out of the folder or contradicts itself.
        FormatError: if it is of an unknown version.
        SchemaError: if a feature has no form as a field.
        ArgumentError: if an argument makes no sense, or PyAV is missing for its videos.
    """
    if _HUB.fullmatch(str(source)) and not source.exists():
        raise NotFoundError(
            f"{source}: there is no such folder; to fetch a dataset of that name from the hub: "
            f"hf download {source} --repo-type dataset --local-dir FOLDER"
        )
    with reading(source, EXPECTED):
        found = layout(source)
        if lerobot_ours.is_ours(source):
            whole, provenance = lerobot_ours.read_schema(source)
            _check_cameras(found, [found.features[key] for key in whole.keys.values()])
            return lerobot_ours.import_ours(found, whole, provenance, leave_out)
        plan = _Plan(found, FinalState(final_state), leave_out, time_limit)
        _check_cameras(found, plan.features.values())
    left_out = (*(f"field {name!r}: as asked" for name in plan.leave_out), *plan.left_out)
    provenance = told(_provenance(found, plan), left_out, plan.notes)
    read = partial(_episodes, found, plan)
    names, count = by_key({it: one.key for it, one in plan.features.items()}), len(found.entries)
    return Imported(plan.schema, provenance, read, left_out, plan.notes, count, names)


def _check_cameras(found: Layout, features: Collection[Feature]) -> None:
    check_rates(found.source, found.info, [feature.key for feature in features])
    videos = [feature.key for feature in features if feature.kind == "video"]
    if videos:
        try:
            import_module("trajstore.interop.video")
        except ModuleNotFoundError as error:
            raise ArgumentError(
                f"{found.source}: {videos[0]} is a video, and the package {error.name!r} is not "
                "installed: pip install 'trajstore[lerobot]'"
            ) from error


class _Plan:
    """Which fields there are and where they come from, before the first row becomes an episode.

    Attributes:
        features: that are read, by field.
        leave_out: fields that are not read.
        notes: how the rest was taken.
    """

    def __init__(
        self,
        found: Layout,
        final_state: FinalState,
        leave_out: Collection[str],
        time_limit: int | None,
    ) -> None:
        self.final_state, self.limit = final_state, time_limit
        named: Taken = taken(found.features)
        notes, lost = _notes_of(found, named)
        self.task = _task(found)
        extra = [*notes.values(), *([] if self.task is None else [self.task])]
        told_at_end: set[str] = set()
        if SUCCESS in found.features and "success" not in (*named.fields, *notes):
            extra.append(FieldSpec("success", Axis.EPISODE, (), "bool"))
            if "success" not in leave_out and not _is_early(found, SUCCESS):
                told_at_end = {it for it, feature in named.fields.items() if feature.key == SUCCESS}
        names = {*named.fields, *(spec.name for spec in extra)}
        leave_out = own_names(leave_out, {name: it.key for name, it in named.fields.items()})
        check_leave_out(leave_out, {*names, *ENDS})
        self.leave_out = leave_out
        kept = {
            name: it for name, it in named.fields.items() if name not in {*leave_out, *told_at_end}
        }
        self.features = kept
        self.extra = {spec.name: spec for spec in extra if spec.name not in leave_out}
        self.episode_notes = {key: it for key, it in notes.items() if it.name in self.extra}
        self.ends = [key for key in ENDINGS if key in found.features]
        self.irregular = DONE in self.ends and _is_early(found, DONE)
        fields = [spec_of(name, it, final_state.axis) for name, it in kept.items()]
        if self.irregular:
            fields.append(FieldSpec("next_done", Axis.STEP, (), "bool"))
        ends = [FieldSpec(name, Axis.STEP, (), "bool") for name in ENDS]
        self.schema = EpisodeSchema((*fields, *ends, *self.extra.values()))
        self.left_out = (*named.left_out, *lost, *unplaced(found), *self._more(found))
        self.notes = (final_state.note(), *self._notes(found))

    def _more(self, found: Layout) -> Iterator[str]:
        """Keep what else the metadata say of the whole, or tell that it has no place."""
        self.told: dict[str, Any] = {}
        for key in sorted(found.info.keys() - {*_TOLD, *_COUNTED}):
            try:
                check_provenance({key: found.info[key]})
                self.told[key] = found.info[key]
            except SchemaError:
                yield f"{shown(key)} of the metadata: nothing that a provenance can hold"

    def _notes(self, found: Layout) -> Iterator[str]:
        for name, feature in self.features.items():
            if feature.kind == "video":
                codec = ((found.info["features"][feature.key].get("info")) or {}).get("video.codec")
                yield (
                    f"{name}: decoded from {codec or 'unknown'} video, which is lossy; the decoded "
                    "frames are kept"
                )
        if not self.ends:
            yield "nothing says how episodes ended: they are taken as truncated"
        elif TRUNCATED not in self.ends and self.final_state is not FinalState.DROP:
            yield (
                f"{DONE} is taken as terminated; if the clock ended some episodes, say its limit: "
                "--time-limit STEPS (in Python time_limit=STEPS)"
            )

    @property
    def keys(self) -> set[str]:
        """The features whose rows are read."""
        more = [SUCCESS] if "success" in self.extra and SUCCESS not in self.episode_notes else []
        return {*(it.key for it in self.features.values()), *self.ends, *more}


def _is_early(found: Layout, key: str) -> bool:
    """Whether some episode says to be done, or a success, before its last frame."""
    return any(np.any(columns[key][:-1]) for _, columns in episodes(found, {key}))


def _task(found: Layout) -> FieldSpec | None:
    if not any(entry.tasks for entry in found.entries):
        return None
    one = all(len(entry.tasks) == 1 for entry in found.entries)
    return FieldSpec(TASK, Axis.EPISODE if one else Axis.STEP, (), "str")


def _notes_of(found: Layout, named: Taken) -> tuple[dict[str, FieldSpec], list[str]]:
    """Fields of what the metadata say of every episode, by key there."""
    fields: dict[str, FieldSpec] = {}
    lost = []
    keys = dict.fromkeys(key for entry in found.entries for key in entry.notes)
    for key in keys:
        kinds = {type(entry.notes.get(key)) for entry in found.entries}
        dtype = {bool: "bool", int: "int64", float: "float64", str: "str"}.get(
            next(iter(kinds)) if len(kinds) == 1 else object
        )
        used = {*named.fields, *ENDS, TASK, *(it.name for it in fields.values())}
        name = field_name(key, used)
        if dtype is None or name is None:
            lost.append(f"metadata {key!r} of an episode: not one kind of value for all of them")
            continue
        fields[key] = FieldSpec(name, Axis.EPISODE, (), dtype, finite=False)
    return fields, lost


def _provenance(found: Layout, plan: _Plan) -> dict[str, Any]:
    theirs: dict[str, Any] = {key: found.info[key] for key in _TOLD if found.info.get(key)}
    theirs |= plan.told
    theirs["features"] = {
        it.key: found.info["features"][it.key].get("info") for it in plan.features.values()
    }
    theirs["features"] = {key: it for key, it in theirs["features"].items() if it}
    theirs = {key: value for key, value in theirs.items() if value}
    check_provenance(theirs)
    return {"imported_from": "lerobot", "dt": 1 / found.fps, "lerobot": theirs}


def _episodes(found: Layout, plan: _Plan) -> Iterator[Episode]:
    with reading(found.source, EXPECTED):
        for entry, columns in episodes(found, plan.keys):
            where = f"{found.source}: episode {entry.index}"
            arrays = _arrays(found, plan, entry, columns, where)
            yield whole_episode(where, plan.schema, arrays, mark_truncated=False)


def _arrays(
    found: Layout, plan: _Plan, entry: Entry, columns: Columns, where: str
) -> dict[str, np.ndarray]:
    states: dict[str, np.ndarray] = {}
    steps: dict[str, np.ndarray] = {}
    for name, feature in plan.features.items():
        spec = plan.schema.field(name)
        rows = columns[feature.key]
        rows = np.array(rows) if spec.is_text else fitting(spec, rows)
        (states if spec.axis is Axis.STATE else steps)[name] = rows
    if plan.irregular:
        steps["next_done"] = np.asarray(columns[DONE], bool)
    if plan.task is not None and plan.task.axis is Axis.STEP and TASK in plan.extra:
        texts = _tasks_of(found, columns, where)
        numbers = np.asarray(columns["task_index"]).reshape(-1)
        steps[TASK] = np.array([texts[number] for number in numbers.tolist()])
    length = entry.length
    steps = steps or {"": np.zeros(length)}
    arrays = plan.final_state.arrays(where, states, steps)
    arrays.pop("", None)
    arrays |= _ends(plan, columns, length)
    for key, spec in plan.episode_notes.items():
        arrays[spec.name] = np.asarray(entry.notes[key], None if spec.is_text else spec.dtype)
    if "success" in plan.extra and "success" not in arrays:
        arrays["success"] = np.asarray(np.any(columns[SUCCESS]))
    if plan.task is not None and plan.task.axis is Axis.EPISODE and TASK in plan.extra:
        if set(_tasks_of(found, columns, where).values()) != set(entry.tasks):
            raise CorruptionError(
                f"{where}: expected the task {entry.tasks[0]!r} as the metadata say, got another "
                "in its rows"
            )
        arrays[TASK] = np.array(entry.tasks[0])
    return arrays


def _tasks_of(found: Layout, columns: Columns, where: str) -> dict[int, str]:
    """The tasks of an episode's rows, by their number."""
    try:
        return {it: found.tasks[it] for it in np.unique(columns["task_index"]).tolist()}
    except KeyError as error:
        raise CorruptionError(f"{where}: expected a task of the metadata, got {error}") from error


def _ends(plan: _Plan, columns: Mapping[str, Any], length: int) -> dict[str, np.ndarray]:
    last = {key: bool(columns[key][-1]) for key in plan.ends}
    truncated = last.get(TRUNCATED, False) or length == plan.limit
    terminated = last.get(TERMINATED, last.get(DONE, False) and not truncated)
    return plan.final_state.ends(length, terminated=terminated, marked=True)
