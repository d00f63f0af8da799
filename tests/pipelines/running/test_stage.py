"""What a user can act on is one line and exit status 1; a bug stays a traceback."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import pytest

from pipelines.running.stage import INTERRUPTED, in_one_line
from trajstore.errors import StatusError


def failing(error: Exception) -> int:
    @in_one_line
    def main(argv: Sequence[str] | None = None) -> int:
        raise error

    return main()


def test_an_expected_error_is_one_line_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(StatusError("expert: expected approved,\n got draft")) == 1
    assert capsys.readouterr().err == "expert: expected approved, got draft\n"


def test_a_bug_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        failing(ZeroDivisionError())


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NotADirectoryError(20, "Not a directory", "a/b"), "a/b: Not a directory; look"),
        (
            OSError(5, "Input/output error"),
            "the system refused: Input/out",
        ),
    ],
)
def test_what_the_disk_refuses_is_one_line(
    error: OSError, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(error) == 1
    assert capsys.readouterr().err.startswith(said)


def test_a_good_end_keeps_its_status() -> None:
    assert in_one_line(lambda argv=None: len(argv or ()))(["a", "b"]) == 2


@pytest.mark.parametrize(
    "stage", ["expert", "record", "validate", "publish", "pretrain", "finetune --arm a --out o"]
)
def test_every_stage_says_in_one_line_that_it_has_no_parameters(
    stage: str, capsys: pytest.CaptureFixture[str], tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name, *options = stage.split()
    main = import_module(f"pipelines.stages.{name}").main
    assert main(["--params", "none.yaml", *options]) == 1
    error = capsys.readouterr().err
    assert error.startswith("none.yaml: expected a YAML file")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "stage",
    ["expert", "record", "validate", "publish", "pretrain", "finetune", "compare", "export",
     "pull", "repro", "report"],
)  # fmt: skip
def test_the_help_of_every_stage_ends_with_an_example(
    stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        import_module(f"pipelines.stages.{stage}").main(["--help"])
    assert left.value.code == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"example: python -m pipelines {stage} ")


def test_ctrl_c_is_one_line_and_status_130(capsys: pytest.CaptureFixture[str]) -> None:
    @in_one_line
    def main(argv: Sequence[str] | None = None) -> int:
        raise KeyboardInterrupt

    assert main([]) == INTERRUPTED
    assert capsys.readouterr().err == "stopped; run again to continue\n"


SLEEPERS = """
import signal, sys, time
from pathlib import Path
from pipelines.running.fanout import run_jobs
from pipelines.running.stage import in_one_line


def sleep(number):
    Path(f"job-{number}").touch()
    time.sleep(60)


@in_one_line
def main(argv=None):
    return len(run_jobs(sleep, range(4)))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    sys.exit(main())
"""


def test_ctrl_c_in_a_terminal_stops_the_workers_without_a_traceback(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SLEEPERS)
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "TRAJSTORE_WORKERS": "2",
    }
    with subprocess.Popen(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        deadline = time.monotonic() + 60.0
        while len(list(tmp_path.glob("job-*"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=30.0)
    assert said == "stopped; run again to continue\n"
    assert process.returncode == INTERRUPTED
