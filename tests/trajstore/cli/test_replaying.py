"""``verify --replay`` says what came out before anything can go wrong with keeping it."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import gymnasium as gym
import pytest

from trajstore.cli import run
from trajstore.interop.environment import environment_of
from trajstore.interop.gymnasium import record, schema_of
from trajstore.lifecycle import judge
from trajstore.quality.contract import Contract
from trajstore.quality.records import report_path
from trajstore.recording.bulk import write_dataset
from trajstore.store import Store

WORLDS = """\
import gymnasium as gym


def blind(provenance):
    return gym.make("CartPole-v1")


def seven(provenance):
    return 7


class Broken(gym.Wrapper):
    def render(self):
        raise RuntimeError("no lamp")


def broken(provenance, render_mode=None):
    return Broken(gym.make("CartPole-v1", render_mode=render_mode))
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with a version of CartPole and a module of environments."""
    env = gym.make("CartPole-v1")
    episodes = list(record(env, lambda observation: int(observation[2] > 0), seeds=[1, 2, 3]))
    write_dataset(
        tmp_path / "in/expert",
        episodes,
        schema=schema_of(env),
        provenance={"environment": environment_of(env)},
    )
    env.close()
    (tmp_path / "worlds_to_replay.py").write_text(WORLDS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAJSTORE", "store")
    yield tmp_path
    sys.modules.pop("worlds_to_replay", None)


def test_a_version_in_the_archive_is_replayed_and_nothing_is_written(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(here / "store", archive=here / "archive")
    judge(here / "in/expert", Contract(minimum_episodes=1))
    store.publish(here / "in/expert", "expert")
    from trajstore.lifecycle.moving import archive_version

    archive_version(store.shelf("expert"), 1, why="made room")
    before = sorted(here.rglob("*"))
    line = ["verify", "archive:expert@v1", "--replay", "all", "--environment", "gymnasium"]
    assert run([*line, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["replay"]["equal"] == 3
    assert sorted(here.rglob("*")) == before


def test_a_report_that_cannot_be_kept_is_printed_first(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report_path(here / "in/expert").mkdir()
    line = ["verify", "in/expert", "--replay", "2", "--environment", "gymnasium"]
    assert run(line) == 1
    told = capsys.readouterr()
    assert "replay 2/2 bit-equal" in told.out
    assert "expected to keep the report of the replay, which is printed above" in told.err
    assert len(told.err.splitlines()) == 1


def test_an_environment_that_nobody_named_is_wrong_use(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify", "in/expert", "--replay", "2"]) == 2
    assert "--environment gymnasium" in " ".join(capsys.readouterr().err.split())
    assert not report_path(here / "in/expert").exists()


@pytest.mark.parametrize("function", ["os:system", "worlds_to_replay:seven"])
@pytest.mark.parametrize("command", ["play --no-open --out page.html", "verify --replay 1"])
def test_a_function_that_builds_no_environment_is_named(
    here: Path, capsys: pytest.CaptureFixture[str], command: str, function: str
) -> None:
    name, *options = command.split()
    assert run([name, "in/expert", *options, "--environment", function]) == 1
    told = capsys.readouterr().err
    assert f"environment {function}: expected" in told
    assert len(told.splitlines()) == 1
    assert not (here / "page.html").exists()


def test_an_environment_without_pictures_gives_charts(here: Path) -> None:
    line = ["play", "in/expert", "--no-open", "--out", "page.html"]
    assert run([*line, "--environment", "worlds_to_replay:blind"]) == 0
    assert "data:image/webp" not in (here / "page.html").read_text()


def test_an_environment_that_fails_to_render_is_named(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["play", "in/expert", "--no-open", "--out", "page.html"]
    assert run([*line, "--environment", "worlds_to_replay:broken"]) == 1
    assert "expected it to render, got RuntimeError: no lamp" in capsys.readouterr().err
