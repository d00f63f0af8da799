"""What a Minari dataset notes beside observations, actions and rewards, as fields of our episodes.

A field is on every episode. So what only some have, or has no form as numbers, is named instead.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.texts import shown
from trajstore.errors import CorruptionError, SchemaError
from trajstore.interop.imported import field_name
from trajstore.interop.minari_episodes import Stored, values

DERIVED = ("id", "total_steps", "seed")
"""Notes on an episode that are no fields: its place, its length, and the seed, which is one."""
SEED = "seed"
KEPT: dict[str, Any] = {
    "author": set,
    "author_email": set,
    "code_permalink": str,
    "algorithm_name": str,
    "description": str,
    "eval_env_spec": str,
    "requirements": list,
    "ref_min_score": int | float,
    "ref_max_score": int | float,
    "num_episodes_average_score": int,
}
"""What Minari notes of a dataset, and the type that it wants."""


@dataclass(slots=True)
class _Column:
    """What the episodes have under one key."""

    episodes: int = 0
    kinds: set[tuple[Axis | None, tuple[int, ...]]] = field(default_factory=set)
    dtypes: set[str] = field(default_factory=set)

    def add(self, axis: Axis | None, shape: tuple[int, ...], dtype: str) -> None:
        self.episodes += 1
        self.kinds.add((axis, shape))
        self.dtypes.add(dtype)

    def field(self, name: str, episodes: int, key: str) -> FieldSpec | str:
        """The field, or why there can be none."""
        if self.episodes != episodes:
            return f"only {self.episodes:,} of {episodes:,} episodes have it"
        (axis, shape), *others = self.kinds
        if axis is None or others:
            return "neither numbers of one shape for each step or state, nor one text an episode"
        dtype = "str" if "str" in self.dtypes else np.result_type(*self.dtypes).name
        said = "" if key == name else f"{shown(key)} of Minari"
        try:
            return FieldSpec(name, axis, shape, dtype, description=said, finite=False)
        except SchemaError as error:
            return str(error)


class Noted:
    """Seeds, infos and notes of all episodes; `settle` makes fields of them.

    Attributes:
        seeds: of the episodes, ``None`` for those that have none.
        left_out: what no field can hold, one line each.
        notes: what else there is to say.
    """

    def __init__(self) -> None:
        self.seeds: list[int | None] = []
        self.left_out: list[str] = []
        self.notes: list[str] = []
        self._columns: dict[tuple[str, str], _Column] = {}
        self._fields: dict[tuple[str, str], FieldSpec] = {}
        self._others: dict[str, None] = {}

    @property
    def some_seeds(self) -> bool:
        """Whether some episodes have a seed and others none, which no field can say."""
        return 0 < sum(seed is not None for seed in self.seeds) < len(self.seeds)

    @property
    def fields(self) -> dict[str, FieldSpec]:
        """The fields by their name, once settled."""
        return {spec.name: spec for spec in self._fields.values()}

    def add(self, episode: Stored, source: Path) -> None:
        """Take note of an episode."""
        self._others |= dict.fromkeys(episode.others)
        seed = episode.notes.get(SEED)
        self.seeds.append(int(seed) if isinstance(seed, int | np.integer) else None)
        for key, value in episode.notes.items():
            if key not in DERIVED:
                self._column("note", key).add(*_kind_of_note(value))
        steps = len(episode.steps["reward"])
        for key, rows in episode.infos.items():
            self._column("info", key).add(*_kind_of_info(rows, steps, str(source)))

    def settle(self, taken: Collection[str]) -> None:
        """Make fields of what every episode has, under names that are not taken."""
        self.left_out += self._others
        used = set(taken)
        found = [seed for seed in self.seeds if seed is not None]
        if self.seeds and len(found) == len(self.seeds) and min(found) >= 0:
            dtype = "int64" if max(found) < 2**63 else "uint64"
            used.add(SEED)
            self._fields["note", SEED] = FieldSpec(
                SEED, Axis.EPISODE, (), dtype, description="given to reset"
            )
        elif found:
            self.left_out.append(
                f"field {SEED!r}: only {len(found):,} of {len(self.seeds):,} episodes have one; "
                "the provenance lists them"
            )
        for (kind, key), column in self._columns.items():
            name = field_name(key, used)
            made: FieldSpec | str = "its name is taken, or none of ours"
            if name is not None:
                made = column.field(name, len(self.seeds), key)
            if isinstance(made, str):
                self.left_out.append(f"{kind} {shown(key)}: {made}")
                continue
            used.add(made.name)
            self._fields[kind, key] = made
            if key.startswith("options/") and key != "options/minari_autoseed":
                self.notes.append(f"{key} was given to reset; a replay gives the seed alone")

        unlike = [
            spec.name
            for (kind, key), spec in self._fields.items()
            if kind == "info" and spec.axis is not Axis.EPISODE and (spec.name != key or "/" in key)
        ]
        if unlike:
            self.notes.append(
                f"an environment reports {', '.join(unlike)} in info by another name, so that a "
                "replay cannot compare them"
            )

    def unknown(self, names: Collection[str]) -> None:
        """Leave out what episodes of our own exports have that is no field of these names."""
        keys = [(kind, key) for kind, key in self._columns if kind == "note" or key not in names]
        self.left_out += (f"{kind} {shown(key)}: no field of the schema" for kind, key in keys)
        self.left_out += self._others

    def arrays(self, episode: Stored, where: str) -> dict[str, np.ndarray]:
        """The values of the fields in one episode."""
        found = {}
        for (kind, key), spec in self._fields.items():
            if kind == "note":
                found[spec.name] = np.asarray(episode.notes[key])
                continue
            rows = values(episode.infos[key], where)
            found[spec.name] = np.array(_texts(rows)[0]) if spec.is_text else np.asarray(rows)
        return found

    def environment(self, text: object) -> dict[str, Any]:
        """What a provenance says of the environment that a specification describes."""
        try:
            return environment_noted(text, self.notes)
        except (AttributeError, LookupError, TypeError, ValueError):
            self.notes.append("the file says an environment in no form of Gymnasium's")
            return {}

    def _column(self, kind: str, key: str) -> _Column:
        return self._columns.setdefault((kind, key), _Column())


_NOTHING = (None, (), "bool")


def _kind_of_note(value: Any) -> tuple[Axis | None, tuple[int, ...], str]:  # noqa: ANN401
    if isinstance(value, str):
        return Axis.EPISODE, (), "str"
    array = np.asarray(value)
    return (Axis.EPISODE, array.shape, array.dtype.name) if array.dtype.kind in "biuf" else _NOTHING


def _kind_of_info(
    rows: Any,  # noqa: ANN401 - in memory or in the file
    steps: int,
    where: str,
) -> tuple[Axis | None, tuple[int, ...], str]:
    shape = rows.shape if hasattr(rows, "shape") else (len(rows),)
    if not hasattr(rows, "dtype") or rows.dtype.kind in "OSU":
        found = values(rows, where) if len(shape) == 1 else []
        constant = len(set(_texts(found))) == 1
        return (Axis.EPISODE, (), "str") if constant else _NOTHING
    axis = {steps + 1: Axis.STATE, steps: Axis.STEP}.get(shape[0]) if shape else None
    numbers = rows.dtype.kind in "biuf"
    return (axis, tuple(shape[1:]), rows.dtype.name) if numbers and axis else _NOTHING


def _texts(rows: Any) -> list[str]:  # noqa: ANN401 - texts
    return [str(row) for row in rows]


def environment_noted(text: object, notes: list[str]) -> dict[str, Any]:
    """A specification that Gymnasium wrote, as `environment_of` says an environment.

    Nothing is built or imported. What could not be built again from the id and arguments alone is
    said in ``notes``; then there is no environment.
    """
    spec = json.loads(text) if isinstance(text, str) else None
    name = spec.get("id") if isinstance(spec, Mapping) else None
    if not isinstance(spec, Mapping) or not isinstance(name, str) or ":" in name:
        notes.append("the file does not say a registered environment, so that nothing replays it")
        return {}
    wrappers = spec.get("additional_wrappers") or []
    foreign = [it["name"] for it in wrappers if not _is_of_gymnasium(it)]
    if foreign:
        notes.append(
            f"the environment {name} was wrapped in {shown(foreign)}: for replaying, name a "
            "function that builds it"
        )
        return {}
    given = spec.get("kwargs")
    kwargs = {key: it for key, it in (given or {}).items() if key != "render_mode"}
    registered = gym.registry.get(name)
    steps = spec.get("max_episode_steps")
    if steps is not None and (registered is None or registered.max_episode_steps != steps):
        kwargs["max_episode_steps"] = steps
    told = [{"name": it["name"], "kwargs": it["kwargs"]} for it in wrappers]
    found = {"id": name, "kwargs": kwargs, "wrappers": told}
    return {key: value for key, value in found.items() if value}


def _is_of_gymnasium(wrapper: Mapping[str, Any]) -> bool:
    """Whether a wrapper is one of Gymnasium's that its arguments make again."""
    where = str(wrapper.get("entry_point"))
    return where.startswith("gymnasium.wrappers.") and isinstance(wrapper["kwargs"], Mapping)


def check_counts(
    episodes: Iterator[Stored], counts: Iterable[Mapping[str, Any]], source: Path
) -> Iterator[Stored]:
    """Pass the episodes on, and refuse another number of them or of steps than was noted."""
    count = steps = 0
    for episode in episodes:
        rows = len(episode.steps["reward"])
        _check_count(f"{source}: episode {count}", episode.notes, {"total_steps": rows})
        count, steps = count + 1, steps + rows
        yield episode
    for noted in counts:
        if count or noted.get("total_episodes"):
            _check_count(f"{source}", noted, {"total_episodes": count, "total_steps": steps})


def _check_count(where: str, notes: Mapping[str, Any], counted: Mapping[str, int]) -> None:
    for key, found in counted.items():
        noted = notes.get(key, found)
        if noted != found:
            raise CorruptionError(
                f"{where}: expected {key} {shown(noted)} as its metadata says, got {found:,}; "
                "the dataset is not whole: export or download it again"
            )
