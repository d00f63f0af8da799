"""Features of a LeRobot dataset as fields of episodes, and the other way round."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.nesting import ACTION, OBSERVATION, REWARD, below
from trajstore.episode.schema import ENDS
from trajstore.episode.texts import component_names
from trajstore.errors import SchemaError
from trajstore.interop.imported import field_name
from trajstore.interop.lerobot_info import Feature
from trajstore.interop.lerobot_layout import PLACED

DONE, SUCCESS = "next.done", "next.success"
TERMINATED, TRUNCATED = "next.terminated", "next.truncated"
ENDINGS = (DONE, TERMINATED, TRUNCATED)
TASK = "task"
_FIXED = {"next.reward": REWARD, **{f"next.{name}": name for name in ENDS}}
_OURS = {name: key for key, name in _FIXED.items()} | {
    OBSERVATION: "observation.state",
    ACTION: ACTION,
}
MOST_DIMENSIONS = 5
"""Of the rows that the package ``datasets`` has a type for."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The features that become fields, by the field's name, and what has none."""

    fields: Mapping[str, Feature]
    left_out: tuple[str, ...]


def taken(features: Mapping[str, Feature]) -> Taken:
    """Name the fields that features become; the ends and places of rows are none."""
    found: dict[str, Feature] = {}
    lost = []
    alone = [key for key in features if key.startswith("observation.")]
    for key, feature in features.items():
        if key in (*PLACED, *ENDINGS):
            continue
        used = {*found, *ENDS, TASK}
        name = _FIXED.get(key) or (OBSERVATION if alone == [key] else None)
        name = name or field_name(key.replace(".", "/"), used)
        name = (
            name
            if name and not name.startswith("next/")
            else field_name(key.replace(".", "_"), used)
        )
        if name is None:
            lost.append(f"feature {key!r}: its name is taken, or none of ours")
            continue
        found[name] = feature
    return Taken(found, tuple(lost))


def spec_of(name: str, feature: Feature, states: Axis) -> FieldSpec:
    """The field of a feature; observations are on the axis ``states``."""
    axis = states if below(name, OBSERVATION) else Axis.STEP
    if feature.dtype == "str" and feature.shape:
        raise SchemaError(f"field {name!r}: expected one text a row, got shape {feature.shape}")
    told = "" if feature.key == name else f"{feature.key} of LeRobot"
    names = _component_names(feature)
    return FieldSpec(
        name, axis, feature.shape, feature.dtype, description=told, finite=False, names=names
    )


def _component_names(feature: Feature) -> tuple[str, ...]:
    """Names of the components of a row, such as joints; none where they name something else."""
    names = tuple(_texts(feature.names))
    if feature.kind != "plain" or feature.dtype == "str":
        return ()
    try:
        return component_names(feature.key, names, prod(feature.shape))
    except SchemaError:
        return ()


def _texts(names: Any) -> Iterator[str]:  # noqa: ANN401 - lists, and mappings of lists
    if isinstance(names, str):
        yield names
    for inner in names.values() if isinstance(names, Mapping) else names or ():
        if isinstance(inner, str):
            yield inner
        elif isinstance(inner, list | Mapping):
            yield from _texts(inner)


def is_picture(spec: FieldSpec) -> bool:
    """Whether rows are colour pictures, which LeRobot keeps as such."""
    return (
        spec.dtype == "uint8"
        and len(spec.shape) == 3
        and spec.shape[2] == 3
        and min(spec.shape[:2]) >= 8
        and spec.axis is not Axis.EPISODE
    )


def by_key(keys: Mapping[str, str]) -> dict[str, str]:
    """Names of fields by LeRobot's own, where these are no fields; ``keys`` has them by field."""
    return {key: name for name, key in keys.items() if key not in keys}


def own_names(names: Collection[str], keys: Mapping[str, str]) -> Collection[str]:
    """Names of fields, also where LeRobot's own stand for them; ``keys`` has these by field."""
    theirs = by_key(keys)
    return names if isinstance(names, str) else [theirs.get(name, name) for name in names]


def feature_name(spec: FieldSpec, used: Collection[str]) -> str | None:
    """The feature that a field becomes; ``None`` if LeRobot has no place for it."""
    if spec.axis is Axis.EPISODE or spec.is_text or len(spec.shape) > MOST_DIMENSIONS:
        return None
    name = _OURS.get(spec.name, "")
    if is_picture(spec) and below(spec.name, OBSERVATION):
        inner = spec.name.removeprefix(OBSERVATION).removeprefix("/images").strip("/")
        name = f"observation.images.{inner.replace('/', '.')}" if inner else "observation.image"
    if not name:
        name = spec.name.replace("/", ".")
    if name in (*PLACED, *ENDINGS, SUCCESS, TASK) and spec.name not in ENDS:
        name = f"extra.{name}"
    while name in used:
        name = f"extra.{name}"
    return name
