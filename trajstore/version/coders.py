"""What turns frames of cameras into groups of encoded bytes, and back."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, Protocol

import numpy as np

from trajstore.episode.codec import Codec
from trajstore.episode.episode import row_sums
from trajstore.episode.fields import FieldSpec
from trajstore.errors import NotFoundError, SchemaError
from trajstore.version.statistics import CAMERA_FIGURES

COMPARED_EVERY = 15
"""Of an episode, the first frame and about each so many after it are compared with those given, of
each every fourth line."""
Group = bytes | memoryview
_MODULES = {
    "jpeg": ("simplejpeg", "trajstore.version.jpeg"),
    "h264": ("av", "trajstore.version.h264"),
}


class Coder(Protocol):
    """What the module of a codec offers; a group is the bytes of frames that belong together."""

    def encoder(
        self, shape: tuple[int, ...], codec: Codec
    ) -> Callable[[Sequence[np.ndarray]], bytes]:
        """What makes a group of frames, ``uint8[height, width, channels]``; for one episode."""

    def check(self, data: Group, count: int, shape: tuple[int, ...]) -> None:
        """Refuse a group that does not announce ``count`` frames of a shape."""

    def decode(self, data: Group, frames: Mapping[int, np.ndarray]) -> None:
        """Decode some frames of a group, by their number in it, into arrays of their shape."""


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
            f"codec {name}: needs the package {package}, which is not installed: "
            "pip install 'trajstore[cameras]'"
        ) from None
    chosen: Coder = found
    return chosen


def codec_of(spec: FieldSpec) -> Codec:
    """The codec of a field, which must declare one."""
    if spec.codec is None:
        raise SchemaError(f"field {spec.name!r}: expected a field with a codec, got none")
    return spec.codec


def check_decoders(specs: Iterable[FieldSpec]) -> None:
    """Refuse fields whose frames cannot be decoded here; raises as `coder`."""
    for spec in specs:
        coder(codec_of(spec).name)


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found of decoded frames.

    Attributes:
        sums: the CRC-32C of each, as a digest has them.
        low, high: least and greatest value of all.
    """

    sums: bytes
    low: int
    high: int


class Look:
    """Decoded frames, looked at as they come."""

    def __init__(self) -> None:
        self._sums: list[bytes] = []
        self._low, self._high = 255, 0

    def add(self, frames: np.ndarray) -> None:
        """Look at the next frames; they may change later."""
        self._sums.append(row_sums(frames))
        values = frames.reshape(-1)
        if self._low > 0:
            self._low = min(self._low, int(np.minimum.reduce(values)))
        if self._high < 255:
            self._high = max(self._high, int(np.maximum.reduce(values)))

    def seen(self) -> Seen:
        """What was found."""
        return Seen(b"".join(self._sums), self._low, self._high)


@dataclass(frozen=True, slots=True)
class Encoded:
    """The frames of one field of an episode, as they are stored.

    Attributes:
        groups: their bytes, in order; all but the last of as many frames as the codec groups.
        squared_error: over the values that were compared with those given; they differ by
            what the codec lost.
        compared: how many those are; 0 if the given ones are not known.
        seen: what was found of them decoded, if they were encoded just now.
    """

    groups: tuple[Group, ...]
    squared_error: int = 0
    compared: int = 0
    seen: Seen | None = None

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


class Encoder:
    """Encodes the frames of one field of one episode as they come, and looks at what comes back.

    Raises:
        NotFoundError: if the package of the codec is not installed.
    """

    def __init__(self, spec: FieldSpec) -> None:
        codec = codec_of(spec)
        self._spec, self._most, self._coder = spec, codec.most, coder(codec.name)
        self._encode = self._coder.encoder(spec.shape, codec)
        self._waiting: list[np.ndarray] = []
        self._back = np.empty((self._most, *spec.shape), np.uint8)
        self._look = Look()
        self._frames = self._next = self._error = self._compared = 0

    def add(self, frames: Iterable[np.ndarray]) -> Iterator[bytes]:
        """Take the next frames; yields the groups that are whole with them."""
        for frame in frames:
            self._waiting.append(frame)
            if len(self._waiting) == self._most:
                yield self._group()

    def end(self) -> Iterator[bytes]:
        """Yield the last group, if frames are left for one."""
        if self._waiting:
            yield self._group()

    def encoded(self, groups: Iterable[Group]) -> Encoded:
        """All frames, of their groups in order, and what was found of them."""
        return Encoded(tuple(groups), self._error, self._compared, self._look.seen())

    def _group(self) -> bytes:
        group, back = self._encode(self._waiting), self._back[: len(self._waiting)]
        self._coder.decode(group, dict(enumerate(back)))
        self._look.add(back)
        if self._frames >= self._next:
            self._next = self._frames + COMPARED_EVERY
            gap = np.subtract(self._waiting[0][::4], back[0][::4], dtype=np.int32)
            self._error += int(np.square(gap).sum(dtype=np.int64))
            self._compared += gap.size
        self._frames += len(self._waiting)
        self._waiting = []
        return group


def encode(spec: FieldSpec, frames: np.ndarray) -> Encoded:
    """Frames of an episode as they are stored; ``uint8[n, height, width, channels]``."""
    encoder = Encoder(spec)
    return encoder.encoded([*encoder.add(frames), *encoder.end()])


def decode(spec: FieldSpec, encoded: Encoded, count: int) -> np.ndarray:
    """The ``count`` frames of an episode, read-only.

    Raises:
        CorruptionError: if groups are no such frames.
    """
    out = np.empty((count, *spec.shape), np.uint8)
    for _ in _filled(spec, encoded, _groups_of(out, codec_of(spec).most)):
        pass
    out.flags.writeable = False
    return out


def frames_at(spec: FieldSpec, encoded: Encoded, numbers: Sequence[int]) -> np.ndarray:
    """A few of the frames of an episode, by number; raises as `decode`."""
    codec, out = codec_of(spec), np.empty((len(numbers), *spec.shape), np.uint8)
    for frame, number in zip(out, numbers, strict=True):
        group, within = divmod(number, codec.most)
        coder(codec.name).decode(encoded.groups[group], {within: frame})
    return out


def look(spec: FieldSpec, encoded: Encoded, count: int) -> Seen:
    """Decode the ``count`` frames of an episode, a group at a time; raises as `decode`."""
    most, found = codec_of(spec).most, Look()
    room = np.empty((most, *spec.shape), np.uint8)
    pieces = (room[: min(most, count - first)] for first in range(0, count, most))
    for frames in _filled(spec, encoded, pieces):
        found.add(frames)
    return found.seen()


def _groups_of(frames: np.ndarray, most: int) -> Iterator[np.ndarray]:
    return (frames[first : first + most] for first in range(0, len(frames), most))


def _filled(
    spec: FieldSpec, encoded: Encoded, pieces: Iterable[np.ndarray]
) -> Iterator[np.ndarray]:
    """Decode each group into its piece, and yield this."""
    found = coder(codec_of(spec).name)
    for group, frames in zip(encoded.groups, pieces, strict=True):
        found.check(group, len(frames), spec.shape)
        found.decode(group, dict(enumerate(frames)))
        yield frames
