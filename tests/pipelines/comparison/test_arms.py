"""An arm is all of its seeds, or an error that names the one at fault."""

from pathlib import Path

import pytest

from pipelines.comparison.arms import load_arm
from pipelines.learning.runlog import RunError
from tests.pipelines import runs


def test_a_seed_whose_record_is_gone_is_missed_and_not_dropped(tmp_path: Path) -> None:
    curve = runs.Curve(0.9, 0.9, 1.0)
    runs.write_arm(tmp_path / "finetune", curve, arm="finetune", seeds=range(3), grid=[0, 8])
    (tmp_path / "finetune/seed_2/run.json").unlink()
    with pytest.raises(RunError, match=r"seed_2: run.json is missing; run the stage again"):
        load_arm("finetune", tmp_path / "finetune")
