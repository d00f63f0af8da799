"""Values of many parts under the names of fields, ``observation/goal``, and back.

A field that was made from a space says in its description which kinds of spaces lie on the way,
``gymnasium Dict.Tuple.Box``; that makes the way back exact.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.schema import EpisodeSchema

OBSERVATION, ACTION, REWARD = "observation", "action", "reward"
"""The fields that other packages know too."""
KIND = "gymnasium "
"""How the description of a field begins that was made from a space."""


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


def flatten(name: str, value: Any) -> dict[str, Any]:  # noqa: ANN401 - a value of any space
    """The leaves of a nested value, by field name.

    Example:
        >>> flatten("observation", {"goal": 1, "gears": (2, 3)})
        {'observation/goal': 1, 'observation/gears/0': 2, 'observation/gears/1': 3}
    """
    if isinstance(value, tuple):
        value = {str(index): item for index, item in enumerate(value)}
    if not isinstance(value, Mapping):
        return {name: value}
    leaves: dict[str, Any] = {}
    for key, item in value.items():
        leaves |= flatten(f"{name}/{key}", item)
    return leaves


def nest(schema: EpisodeSchema, name: str, leaves: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """The leaves at or below the field ``name``, in dicts and tuples as the fields lie."""
    specs = [spec for spec in schema.fields if below(spec.name, name)]
    return _nest(name, specs or [schema.field(name)], leaves)


def _nest(name: str, specs: list[FieldSpec], leaves: Mapping[str, Any]) -> Any:  # noqa: ANN401
    if specs[0].name == name:
        return leaves[name]
    children: dict[str, list[FieldSpec]] = {}
    for spec in specs:
        key = spec.name.removeprefix(f"{name}/").partition("/")[0]
        children.setdefault(key, []).append(spec)
    nested = {key: _nest(f"{name}/{key}", found, leaves) for key, found in children.items()}
    counted = list(nested) == [str(index) for index in range(len(nested))]
    return tuple(nested.values()) if counted and kind(specs[0], name) != "Dict" else nested


def kind(spec: FieldSpec, name: str) -> str:
    """The kind of the space from which a field, or a level above it, was made; "" if none."""
    kinds = spec.description.removeprefix(KIND).split(".")
    above = spec.name.count("/") - name.count("/")
    known = spec.description.startswith(KIND) and above < len(kinds)
    return kinds[-1 - above] if known else ""
