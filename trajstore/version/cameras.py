"""Frames of cameras on their way into a version: encoded once, and what comes back is the content.

An episode is given with the frames that a camera took. Recorded is what their codec makes of them:
the encoded bytes are stored as they are from then on, and the episode's content, its digest too, is
the frames that these decode to.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import import_module
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from trajstore.episode.codec import Codec
from trajstore.episode.episode import Episode
from trajstore.episode.fields import FieldSpec
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import CorruptionError, NotFoundError, SchemaError
from trajstore.version.statistics import CAMERA_FIGURES

COMPARED_EVERY = 16
"""Of the frames of an episode, the first and each so many after it are compared with the given."""
_MODULES = {
    "jpeg": ("simplejpeg", "trajstore.version.jpeg"),
    "h264": ("av", "trajstore.version.h264"),
}


class Coder(Protocol):
    """What the module of a codec offers; a group is the bytes of frames that belong together."""

    def encode(self, frames: np.ndarray, quality: int) -> Iterator[bytes]:
        """Groups of frames, ``uint8[n, height, width, channels]``."""

    def check(self, data: memoryview, count: int, shape: tuple[int, ...]) -> None:
        """Refuse a group that does not announce ``count`` frames of a shape."""

    def decode(self, data: memoryview, out: np.ndarray) -> None:
        """Decode the first frames of a group, as many as ``out`` has room for."""


@lru_cache
def coder(name: str) -> Coder:
    """The module of a codec.

    Raises:
        NotFoundError: if the package that it needs is not installed.
    """
    package, module = _MODULES[name]
    try:
        found: Any = import_module(module)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise NotFoundError(
            f"codec {name}: expected the package {package}, got none installed; "
            "pip install 'trajstore[cameras]'"
        ) from None
    chosen: Coder = found
    return chosen


def codec_of(spec: FieldSpec) -> Codec:
    """The codec of a field, which must declare one."""
    if spec.codec is None:
        raise SchemaError(f"field {spec.name!r}: expected a field with a codec, got none")
    return spec.codec


@dataclass(frozen=True, slots=True)
class Encoded:
    """The frames of one field of an episode, as they are stored.

    Attributes:
        groups: their bytes, in order; all but the last of as many frames as the codec groups.
        squared_error: over the values that were compared with those given; they differ by
            what the codec lost.
        compared: how many those are; 0 if the given ones are not known.
    """

    groups: tuple[bytes, ...]
    squared_error: int = 0
    compared: int = 0

    @property
    def size(self) -> int:
        """Bytes of all groups."""
        return sum(map(len, self.groups))

    @property
    def figures(self) -> dict[str, int]:
        """What statistics say of a codec."""
        return dict(
            zip(CAMERA_FIGURES, (self.size, self.squared_error, self.compared), strict=True)
        )


def psnr(squared_error: int, compared: int) -> float | None:
    """Peak signal-to-noise ratio of 8-bit values, dB; ``None`` if none is lost, or none compared.

    Example:
        >>> round(psnr(650, 100), 1)
        40.0
    """
    if not squared_error or not compared:
        return None
    return 10 * math.log10(255**2 * compared / squared_error)


def encode(spec: FieldSpec, frames: np.ndarray) -> tuple[Encoded, np.ndarray]:
    """Frames as they are stored, and what comes back; ``uint8[n, height, width, channels]``."""
    codec = codec_of(spec)
    groups = tuple(coder(codec.name).encode(frames, codec.quality or 0))
    decoded = decode(spec, Encoded(groups), len(frames))
    error = 0
    for number in range(0, len(frames), COMPARED_EVERY):
        gap = frames[number].astype(np.int32) - decoded[number]
        error += int(np.vdot(gap, gap))
    compared = -(-len(frames) // COMPARED_EVERY) * spec.row_bytes
    return Encoded(groups, error, compared), decoded


def decode(spec: FieldSpec, encoded: Encoded, count: int) -> np.ndarray:
    """The ``count`` frames that groups hold, read-only.

    Raises:
        CorruptionError: if they are no such groups.
    """
    codec = codec_of(spec)
    step = codec.group
    if len(encoded.groups) != -(-count // step):
        raise CorruptionError(f"expected groups of {count} frames, got {len(encoded.groups)}")
    out = np.empty((count, *spec.shape), np.uint8)
    found = coder(codec.name)
    for number, group in enumerate(encoded.groups):
        target = out[number * step : (number + 1) * step]
        found.check(memoryview(group), len(target), spec.shape)
        found.decode(memoryview(group), target)
    out.flags.writeable = False
    return out


class EncodedEpisode(Episode):
    """An episode whose camera frames are what their encoded bytes decode to."""

    _find: Callable[[], Mapping[str, Encoded]]

    @cached_property
    def encoded(self) -> Mapping[str, Encoded]:
        """The frames of each field with a codec, as they are stored."""
        return self._find()

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self.schema, dict(self.arrays), dict(self.encoded))


def encoded_episode(
    schema: EpisodeSchema,
    arrays: Mapping[str, np.ndarray],
    find: Callable[[], Mapping[str, Encoded]],
) -> EncodedEpisode:
    """An episode of arrays that were checked before; ``find`` gives its frames as stored."""
    episode = object.__new__(EncodedEpisode)
    object.__setattr__(episode, "schema", schema)
    object.__setattr__(episode, "arrays", MappingProxyType(dict(arrays)))
    object.__setattr__(episode, "_find", find)
    return episode


def _rebuilt(
    schema: EpisodeSchema, arrays: Mapping[str, np.ndarray], encoded: Mapping[str, Encoded]
) -> EncodedEpisode:
    return encoded_episode(schema, Episode(schema, arrays).arrays, lambda: encoded)


def stored(name: str, episodes: Iterable[Episode]) -> Iterator[tuple[Encoded, int]]:
    """The frames of a field as they are stored, and how many, of each episode."""
    for episode in episodes:
        if not isinstance(episode, EncodedEpisode):
            raise SchemaError(f"field {name!r}: expected encoded frames, got others")
        yield episode.encoded[name], len(episode.arrays[name])


def recordable(episode: Episode) -> Episode:
    """The episode as it is recorded: with frames as their codec gives them back.

    One without such fields is itself, and so is one whose frames went through it before.

    Raises:
        NotFoundError: if the package of a codec is not installed.
    """
    cameras = episode.schema.coded
    if not cameras or isinstance(episode, EncodedEpisode):
        return episode
    pairs = {spec.name: encode(spec, episode.arrays[spec.name]) for spec in cameras}
    encoded = {name: pair[0] for name, pair in pairs.items()}
    decoded = {name: pair[1] for name, pair in pairs.items()}
    return encoded_episode(episode.schema, {**episode.arrays, **decoded}, lambda: encoded)
