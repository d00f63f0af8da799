"""What Minari wrote, read without its loaders: those build environments that the files name."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces as gym_spaces
from minari.serialization import deserialize_space

from trajstore.disk.files import read_file
from trajstore.disk.json_text import parse_json
from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.nesting import ACTION, OBSERVATION, REWARD, flatten
from trajstore.episode.provenance import check_provenance
from trajstore.episode.schema import ENDS, EpisodeSchema
from trajstore.episode.texts import shown
from trajstore.errors import CorruptionError, SchemaError
from trajstore.interop.declared import Said, Space, fields_said, known_of, spaces_said
from trajstore.interop.foreign import check_inside, inside, reading
from trajstore.interop.imported import (
    Imported,
    check_leave_out,
    fitting,
    leaving_out,
    read_about,
    told,
    whole_episode,
    widened,
    without,
)
from trajstore.interop.minari_episodes import Stored, around, children, stored, values
from trajstore.interop.noted import KEPT, Noted, check_counts

EXPECTED = "a Minari dataset"
OURS = "trajstore"
"""Key of Minari's metadata that holds schema and provenance as JSON."""
PLACES = (OBSERVATION, ACTION, REWARD, *ENDS)
"""Fields that Minari has a place for."""
_ELSEWHERE = {
    *("observation_space", "action_space", "data_format", "jpeg_encoding", "dataset_size"),
    *("total_episodes", "total_steps", OURS),
}
_EXPORTED = {*_ELSEWHERE, *KEPT, "dataset_id", "env_spec", "minari_version"}
_AXES = {OBSERVATION: Axis.STATE, ACTION: Axis.STEP}


def import_dataset(
    source: Path,
    *,
    mark_truncated: bool = False,
    leave_out: Collection[str] = (),
    environment: str | None = None,
    spaces: Said = (),
) -> Imported:
    """Read a Minari dataset, exported from here or any other.

    Of a dataset made elsewhere, the seed, and numbers and constant texts of ``infos`` and of the
    notes on an episode become fields; its ``env_spec`` becomes the key ``environment`` of the
    provenance; author, code and whatever else it says the key ``minari``. Images come as they
    are, or as JPEG decodes them.

    Args:
        source: the folder, or the folder ``data`` in it.
        mark_truncated: whether an episode without an end is taken as truncated, not refused.
        leave_out: fields that are not read, as ``observation/mission``.
        environment: Gymnasium id of the environment, where the file does not say it.
        spaces: of ``observation`` and ``action``, where the file does not say them.

    Raises:
        NotFoundError: if there is no such folder.
        CorruptionError: if it is something else, leads out of the folder or contradicts itself.
        SchemaError: if a space has no form as fields; the message says how to leave it out.
        ArgumentError: if an argument makes no sense, or a field to leave out does not exist.
    """
    with reading(source, EXPECTED):
        folder = source / "data" if (source / "data").is_dir() else source
        check_inside(source, folder)
        metadata = _metadata(folder)
        known = known_of(environment)
        said = {**known.spaces, **_spaces(metadata), **spaces_said(spaces)}
        for name in _AXES.keys() - said.keys():
            raise SchemaError(
                f"{source}: field {name!r}: the metadata do not say its space; name the "
                "environment, --environment CartPole-v1 (in Python environment=...), or the "
                f"space, --space '{name}=Discrete(4)' (spaces={{{name!r}: ...}})"
            )
        noted = Noted()
        root, noted.left_out[:] = around(folder, metadata)
        counts = (metadata, root)
        notes: tuple[str, ...] = ()
        if OURS in metadata:
            for episode in check_counts(stored(folder, metadata, said), counts, source):
                noted.add(episode, source)
            schema, provenance = read_about(parse_json(str(metadata[OURS]).encode(), source))
            noted.unknown(schema.names)
            _unknown(metadata.keys() - _EXPORTED, root, noted)
            schema = without(schema, leave_out)
        else:
            unlike, endless = _survey(folder, metadata, said, counts, noted, source)
            schema = _schema(said, unlike, noted, leave_out, source)
            more = {key: it for key, it in root.items() if key not in metadata}
            _unknown((), {key: it for key, it in root.items() if key in metadata}, noted)
            provenance = {"imported_from": "minari"}
            provenance |= _told_of({**more, **metadata}, known.provenance, noted)
            notes = (*noted.notes, *_endless(endless, marked=mark_truncated))
    left_out = (*(f"field {name!r}: as asked" for name in leave_out), *noted.left_out)
    skip = frozenset(leave_out)

    def episodes() -> Iterator[Episode]:
        with reading(source, EXPECTED):
            for index, episode in enumerate(stored(folder, metadata, said)):
                where = f"{source}: episode {index}"
                arrays = _arrays(schema, episode, noted, skip, where)
                yield whole_episode(where, schema, arrays, mark_truncated=mark_truncated)

    noted_count = metadata.get("total_episodes")
    count = noted_count if isinstance(noted_count, int) else None
    return Imported(schema, told(provenance, left_out, notes), episodes, left_out, notes, count)


