"""Numbers that mean nothing are refused when the line is read; output that fails is one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import factories
from trajstore.cli import run


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "store/expert").mkdir(parents=True)
    factories.dataset(tmp_path / "store/expert/v1")
    return tmp_path / "store"


@pytest.mark.parametrize(
    ("command", "values"),
    [
        ("verify expert@v1 --replay 1 --tolerance", ["nan", "inf", "-1", "x"]),
        ("verify expert@v1 --replay", ["0", "-1", "nan", "1.5", "9" * 5000]),
        ("publish {v1} --budget-gb", ["nan", "inf", "-inf", "-1", "0"]),
        ("rotate expert --keep", ["0", "-1", "nan", "9" * 5000]),
        ("rotate expert --keep-drafts", ["-1", "nan"]),
        ("rotate expert --keep-quarantined", ["-1", "inf"]),
        ("rotate expert --in-use", ["3", "v0", "v-1", "latest", "v" + "9" * 5000]),
        ("play expert@v1 --no-open --speed", ["nan", "inf", "0", "-1"]),
        ("play expert@v1 --no-open --episode", ["nan", "-1", "99"]),
        ("play expert@v1 --no-open --from", ["nan", "-1"]),
        ("play expert@v1 --no-open --to", ["nan", "-1"]),
        ("play expert@v1 --no-open --limit", ["0", "-1", "inf"]),
        ("play --no-open", ["expert@v1#-1", "expert@v1#" + "9" * 5000]),
    ],
)
def test_a_number_that_means_nothing_is_wrong_use(
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    values: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    line = [word.format(v1=store / "expert/v1") for word in command.split()]
    for value in values:
        assert run(["--store", str(store), *line, value]) == 2, value
        assert capsys.readouterr().err
        assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("command", ["list", "inspect expert@v1 --json", "du", "--help"])
def test_a_full_output_is_told_in_one_line(store: Path, command: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "trajstore", "--store", str(store), *command.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        )
    assert done.returncode == 1
    assert "trajstore: output: No space left" in done.stderr
    assert len(done.stderr.splitlines()) == 1
