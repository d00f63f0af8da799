"""``params.yaml`` as typed, immutable records, one a section."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml

from trajstore.errors import TrajStoreError

Record = TypeVar("Record")


class ParamsError(TrajStoreError):
    """A section of ``params.yaml`` does not fit its record."""


def read_section(path: Path, name: str, cls: type[Record]) -> Record:
    """One section of a parameter file as the dataclass ``cls``.

    A key that the record lacks, a key that the section lacks, and a value of another type are
    refused by name, so that a misspelt parameter stops a stage before it starts.

    Raises:
        ParamsError: the file, the section or one of its values does not fit.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ParamsError(f"{path}: expected a YAML file of parameters, got {error}") from error
    if not isinstance(document, Mapping) or not isinstance(document.get(name), Mapping):
        raise ParamsError(f"{path}: expected a section {name!r}, got none; add it")
    return _build(document[name], cls, f"{path}: {name}")


def _build(values: Mapping[str, object], cls: type[Record], where: str) -> Record:
    hints = typing.get_type_hints(cls)
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
        return float(value)
    if hint is typing.Any or type(value) is hint:
        return value
    raise _refused(where, getattr(hint, "__name__", str(hint)), value)


def _refused(where: str, expected: str, value: object) -> ParamsError:
    return ParamsError(f"{where}: expected {expected}, got {type(value).__name__} {value!r}")
