"""A contract says what a dataset must fulfil; one that makes no sense is refused."""

import pytest

from tests.trajstore.drives import CONTRACT
from trajstore.errors import SchemaError
from trajstore.quality.contract import Contract


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        ({"minimum": 3}, "got 'minimum'"),
        ({"minimum_episodes": 0}, "expected minimum_episodes of at least 1, got 0"),
        ({"minimum_episodes": "200"}, "expected minimum_episodes"),
        ({"minimum_episodes": float("nan")}, "expected minimum_episodes"),
        ({"required_scenarios": "crowd"}, "expected a list as required_scenarios"),
        ({"reserved_seeds": [[5, 5]]}, "expected ranges of seeds"),
        ({"reserved_seeds": [[True, 5]]}, "expected ranges of seeds"),
    ],
)
def test_a_contract_that_makes_no_sense_is_refused(
    record: dict[str, object], complaint: str
) -> None:
    with pytest.raises(SchemaError, match=complaint):
        Contract.from_json(record)


def test_a_contract_survives_json() -> None:
    assert Contract.from_json(CONTRACT.to_json()) == CONTRACT
