"""Scenarios that fail more are played more; none is ever left out; nothing failing means evenly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.learning.training import scenario_weights


def row(**success: float) -> dict[str, object]:
    return {"by_scenario": {name: {"success": rate} for name, rate in success.items()}}


def test_the_share_goes_by_failures_and_the_rest_evenly() -> None:
    weights = scenario_weights([row(a=1.0, b=0.7, c=0.9)], share=0.5)
    assert weights == pytest.approx({"a": 1 / 6, "b": 1 / 6 + 0.375, "c": 1 / 6 + 0.125})


def test_older_evaluations_count_half_as_much_as_the_next() -> None:
    weights = scenario_weights([row(a=0.0, b=1.0), row(a=1.0, b=0.5)], share=1.0)
    assert weights == pytest.approx({"a": 0.5 / 0.75, "b": 0.25 / 0.75})


@given(
    st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30),
    st.floats(0.0, 1.0),
)
def test_chances_sum_to_one_and_none_is_below_its_even_part(
    success: list[float], share: float
) -> None:
    played = row(**{f"s{index}": rate for index, rate in enumerate(success)})
    weights = scenario_weights([played], share=share)
    assert sum(weights.values()) == pytest.approx(1.0)
    assert min(weights.values()) >= (1.0 - share) / len(success) - 1e-12


def test_without_failures_or_evaluations_nothing_is_preferred() -> None:
    assert scenario_weights([row(a=1.0, b=1.0)], share=0.9) == {"a": 0.5, "b": 0.5}
    assert scenario_weights([], share=0.9) == {}
