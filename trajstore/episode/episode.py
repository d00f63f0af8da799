"""One episode in memory, valid by construction."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import MappingProxyType

import google_crc32c
import numpy as np

from trajstore.episode.schema import EpisodeSchema, FieldSpec, check_is_schema
from trajstore.episode.texts import check_text
from trajstore.errors import SchemaError

Value = np.ndarray | np.generic | str | float | int
"""What a field may be given as: numbers and text only for a field without leading axes."""


@dataclass(frozen=True, eq=False)
class Episode:
    """From ``reset`` to ``terminated`` or ``truncated``; whoever holds one knows it is whole.

    Arrays are checked, never cast, and read-only from then on: writable ones are copied.

    Attributes:
        schema: the fields.
        arrays: one array a field: ``[T + 1, ...]`` on the state axis, ``[T, ...]`` on the step
            axis, the bare shape on the episode axis. Numbers and text of the episode axis may be
            given as plain values.

    Raises:
        SchemaError: naming the first field and row that do not fit.
    """

    schema: EpisodeSchema
    arrays: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        check_is_schema(self.schema)
        if not isinstance(self.arrays, Mapping):
            raise SchemaError(
                "arrays: expected a mapping of field names to arrays, got "
                f"{type(self.arrays).__name__}"
            )
        arrays = {name: _array(name, value) for name, value in dict(self.arrays).items()}
        self.schema.check(arrays)
        object.__setattr__(self, "arrays", MappingProxyType(arrays))

    def __len__(self) -> int:
        return len(self.arrays["terminated"])

    def __getitem__(self, name: str) -> np.ndarray:
        """The field's array; one text (of the episode axis) comes as ``str``, as its array prints.

        Raises:
            SchemaError: if the schema has no such field.
        """
        is_text, values = self.schema.field(name).is_text, self.arrays[name]
        return str(values[()]) if is_text and not values.shape else values  # type: ignore[return-value]

    def __reduce__(self) -> tuple[type["Episode"], tuple[EpisodeSchema, dict[str, np.ndarray]]]:
        return Episode, (self.schema, dict(self.arrays))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content, hexadecimal: of each field by name, its dtype, shape, bytes.

        Of frames with a codec, the CRC-32C of each stands for its bytes.
        """
        sha = hashlib.sha256()
        for spec in self.schema.by_name:
            content = self._content(spec)
            shape = list(spec.rows(len(self)))
            shape += [len(content)] if spec.is_text else []
            sha.update(_header(spec.name, spec.dtype, *shape))
            sha.update(content)
        return sha.hexdigest()

    def _content(self, spec: FieldSpec) -> bytes | memoryview:
        values = self.arrays[spec.name]
        return row_bytes(spec, values) if spec.codec is None else row_sums(values)


def check_episode(episode: object, schema: EpisodeSchema) -> None:
    """Refuse what is no episode, or one of another schema."""
    if not isinstance(episode, Episode):
        raise SchemaError(
            f"episode: expected an Episode, got {type(episode).__name__}; make one: "
            "Episode(schema, arrays)"
        )
    if episode.schema is not schema and episode.schema != schema:
        raise SchemaError(
            "episode: its schema is not that of the dataset, it differs in "
            f"{episode.schema.difference(schema)}"
        )


@lru_cache(maxsize=4096)
def _header(name: str, dtype: str, *shape: int) -> bytes:
    return json.dumps([name, dtype, shape], separators=(",", ":")).encode() + b"\n"


def row_bytes(spec: FieldSpec, values: np.ndarray) -> bytes | memoryview:
    """The content of a field as little-endian bytes, rows in order; texts as UTF-8, NUL between."""
    if spec.is_text:
        return "\0".join(values.ravel().tolist()).encode()
    little = np.ascontiguousarray(values.astype(spec.numpy_dtype, copy=False))
    return little.data.cast("B")


def row_sums(frames: np.ndarray) -> bytes:
    """The CRC-32C of each of some frames, little endian."""
    sums = [google_crc32c.value(frame.reshape(-1)) for frame in frames]
    return np.array(sums, "<u4").tobytes()


def _array(name: str, value: Value) -> np.ndarray:
    if isinstance(value, str) and (value.endswith("\0") or not value.isascii()):
        check_text(f"field {name!r}", value)
    if isinstance(value, (str, bool, int, float, np.generic)):
        value = np.asarray(value)
    if type(value) not in (np.ndarray, np.memmap):
        raise SchemaError(f"field {name!r}: expected a numpy array, got {type(value).__name__}")
    if value.flags.writeable or not value.flags.c_contiguous:
        value = np.array(value, order="C", subok=False)
        value.flags.writeable = False
    return value
