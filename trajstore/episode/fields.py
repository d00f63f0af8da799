"""One field of an episode: name, axis, shape, dtype, unit, range."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import lru_cache
from math import isfinite, prod
from operator import index
from typing import Any

import numpy as np

from trajstore.episode.bounds import Bound, covers, frozen_bound, limit
from trajstore.episode.codec import Codec, as_codec, check_frames
from trajstore.episode.names import check_field_name
from trajstore.episode.roles import check_role
from trajstore.episode.texts import check_line, check_text, component_names, shown
from trajstore.errors import SchemaError

NUMBERS = (
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *("float16", "float32", "float64"),
)
_NATIVE = {name: np.dtype(name) for name in NUMBERS}
_LITTLE = {name: dtype.newbyteorder("<") for name, dtype in _NATIVE.items()}
TEXT = "str"
MAX_ROW_BYTES = 2**30
NARROW_ROW_BYTES = 1024
MAX_DIMENSIONS = 32


class Axis(StrEnum):
    """What a row of a field stands for, in an episode of ``T`` steps."""

    STATE = "state"
    """What holds between two actions: ``T + 1`` rows, the first is that of ``reset``."""
    STEP = "step"
    """What belongs to one call of ``env.step``: ``T`` rows."""
    EPISODE = "episode"
    """What holds for the whole episode: no leading axis."""


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One array of an episode.

    Attributes:
        name: letters, digits, ``_`` and ``-``; ``/`` nests (``observation/goal``). At most 64
            letters between two ``/``, 512 in all.
        axis: what a row stands for.
        shape: of one row; ``()`` for a number.
        dtype: a NumPy name of a truth value, integer or float; ``str`` for text, one a row.
        unit: of the values, such as ``m/s``; empty for none.
        low: smallest allowed value, inclusive; a number, or nested lists that broadcast to the
            shape; ``None`` for no limit.
        high: largest allowed value, inclusive; like ``low``.
        description: one line for a reader of the dataset.
        finite: whether ``nan`` and infinities are refused. Where they are allowed, ``nan`` is
            exempt from the range too.
        strict: whether values outside of the range are refused; else they are kept, and counted
            in the statistics of the version.
        role: what it is to those who watch and judge, one of `trajstore.episode.roles.ROLES`.
        names: of the components of a row, in C order, such as those of joints; none unless given.
        codec: of camera frames that may lose detail when they are recorded: ``jpeg``, ``h264`` or
            a `Codec`; ``None``, for every other field, stores values as they are.

    Raises:
        SchemaError: if the definition makes no sense.

    Example:
        >>> FieldSpec("speed", Axis.STEP, (), "float32", unit="m/s", low=0, high=1.2).rows(3)
        (3,)
    """

    name: str
    axis: Axis
    shape: tuple[int, ...]
    dtype: str
    unit: str = ""
    low: Bound | None = None
    high: Bound | None = None
    description: str = ""
    finite: bool = True
    role: str = field(default="", compare=False)
    strict: bool = True
    names: tuple[str, ...] = ()
    codec: Codec | None = None

    def __post_init__(self) -> None:
        check_field_name(self.name)
        object.__setattr__(self, "name", str.__str__(self.name))
        try:
            object.__setattr__(self, "axis", Axis(self.axis))
        except ValueError:
            raise SchemaError(
                f"field {self.name!r}: expected the axis {', '.join(Axis)}, got {shown(self.axis)}"
            ) from None
        object.__setattr__(self, "shape", _shape(self))
        object.__setattr__(self, "dtype", _dtype_name(self))
        for side in ("low", "high"):
            where, bound = f"field {self.name!r}: {side}", getattr(self, side)
            plain = frozen_bound(where, bound, shape=self.shape, dtype=self.dtype)
            object.__setattr__(self, side, plain)
        where, parts = f"field {self.name!r}", 0 if self.is_text else prod(self.shape)
        object.__setattr__(self, "names", component_names(f"{where}: names", self.names, parts))
        object.__setattr__(self, "codec", as_codec(where, self.codec))
        _check_definition(self)
        if self.role != "":
            check_role(where, self.role, self.axis, self.shape, text=self.is_text)

    @property
    def is_text(self) -> bool:
        """Whether the values are text."""
        return self.dtype == TEXT

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The dtype on disk, little endian; text is stored as codes."""
        return _LITTLE["int32" if self.dtype == TEXT else self.dtype]

    @property
    def row_bytes(self) -> int:
        """Size of one row on disk, bytes."""
        return self.numpy_dtype.itemsize * prod(self.shape)

    @property
    def is_narrow(self) -> bool:
        """Whether a row is at most 1 KiB: stored as it is, measured and drawn by component."""
        return self.codec is None and self.row_bytes <= NARROW_ROW_BYTES

    def rows(self, steps: int) -> tuple[int, ...]:
        """Shape of the array that an episode of ``steps`` steps has for this field."""
        if self.axis is Axis.EPISODE:
            return self.shape
        return (steps + (self.axis is Axis.STATE), *self.shape)

    def check(self, values: np.ndarray, steps: int) -> None:
        """Refuse an array that is not this field of an episode of ``steps`` steps.

        Raises:
            SchemaError: naming the field, what was expected, and the first row at fault.
        """
        where = f"field {self.name!r}"
        if not isinstance(values, np.ndarray):
            raise SchemaError(f"{where}: expected a numpy array, got {type(values).__name__}")
        if not self.is_text and values.dtype != _NATIVE[self.dtype]:
            raise SchemaError(f"{where}: expected dtype {self.dtype}, got {values.dtype}")
        if values.shape != self.rows(steps):
            raise SchemaError(f"{where}: expected shape {self.rows(steps)}, got {values.shape}")
        if not self.is_text:
            if not _plainly_allowed(self, values):
                check_values(self, values)
        elif values.dtype.kind == "U":
            for text in set(values.ravel().tolist()):
                check_text(where, text)
        else:
            got = f"{shown(values.ravel()[0].item())} ({values.dtype})"
            raise SchemaError(f"{where}: expected text, got {got}")

    def to_json(self) -> dict[str, object]:
        """A mapping of plain JSON values, from which `from_json` builds an equal field."""
        record = asdict(self) | {"axis": self.axis.value, "shape": list(self.shape)}
        record["names"] = list(self.names)
        for name, usual in (("role", ""), ("strict", True), ("names", []), ("codec", None)):
            if record[name] == usual:
                del record[name]
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "FieldSpec":
        """Build a field from what `to_json` gave.

        Raises:
            SchemaError: if a key is missing or unknown, or a value makes no sense.
        """
        keys = sorted(record) if isinstance(record, Mapping) else shown(record)
        try:
            return cls(**record)
        except TypeError as error:
            raise SchemaError(f"field record: expected the keys of a field, got {keys}") from error


def _shape(spec: FieldSpec) -> tuple[int, ...]:
    try:
        sizes = tuple(spec.shape)
        if any(isinstance(size, bool) for size in sizes):
            raise TypeError
        shape = tuple(index(size) for size in sizes)
    except TypeError:
        raise SchemaError(
            f"field {spec.name!r}: expected a tuple of whole numbers as shape, () for a number, "
            f"got {shown(spec.shape)}"
        ) from None
    if len(shape) > MAX_DIMENSIONS:
        raise SchemaError(
            f"field {spec.name!r}: expected a shape of at most {MAX_DIMENSIONS} dimensions, "
            f"got {len(shape)}"
        )
    return shape


def _dtype_name(spec: FieldSpec) -> str:
    if spec.dtype in (TEXT, str):
        name = TEXT
    else:
        try:
            name = np.dtype(spec.dtype).name
        except TypeError:
            name = shown(spec.dtype)
    if name not in (*NUMBERS, TEXT):
        raise SchemaError(
            f"field {spec.name!r}: expected dtype str or one of {', '.join(NUMBERS)}, got {name}"
        )
    return name


def _check_definition(spec: FieldSpec) -> None:
    where = f"field {spec.name!r}"
    if spec.is_text and spec.shape:
        raise SchemaError(f"{where}: expected text with shape (), one a row, got {spec.shape}")
    if any(size < 1 for size in spec.shape) or spec.row_bytes > MAX_ROW_BYTES:
        raise SchemaError(
            f"{where}: expected sizes of at least 1 and rows of at most {MAX_ROW_BYTES:,} bytes, "
            f"got shape {spec.shape}"
        )
    check_line(f"{where}: unit", spec.unit)
    check_line(f"{where}: description", spec.description)
    for name in ("finite", "strict"):
        if not isinstance(value := getattr(spec, name), bool):
            raise SchemaError(f"{where}: expected True or False for {name}, got {shown(value)}")
    low, high = limits(spec)
    if np.any(low > high):
        raise SchemaError(f"{where}: expected low <= high, got {spec.low} and {spec.high}")
    check_frames(spec, low, high)


@lru_cache(maxsize=1024)
def limits(spec: FieldSpec) -> tuple[Any, Any]:
    """Smallest and largest allowed values as arrays that broadcast to the field's shape."""
    return (
        limit(spec.low, dtype=spec.dtype, missing=-np.inf),
        limit(spec.high, dtype=spec.dtype, missing=np.inf),
    )


