"""Arms are compared only if their clones were shown the same episodes of the dataset."""

from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.comparison.inputs import Inputs
from pipelines.learning.runlog import RunError


def arm(**inputs: str) -> Any:
    return SimpleNamespace(runs={1: SimpleNamespace(record=SimpleNamespace(inputs=inputs))})


def test_clones_without_other_episodes_are_not_compared() -> None:
    clone, less = arm(dataset="d"), arm(dataset="d", excluded="e" * 64)
    Inputs({"baseline": arm(), "finetune": less, "few": less}, None, None).check_origin()
    Inputs({"baseline": arm(), "finetune": clone, "few": clone}, None, None).check_origin()
    with pytest.raises(RunError, match=r"none \(arm finetune, seed 1\) and eeee"):
        Inputs({"finetune": clone, "few": less}, None, None).check_origin()
