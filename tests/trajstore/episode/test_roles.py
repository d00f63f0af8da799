"""What a field is to those who watch is declared, not read off its name; it changes no digest."""

import re
from pathlib import Path

import pytest

from trajstore.episode.roles import ROLES
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec
from trajstore.errors import SchemaError

ROOT = Path(__file__).parents[3]
ENDS = (
    FieldSpec("terminated", Axis.STEP, (), "bool"),
    FieldSpec("truncated", Axis.STEP, (), "bool"),
)


def pose(name: str = "base", role: str = "pose") -> FieldSpec:
    return FieldSpec(name, Axis.STATE, (3,), "float32", role=role)


def test_a_role_stands_in_json_only_where_it_is_declared() -> None:
    plain = FieldSpec("base", Axis.STATE, (3,), "float32")
    assert "role" not in plain.to_json()
    assert pose().to_json() == plain.to_json() | {"role": "pose"}
    assert FieldSpec.from_json(pose().to_json()).role == "pose"


def test_a_role_changes_neither_digest_nor_equality() -> None:
    one, other = EpisodeSchema((pose(), *ENDS)), EpisodeSchema((pose(role=""), *ENDS))
    assert one.digest == other.digest
    assert one == other
    assert (one.roles, other.roles) == ({"pose": "base"}, {})


def test_a_field_that_is_named_like_a_role_has_it_unless_another_declares_it() -> None:
    named = FieldSpec("pose", Axis.STATE, (2,), "float64")
    assert EpisodeSchema((named, *ENDS)).roles == {"pose": "pose"}
    assert EpisodeSchema((named, pose(), *ENDS)).roles == {"pose": "base"}
    far = FieldSpec("goal", Axis.EPISODE, (2,), "float32")
    assert EpisodeSchema((far, *ENDS)).roles == {"goal": "goal"}
    other = FieldSpec("clearance", Axis.EPISODE, (2,), "float32", role="goal")
    assert EpisodeSchema((other, *ENDS)).roles == {"goal": "clearance"}


def test_a_name_gives_no_role_to_a_field_that_cannot_have_it() -> None:
    flag = FieldSpec("goal", Axis.STEP, (), "bool")
    code = FieldSpec("outcome", Axis.EPISODE, (), "int64")
    assert EpisodeSchema((flag, code, *ENDS)).roles == {}


def test_names_of_older_datasets_tell_their_roles() -> None:
    old = (
        FieldSpec("robot_pose", Axis.STATE, (3,), "float32"),
        FieldSpec("robot_velocity", Axis.STATE, (2,), "float32"),
        FieldSpec("pedestrian_position", Axis.STATE, (4, 2), "float32"),
        FieldSpec("pedestrian_velocity", Axis.STATE, (4, 2), "float32"),
    )
    assert EpisodeSchema((*old, *ENDS)).roles == {
        "pose": "robot_pose",
        "velocity": "robot_velocity",
        "others": "pedestrian_position",
        "others_velocity": "pedestrian_velocity",
    }
    named = FieldSpec("pose", Axis.STATE, (2,), "float32")
    assert EpisodeSchema((named, *old, *ENDS)).roles["pose"] == "pose"


@pytest.mark.parametrize("role", ["posture", "Pose", None, 3])
def test_an_unknown_role_is_refused_with_the_list(role: str) -> None:
    with pytest.raises(SchemaError, match=f"field 'base': .* out of {', '.join(ROLES)}, got"):
        pose(role=role)


def test_one_role_belongs_to_one_field() -> None:
    with pytest.raises(SchemaError, match="'a' and 'b' both have the role 'pose'"):
        EpisodeSchema((pose("a"), pose("b"), *ENDS))


@pytest.mark.parametrize(
    ("role", "axis", "shape", "dtype"),
    [
        ("pose", Axis.STEP, (3,), "float32"),
        ("pose", Axis.STATE, (1,), "float32"),
        ("others", Axis.STATE, (4, 3), "float32"),
        ("goal", Axis.EPISODE, (3,), "float32"),
        ("walls", Axis.EPISODE, (4,), "float32"),
        ("outcome", Axis.EPISODE, (), "int64"),
    ],
)
def test_a_field_that_cannot_have_its_role_is_refused(
    role: str, axis: Axis, shape: tuple[int, ...], dtype: str
) -> None:
    with pytest.raises(SchemaError, match=rf"as role '{role}' \(.*\), got .* on the {axis} axis"):
        FieldSpec("x", axis, shape, dtype, role=role)


def test_no_robot_is_known_but_in_the_table_of_older_names() -> None:
    word = re.compile(r"(?<![a-z])(robot|pedestrian)s?(?![a-z]|_type)", re.IGNORECASE)
    files = [it for it in (ROOT / "trajstore").rglob("*") if it.suffix in (".py", ".js", ".css")]
    found = {it.name for it in [*files, *(ROOT / "trajstore").rglob("*.html")]
             if word.search(it.read_text())}  # fmt: skip
    assert found == {"roles.py"}
