"""What an episode holds: its fields, and what makes arrays one whole episode."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from trajstore.episode.fields import Axis, FieldSpec, limits
from trajstore.episode.roles import ROLES, implied_role
from trajstore.episode.texts import shown
from trajstore.errors import SchemaError

__all__ = ["Axis", "EpisodeSchema", "FieldSpec", "check_is_schema", "limits"]

ENDS = ("terminated", "truncated")


@dataclass(frozen=True)
class EpisodeSchema:
    """The fields of an episode, in order; every episode of a dataset has the same.

    Raises:
        SchemaError: if names clash, two fields declare one role, or the two ends ``terminated``
            and ``truncated`` (truth values on the step axis) are missing.
    """

    fields: tuple[FieldSpec, ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        fields: object = self.fields
        specs = tuple(fields) if isinstance(fields, Iterable) else (fields,)
        for spec in specs:
            if not isinstance(spec, FieldSpec):
                raise SchemaError(f"schema: expected a sequence of FieldSpec, got {shown(spec)}")
        object.__setattr__(self, "fields", specs)
        _check_names(self.fields)
        _check_roles(self.fields)
        for name in ENDS:
            end = self._by_name.get(name)
            if end is None or (end.axis, end.shape, end.dtype) != (Axis.STEP, (), "bool"):
                raise SchemaError(
                    f"schema: needs a field {name!r}, a bool at every step, got {end}; it is "
                    "what Gymnasium's step returns"
                )

    @cached_property
    def _by_name(self) -> dict[str, FieldSpec]:
        return {spec.name: spec for spec in self.fields}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the fields, in order."""
        return tuple(spec.name for spec in self.fields)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the fields, hexadecimal; their order and their roles do not matter."""
        records = [spec.to_json() for spec in self.by_name]
        for record in records:
            record.pop("role", None)
        text = json.dumps(records, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def by_name(self) -> tuple[FieldSpec, ...]:
        """The fields, sorted by name."""
        return tuple(sorted(self.fields, key=lambda spec: spec.name))

    @cached_property
    def roles(self) -> dict[str, str]:
        """Names of fields by role: what a field declares counts before what its name says."""
        implied = {
            implied_role(spec.name, spec.axis, spec.shape, text=spec.is_text): spec.name
            for spec in sorted(self.fields, key=lambda it: it.name in ROLES)
            if not spec.role
        }
        implied.pop("", None)
        return implied | {spec.role: spec.name for spec in self.fields if spec.role}

    def in_roles(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Arrays by the role of their field; those that have none are left out."""
        return {role: arrays[name] for role, name in self.roles.items() if name in arrays}

    def field(self, name: str) -> FieldSpec:
        """The field of that name.

        Raises:
            SchemaError: if there is none.
        """
        try:
            return self._by_name[name]
        except KeyError:
            known = ", ".join(self.names)
            raise SchemaError(f"no field {name!r}; there are {known}") from None

    def difference(self, other: "EpisodeSchema") -> str:
        """In what two schemas differ, in words: names of fields, a definition, or their order."""
        names = sorted(set(self.names) ^ set(other.names))
        if names:
            return f"fields {', '.join(names[:5])}"
        changed = [spec.name for spec in self.fields if spec != other.field(spec.name)]
        return f"the definition of {', '.join(changed[:5])}" if changed else "the order of fields"

    def on(self, axis: Axis) -> tuple[FieldSpec, ...]:
        """The fields of one axis, in order."""
        return tuple(spec for spec in self.fields if spec.axis is axis)

    @property
    def coded(self) -> tuple[FieldSpec, ...]:
        """The fields that declare a codec, in order."""
        return tuple(spec for spec in self.fields if spec.codec is not None)

    @cached_property
    def uncoded(self) -> "EpisodeSchema":
        """Of all other fields; itself if none declares a codec."""
        if not self.coded:
            return self
        return EpisodeSchema(tuple(spec for spec in self.fields if spec.codec is None))

    def check(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Refuse arrays that are not one whole episode.

        Raises:
            SchemaError: for the first field at fault, or ends that are not one end at the end.
        """
        if arrays.keys() != self._by_name.keys():
            missing = [name for name in self.names if name not in arrays]
            unknown = sorted(str(name) for name in arrays if name not in self._by_name)
            raise SchemaError(
                f"episode: its fields are not those of the schema: missing {missing}, unknown "
                f"{unknown}"
            )
        shape: tuple[int, ...] = getattr(arrays["terminated"], "shape", ())
        if len(shape) != 1 or shape[0] < 1:
            raise SchemaError(f"field 'terminated': expected at least one step, got shape {shape}")
        steps = shape[0]
        for spec in self.fields:
            spec.check(arrays[spec.name], steps)
        done = arrays["terminated"] | arrays["truncated"]
        if not done[-1] or done[:-1].any():
            ends = np.flatnonzero(done)[:10].tolist()
            raise SchemaError(
                f"episode: expected the end at step {steps - 1} only, got ends at {ends}"
            )

    def to_json(self) -> list[dict[str, object]]:
        """A list of plain JSON values, from which `from_json` builds an equal schema."""
        return [spec.to_json() for spec in self.fields]

    @classmethod
    def from_json(cls, records: Iterable[Mapping[str, Any]]) -> "EpisodeSchema":
        """Build a schema from what `to_json` gave.

        Raises:
            SchemaError: if a record is malformed.
        """
        return cls(tuple(FieldSpec.from_json(record) for record in records))


def check_is_schema(schema: object) -> None:
    """Refuse what is no schema."""
    if not isinstance(schema, EpisodeSchema):
        raise SchemaError(
            f"schema: must be an EpisodeSchema, got {type(schema).__name__}; make one from an "
            "environment, trajstore.interop.gymnasium.schema_of(env), or from fields, "
            "EpisodeSchema((FieldSpec(...), ...))"
        )


def _check_names(fields: tuple[FieldSpec, ...]) -> None:
    known: dict[str, str] = {}
    for spec in fields:
        folded = spec.name.casefold()
        if folded in known:
            raise _clash(known[folded], spec.name)
        known[folded] = spec.name
    for name in known:
        for end in (place for place, letter in enumerate(name) if letter == "/"):
            if name[:end] in known:
                raise _clash(known[name[:end]], known[name])
    states = {f"next_{spec.name}" for spec in fields if spec.axis is Axis.STATE}
    for name in sorted(states & {spec.name for spec in fields}):
        raise SchemaError(
            f"schema: {name!r} is the name of the state after a step in samples; leave the "
            "field out, the state axis holds it already"
        )


def _clash(one: str, other: str) -> SchemaError:
    if one == other:
        return SchemaError(f"schema: two fields are named {one!r}; rename one")
    return SchemaError(
        f"schema: {one!r} and {other!r} cannot lie beside each other on disk (same letters, or "
        "one is the folder of the other); rename one"
    )


def _check_roles(fields: tuple[FieldSpec, ...]) -> None:
    declared: dict[str, str] = {}
    for spec in fields:
        other = declared.setdefault(spec.role, spec.name)
        if spec.role and other != spec.name:
            raise SchemaError(
                f"schema: {other!r} and {spec.name!r} both have the role {spec.role!r}; give "
                "it to one"
            )
