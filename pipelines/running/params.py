"""Sections of ``params.yaml``, and rows of files, as typed records; a misfit is told in one line.

A record states the limits of a field in its type: with `msgspec.Meta`, or with a `Limit`, such as
``Annotated[str, named(...)]``.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from enum import Enum
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints, is_typeddict

import msgspec
import yaml
from msgspec import Meta

from trajstore.disk.files import open_file
from trajstore.episode.texts import brief
from trajstore.errors import TrajStoreError

Record = TypeVar("Record")


class ParamsError(TrajStoreError):
    """A section of ``params.yaml`` does not fit its record."""


SECTIONS = (
    *("env", "pipeline", "evaluation", "expert", "record", "validate", "publish"),
    *("pretrain", "finetune", "transfer", "compare", "table"),
)
MAX_VALUES = 100_000
SHOWN = 12
"""Names that a message lists at most."""
Limit = Callable[[Any], str | None]
"""Says what was expected instead of a value, what came and what to do; nothing if it fits."""


def named(names: Collection[str]) -> Limit:
    """One of a few words; a misspelt one is told the nearest."""

    def check(value: str) -> str | None:
        choice = ", ".join(sorted(names)[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        hint = _nearest(value, names) or f"choose from {choice}"
        wrong = f"expected a name that exists, got {value!r}; {hint}"
        return None if value in names else wrong

    return check


def distinct(values: Collection[Any]) -> str | None:
    """No item twice."""
    wrong = f"expected each once, got {list(values)!r}; correct it"
    return None if len(set(values)) == len(values) else wrong


def _nearest(word: str, names: Collection[str]) -> str:
    near = get_close_matches(word, names, n=1)
    return f"did you mean {near[0]!r}?" if near else ""


Amount = Annotated[int, Meta(ge=0)]
Count = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[float, Meta(ge=0.0)]
Positive = Annotated[float, Meta(gt=0.0)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Seeds = Annotated[
    tuple[Annotated[int, Meta(ge=0, le=2**32 - 1)], ...], Meta(min_length=1), distinct
]


def read_section(path: Path, name: str, cls: type[Record]) -> Record:
    """One section of a parameter file as the dataclass ``cls``.

    A key that the record lacks, one without a default that the section lacks, and a value of
    another type or beyond its limits are refused by name, so that a stage stops before it touches
    anything.

    Raises:
        ParamsError: the file, the section or one of its values does not fit.
    """
    document = _read(path)
    if not isinstance(document, Mapping) or not isinstance(document.get(name), Mapping):
        raise ParamsError(f"{path}: the section {name!r} is missing; add it")
    known = {*SECTIONS, name}
    for key in document:
        if key not in known:
            hint = _nearest(str(key), known) or "remove or rename it"
            raise ParamsError(
                f"{path}: expected sections among {sorted(known)}, got {str(key)[:80]!r}; {hint}"
            )
    return fit(document[name], cls, f"{path}: {name}")


def plain_section(path: Path, name: str) -> Mapping[str, Any] | None:
    """A section as it stands in the file, by which one may tell what it is.

    Nothing where it is ``null``, which leaves out what it is about; empty where it is missing.
    """
    document = _read(path)
    section = document.get(name, {}) if isinstance(document, Mapping) else {}
    return section if isinstance(section, Mapping) or section is None else {}


def _read(path: Path) -> Any:  # noqa: ANN401 - YAML is what it is
    try:
        with open_file(path) as file:
            document = yaml.load(file.read().decode(), _OnceLoader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        raise ParamsError(_unreadable(path, error)) from error
    except (OSError, ValueError, RecursionError) as error:
        kind = "no UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        reason = getattr(error, "strerror", None) or kind
        raise ParamsError(f"{path}: expected a YAML file of parameters, got {reason}") from error
    level, seen = [document], 0
    while level:
        node = level.pop()
        seen += 1
        if seen > MAX_VALUES:
            raise ParamsError(
                f"{path}: expected at most {MAX_VALUES:,} values, got more, through aliases perhaps"
            )
        if isinstance(node, Mapping | list | tuple | set):
            level += node.values() if isinstance(node, Mapping) else node
    return document


class _OnceLoader(yaml.SafeLoader):
    """YAML of plain values; a key that stands twice in a mapping is refused, with its line."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping, each key once."""
        seen: set[Any] = set()
        for key, _ in node.value:
            name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else id(key)
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {str(key.value)[:80]!r} stands twice", key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep)


def _unreadable(path: Path, error: yaml.YAMLError) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{path}{place}: expected YAML, got none ({problem or 'unreadable'}); correct it"


def fit(
    value: object,
    hint: type[Record],
    where: str,
    error: type[TrajStoreError] = ParamsError,
) -> Record:
    """Convert plain data to a type, innermost parts first, so that an error tells its place.

    Args:
        value: mappings, lists and scalars, as YAML and JSON have them.
        hint: a type that `msgspec` takes; a record must have all of its keys, but for those with a
            default, and no others.
        where: begins every message; the place within the value is added to it.
        error: what to raise.

    Raises:
        TrajStoreError: of the given class; the value does not fit.
    """
    base: Any
    base, *limits = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    for place, part, its_hint in _parts(value, base, where, error):
        fit(part, its_hint, place, error)
    if isinstance(value, float) and not math.isfinite(value):
        raise error(f"{where}: expected a finite number, got {value}; correct it")
    try:
        converted = msgspec.convert(value, hint)
    except msgspec.ValidationError as wrong:
        said = str(wrong).replace("`", "").partition(", got ")[0]
        if isinstance(base, type) and issubclass(base, Enum):
            said = f"expected one of {', '.join(base)}"
        raise error(
            f"{where}: {said[0].lower()}{said[1:]}, got {brief(repr(value), 400)}; correct it"
        ) from wrong
    for limit in limits:
        if callable(limit) and (told := limit(converted)):
            raise error(f"{where}: {told}")
    return converted


_hints = cache(partial(get_type_hints, include_extras=True))


def _parts(
    value: object,
    base: Any,  # noqa: ANN401
    where: str,
    error: type[TrajStoreError],
) -> Iterator[tuple[str, object, Any]]:
    """The place, the value and the type of each part of a record, a mapping or a list."""
    origin, arguments = get_origin(base), get_args(base)
    if isinstance(value, Mapping) and (is_dataclass(base) or is_typeddict(base)):
        hints, spare = _hints(base), set[str]()
        if is_dataclass(base):
            hints = {field.name: hints[field.name] for field in fields(base)}
            spare = {field.name for field in fields(base) if field.default is not MISSING}
        for key in sorted(map(str, set(value) - set(hints))):
            hint = _nearest(key, hints) or "remove or rename it"
            raise error(f"{where}: expected keys among {sorted(hints)}, got {key!r}; {hint}")
        for key in sorted(set(hints) - set(value) - spare):
            raise error(f"{where}: the key {key!r} is missing; add it")
        here = ((key, hint) for key, hint in hints.items() if key in value)
        yield from ((f"{where}.{key}", value[key], hint) for key, hint in here)
    elif isinstance(value, Mapping) and origin in (dict, Mapping):
        yield from ((f"{where}.{key}", part, arguments[1]) for key, part in value.items())
    elif isinstance(value, list) and origin is tuple:
        yield from ((f"{where}[{i}]", part, arguments[0]) for i, part in enumerate(value))
