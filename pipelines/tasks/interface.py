"""What a policy and a dataset must agree on before one is used with the other."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import TrajStoreError

AGREED = ("observation", "action")
"""Fields, or groups of nested fields, that make the interface."""


class InterfaceError(TrajStoreError):
    """A policy, a dataset and an environment do not speak of the same observations or actions."""


@dataclass(frozen=True, slots=True)
class Interface:
    """Names, shapes, dtypes, units and ranges of observations and actions, and who made them."""

    environment: str
    fields: tuple[Mapping[str, Any], ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the interface's canonical JSON, in hex."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """As JSON, for a policy's or a run's record."""
        return {"environment": self.environment, "fields": [dict(field) for field in self.fields]}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Interface":
        """The interface that `to_json` wrote."""
        return cls(str(record["environment"]), tuple(dict(field) for field in record["fields"]))


def interface_of(schema: EpisodeSchema, *, environment: str) -> Interface:
    """The interface that a schema states, for the environment version that made the episodes."""
    chosen = [
        {key: value for key, value in field.items() if key != "role"}
        for field in json.loads(json.dumps(schema.to_json()))
        if str(field["name"]).split("/")[0] in AGREED
    ]
    chosen.sort(key=lambda field: str(field["name"]))
    return Interface(environment, tuple(chosen))


def check_interface(expected: Interface, got: Interface, *, where: str) -> None:
    """Refuse an interface that differs in more than descriptions, naming the first difference."""
    if expected.environment != got.environment:
        raise InterfaceError(
            f"{where}: expected environment {expected.environment}, got {got.environment}; "
            "record or train again with this environment"
        )
    theirs = {field["name"]: field for field in got.fields}
    for field in expected.fields:
        name = field["name"]
        if name not in theirs:
            raise InterfaceError(f"{where}: expected field {name!r}, got none")
        for key in sorted((set(field) | set(theirs[name])) - {"description"}):
            if field.get(key) != theirs[name].get(key):
                raise InterfaceError(
                    f"{where}: expected {name}.{key} = {field.get(key)!r}, "
                    f"got {theirs[name].get(key)!r}; use data and policy of one environment"
                )
    extra = sorted(set(theirs) - {field["name"] for field in expected.fields})
    if extra:
        raise InterfaceError(f"{where}: expected no field {extra[0]!r}, got one")
