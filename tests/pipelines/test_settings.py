"""The sections of the parameter file, and what they refuse."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.compare import CompareParams
from pipelines.env.scenarios import held_out_families, held_out_names
from pipelines.params import ParamsError, read_section
from tests.pipelines import tiny

ROOT = Path(__file__).parents[2]


def test_a_scenario_for_evaluation_only_cannot_be_trained_on() -> None:
    chosen = (*tiny.SCENARIOS, held_out_names()[0])
    with pytest.raises(ParamsError, match="got 'pedestrian_overtaking/low', which is for eval"):
        replace(tiny.ENV, scenarios=chosen)


@pytest.mark.parametrize("path", ["params.yaml", "tests/tiny/params.yaml"])
def test_the_comparison_holds_out_what_the_scenarios_hold_out(path: str) -> None:
    compare = read_section(ROOT / path, "compare", CompareParams)
    assert compare.held_out == CompareParams().held_out == held_out_families()
