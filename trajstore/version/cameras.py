"""Frames of cameras on their way into a version: encoded once, and what comes back is the content.

An episode is given with the frames that a camera took. Recorded is what their codec makes of them:
the encoded bytes are stored as they are from then on, and the episode's content, its digest too, is
the frames that these decode to. They are decoded a group at a time, and no memory holds them all.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from trajstore.episode.episode import Episode
from trajstore.episode.fields import FieldSpec
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import CorruptionError
from trajstore.version.coders import Encoded, Look, Seen, codec_of, decode, encode, frames_at, look


class EncodedEpisode(Episode):
    """An episode whose camera frames are what their encoded bytes decode to."""

    _find: Callable[[], Mapping[str, Encoded]]
    _seen: dict[str, Seen]

    @cached_property
    def encoded(self) -> Mapping[str, Encoded]:
        """The frames of each field with a codec, as they are stored."""
        return self._find()

    def seen(self, spec: FieldSpec) -> Seen:
        """What is found of the decoded frames of a field with a codec; they are decoded once."""
        if spec.name not in self._seen:
            self._seen[spec.name] = self._looked(spec)
        return self._seen[spec.name]

    def frames_at(self, spec: FieldSpec, numbers: Sequence[int]) -> np.ndarray:
        """A few decoded frames of a field with a codec, by number."""
        if self._decoded(spec.name):
            return self.arrays[spec.name][numbers]
        return frames_at(spec, self.encoded[spec.name], numbers)

    def _looked(self, spec: FieldSpec) -> Seen:
        if self._decoded(spec.name):
            found = Look()
            found.add(self.arrays[spec.name])
            return found.seen()
        encoded = self.encoded[spec.name]
        return encoded.seen or look(spec, encoded, spec.rows(len(self))[0])

    def _content(self, spec: FieldSpec) -> bytes | memoryview:
        return super()._content(spec) if spec.codec is None else self.seen(spec).sums

    def _decoded(self, name: str) -> bool:
        return not isinstance(self.arrays, _Arrays) or name in self.arrays.known

    def __reduce__(self) -> tuple[Any, ...]:
        plain = {spec.name: self.arrays[spec.name] for spec in self.schema.uncoded.fields}
        return of_encoded, (self.schema, plain, dict(self.encoded))


class _Arrays(Mapping[str, np.ndarray]):
    """Arrays of an episode; those of a field with a codec are decoded when they are asked for."""

    def __init__(
        self, schema: EpisodeSchema, plain: Mapping[str, np.ndarray], encoded: Mapping[str, Encoded]
    ) -> None:
        self._schema, self.known, self._encoded = schema, dict(plain), encoded

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.known:
            spec, steps = self._schema.field(name), len(self.known["terminated"])
            self.known[name] = decode(spec, self._encoded[name], spec.rows(steps)[0])
        return self.known[name]

    def __contains__(self, name: object) -> bool:
        return name in self._schema.names

    def __iter__(self) -> Iterator[str]:
        return iter(self._schema.names)

    def __len__(self) -> int:
        return len(self._schema.names)


def of_encoded(
    schema: EpisodeSchema, plain: Mapping[str, np.ndarray], encoded: Mapping[str, Encoded]
) -> EncodedEpisode:
    """An episode of frames as they are stored, and the arrays of all other fields.

    Raises:
        SchemaError: if the arrays are not those of an episode.
        CorruptionError: if there are more or fewer groups of frames than it has.
    """
    checked = Episode(schema.uncoded, plain)
    for spec in schema.coded:
        groups = -(-spec.rows(len(checked))[0] // codec_of(spec).most)
        if len(encoded[spec.name].groups) != groups:
            raise CorruptionError(
                f"field {spec.name!r}: expected {groups} groups of frames, got "
                f"{len(encoded[spec.name].groups)}"
            )
    return _episode(schema, _Arrays(schema, checked.arrays, encoded), lambda: encoded)


def stored_episode(
    schema: EpisodeSchema,
    arrays: Mapping[str, np.ndarray],
    find: Callable[[], Mapping[str, Encoded]],
) -> EncodedEpisode:
    """An episode of arrays that were checked before; ``find`` gives its frames as stored."""
    return _episode(schema, MappingProxyType(dict(arrays)), find)


def _episode(
    schema: EpisodeSchema,
    arrays: Mapping[str, np.ndarray],
    find: Callable[[], Mapping[str, Encoded]],
) -> EncodedEpisode:
    episode = object.__new__(EncodedEpisode)
    for name, value in {"schema": schema, "arrays": arrays, "_find": find, "_seen": {}}.items():
        object.__setattr__(episode, name, value)
    return episode


def recordable(episode: Episode) -> Episode:
    """The episode as it is recorded: with frames as their codec gives them back.

    One without such fields is itself, and so is one whose frames went through it before.

    Raises:
        NotFoundError: if the package of a codec is not installed.
    """
    cameras = episode.schema.coded
    if not cameras or isinstance(episode, EncodedEpisode):
        return episode
    encoded = {spec.name: encode(spec, episode.arrays[spec.name]) for spec in cameras}
    plain = {spec.name: episode.arrays[spec.name] for spec in episode.schema.uncoded.fields}
    return _episode(episode.schema, _Arrays(episode.schema, plain, encoded), lambda: encoded)
