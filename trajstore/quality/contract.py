"""What a dataset must fulfil before anyone trains from it.

The contract comes from the project (``params.yaml``), never from whoever recorded the dataset: a
recorder that could lower the minimum would always pass. As a file it belongs to one dataset:
``expert.contract.json``, or ``contract.json`` with a key ``dataset``.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import msgspec

from trajstore.disk.files import read_json
from trajstore.episode.texts import shown
from trajstore.errors import SchemaError

SeedRange = tuple[int, int]
"""First seed of a range, and the first one after it."""

_AT_LEAST_ONE = {"minimum_episodes", "episodes_per_scenario", "min_steps", "policy_episodes"}


@dataclass(frozen=True, slots=True)
class Contract:
    """The demands of a project on its datasets.

    Attributes:
        minimum_episodes: fewer leave a version a draft.
        required_scenarios: each must occur, ``episodes_per_scenario`` times.
        required_provenance: keys that the provenance must have, with a value; ``a.b`` nests.
        observation: fields that the dataset must have exactly so, as their JSON (name, axis,
            shape, dtype, range, unit); those of the policy's observations and actions.
        reserved_seeds: ranges that no episode may use, such as those of the evaluation.
        allowed_copies: episodes that may repeat the steps of another.
        max_steps: of every episode; 0 for no limit.
        policy_episodes: how many episodes the policy is asked about, if one is given.
        policy_tolerance: largest difference of an action component that still agrees.
        replay_episodes: how many episodes are re-simulated, if that is possible.
        reproducible: whether a simulated episode has to come out as recorded; where it need not,
            a difference is a warning.
        sample_seed: which episodes are taken for that.
        anomalous_share: share of episodes with an anomaly from which a warning is given.

    Raises:
        SchemaError: for a value that makes no sense, naming it.

    Example:
        >>> Contract(minimum_episodes=50, reserved_seeds=((1_000_000, 2_000_000),)).min_steps
        1
    """

    minimum_episodes: int = 200
    required_scenarios: tuple[str, ...] = ()
    episodes_per_scenario: int = 1
    required_provenance: tuple[str, ...] = ()
    observation: tuple[Mapping[str, Any], ...] = ()
    reserved_seeds: tuple[SeedRange, ...] = ()
    allowed_copies: int = 0
    min_steps: int = 1
    max_steps: int = 0
    policy_episodes: int = 20
    policy_tolerance: float = 1e-4
    replay_episodes: int = 5
    reproducible: bool = True
    sample_seed: int = 0
    anomalous_share: float = 0.5

    def __post_init__(self) -> None:
        for name in ("required_scenarios", "required_provenance", "observation"):
            object.__setattr__(self, name, _tuple(name, getattr(self, name)))
        for name in (*self.required_scenarios, *self.required_provenance):
            if not isinstance(name, str):
                raise SchemaError(f"contract: expected names as text, got {shown(name)}")
        for field in self.observation:
            if not isinstance(field, Mapping) or not isinstance(field.get("name"), str):
                raise SchemaError(f"contract: expected fields with a name, got {shown(field)}")
        seeds = tuple(map(_seed_range, _tuple("reserved_seeds", self.reserved_seeds)))
        object.__setattr__(self, "reserved_seeds", seeds)
        for it in fields(self):
            if not isinstance(it.default, tuple):
                _check_number(it.name, it.default, getattr(self, it.name))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, from which `from_json` builds an equal contract."""
        record: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Contract":
        """Build a contract from a mapping; keys that are left out have their default.

        Raises:
            SchemaError: for an unknown key, or a value that makes no sense.
        """
        if not isinstance(record, Mapping):
            raise SchemaError(f"contract: expected a JSON object, got {shown(record)}")
        known = {field.name for field in fields(cls)}
        unknown = sorted(str(key) for key in record if key not in known)
        if unknown:
            raise SchemaError(
                f"contract: expected keys out of {', '.join(sorted(known))}, got {unknown[0]!r}"
            )
        return cls(**record)


def read_contract(path: Path) -> tuple[Contract, str | None]:
    """The contract of a JSON file, and the dataset that it names, if it names one.

    Raises:
        NotFoundError: if there is no file.
        CorruptionError: if it holds no JSON.
        SchemaError: if that is no contract.
    """
    record = read_json(path)
    dataset = record.pop("dataset", None) if isinstance(record, dict) else None
    try:
        if not isinstance(dataset, str | None):
            raise SchemaError(f"contract: expected the name of a dataset, got {shown(dataset)}")
        return Contract.from_json(record), dataset
    except SchemaError as error:
        raise SchemaError(f"{path}: {error}") from error


def _tuple(name: str, values: Any) -> tuple[Any, ...]:  # noqa: ANN401 - what a parameter file holds
    if isinstance(values, str) or not isinstance(values, list | tuple):
        raise SchemaError(f"contract: expected a list as {name}, got {values!r}")
    return tuple(values)


def _check_number(name: str, default: Any, value: Any) -> None:  # noqa: ANN401 - as in a file
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise SchemaError(f"contract: expected {name} as true or false, got {shown(value)}")
        return
    least, types = int(name in _AT_LEAST_ONE), {int, type(default)}
    if type(value) not in types or not (math.isfinite(value) and value >= least):
        whole = "; give a whole number" if types == {int} else ""
        raise SchemaError(
            f"contract: expected {name} of at least {least}, got {shown(value)}{whole}"
        )


def _seed_range(entry: Any) -> SeedRange:  # noqa: ANN401 - what a parameter file holds
    plain = isinstance(entry, list | tuple) and len(entry) == 2
    if not plain or not all(type(it) is int for it in entry) or not 0 <= entry[0] < entry[1]:
        raise SchemaError(
            f"contract: expected ranges of seeds [first, first after it], got {entry!r}"
        )
    return int(entry[0]), int(entry[1])
