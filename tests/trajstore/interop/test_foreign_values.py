"""Actions, rewards and values of environments that others wrote: kept as they are, or refused."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from trajstore.episode.fields import Axis, FieldSpec
from trajstore.errors import SchemaError
from trajstore.interop.gymnasium import record, schema_of


class Told(gym.Env):
    """Reports one thing in info, and takes one of three actions."""

    observation_space = spaces.Discrete(2)
    action_space: Any = spaces.Discrete(3)

    def __init__(self, reward: Any = 0.0, **info: Any) -> None:
        self.reward, self.info = reward, info

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return 0, self.info

    def step(self, action: Any) -> Any:
        assert action in self.action_space, "actions are looked at before they are taken"
        return 1, self.reward, True, False, self.info


@pytest.mark.parametrize(
    "action",
    [1.9, -0.5, None, "1", b"1", 1j, [1], np.array([1]), np.nan, 2**64, {}, object(), (0, 1)],
)
def test_an_action_that_would_be_another_one_is_refused(action: Any) -> None:
    with pytest.raises(SchemaError, match=r"field 'action': expected int64 .* at step 0 of seed 9"):
        next(record(Told(), lambda _: action, seeds=[9]))


@pytest.mark.parametrize("action", [3, -1, np.int8(-1), np.float64(5.0)])
def test_an_action_outside_of_its_space_is_refused_before_it_is_taken(action: Any) -> None:
    with pytest.raises(
        SchemaError, match=r"row 0: expected values in \[0, 2\], .* at step 0 of seed 9"
    ):
        next(record(Told(), lambda _: action, seeds=[9]))


@pytest.mark.parametrize("action", [1, True, 1.0, np.float32(1), np.array(1), np.uint64(1)])
def test_an_action_that_is_the_same_number_is_taken(action: Any) -> None:
    class Trusting(Told):
        action_space = type("Any", (spaces.Discrete,), {"contains": lambda *_: True})(3)

    (episode,) = record(Trusting(), lambda _: action, seeds=[9])
    assert episode["action"].tolist() == [1]


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        *(("bool", it) for it in (0.3, 2, None, "True", np.nan, [True])),
        *(("str", it) for it in (None, 0.3, True, b"text", ["text"], 7)),
        *(("uint8", it) for it in (-1, 256, 0.5, np.inf, "1", None)),
        *(("int64", it) for it in (2**63, -0.1, np.float64(2**63), np.datetime64("2020"))),
        *(("float32", it) for it in (0.1, 2**24 + 1, np.float64(1e300), 1j, "0.5", np.nan)),
        *(("float64", it) for it in (2**53 + 1, np.uint64(2**64 - 1), None, [[]], [0.0, [1.0]])),
        ("float64", np.ma.masked_array(1.0, True)),
    ],
)
def test_what_would_change_on_its_way_into_a_field_is_refused(dtype: str, value: Any) -> None:
    schema = schema_of(Told(), extra=[FieldSpec("it", Axis.STEP, (), dtype)])
    with pytest.raises(SchemaError, match=r"field 'it': (expected|row 0)"):
        next(record(Told(it=value), lambda _: 0, seeds=[9], schema=schema))


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("bool", 1),
        ("bool", 0.0),
        ("bool", np.True_),
        ("str", np.str_("é")),
        ("str", np.array("x")),
        ("uint8", 255.0),
        ("int64", np.uint64(2**63 - 1)),
        ("float32", 0.5),
        ("float32", np.float64(0.25)),
        ("float32", 2**24),
        ("float64", np.float32(0.1)),
        ("float64", 2**53),
        ("float64", np.longdouble(1.5)),
    ],
)
def test_what_stays_the_same_is_taken(dtype: str, value: Any) -> None:
    schema = schema_of(Told(), extra=[FieldSpec("it", Axis.STEP, (), dtype)])
    (episode,) = record(Told(it=value), lambda _: 0, seeds=[9], schema=schema)
    assert episode["it"][0] == value
    assert episode["it"].dtype.kind == np.dtype(dtype).kind


def test_a_part_of_an_action_that_would_be_lost_is_refused() -> None:
    class Two(Told):
        action_space = spaces.Dict(a=spaces.Discrete(2), b=spaces.Discrete(2))

    with pytest.raises(SchemaError, match="'action/c': expected no such part of an action"):
        next(record(Two(), lambda _: {"a": 1, "b": 0, "c": 1}, seeds=[9]))
    with pytest.raises(SchemaError, match="'action/b': expected it as a part of the value"):
        next(record(Two(), lambda _: {"a": 1}, seeds=[9]))


@pytest.mark.parametrize("reward", [None, "1", [1.0], np.ones(2), 1j])
def test_a_reward_that_is_no_number_is_refused(reward: Any) -> None:
    with pytest.raises(SchemaError, match="field 'reward': expected float64 of shape"):
        next(record(Told(reward), lambda _: 0, seeds=[9]))
