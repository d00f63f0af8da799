"""Minari: a version as a Minari dataset and back, images without loss."""

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import minari
import numpy as np
from gymnasium.envs.registration import WrapperSpec
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage

from trajstore.dataset import Dataset
from trajstore.disk.json_text import canonical_json
from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.nesting import ACTION, OBSERVATION, REWARD, below, nest
from trajstore.errors import SchemaError
from trajstore.interop.gymnasium import space_of
from trajstore.interop.imported import Progress, about, check_has, unwatched, whole_export
from trajstore.interop.minari_files import OURS, PLACES, import_dataset
from trajstore.interop.noted import KEPT

__all__ = ["export_dataset", "import_dataset"]


_AT_ONCE = 50
_VERSIONED = re.compile(r"[-_\w]+-v\d+", re.ASCII)


def export_dataset(
    dataset: Dataset, target: Path, *, progress: Progress = unwatched
) -> tuple[str, ...]:
    """Write a version as a Minari dataset in a new folder; ``MinariDataset(target / "data")``.

    Fields that Minari has no place for become ``infos``; schema and provenance travel too. What
    the provenance says of the environment becomes the specification from which
    ``recover_environment`` builds it, and what it says of author, code and algorithm their
    entries.

    Returns:
        What Minari's own readers will miss, one line each.

    Raises:
        SchemaError: if there is no observation, action or reward, or a name that HDF5 takes for
            a path.
        SealedError: if the target exists.
        StorageError: if the operating system refuses.
    """
    schema = dataset.schema
    check_has(dataset, REWARD, package="Minari")
    spaces = space_of(schema, OBSERVATION), space_of(schema, ACTION)
    for space in spaces:
        _check_keys(space)
    provenance = dataset.manifest.provenance
    specification, missed = _specification(provenance)
    with whole_export(target) as whole:
        data = whole / "data"
        data.mkdir(parents=True)
        storage = MinariStorage.new(
            data,
            observation_space=spaces[0],
            action_space=spaces[1],
            data_format="hdf5",
            jpeg_encoding=False,
        )
        named = target.name if _VERSIONED.fullmatch(target.name) else "trajstore/export-v0"
        storage.update_metadata(
            {
                **_kept(provenance),
                **specification,
                "dataset_id": named,
                "minari_version": minari.__version__,
                OURS: canonical_json(about(dataset)).decode(),
            }
        )
        for first in range(0, len(dataset), _AT_ONCE):
            indices = range(len(dataset))[first : first + _AT_ONCE]
            storage.update_episodes([_buffer(dataset[index], index) for index in indices])
            progress(len(indices))
    return missed


def _check_keys(space: Any) -> None:  # noqa: ANN401 - a space
    """Refuse keys that HDF5 takes for a path, as Minari could not read them again."""
    inner = getattr(space, "spaces", ())
    for key, child in inner.items() if isinstance(inner, Mapping) else enumerate(inner):
        if "/" in str(key) or key in ("", "."):
            raise SchemaError(
                f"key {key!r}: expected one that HDF5 does not take for a path, as Minari's files "
                "are of that format; export to npz"
            )
        _check_keys(child)


def _kept(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What a provenance says under Minari's own names: author, code, algorithm and the like."""
    theirs = provenance.get("minari")
    said = {key: provenance[key] for key in KEPT if key in provenance}
    if isinstance(theirs, Mapping):
        said |= {key: theirs[key] for key in KEPT if key in theirs}
    found: dict[str, Any] = {}
    for key, value in said.items():
        if KEPT[key] is set:
            names = [value] if isinstance(value, str) else value
            if isinstance(names, list) and all(isinstance(name, str) for name in names):
                found[key] = set(names)
        elif isinstance(value, KEPT[key]):
            found[key] = value
    return found


def _specification(provenance: Mapping[str, Any]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The environment as Minari notes it; what is missing where it cannot be said."""
    theirs = provenance.get("minari")
    if isinstance(theirs, Mapping) and isinstance(theirs.get("env_spec"), str):
        return {"env_spec": theirs["env_spec"]}, ()
    environment = provenance.get("environment")
    name = environment.get("id") if isinstance(environment, Mapping) else None
    if not isinstance(environment, Mapping) or not isinstance(name, str):
        return {}, ("env_spec: the provenance names no environment",)
    if ":" in name or name not in gym.registry:
        return {}, (f"env_spec: {name!r} is no Gymnasium id that is registered here",)
    unknown = sorted(environment.keys() - {"id", "kwargs", "version", "wrappers"})
    if unknown:
        return {}, (f"env_spec: {name} was made with {', '.join(unknown)}",)
    spec = copy.deepcopy(gym.registry[name])
    kwargs = dict(environment.get("kwargs", {}))
    spec.max_episode_steps = kwargs.pop("max_episode_steps", spec.max_episode_steps)
    spec.kwargs = {**spec.kwargs, **kwargs}
    try:
        spec.additional_wrappers += tuple(map(_wrapper, environment.get("wrappers", ())))
        return {"env_spec": spec.to_json()}, ()
    except (AttributeError, LookupError, TypeError):
        return {}, (f"env_spec: {name} is made here with what is no plain JSON",)


def _wrapper(recorded: Mapping[str, Any]) -> WrapperSpec:
    """A wrapper of Gymnasium, as its specification names it."""
    kind, kwargs = getattr(gym.wrappers, recorded["name"]), dict(recorded["kwargs"])
    if any(isinstance(value, Mapping) for value in kwargs.values()):
        raise TypeError("tuples and arrays are no plain JSON")
    return WrapperSpec(kind.__name__, f"{kind.__module__}:{kind.__name__}", kwargs)


def _buffer(episode: Episode, index: int) -> EpisodeBuffer:
    schema = episode.schema
    seed = episode.arrays.get("seed")
    rows = {spec.name: _rows(spec, episode) for spec in schema.fields}
    infos: dict[str, Any] = {}
    for spec in schema.fields:
        if any(below(spec.name, root) for root in PLACES):
            continue
        whole = spec.axis is Axis.EPISODE
        infos[spec.name] = rows[spec.name][:1] if whole else rows[spec.name]
    return EpisodeBuffer(
        id=index,
        seed=int(seed) if seed is not None and seed.shape == () else None,
        observations=nest(schema, OBSERVATION, rows),
        actions=nest(schema, ACTION, rows),
        rewards=episode[REWARD],
        terminations=episode["terminated"],
        truncations=episode["truncated"],
        infos=infos or None,
    )


def _rows(spec: FieldSpec, episode: Episode) -> Any:  # noqa: ANN401 - an array or a list of texts
    """The rows of a field; what holds for the whole episode is the same in each state."""
    values = episode.arrays[spec.name]
    if spec.axis is Axis.EPISODE:
        values = np.broadcast_to(values, (len(episode) + 1, *values.shape))
    return values.tolist() if spec.is_text else values
