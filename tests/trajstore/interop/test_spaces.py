"""Every space that can be recorded becomes fields and comes back equal; others are named."""

from collections import OrderedDict

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.nesting import flatten, nest
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import SchemaError
from trajstore.interop.spaces import AnyText, fields_of, space_of

ENDS = tuple(FieldSpec(name, Axis.STEP, (), "bool") for name in ("terminated", "truncated"))
KEYS = st.text(min_size=0, max_size=6) | st.sampled_from(
    ["walker/gear", "0", "1", "a.b", "a--b", "k--a", "-", "_x", "next_a", "action", "..", "a b"]
)


def back(space: spaces.Space) -> spaces.Space:
    """The space, by way of its fields and of JSON."""
    schema = EpisodeSchema((*fields_of("observation", space, axis=Axis.STATE), *ENDS))
    return space_of(EpisodeSchema.from_json(schema.to_json()), "observation")


@st.composite
def boxes(draw: st.DrawFn) -> spaces.Box:
    shape = tuple(draw(st.lists(st.integers(1, 3), max_size=3)))
    dtype = np.dtype(draw(st.sampled_from(["float16", "float32", "float64", "int16", "int64"])))
    low, high = np.full(shape, -2, dtype), np.full(shape, 7, dtype)
    if dtype.kind == "f":
        ends = st.sampled_from([-np.inf, -1.5, 0.25])
        low = np.array([draw(ends) for _ in range(low.size)], dtype).reshape(shape)
        high = np.array([-draw(ends) + 1 for _ in range(low.size)], dtype).reshape(shape)
    return spaces.Box(low, high, shape, dtype.type)


LEAVES = st.one_of(
    boxes(),
    st.builds(
        lambda n, start: spaces.Discrete(n, start=start), st.integers(1, 9), st.integers(-3, 3)
    ),
    st.lists(st.tuples(st.integers(1, 9), st.integers(-4, 4)), min_size=1, max_size=4).map(
        lambda it: spaces.MultiDiscrete([n for n, _ in it], start=[start for _, start in it])
    ),
    st.builds(spaces.MultiBinary, st.integers(1, 4)),
    st.builds(spaces.MultiBinary, st.lists(st.integers(1, 3), min_size=1, max_size=2)),
    st.builds(
        lambda most, least, letters: spaces.Text(most, min_length=least, charset=letters),
        st.integers(3, 9),
        st.integers(0, 3),
        st.text("abcé0 \n", min_size=1),
    ),
)
SPACES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(spaces.Tuple, st.lists(inner, min_size=1, max_size=12)),
        st.dictionaries(KEYS.filter(lambda it: "\0" not in it), inner, min_size=1, max_size=3).map(
            lambda it: spaces.Dict(OrderedDict(it))
        ),
    ),
    max_leaves=14,
)


def distinct(space: spaces.Space) -> bool:
    names = [spec.name.casefold() for spec in fields_of("observation", space, axis=Axis.STATE)]
    return len(set(names)) == len(names)


@settings(max_examples=150, deadline=None)
@given(SPACES.filter(distinct))
def test_a_space_comes_back_from_its_fields(space: spaces.Space) -> None:
    found = back(space)
    assert found == space
    assert list(flatten("x", found.sample())) == list(flatten("x", space.sample()))


