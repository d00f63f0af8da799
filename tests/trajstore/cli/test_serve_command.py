"""The command ``serve`` says where it is, answers there, and ends cleanly by Ctrl-C."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests import factories
from trajstore.cli import run

pytest.importorskip("werkzeug", reason="werkzeug is not installed")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRAJSTORE", raising=False)
    factories.dataset(tmp_path / "data/store/expert/v1", count=4)
    return tmp_path / "data"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_end(data: Path, number: signal.Signals) -> None:
    words = [sys.executable, "-m", "trajstore", "serve", "expert@v1", "--port", "0"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(
        [*words, "--no-open"], cwd=data.parent, env=env, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as running:  # fmt: skip
        assert running.stdout is not None
        assert running.stderr is not None
        look, mark = running.stdout.readline(), running.stdout.readline()
        address = look.partition(": ")[2].strip()
        assert mark.startswith(f"to mark: {address}#token=")
        with urllib.request.urlopen(address, timeout=30) as answer:
            assert b"expert v1" in answer.read()
        with socket.create_connection(("127.0.0.1", int(address.split(":")[2].split("/")[0]))):
            begun = time.monotonic()
            running.send_signal(number)
            assert running.wait(20) == 0
            assert time.monotonic() - begun < 10
        assert running.stderr.read() == ""


def test_what_cannot_be_served_is_one_line(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for words, status, told in (
            (["serve", "--port", port, "--no-open"], 1, "cannot be used"),
            (["serve", "--host", "203.0.113.9", "--no-open"], 1, "cannot be used"),
            (["serve", "--host", "no such host", "--no-open"], 1, "cannot be used"),
            (["serve", "nobody@v1", "--no-open"], 2, "no version at"),
            (["serve", "--store", "nowhere", "--no-open"], 2, "no store there"),
        ):
            assert run(words) == status
            said = capsys.readouterr().err
            assert told in said
            assert said.count("\n") == 1
    assert not (data / "reviews.json").exists()


def test_a_missing_package_is_named(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "werkzeug", None)
    for name in [
        it for it in sys.modules if it.startswith(("werkzeug.", "trajstore.playback.server"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    assert run(["serve", "--no-open"]) == 2
    assert "pip install 'trajstore[serve]'" in capsys.readouterr().err


def test_json_is_one_document(data: Path) -> None:
    words = [sys.executable, "-m", "trajstore", "serve", "--port", "0", "--json"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(
        words, cwd=data.parent, env=env, text=True, stdout=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        lines = [running.stdout.readline() for _ in range(6)]
        told = json.loads("".join(lines))
        assert told["link"] == f"{told['address']}#token={told['token']}"
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 0
