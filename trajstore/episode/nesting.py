"""Values of many parts under the names of fields, ``observation/goal``, and back.

A field that was made from a space says in its description which kinds of spaces lie on the way,
``gymnasium Dict.Tuple.Box``, and perhaps, as JSON, what else its space has. That alone is the
structure: a key of a dict is written so that it is one segment of a name, and never interpreted.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from trajstore.disk.json_text import parse_json
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.schema import EpisodeSchema
from trajstore.episode.texts import shown
from trajstore.errors import SchemaError

OBSERVATION, ACTION, REWARD = "observation", "action", "reward"
"""The fields that other packages know too."""
KIND = "gymnasium "
"""How the description of a field begins that was made from a space."""
_PLAIN = re.compile(r"(?!.*--)[A-Za-z0-9][A-Za-z0-9_-]*")
_WRITTEN = "k--"
"""How a segment begins that writes a key which could not be one."""


def step_schema(
    observations: Iterable[FieldSpec],
    actions: Iterable[FieldSpec],
    *extra: FieldSpec,
    reward: str = "float64",
) -> EpisodeSchema:
    """The schema of what Gymnasium's ``step`` takes and returns; ``reward`` is a dtype."""
    return EpisodeSchema(
        (
            *observations,
            *actions,
            FieldSpec(REWARD, Axis.STEP, (), reward),
            FieldSpec("terminated", Axis.STEP, (), "bool"),
            FieldSpec("truncated", Axis.STEP, (), "bool"),
            *extra,
        )
    )


def below(name: str, root: str) -> bool:
    """Whether a field is the root, or lies below it."""
    return f"{name}/".startswith(f"{root}/")


def segment(key: object) -> str:
    """The key of a dict as one segment of a field's name; `key_of` gives it back.

    Raises:
        SchemaError: if the key is no text.

    Example:
        >>> segment("goal"), segment("walker/gear"), key_of("k--walker-2fgear")
        ('goal', 'k--walker-2fgear', 'walker/gear')
    """
    if not isinstance(key, str):
        raise SchemaError(
            f"key {shown(key)}: expected text as the key of a nested value, got "
            f"{type(key).__name__}; rename it in a wrapper"
        )
    key = str.__str__(key)  # an Enum's text is its value, whatever its str() is
    if _PLAIN.fullmatch(key):
        return key
    letters = key.encode("utf-8", "surrogatepass")
    plain = (chr(it) if chr(it).isalnum() and it < 128 else f"-{it:02x}" for it in letters)
    return _WRITTEN + "".join(plain)


def key_of(written: str) -> str:
    """The key that a segment of a field's name stands for."""
    if not written.startswith(_WRITTEN):
        return written
    text = written.removeprefix(_WRITTEN).encode()
    found = re.sub(rb"-([0-9a-f]{2})", lambda it: bytes([int(it[1], 16)]), text)
    return found.decode("utf-8", "surrogatepass")


def flatten(name: str, value: Any, leaves: Collection[str] = ()) -> dict[str, Any]:  # noqa: ANN401 - a value of any space
    """The leaves of a nested value, by field name.

    ``leaves`` are fields that are known: what stands at one is its value, whatever its type, and a
    list that stands above some is a tuple.

    Example:
        >>> flatten("observation", {"goal": 1, "gears": (2, 3)})
        {'observation/goal': 1, 'observation/gears/0': 2, 'observation/gears/1': 3}
        >>> flatten("observation", (2, 3), leaves={"observation"})
        {'observation': (2, 3)}
    """
    if name in leaves:
        return {name: value}
    if isinstance(value, tuple) or (isinstance(value, list) and leaves):
        inner = {str(index): item for index, item in enumerate(value)}
    elif isinstance(value, Mapping):
        inner = {segment(key): item for key, item in value.items()}
    else:
        return {name: value}
    found: dict[str, Any] = {}
    for key, item in inner.items():
        found |= flatten(f"{name}/{key}", item, leaves)
    return found


def nest(schema: EpisodeSchema, name: str, leaves: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """The leaves at or below the field ``name``, in dicts and tuples as the fields say.

    A level that does not say what it is, is a dict.
    """
    specs = [spec for spec in schema.fields if below(spec.name, name)]
    return _nest(name, specs or [schema.field(name)], leaves)


def _nest(name: str, specs: list[FieldSpec], leaves: Mapping[str, Any]) -> Any:  # noqa: ANN401
    if specs[0].name == name:
        return leaves[name]
    children: dict[str, list[FieldSpec]] = {}
    for spec in specs:
        inner = spec.name.removeprefix(f"{name}/").partition("/")[0]
        children.setdefault(inner, []).append(spec)
    nested = {inner: _nest(f"{name}/{inner}", found, leaves) for inner, found in children.items()}
    if kind(specs[0], name) != "Tuple":
        return {key_of(inner): value for inner, value in nested.items()}
    if set(nested) != {str(index) for index in range(len(nested))}:
        raise SchemaError(
            f"field {name!r}: expected the parts of a tuple, 0 to {len(nested) - 1}, below it, got "
            f"{sorted(nested)}"
        )
    return tuple(nested[str(index)] for index in range(len(nested)))


def kind(spec: FieldSpec, name: str) -> str:
    """The kind of the space from which a field, or a level above it, was made; "" if none."""
    kinds = spec.description.removeprefix(KIND).partition(" ")[0].split(".")
    above = spec.name.count("/") - name.count("/")
    known = spec.description.startswith(KIND) and above < len(kinds)
    return kinds[-1 - above] if known else ""


def details(spec: FieldSpec) -> dict[str, Any]:
    """What else the description of a field tells of the space that it was made from."""
    text = spec.description.removeprefix(KIND).partition(" ")[2]
    if not (spec.description.startswith(KIND) and text):
        return {}
    found = parse_json(text.encode(), f"field {spec.name!r}: description")
    return found if isinstance(found, dict) else {}
