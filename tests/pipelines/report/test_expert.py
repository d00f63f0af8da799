"""A promotion is shown with its intervals, a refusal with its reasons and what to try."""

from pathlib import Path
from typing import Any

import pytest

from pipelines.learning.promotion import write_manifest
from pipelines.learning.runlog import RunRecord, RunStatus, write_evaluations
from pipelines.learning.sealing import seal_arm, seal_run
from pipelines.report.expert import promotion, write_expert
from pipelines.stages.report import main
from tests.pipelines import runs, tiny


def manifest(*, promoted: bool = True) -> dict[str, Any]:
    seeds = [tiny.rates(0.94, 0.04, seed=2), tiny.rates(0.96, 0.03, seed=1)]
    return runs.manifest_of(
        [row | {"steps": 1000, "return": 1.0} for row in seeds],
        id="expert-0123",
        state="approved" if promoted else "draft",
        reasons=[] if promoted else ["seed 2: expected success >= 0.95, got 0.940"],
        diagnosis=[] if promoted else ["try more expert.budget.steps"],
        pooled={"success": 0.95, "collision": 0.035, "episodes": 400},
    )


def folder(target: Path) -> Path:
    target.mkdir(parents=True)
    for seed in (1, 2):
        (target / f"seed_{seed}").mkdir()
        rows = [
            {"steps": steps, "episodes": 4, "success": 0.5, "collision": 0.1, "return": 0.0}
            | {"by_scenario": {"a/low": {"episodes": 4, "success": 0.5, "collision": 0.1}}}
            for steps in (0, 500, 1000)
        ]
        write_evaluations(target / f"seed_{seed}", rows)
        seal_run(target / f"seed_{seed}", RunRecord("expert", seed, RunStatus.COMPLETED, 1000))
    seal_arm(target, "expert", (1, 2))
    write_manifest(target, manifest())
    return target


def test_a_promotion_names_every_seed_and_scenario_with_intervals() -> None:
    text = promotion(manifest(), ("low", "medium", "high"))
    assert "expert-0123: approved, seed 1. Judged on 200 held-out episodes a seed" in text
    assert "| 1 | 1,000 | 0.960 [0.923, 0.980] | 0.030 [0.014, 0.064] |" in text
    assert "| all | | 0.950 [0.924, 0.967] |" in text
    assert "| blind_corner | - | 0.95 [0.91, 0.97] / 0.04 [0.02, 0.07] |" in text
    assert "| frontal_approach | 1.00 [0.98, 1.00] / 0.00 [0.00, 0.02] | - |" in text
    assert "What to try" not in text


def test_a_refusal_says_why_and_what_to_try() -> None:
    text = promotion(manifest(promoted=False))
    for part in ("draft", "- seed 2: expected success", "## What to try", "- try more"):
        assert part in text


def test_the_same_expert_gives_the_same_bytes(tmp_path: Path) -> None:
    source = folder(tmp_path / "expert")
    for name in ("one", "two"):
        write_expert(source, tmp_path / name)
    one, two = tiny.contents(tmp_path / "one"), tiny.contents(tmp_path / "two")
    assert one == two
    assert set(one) == {"expert.md", "expert.png"}
    assert one["expert.png"].startswith(b"\x89PNG")


@pytest.mark.parametrize(("name", "status"), [("expert", 0), ("nowhere", 1)])
def test_the_command_says_where_the_table_is(
    name: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder(tmp_path / "expert")
    assert main([str(tmp_path / name), "--out", str(tmp_path / "out")]) == status
    assert capsys.readouterr().out.endswith("expert.md\n") == (status == 0)
