"""Minari: a version as a Minari dataset and back, images without loss."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import minari
import numpy as np
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage

from trajstore.dataset import Dataset
from trajstore.disk.files import canonical_json, parse_json
from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis
from trajstore.episode.nesting import (
    ACTION,
    OBSERVATION,
    REWARD,
    below,
    flatten,
    nest,
    step_schema,
)
from trajstore.episode.schema import EpisodeSchema, FieldSpec
from trajstore.errors import SchemaError
from trajstore.interop.gymnasium import fields_of, space_of
from trajstore.interop.imported import Imported, about, check_has, read_about, reading, whole_export

OURS = "trajstore"
"""Key of Minari's metadata that holds schema and provenance as JSON."""
EXPECTED = "a Minari dataset"

_AT_ONCE = 50
_PLACES = (OBSERVATION, ACTION, REWARD, "terminated", "truncated")
"""Fields that Minari has a place for."""


def export_dataset(dataset: Dataset, target: Path) -> None:
    """Write a version as a Minari dataset in a new folder; ``MinariDataset(target / "data")``.

    Fields that Minari has no place for become ``infos``.

    Raises:
        SchemaError: if there is no observation, action or reward.
        SealedError: if the target exists.
        StorageError: if the operating system refuses.
    """
    schema = dataset.schema
    spaces = space_of(schema, OBSERVATION), space_of(schema, ACTION)
    check_has(dataset, REWARD, package="Minari")
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
        storage.update_metadata(
            {
                "dataset_id": target.name,
                "minari_version": minari.__version__,
                OURS: canonical_json(about(dataset)).decode(),
            }
        )
        for first in range(0, len(dataset), _AT_ONCE):
            indices = range(len(dataset))[first : first + _AT_ONCE]
            storage.update_episodes([_buffer(dataset[index], index) for index in indices])


def _buffer(episode: Episode, index: int) -> EpisodeBuffer:
    schema = episode.schema
    seed = episode.arrays.get("seed")
    infos: dict[str, Any] = {}
    for spec in schema.fields:
        if any(below(spec.name, root) for root in _PLACES):
            continue
        values = episode.arrays[spec.name]
        infos[spec.name] = values[None] if spec.axis is Axis.EPISODE else values
        if spec.is_text:
            infos[spec.name] = [str(values)]
    return EpisodeBuffer(
        id=index,
        seed=int(seed) if seed is not None and seed.shape == () else None,
        observations=nest(schema, OBSERVATION, episode.arrays),
        actions=nest(schema, ACTION, episode.arrays),
        rewards=episode[REWARD],
        terminations=episode["terminated"],
        truncations=episode["truncated"],
        infos=infos or None,
    )


def import_dataset(source: Path) -> Imported:
    """Read a Minari dataset, exported from here or any other.

    Of a dataset made elsewhere, observations, actions, rewards and ends are read; images come
    as Minari decodes them.

    Raises:
        NotFoundError: if there is no such folder.
        CorruptionError: if it is something else.
        SchemaError: if a space has no form as fields.
    """
    with reading(source, EXPECTED):
        storage = MinariStorage.read(source / "data" if (source / "data").is_dir() else source)
        text = storage.metadata.get(OURS)
        if text is None:
            schema = step_schema(
                fields_of(OBSERVATION, storage.observation_space, axis=Axis.STATE),
                fields_of(ACTION, storage.action_space, axis=Axis.STEP),
            )
            provenance = {"imported_from": "minari"}
        else:
            schema, provenance = read_about(parse_json(str(text).encode(), source))
    return Imported(schema, provenance, _episodes(storage, schema, source))


def _episodes(storage: MinariStorage, schema: EpisodeSchema, source: Path) -> Iterator[Episode]:
    with reading(source, EXPECTED):
        for episode in storage.get_episodes(range(int(storage.total_episodes))):
            infos: dict[str, Any] = {}
            for name, value in (episode["infos"] or {}).items():
                infos |= flatten(name, value)
            found = {
                **infos,
                **flatten(OBSERVATION, episode["observations"]),
                **flatten(ACTION, episode["actions"]),
                REWARD: episode["rewards"],
                "terminated": episode["terminations"],
                "truncated": episode["truncations"],
            }
            arrays = {spec.name: _values(spec, found) for spec in schema.fields}
            yield Episode(schema, arrays)


def _values(spec: FieldSpec, found: Mapping[str, Any]) -> np.ndarray:
    if spec.name not in found:
        raise SchemaError(f"field {spec.name!r}: expected it among the infos, got {sorted(found)}")
    values = found[spec.name]
    if spec.is_text:
        return np.array(values[0].decode())
    array = np.asarray(values).astype(spec.dtype, copy=False)
    return array[0] if spec.axis is Axis.EPISODE else array
