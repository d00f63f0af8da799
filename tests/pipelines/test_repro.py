"""``make repro`` runs DVC with this very Python, and ends with what is worth opening."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from pipelines import repro
from trajstore.files import write_json

REPORT = {
    "ratio": {
        "gate": {"estimate": 0.07, "low": 0.03, "high": 0.2},
        "few": {"estimate": None, "low": None, "high": None},
    },
    "headline": ["Pre-training saves 93 % of the steps."],
}


def test_a_stage_s_python_is_the_one_that_started_it() -> None:
    environment = repro.environment()
    first = environment["PATH"].split(os.pathsep)[0]
    assert first == str(Path(sys.executable).parent)
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["DVC_NO_ANALYTICS"] == "1"


@pytest.mark.parametrize("status", [0, 3])
def test_the_exit_status_is_that_of_dvc(
    status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[list[str]] = []

    def called(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(words)
        return subprocess.CompletedProcess(words, status)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", called)
    assert repro.main(["repro", "baseline"]) == status
    assert asked == [[sys.executable, "-m", "dvc", "repro", "baseline"]]


def test_it_ends_with_the_ratios_and_the_paths(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/reports").mkdir(parents=True)
    write_json(tmp_path / "data/reports/comparison.json", REPORT)
    (tmp_path / "data/reports/report.html").touch()
    console = Console(record=True, width=100)
    repro.conclude(console, 120.0)
    text = console.export_text()
    for part in ("0.070", "0.030 to 0.200", "not run", "93 %", "2.0 minutes", "report.html"):
        assert part in text
    assert "['" not in text


def test_without_a_report_it_ends_in_silence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    console = Console(record=True)
    repro.conclude(console, 1.0)
    assert console.export_text() == ""


def test_the_study_follows_the_pipeline_and_stops_at_the_first_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    def called(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(words[2])
        return subprocess.CompletedProcess(words, int(words[2] == "pipelines.finetune"))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", called)
    assert repro.main(["study"]) == 1
    assert asked == ["dvc", "pipelines.pretrain", "pipelines.finetune"]
