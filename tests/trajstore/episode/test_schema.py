"""A schema holds what an episode must be; what does not fit is refused, by name and row."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import factories
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec, limits
from trajstore.errors import SchemaError

ENDS = factories.SCHEMA.fields[3:5]


def spec(**changes: object) -> FieldSpec:
    plain: dict[str, object] = {"name": "x", "axis": "step", "shape": (2,), "dtype": "float32"}
    return FieldSpec(**(plain | changes))  # type: ignore[arg-type]


names = st.from_regex(
    r"[A-Za-z0-9][A-Za-z0-9_-]{0,8}(/[A-Za-z0-9][A-Za-z0-9_-]{0,8})?", fullmatch=True
)
fields = st.builds(
    FieldSpec,
    name=names.map(lambda name: f"f-{name}"),
    axis=st.sampled_from(Axis),
    shape=st.lists(st.integers(1, 5), max_size=3).map(tuple),
    dtype=st.sampled_from(["int8", "uint64", "float16", "float32", "float64"]),
    unit=st.text("abc/^2", max_size=4),
    low=st.none() | st.integers(-5, 0),
    high=st.none() | st.integers(1, 5),
    finite=st.booleans(),
)


def named(field: FieldSpec) -> FieldSpec:
    """The same field, its components numbered by name."""
    return replace(field, names=[f"n{place}" for place in range(int(np.prod(field.shape)))])


@given(st.lists(fields, max_size=4, unique_by=lambda it: it.name.split("/")[0].casefold()))
def test_a_schema_survives_json(found: list[FieldSpec]) -> None:
    schema = EpisodeSchema((*found, *ENDS))
    back = EpisodeSchema.from_json(json.loads(json.dumps(schema.to_json(), allow_nan=False)))
    assert back == schema
    assert back.digest == schema.digest


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"name": "../x"}, "expected names of letters"),
        ({"name": ""}, "expected names of letters"),
        ({"name": "a//b"}, "expected names of letters"),
        ({"name": "/a"}, "expected names of letters"),
        ({"name": "a/b c"}, "expected names of letters.* got 'b c'"),
        ({"name": "a" * 65}, "each at most 64 long"),
        ({"name": "/".join(["a" * 64] * 8)}, "expected at most 512 letters in all, .*, got 519"),
        ({"name": "zarr.json"}, "expected names of letters"),
        ({"name": "\u0430"}, "expected names of letters"),
        ({"name": 3}, "expected names of letters"),
        ({"name": "step"}, "expected a name that tables do not use"),
        ({"axis": "time"}, "expected the axis state, step, episode, got 'time'"),
        ({"shape": (0,)}, "expected sizes of at least 1"),
        ({"shape": (2**20, 2**20)}, "rows of at most"),
        ({"shape": "ab"}, "expected a tuple of whole numbers as shape, .* got 'ab'"),
        ({"shape": "23"}, "expected a tuple of whole numbers"),
        ({"shape": (2.5,)}, r"expected a tuple of whole numbers .* got \(2.5,\)"),
        ({"shape": (True,)}, "expected a tuple of whole numbers"),
        ({"shape": 3}, "expected a tuple of whole numbers .* got 3"),
        ({"shape": (1,) * 33}, "at most 32 dimensions, got 33"),
        ({"dtype": "object"}, "expected dtype str or one of"),
        ({"dtype": "complex64"}, "expected dtype str or one of"),
        ({"dtype": "nothing"}, "got 'nothing'"),
        ({"dtype": "str"}, r"expected text with shape \(\), one a row, got \(2,\)"),
        ({"strict": 0}, "expected True or False for strict, got 0"),
        ({"dtype": "bool", "low": 0}, "expected no limit or a number"),
        ({"low": 2, "high": 1}, "expected low <= high"),
        ({"low": [1, 2, 3]}, "expected a limit that broadcasts"),
        ({"low": float("nan")}, "expected no limit or a number"),
        ({"low": "a"}, "low: expected a number, or nested lists of numbers, got 'a'"),
        ({"high": [[1], [1, 2]]}, "high: expected a number, or nested lists"),
        ({"unit": "m\n"}, r"unit: expected one line of text that prints, got 'm\\n'"),
        ({"description": 3}, "description: expected one line of text that prints, got 3"),
        ({"description": "a" * 65_537}, "at most 65,536 bytes of text, got 65,537"),
        ({"finite": 1}, "expected True or False"),
    ],
)
def test_a_field_that_makes_no_sense_is_refused(changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(SchemaError, match=complaint):
        spec(**changes)


@pytest.mark.parametrize(
    ("found", "complaint"),
    [
        ([], "needs a field 'terminated'"),
        ([*ENDS, spec(name="a"), spec(name="a")], "two fields are named 'a'"),
        ([*ENDS, spec(name="a"), spec(name="A")], "cannot lie beside each other"),
        ([*ENDS, spec(name="a"), spec(name="a/b")], "cannot lie beside each other"),
        (
            [*ENDS, spec(axis="state"), spec(name="next_x")],
            "'next_x' is the name of the state after a step",
        ),
        ([ENDS[0], replace(ENDS[1], dtype="int8")], "needs a field 'truncated'"),
        (["x"], "expected a sequence of FieldSpec, got 'x'"),
    ],
)
def test_fields_that_clash_are_refused(found: list[FieldSpec], complaint: str) -> None:
    with pytest.raises(SchemaError, match=complaint):
        EpisodeSchema(tuple(found))


def test_an_unknown_key_of_a_field_is_refused() -> None:
    with pytest.raises(SchemaError, match="expected the keys of a field"):
        FieldSpec.from_json(spec().to_json() | {"color": "red"})


def test_an_unknown_field_is_refused_by_name() -> None:
    with pytest.raises(SchemaError, match="no field 'nothing'; there are observation"):
        factories.SCHEMA.field("nothing")


def test_infinite_limits_are_no_limits() -> None:
    assert spec(low=-np.inf, high=np.array([np.inf, np.inf])) == spec()
    low, high = limits(spec(low=[-np.inf, 0], high=[1, np.inf]))
    assert low.tolist() == [-np.inf, 0]
    assert high.tolist() == [1, np.inf]


def test_a_limit_means_the_same_number_in_any_spelling() -> None:
    spellings = (1, 1.0, np.float32(1), [1, 1], (1.0, 1.0), np.ones(2))
    assert {spec(high=high) for high in spellings} == {spec(high=1)}


def test_a_limit_is_rounded_as_the_values_are() -> None:
    tenth = spec(shape=(), high=0.1)
    tenth.check(np.full(3, 0.1, "float32"), 3)


def test_the_order_of_fields_does_not_change_the_digest() -> None:
    turned = EpisodeSchema(factories.SCHEMA.fields[::-1])
    assert turned.digest == factories.SCHEMA.digest
    assert turned != factories.SCHEMA


@given(fields)
def test_component_names_survive_json_and_count_in_the_digest(field: FieldSpec) -> None:
    plain, named_ = EpisodeSchema((field, *ENDS)), EpisodeSchema((named(field), *ENDS))
    back = EpisodeSchema.from_json(json.loads(json.dumps(named_.to_json())))
    assert back == named_ != plain
    assert back.digest == named_.digest != plain.digest
    assert "names" not in plain.to_json()[0]
    assert "definition of f-" in plain.difference(named_)


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (["x"], "expected 2 different names, one a component, got 1"),
        (["x", "x"], "expected 2 different names"),
        (["x", ""], "expected 2 different names"),
        (["x", "a\nb"], "expected one line of text"),
        (["x", 3], "expected one line of text"),
        ("xy", "expected a list of texts"),
        ({"x": 0, "y": 1}, "expected a list of texts"),
        (3, "expected a list of texts"),
        (["x" * 70_000, "y"], "at most 65,536 bytes"),
    ],
)
def test_names_that_are_none_are_refused(names: object, complaint: str) -> None:
    with pytest.raises(SchemaError, match=complaint):
        spec(names=names)


def test_text_has_no_components_to_name() -> None:
    with pytest.raises(SchemaError, match="expected 0 different names"):
        spec(axis="episode", shape=(), dtype="str", names=["word"])
    assert spec(shape=(), names=["gripper"]).names == ("gripper",)
