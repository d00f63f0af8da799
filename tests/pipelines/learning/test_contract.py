"""A policy, a dataset and an environment are used together only if they agree."""

from dataclasses import replace

import pytest

from pipelines.learning.contract import Contract, ContractError, check_contract, contract_of
from tests import factories
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec

CONTRACT = contract_of(factories.SCHEMA, environment="world-1")


def changed(name: str, **values: object) -> Contract:
    fields = [dict(f) | (values if f["name"] == name else {}) for f in CONTRACT.fields]
    return replace(CONTRACT, fields=tuple(fields))


def test_observation_and_action_alone_make_the_contract() -> None:
    assert [field["name"] for field in CONTRACT.fields] == ["action", "observation"]


def test_nested_observations_belong_to_it() -> None:
    grid = FieldSpec("observation/grid", Axis.STATE, (8, 8), "uint8")
    fields = [f for f in factories.SCHEMA.fields if f.name != "observation"]
    names = [f["name"] for f in contract_of(EpisodeSchema((grid, *fields)), environment="w").fields]
    assert names == ["action", "observation/grid"]


def test_a_role_is_no_part_of_it() -> None:
    shape = factories.SCHEMA.field("observation")
    told = FieldSpec.from_json(shape.to_json() | {"role": "pose"})
    fields = (told, *(it for it in factories.SCHEMA.fields if it.name != "observation"))
    assert contract_of(EpisodeSchema(fields), environment="world-1") == CONTRACT


def test_it_is_read_as_it_was_written() -> None:
    again = Contract.from_json(CONTRACT.to_json())
    assert again.digest == CONTRACT.digest
    check_contract(CONTRACT, again, where="here")


def test_the_order_of_fields_does_not_matter_and_a_value_does() -> None:
    turned = EpisodeSchema(tuple(reversed(factories.SCHEMA.fields)))
    assert contract_of(turned, environment="world-1").digest == CONTRACT.digest
    assert changed("action", unit="m/s").digest != CONTRACT.digest
    assert replace(CONTRACT, environment="world-2").digest != CONTRACT.digest


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        (replace(CONTRACT, environment="world-2"), "expected environment world-1, got world-2"),
        (changed("observation", shape=[5]), r"expected observation.shape = \[4\], got \[5\]"),
        (changed("action", dtype="float64"), "expected action.dtype = 'float32', got 'float64'"),
        (replace(CONTRACT, fields=CONTRACT.fields[:1]), "expected field 'observation', got none"),
        (
            replace(CONTRACT, fields=(*CONTRACT.fields, {"name": "observation/grid"})),
            "expected no field 'observation/grid', got one",
        ),
    ],
)
def test_the_first_difference_is_named(other: Contract, complaint: str) -> None:
    with pytest.raises(ContractError, match=f"^here: {complaint}"):
        check_contract(CONTRACT, other, where="here")