def _metadata(folder: Path) -> dict[str, Any]:
    if not (folder / "metadata.json").is_file():
        raise CorruptionError(f"{folder}: is not {EXPECTED}: it has no metadata.json")
    text = read_file(inside(folder, "metadata.json")).decode()
    metadata = json.loads(text, parse_constant=str)
    if not isinstance(metadata, dict):
        raise CorruptionError(f"{folder}: is not {EXPECTED}: its metadata are of another kind")
    return metadata


def _spaces(metadata: Mapping[str, Any]) -> dict[str, Space]:
    found = {}
    for name in _AXES:
        text = metadata.get(f"{name}_space")
        if text is not None:
            record = json.loads(text)
            _check_space(record)
            found[name] = deserialize_space(record)
    return found


def _check_space(record: Mapping[str, Any]) -> None:
    """Refuse a Box that claims a shape larger than its own limits."""
    inner = record.get("subspaces", ())
    for child in inner.values() if isinstance(inner, Mapping) else inner:
        _check_space(child)
    if record["type"] == "Box" and np.shape(record["low"]) != tuple(record["shape"]):
        raise ValueError(f"a Box of shape {record['shape']} with other limits")


def _survey(
    folder: Path,
    metadata: Mapping[str, Any],
    said: Mapping[str, Space],
    counts: Iterable[Mapping[str, Any]],
    noted: Noted,
    source: Path,
) -> tuple[dict[str, np.dtype[Any]], list[int]]:
    """Look at all episodes: fields of a wider dtype than their space's, and who has no end."""
    endless = []
    found: dict[str, np.dtype[Any]] = {}
    episodes = stored(folder, metadata, said)
    for index, episode in enumerate(check_counts(episodes, counts, source)):
        noted.add(episode, source)
        ends = [np.asarray(values(episode.steps[name], str(source))) for name in ENDS]
        if all(end.shape and not end[-1:].any() for end in ends):
            endless.append(index)
        if not found:
            found[REWARD] = np.asarray(values(episode.steps[REWARD], str(source))).dtype
            for name in _AXES:
                nested = flatten(name, episode.nested(name, frozenset()))
                found |= {leaf: np.asarray(rows).dtype for leaf, rows in nested.items()}
    return found, endless


def _endless(indices: list[int], *, marked: bool) -> tuple[str, ...]:
    if not indices or not marked:
        return ()
    which = ", ".join(map(str, indices[:10])) + (", ..." if len(indices) > 10 else "")
    return (f"{len(indices):,} episodes without an end are taken as truncated: {which}",)