def outside(spec: FieldSpec, values: np.ndarray) -> np.ndarray:
    """Which values lie outside of the field's range; ``bool``, of the values' shape."""
    low, high = limits(spec)
    found: np.ndarray = (values < low) | (values > high)
    return found


def _plainly_allowed(spec: FieldSpec, values: np.ndarray) -> bool:
    """Whether numbers are in order by one look at all of them; those that are not may be, too.

    A sum of squares that is finite has finite terms.
    """
    if spec.strict and not covers(spec.low, spec.high, spec.dtype):
        return False
    return not spec.finite or values.dtype.kind != "f" or isfinite(np.vdot(values, values))


def check_values(spec: FieldSpec, values: np.ndarray, first: int = 0, where: str = "") -> None:
    """Refuse numbers that are not finite or out of range.

    Messages count rows from ``first``, and end with ``where``.
    """
    expected = "finite values (a field of finite=False allows others)"
    faults = np.asarray(~np.isfinite(values) & spec.finite)
    if not faults.any():
        if not spec.strict or (spec.low is None and spec.high is None):
            return
        faults = outside(spec, values)
        if not faults.any():
            return
        least, most = ("any" if it is None else shown(it, 60) for it in (spec.low, spec.high))
        expected = f"values in [{least}, {most}]" + (f" {spec.unit}" if spec.unit else "")
    row, found = 0, values
    if spec.axis is not Axis.EPISODE:
        row = int(np.flatnonzero(faults.reshape(len(faults), -1).any(axis=1))[0])
        found = values[row]
    got = np.array2string(found, threshold=8, edgeitems=3).replace("\n", "")
    raise SchemaError(
        f"field {spec.name!r}: row {first + row}: expected {expected}, got {got}{where}"
    )
