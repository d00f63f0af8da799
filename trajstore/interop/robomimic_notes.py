"""What a robomimic file notes beside its arrays: environment, models, filter keys."""

import json
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from trajstore.disk.json_text import parse_json
from trajstore.episode.provenance import check_provenance
from trajstore.episode.texts import shown
from trajstore.errors import CorruptionError, SchemaError
from trajstore.interop import hdf5
from trajstore.interop.imported import field_name

DATA, MASK = "data", "mask"
MODEL = "model_file"
FILTERS = "filter_key"
"""Our field, and the folder of our fields, for them."""
MAX_MODEL_BYTES = 64 * 2**20
UNKNOWN = "unknown"
_GYM = 2
"""Number of Gymnasium's environments in ``env_args``."""


def filters(file: h5py.File, demos: set[str]) -> dict[str, set[str]]:
    """The demonstrations of each filter key, by our name of it."""
    found: dict[str, set[str]] = {}
    masks = file.get(MASK, {})
    for key in masks:
        name = field_name(key, found)
        if name is None or not isinstance(masks[key], h5py.Dataset):
            raise SchemaError(f"filter key {shown(key)}: expected a name that a field can have")
        item = masks[key]
        listed = (
            [it.decode() for it in item[()].tolist()]
            if item.dtype.kind == "S" and item.ndim == 1
            else hdf5.texts(item, f"filter key {key}")
        )
        if unknown := sorted(set(listed) - demos):
            raise CorruptionError(
                f"filter key {shown(key)}: expected demonstrations of the file, got "
                f"{shown(unknown[:3])}"
            )
        found[name] = set(listed)
    return found


def model_text(group: h5py.Group, where: str) -> bytes:
    """The text of ``model_file`` of a demonstration; empty if it has none."""
    text = group.attrs.get(MODEL)
    if text is None:
        return b""
    data = text if isinstance(text, bytes) else str(text).encode()
    if len(data) > MAX_MODEL_BYTES:
        raise CorruptionError(f"{where}: {MODEL}: expected at most {MAX_MODEL_BYTES:,} bytes")
    return data


def provenance_of(file: h5py.File, left_out: list[str]) -> dict[str, Any]:
    """What the attributes of a file say; what no provenance can hold is added to ``left_out``."""
    theirs: dict[str, Any] = {}
    for key, value in hdf5.attributes(file[DATA]).items():
        if key == "env_args" and isinstance(value, str):
            value = parse_json(value.encode(), key)
        try:
            plain = value.item() if isinstance(value, np.generic) else value
            check_provenance({key: plain})
            theirs |= {} if key == "total" else {key: plain}
        except SchemaError:
            left_out.append(f"attribute {key!r}: nothing that a provenance can hold")
    found: dict[str, Any] = {"imported_from": "robomimic", "robomimic": theirs}
    environment = theirs.get("env_args")
    if isinstance(environment, Mapping) and environment.get("type") == _GYM:
        name, kwargs = environment.get("env_name"), environment.get("env_kwargs")
        if isinstance(name, str) and ":" not in name and name != UNKNOWN:
            found["environment"] = {"id": name, **({"kwargs": kwargs} if kwargs else {})}
    return found


def env_args(provenance: Mapping[str, Any]) -> str:
    """What robomimic notes of the environment, from what a provenance says of it."""
    theirs = provenance.get("robomimic")
    if isinstance(theirs, Mapping) and isinstance(theirs.get("env_args"), Mapping):
        return json.dumps(theirs["env_args"], indent=4)
    environment = provenance.get("environment")
    told = environment if isinstance(environment, Mapping) else {}
    made = {
        "env_name": str(told.get("id", UNKNOWN)),
        "type": _GYM,
        "env_kwargs": told.get("kwargs", {}),
    }
    return json.dumps(made, indent=4)