def _schema(
    said: Mapping[str, Space],
    dtypes: Mapping[str, np.dtype[Any]],
    noted: Noted,
    leave_out: Collection[str],
    source: Path,
) -> EpisodeSchema:
    leaves = dict(leaf for name in _AXES for leaf in _leaves(name, said[name]))
    noted.settle({*leaves, *PLACES})
    check_leave_out(leave_out, {*leaves, *PLACES, *noted.fields})
    fields: list[FieldSpec] = []
    for name, axis in _AXES.items():
        kept = _pruned(name, said[name], leave_out)
        try:
            fields += () if kept is None else fields_said(name, kept, axis=axis)
        except SchemaError as error:
            faulty = [leaf for leaf, space in _leaves(name, kept) if _is_refused(leaf, space, axis)]
            raise SchemaError(f"{source}: {error}; {leaving_out(*faulty)}") from error
    fields = [widened(spec, dtypes[spec.name]) if spec.name in dtypes else spec for spec in fields]
    reward = dtypes.get(REWARD, np.dtype("float64")).name
    own = [FieldSpec(REWARD, Axis.STEP, (), reward)] if REWARD not in leave_out else []
    ends = [FieldSpec(name, Axis.STEP, (), "bool") for name in ENDS]
    extra = [spec for spec in noted.fields.values() if spec.name not in leave_out]
    return EpisodeSchema((*fields, *own, *ends, *extra))


def _is_refused(name: str, space: Space, axis: Axis) -> bool:
    try:
        fields_said(name, space, axis=axis)
    except SchemaError:
        return True
    return False


def _leaves(name: str, space: Space | None) -> Iterator[tuple[str, Space]]:
    inner = [] if space is None else children(name, space)
    if not inner and space is not None:
        yield name, space
    for _, leaf, child in inner:
        yield from _leaves(leaf, child)


def _pruned(name: str, space: Space, leave_out: Collection[str]) -> Space | None:
    """A space without the leaves that are left out; ``None`` if nothing is left."""
    if name in leave_out:
        return None
    if not any(leaf in leave_out for leaf, _ in _leaves(name, space)):
        return space
    kept = {str(key): _pruned(leaf, child, leave_out) for key, leaf, child in children(name, space)}
    left = {key: child for key, child in kept.items() if child is not None}
    return gym_spaces.Dict(left) if left else None


def _unknown(keys: Iterable[str], root: Mapping[str, Any], noted: Noted) -> None:
    """Leave out what the metadata of our own exports do not have, and attributes of the file."""
    noted.left_out += (f"metadata {shown(key)}: no part of an export" for key in sorted(keys))
    others = sorted(root.keys() - _ELSEWHERE)
    noted.left_out += (f"attribute {shown(key)} of the file: no place" for key in others)


def _told_of(metadata: Mapping[str, Any], known: Mapping[str, Any], noted: Noted) -> dict[str, Any]:
    """The environment, and whatever else the metadata say of the dataset."""
    environment = dict(known) or noted.environment(metadata.get("env_spec"))
    theirs: dict[str, Any] = {}
    for key in sorted(metadata.keys() - _ELSEWHERE):
        try:
            check_provenance({key: metadata[key]})
            theirs[key] = metadata[key]
        except (SchemaError, RecursionError):
            noted.left_out.append(f"metadata {shown(key)}: nothing that a provenance can hold")
    theirs |= {"seeds": noted.seeds} if noted.some_seeds else {}
    return {
        key: value for key, value in {"environment": environment, "minari": theirs}.items() if value
    }


def _arrays(
    schema: EpisodeSchema, episode: Stored, noted: Noted, skip: frozenset[str], where: str
) -> dict[str, np.ndarray]:
    rows: dict[str, Any] = dict(episode.steps)
    for name in _AXES.keys() - skip:
        rows |= flatten(name, episode.nested(name, skip))
    extra = noted.arrays(episode, where)
    arrays = {}
    for spec in schema.fields:
        if spec.name in extra:
            arrays[spec.name] = fitting(spec, extra[spec.name])
            continue
        found = rows if spec.name in rows else episode.infos
        if spec.name not in found:
            raise SchemaError(f"{where}: field {spec.name!r}: expected it, got {sorted(found)}")
        array = np.asarray(values(found[spec.name], where))
        first = spec.axis is Axis.EPISODE and array.ndim > len(spec.shape)
        arrays[spec.name] = fitting(spec, array[0] if first else array)
    return arrays
