"""A policy, a dataset and an environment are used together only if they agree."""

from dataclasses import replace

import pytest

from pipelines.tasks.interface import Interface, InterfaceError, check_interface, interface_of
from tests import factories
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec

INTERFACE = interface_of(factories.SCHEMA, environment="world-1")


def changed(name: str, **values: object) -> Interface:
    fields = [dict(f) | (values if f["name"] == name else {}) for f in INTERFACE.fields]
    return replace(INTERFACE, fields=tuple(fields))


def test_observation_and_action_alone_make_the_interface() -> None:
    assert [field["name"] for field in INTERFACE.fields] == ["action", "observation"]


def test_nested_observations_belong_to_it() -> None:
    grid = FieldSpec("observation/grid", Axis.STATE, (8, 8), "uint8")
    fields = [f for f in factories.SCHEMA.fields if f.name != "observation"]
    names = [
        f["name"] for f in interface_of(EpisodeSchema((grid, *fields)), environment="w").fields
    ]
    assert names == ["action", "observation/grid"]


def test_a_role_is_no_part_of_it() -> None:
    shape = factories.SCHEMA.field("observation")
    told = FieldSpec.from_json(shape.to_json() | {"role": "pose"})
    fields = (told, *(it for it in factories.SCHEMA.fields if it.name != "observation"))
    assert interface_of(EpisodeSchema(fields), environment="world-1") == INTERFACE


def test_it_is_read_as_it_was_written() -> None:
    again = Interface.from_json(INTERFACE.to_json())
    assert again.digest == INTERFACE.digest
    check_interface(INTERFACE, again, where="here")


def test_the_order_of_fields_does_not_matter_and_a_value_does() -> None:
    turned = EpisodeSchema(tuple(reversed(factories.SCHEMA.fields)))
    assert interface_of(turned, environment="world-1").digest == INTERFACE.digest
    assert changed("action", unit="m/s").digest != INTERFACE.digest
    assert replace(INTERFACE, environment="world-2").digest != INTERFACE.digest


def test_a_description_may_be_corrected() -> None:
    check_interface(INTERFACE, changed("observation", description="told better"), where="here")


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        (replace(INTERFACE, environment="world-2"), "expected environment world-1, got world-2"),
        (changed("observation", shape=[5]), r"expected observation.shape = \[4\], got \[5\]"),
        (changed("action", dtype="float64"), "expected action.dtype = 'float32', got 'float64'"),
        (replace(INTERFACE, fields=INTERFACE.fields[:1]), "expected field 'observation', got none"),
        (
            replace(INTERFACE, fields=(*INTERFACE.fields, {"name": "observation/grid"})),
            "expected no field 'observation/grid', got one",
        ),
    ],
)
def test_the_first_difference_is_named(other: Interface, complaint: str) -> None:
    with pytest.raises(InterfaceError, match=f"^here: {complaint}"):
        check_interface(INTERFACE, other, where="here")
