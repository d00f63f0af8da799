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
import numpy as np


def blind(provenance):
    return gym.make("CartPole-v1")


def seven(provenance):
    return 7


class Broken(gym.Wrapper):
    def render(self):
        raise RuntimeError("no lamp")


def broken(provenance, render_mode=None):
    return Broken(gym.make("CartPole-v1", render_mode=render_mode))


class Other(gym.Wrapper):
    picture = None

    def render(self):
        return self.picture


def other(picture):
    def build(provenance, render_mode=None):
        env = Other(gym.make("CartPole-v1", render_mode=render_mode))
        env.picture = picture
        return env

    return build


bright = other(np.ones((4, 4, 3)))
listing = other([np.zeros((4, 4, 3), np.uint8)])
flat = other(np.zeros((4, 4, 5), np.uint8))


class Unclosed(gym.Wrapper):
    def close(self):
        raise OSError("stuck")


def unclosed(provenance, render_mode=None):
    return Unclosed(gym.make("CartPole-v1", render_mode=render_mode))
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
    assert "the report above could not be saved" in told.err
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
    assert f"environment {function}: " in told
    assert len(told.splitlines()) == 1
    assert not (here / "page.html").exists()


@pytest.mark.parametrize(
    ("world", "why"),
    [
        ("blind", "must be made in render mode 'rgb_array', got None"),
        ("broken", "could not be rendered: RuntimeError: no lamp"),
        ("bright", "'render' must return uint8[height, width, 3], got float64"),
        ("listing", "'render' must return uint8[height, width, 3], got list"),
        ("flat", "could not be rendered:"),
        ("unclosed", "could not be rendered: OSError: stuck"),
    ],
)
def test_without_pictures_there_are_charts_and_a_line_that_says_why(
    here: Path, capsys: pytest.CaptureFixture[str], world: str, why: str
) -> None:
    line = ["play", "in/expert", "--no-open", "--out", "page.html"]
    assert run([*line, "--environment", f"worlds_to_replay:{world}"]) == 0
    (told,) = capsys.readouterr().err.splitlines()
    page = (here / "page.html").read_text()
    assert why in told
    assert ("data:image/webp" in page) is (world == "unclosed")
    assert f"{'No more frames' if world == 'unclosed' else 'Charts only'}: " in page


REGISTERING = """\
import gymnasium as gym

gym.register("lab/Cart-v0", entry_point="gymnasium.envs.classic_control:CartPoleEnv")
"""


def test_a_module_that_registers_the_recorded_id_is_named_before_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "registering_for_lab.py").write_text(REGISTERING)
    env = gym.make("CartPole-v1")
    episodes = list(record(env, lambda observation: int(observation[2] > 0), seeds=[1, 2]))
    provenance = {"environment": {"id": "lab/Cart-v0", "kwargs": {}, "wrappers": []}}
    write_dataset(here / "in/lab", episodes, schema=schema_of(env), provenance=provenance)
    line = ["verify", "in/lab", "--replay", "all", "--environment"]
    try:
        assert run([*line, "gymnasium"]) == 1
        assert "module:id where a module of yours registers it" in capsys.readouterr().err
        assert run([*line, "registering_for_lab:lab/Other-v0"]) == 2
        assert "module:id of the recorded id, 'lab/Cart-v0'" in capsys.readouterr().err
        assert run([*line, "registering_for_lab:lab/Cart-v0"]) == 0
    finally:
        gym.registry.pop("lab/Cart-v0", None)
        sys.modules.pop("registering_for_lab", None)


def test_a_registered_environment_that_cannot_be_made_gives_charts(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = gym.make("CartPole-v1")
    episodes = list(record(env, lambda _: 0, seeds=[1]))
    provenance = {"environment": {"id": "GoneWithTheWind-v0"}}
    write_dataset(here / "in/gone", episodes, schema=schema_of(env), provenance=provenance)
    line = ["play", "in/gone", "--no-open", "--out", "page.html", "--environment", "gymnasium"]
    assert run(line) == 0
    assert "Charts only: environment gymnasium: could not be built" in capsys.readouterr().err
    assert (here / "page.html").exists()
