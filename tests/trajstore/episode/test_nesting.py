"""Nested values come back from the names of their parts; a declared kind of a level counts."""

import pytest

from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.nesting import below, flatten, kind, nest, step_schema
from trajstore.errors import SchemaError

OBSERVATION = FieldSpec("observation", Axis.STATE, (), "float32")


def part(name: str, description: str = "") -> FieldSpec:
    return FieldSpec(name, Axis.STEP, (), "float32", description=description)


@pytest.mark.parametrize(
    ("description", "nested"),
    [
        ("", {"0": 1, "1": 2}),
        ("gymnasium Dict.Box", {"0": 1, "1": 2}),
        ("gymnasium Tuple.Box", (1, 2)),
    ],
)
def test_a_level_is_a_tuple_if_it_says_so_whatever_its_names(
    description: str, nested: object
) -> None:
    schema = step_schema([OBSERVATION], [part(f"action/{it}", description) for it in (0, 1)])
    leaves = {"action/0": 1, "action/1": 2}
    assert nest(schema, "action", leaves) == nested
    assert flatten("action", nested) == leaves


def test_a_level_with_names_is_a_dict_and_the_way_back_is_exact() -> None:
    value = {"arm": {"a": {"a": 1}, "B": {"b": 2}}, "leg": 3}
    leaves = flatten("action", value)
    schema = step_schema([OBSERVATION], [part(name) for name in leaves])
    assert nest(schema, "action", leaves) == value
    assert nest(schema, "action/arm", leaves) == value["arm"]
    with pytest.raises(SchemaError, match="no field 'hand'; there are observation, action/arm"):
        nest(schema, "hand", leaves)


def test_the_kind_of_each_level_is_read_from_the_end() -> None:
    spec = part("robot/action/arm/0", "gymnasium Dict.Tuple.Discrete")
    names = ("robot/action/arm/0", "robot/action/arm", "robot/action", "robot")
    assert [kind(spec, name) for name in names] == ["Discrete", "Tuple", "Dict", ""]
    assert [below(spec.name, name) for name in ("robot", "robot/act")] == [True, False]