@settings(max_examples=60, deadline=None)
@given(SPACES.filter(distinct), st.integers(0, 100))
def test_a_value_comes_back_from_its_fields(space: spaces.Space, seed: int) -> None:
    schema = EpisodeSchema((*fields_of("observation", space, axis=Axis.STATE), *ENDS))
    space.seed(seed)
    value = space.sample()
    leaves = flatten("observation", value, schema.names)
    assert set(leaves) == set(schema.names) - {"terminated", "truncated"}
    again = nest(schema, "observation", leaves)
    assert {name: id(it) for name, it in flatten("observation", again, schema.names).items()} == {
        name: id(it) for name, it in leaves.items()
    }
    assert isinstance(again, tuple) is isinstance(space, spaces.Tuple)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(np.array([-1, -np.inf], "float32"), np.array([np.inf, 2], "float32")),
        spaces.Box(0, 255, (8, 8, 3), np.uint8),
        spaces.Box(0, 1, (3,), np.int8),
        spaces.Box(-1, 1, (), np.float32),
        spaces.Box(-np.inf, np.inf, (2,), np.int64),
        spaces.Box(0, 2**62, (2,), np.int64),
        spaces.Box(0, 1, (2, 2), np.bool_),
        spaces.Box(np.array([True, False]), np.array([True, True]), dtype=np.bool_),
        spaces.MultiDiscrete([3, 4], start=[1, -2]),
        spaces.MultiDiscrete(np.array([[1, 2], [3, 4]]), start=np.array([[5, 5], [0, -1]])),
        spaces.MultiDiscrete([3, 4], dtype=np.int32),
        spaces.MultiBinary(4),
        spaces.MultiBinary((4,)),
        spaces.MultiBinary((2, 3)),
        spaces.Discrete(3, start=-(2**40)),
        spaces.Text(5),
        spaces.Text(9, min_length=0, charset="ab\n\u2028é"),
        spaces.Dict({"walker/gear": spaces.Discrete(2), "walker": spaces.Discrete(3)}),
        spaces.Dict({str(k): spaces.Discrete(k + 1) for k in range(12)}),
        spaces.Tuple([spaces.Discrete(k + 1) for k in range(12)]),
        spaces.Dict(OrderedDict(b=spaces.Discrete(2), a=spaces.Tuple([spaces.MultiBinary(1)]))),
        spaces.Dict({"a.b": spaces.Dict({"c.d": spaces.Discrete(2)}), "": spaces.Discrete(2)}),
    ],
    ids=repr,
)
def test_limits_starts_shapes_and_keys_come_back(space: spaces.Space) -> None:
    found = back(space)
    assert found == space
    assert found.dtype == space.dtype
    for name in ("low", "high", "bounded_below", "bounded_above", "start", "n", "nvec"):
        if hasattr(space, name):
            np.testing.assert_array_equal(getattr(found, name), getattr(space, name))
    assert type(getattr(found, "n", 0)) is type(getattr(space, "n", 0))


@pytest.mark.skipif(gym.__version__.startswith("0."), reason="Discrete has one dtype there")
def test_the_dtype_of_a_number_comes_back() -> None:
    space = spaces.Discrete(3, start=1, dtype=np.int32)
    assert back(space) == space
    assert back(space).dtype == np.int32


class Missions(spaces.Space[str]):
    """Like MiniGrid's: made of a function, it is text and says no more."""

    def __init__(self) -> None:
        super().__init__(dtype=str)

    def sample(self, mask: object = None, probability: object = None) -> str:
        return "go to the blue door"

    def contains(self, x: object) -> bool:
        return isinstance(x, str) and x.startswith("go to the ")


class Words(spaces.Text):
    """A kind of Text of one's own."""


def test_a_space_of_missions_becomes_text_of_any_letters() -> None:
    (spec,) = fields_of("observation", Missions(), axis=Axis.STATE)
    assert (spec.dtype, spec.axis) == ("str", Axis.STATE)
    found = back(Missions())
    assert isinstance(found, AnyText)
    assert "gehe zur blauen Tür" in found
    assert 3 not in found
    assert back(Words(7)) == Words(7)


@pytest.mark.parametrize(
    ("space", "complaint"),
    [
        (spaces.Sequence(spaces.Discrete(2)), "got Sequence; fill it up to a fixed length"),
        (
            spaces.Dict(a=spaces.Graph(spaces.Discrete(2), None)),
            "'observation/a': .* got Graph; observe its nodes and links in boxes",
        ),
        (spaces.Dict(), "expected a space that holds others"),
        (spaces.Tuple([]), "expected a space that holds others"),
        (spaces.Dict(OrderedDict([(1, spaces.Discrete(2))])), "key 1: expected text"),
        (gym.Space((2,), np.float32), "got Space; wrap the environment"),
        (None, "got NoneType; wrap the environment"),
    ],
    ids=lambda it: it if isinstance(it, str) else type(it).__name__,
)
def test_other_spaces_are_refused_by_name_with_a_remedy(space: object, complaint: str) -> None:
    with pytest.raises(SchemaError, match=complaint):
        fields_of("observation", space, axis=Axis.STATE)  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(spaces, "OneOf"), reason="there is no OneOf in this gymnasium")
def test_one_of_several_spaces_is_refused_by_name() -> None:
    with pytest.raises(SchemaError, match="got OneOf; say which one in a Discrete"):
        fields_of("action", spaces.OneOf([spaces.Discrete(2)]), axis=Axis.STEP)
