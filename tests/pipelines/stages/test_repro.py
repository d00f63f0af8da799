"""``make repro`` runs DVC with this very Python, and ends with what is worth opening."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.stages import repro
from trajstore.disk.files import write_json

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
    asked: list[Sequence[str]] = []

    def called(words: Sequence[str]) -> int:
        asked.append(words)
        return status

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(repro, "reproduce", called)
    assert repro.main(["repro", "baseline"]) == status
    assert asked == [[sys.executable, "-m", "dvc", "repro", "baseline"]]


def test_what_dvc_says_is_passed_on_with_the_place_of_each_stage(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages: {first: {cmd: a}, second: {cmd: b}}\n")
    said = "import sys; print(\"Running stage 'second':\"); print('> b'); sys.exit(5)"
    assert repro.reproduce([sys.executable, "-c", said]) == 5
    assert capfd.readouterr().out.splitlines() == [
        "[2 of 2] second",
        "Running stage 'second':",
        "> b",
    ]


def test_an_interruption_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(repro, "drive", interrupted)
    assert repro.main([]) == repro.INTERRUPTED
    assert "Run it again" in capfd.readouterr().err


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


def test_a_ratio_whose_interval_is_open_is_shown_as_such(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/reports").mkdir(parents=True)
    ratio = {"gate": {"estimate": 0.07, "low": 0.03, "high": None}}
    write_json(tmp_path / "data/reports/comparison.json", REPORT | {"ratio": ratio})
    console = Console(record=True, width=100)
    repro.conclude(console, 120.0)
    assert "0.030 to ?" in console.export_text()


STAGE = """
import pathlib, subprocess, sys, time
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path("pids").write_text(f"{worker.pid}")
print("begun", flush=True)
time.sleep(60)
"""
DRIVER = """
import signal, sys
from pipelines.stages import repro
signal.signal(signal.SIGINT, signal.SIG_IGN if IGNORED else signal.default_int_handler)
repro.drive = lambda *_: repro.reproduce([sys.executable, "-c", STAGE])
sys.exit(repro.main([]))
"""


@pytest.mark.parametrize(
    ("number", "ignored"),
    [(signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGTERM, True)],
)
def test_a_signal_to_the_driver_alone_stops_what_it_started(
    number: signal.Signals, *, ignored: bool, tmp_path: Path
) -> None:
    driver = f"STAGE, IGNORED = {STAGE!r}, {ignored}\n{DRIVER}"
    words = [sys.executable, "-c", driver]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    paths = {"PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(
        words, cwd=tmp_path, env=repro.environment() | paths, **options
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
    assert process.returncode == repro.INTERRUPTED
    assert "Run it again" in said
    worker = Path(f"/proc/{(tmp_path / 'pids').read_text()}/stat")
    assert not worker.exists() or worker.read_text().split()[2] == "Z"


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

    def called(words: list[str]) -> int:
        asked.append(words[3])
        return int(words[3] == "finetune")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(repro, "reproduce", lambda _: 0)
    monkeypatch.setattr(repro, "call", called)
    assert repro.main(["study"]) == 1
    assert asked == ["pretrain", "finetune"]
