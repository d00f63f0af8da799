"""``params.yaml`` as typed, immutable records, one a section, every value within its limits.

A record states the limits of a field in its type: ``Annotated[int, at_least(1)]``.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

import yaml

from trajstore.errors import TrajStoreError

Record = TypeVar("Record")


class ParamsError(TrajStoreError):
    """A section of ``params.yaml`` does not fit its record."""


SHOWN = 12
"""Names that a message lists at most."""
Limit = Callable[[Any, str], None]
"""Takes a value and where it stands; raises `ParamsError` if the value may not be."""


def at_least(low: float) -> Limit:
    """A number that is not smaller."""
    return _limit(f"a number >= {low}", lambda value: value >= low)


def at_most(high: float) -> Limit:
    """A number that is not larger."""
    return _limit(f"a number <= {high}", lambda value: value <= high)


def above(low: float) -> Limit:
    """A number that is larger."""
    return _limit(f"a number > {low}", lambda value: value > low)


def named(names: Collection[str]) -> Limit:
    """One of a few words; a misspelt one is told the nearest."""

    def check(value: str, where: str) -> None:
        if value in names:
            return
        near = get_close_matches(value, names, n=1)
        choice = ", ".join(sorted(names)[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        hint = f"did you mean {near[0]!r}?" if near else f"choose from {choice}"
        raise ParamsError(f"{where}: expected a name that exists, got {value!r}; {hint}")

    return check


def keys(**limits: Limit | tuple[Limit, ...]) -> Limit:
    """Limits of the fields of a record that states none itself."""

    def check(record: object, where: str) -> None:
        for key, given in limits.items():
            for limit in given if isinstance(given, tuple) else (given,):
                limit(getattr(record, key), f"{where}.{key}")

    return check


def each(limit: Limit) -> Limit:
    """A limit of every item of a list."""

    def check(values: Collection[Any], where: str) -> None:
        for place, value in enumerate(values):
            limit(value, f"{where}[{place}]")

    return check


def _limit(expected: str, holds: Callable[[Any], bool]) -> Limit:
    def check(value: object, where: str) -> None:
        if not holds(value):
            shown = list(value) if isinstance(value, tuple) else value
            raise ParamsError(f"{where}: expected {expected}, got {shown!r}; correct it")

    return check


some = _limit("at least one", lambda values: len(values) > 0)
distinct = _limit("each once", lambda values: len(set(values)) == len(values))
Share = Annotated[float, at_least(0.0), at_most(1.0)]
Count = Annotated[int, at_least(1)]
Seeds = Annotated[
    tuple[Annotated[int, at_least(0), at_most(2**32 - 1)], ...],
    some,
    distinct,
]


def read_section(path: Path, name: str, cls: type[Record]) -> Record:
    """One section of a parameter file as the dataclass ``cls``.

    A key that the record lacks, a key that the section lacks, and a value of another type or
    beyond its limits are refused by name, so that a stage stops before it touches anything.

    Raises:
        ParamsError: the file, the section or one of its values does not fit.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ParamsError(_unreadable(path, error)) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no UTF-8"
        raise ParamsError(f"{path}: expected a YAML file of parameters, got {reason}") from error
    if not isinstance(document, Mapping) or not isinstance(document.get(name), Mapping):
        raise ParamsError(f"{path}: expected a section {name!r}, got none; add it")
    return _build(document[name], cls, f"{path}: {name}")


def _unreadable(path: Path, error: yaml.YAMLError) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{path}{place}: expected YAML, got none ({problem or 'unreadable'}); correct it"


def _build(values: Mapping[str, object], cls: type[Record], where: str) -> Record:
    hints = typing.get_type_hints(cls, include_extras=True)
    fields = {field.name: field for field in dataclasses.fields(cast(Any, cls))}
    unknown = sorted(str(key) for key in set(values) - set(fields))
    if unknown:
        raise ParamsError(
            f"{where}: expected keys among {sorted(fields)}, got unknown {unknown}; "
            "remove or rename them"
        )
    missing = sorted(set(fields) - set(values))
    if missing:
        raise ParamsError(f"{where}: expected key {missing[0]!r}, got none; add it")
    return cls(
        **{key: _convert(value, hints[key], f"{where}.{key}") for key, value in values.items()}
    )


def _convert(value: object, hint: Any, where: str) -> Any:  # noqa: ANN401
    if typing.get_origin(hint) is Annotated:
        base, *limits = typing.get_args(hint)
        converted = _convert(value, base, where)
        for limit in limits:
            limit(converted, where)
        return converted
    return _convert_plain(value, hint, where)


def _convert_plain(value: object, hint: Any, where: str) -> Any:  # noqa: ANN401
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise _refused(where, "a mapping", value)
        return _build(value, cast(type[Any], hint), where)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _convert(value, next(a for a in arguments if a is not type(None)), where)
    if origin is tuple:
        if not isinstance(value, list):
            raise _refused(where, "a list", value)
        return tuple(_convert(item, arguments[0], f"{where}[{i}]") for i, item in enumerate(value))
    if origin in (dict, Mapping):
        return _convert_mapping(value, arguments[1], where)
    return _convert_scalar(value, hint, where)


def _convert_mapping(value: object, hint: Any, where: str) -> dict[str, Any]:  # noqa: ANN401
    if not isinstance(value, Mapping):
        raise _refused(where, "a mapping", value)
    return {str(key): _convert(item, hint, f"{where}.{key}") for key, item in value.items()}


def _convert_scalar(value: object, hint: Any, where: str) -> Any:  # noqa: ANN401
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ParamsError(f"{where}: expected a finite number, got {value}; correct it")
    if hint is typing.Any or type(value) is hint:
        return value
    raise _refused(where, getattr(hint, "__name__", str(hint)), value)


def _refused(where: str, expected: str, value: object) -> ParamsError:
    return ParamsError(f"{where}: expected {expected}, got {type(value).__name__} {value!r}")
