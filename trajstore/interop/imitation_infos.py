"""The ``infos`` of imitation's trajectories: JSON of which only plain numbers are taken."""

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.nesting import ACTION, OBSERVATION, REWARD
from trajstore.episode.schema import ENDS
from trajstore.errors import CorruptionError
from trajstore.interop.imported import field_name

LIMITED = "TimeLimit.truncated"
"""What Stable-Baselines3 notes of an episode that the clock ended."""

OBJECT = "py/object"
"""Key of what is no plain JSON; the infos of such a step are left out, and it is named."""

Row = Mapping[str, Any]
"""The columns of one trajectory, Arrow arrays of one value."""


class Infos:
    """Numbers in the ``infos`` of all steps, which are JSON text; what else they hold is named."""

    def __init__(self) -> None:
        self._steps = 0
        self._kinds: dict[str, set[type]] = {}
        self._counts: dict[str, int] = {}
        self._early = False

    @property
    def keys(self) -> list[str]:
        """What the infos of some step hold."""
        return list(self._kinds)

    def add(self, row: Row, steps: int) -> bool | None:
        """Note a trajectory; whether its infos say that the clock ended it, if they say it."""
        infos = infos_of(row, steps)
        self._steps += steps
        for info in infos:
            for key, value in info.items():
                self._kinds.setdefault(key, set()).add(_kind(value))
                self._counts[key] = self._counts.get(key, 0) + 1
        said = [info.get(LIMITED) for info in infos]
        self._early |= any(it is True for it in said[:-1])
        return said[-1] if said and isinstance(said[-1], bool) else None

    def fields(self, *, consumed: bool) -> tuple[dict[str, FieldSpec], tuple[str, ...]]:
        """Fields by their key, and what is left out; what told the ends is no field."""
        found: dict[str, FieldSpec] = {}
        lost = []
        taken = {OBSERVATION, ACTION, REWARD, *ENDS}
        for key, kinds in self._kinds.items():
            if key == LIMITED and consumed and not self._early:
                continue
            dtype = _DTYPES.get(frozenset(kinds)) if self._counts[key] == self._steps else None
            name = field_name(key, taken) if dtype else None
            if name is None or dtype is None:
                why = "its name is taken" if dtype else "no number at every step"
                lost.append(f"infos {key!r}: {why}")
                continue
            taken.add(name)
            found[key] = FieldSpec(name, Axis.STEP, (), dtype, finite=False)
        return found, tuple(lost)


_DTYPES = {
    frozenset({bool}): "bool",
    frozenset({int}): "int64",
    frozenset({float}): "float64",
    frozenset({int, float}): "float64",
}


def _kind(value: object) -> type:
    whole = type(value) is int and not -(2**53) <= value <= 2**53
    return object if whole else type(value)


def infos_of(row: Row, steps: int) -> list[dict[str, Any]]:
    """The ``infos`` of a trajectory, as the JSON that they are written in; one a step."""
    if "infos" not in row:
        return [{}] * steps
    texts = row["infos"].flatten()
    if len(texts) != steps or not (pa.types.is_string(texts.type) and texts.null_count == 0):
        raise CorruptionError(f"infos: expected one text a step, got {len(texts)} of {texts.type}")
    infos = [json.loads(text) if text != "{}" else {} for text in texts.to_pylist()]
    return [{} if info is None else info if _is_plain(info) else {OBJECT: None} for info in infos]


def _is_plain(info: object) -> bool:
    return isinstance(info, dict) and OBJECT not in info
