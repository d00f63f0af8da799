"""What simulates a replay is named by the user, never by data, and made as it was recorded."""

import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import click
import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

from pipelines.tasks.social_nav.simulator import simulate
from pipelines.tasks.social_nav.social_nav import ENV_ID
from tests.trajstore.quality import test_replay
from trajstore.cli import run
from trajstore.cli.environments import GROUP, simulator
from trajstore.cli.verifying import replay_command
from trajstore.dataset import Dataset
from trajstore.episode import plugins
from trajstore.episode.episode import Episode
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec
from trajstore.errors import ReplayError, SchemaError
from trajstore.interop.environment import environment_of
from trajstore.interop.gymnasium import record, schema_of
from trajstore.quality.records import read_report
from trajstore.recording.bulk import write_dataset

ROOT = Path(__file__).parents[3]
GYMNASIUM = ("--environment", "gymnasium")


OFFERED = EntryPoint("Drift", f"{__name__}:drift", GROUP)


def drift(provenance: dict[str, Any]) -> Any:
    return test_replay.Drift()


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    """What installed packages offer."""
    table = [OFFERED]
    monkeypatch.setattr(plugins, "entry_points", lambda group: table if group == GROUP else [])
    monkeypatch.setattr(EntryPoint, "load", lambda entry: KNOWN[entry.value])
    return table


KNOWN = {OFFERED.value: drift}


@pytest.mark.parametrize("entry", ["os:system", "pipelines.make:f", "", "subprocess:run"])
@pytest.mark.parametrize("name", ["x", "os:system", None, 7])
def test_data_never_chooses_what_is_imported(
    offered: list[EntryPoint], entry: str, name: object
) -> None:
    why = r"no installed package offers it, and exactly one must; say what builds it"
    if name is None:
        why = r"^the provenance names no environment; say what builds it: --environment module:f"
    with pytest.raises(ReplayError, match=why):
        simulator({"environment": {"id": name, "entry_point": entry}}, None)


def test_an_installed_package_offers_what_replays_an_id(
    offered: list[EntryPoint], tmp_path: Path
) -> None:
    write_dataset(
        tmp_path / "v1",
        [test_replay.record(1)],
        schema=test_replay.SCHEMA,
        provenance=test_replay.PROVENANCE,
    )
    assert run(["verify", str(tmp_path / "v1"), "--replay", "all"]) == 0
    offered.append(OFFERED)
    assert run(["verify", str(tmp_path / "v1"), "--replay", "all"]) == 0


def test_two_packages_that_offer_one_id_are_named(offered: list[EntryPoint]) -> None:
    offered.append(EntryPoint("Drift", "elsewhere:make", GROUP))
    with pytest.raises(ReplayError, match=rf"elsewhere:make and {OFFERED.value} offers it, and"):
        simulator(test_replay.PROVENANCE, None)


def test_a_package_that_lacks_what_it_offers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint("Drift", "no_such_module_here:make", GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [broken])
    with pytest.raises(ReplayError, match=r"Drift of an .*No module named 'no_such_mod.*--env"):
        simulator(test_replay.PROVENANCE, None)


def test_this_project_offers_its_own_environment() -> None:
    project = tomllib.loads((ROOT / "pipelines" / "pyproject.toml").read_text())["project"]
    declared = project["entry-points"]
    assert set(declared[GROUP]) == {ENV_ID}
    assert EntryPoint(ENV_ID, declared[GROUP][ENV_ID], GROUP).load() is simulate


def test_an_id_that_names_a_module_is_refused() -> None:
    build = simulator({"environment": {"id": "antigravity:Flight-v0"}}, "gymnasium")
    with pytest.raises(ReplayError, match="registered Gymnasium id without a module"):
        build({"environment": {"id": "antigravity:Flight-v0"}})


def test_a_misspelt_environment_is_wrong_use() -> None:
    with pytest.raises(click.UsageError, match="write module:function"):
        simulator({}, "no_such_module:make")


def test_any_gymnasium_environment_is_replayed_and_its_report_kept(tmp_path: Path) -> None:
    write_dataset(
        tmp_path / "v1",
        [pendulum(seed) for seed in range(3)],
        schema=pendulum(0).schema,
        provenance={"environment": {"id": "CartPole-v1"}},
    )
    report = replay_command(Dataset.open(tmp_path / "v1"), "all", environment="gymnasium")
    assert str(report) == "3/3 bit-equal in 4 fields"
    assert run(["verify", str(tmp_path / "v1"), "--replay", "all", *GYMNASIUM]) == 0
    assert read_report(tmp_path / "v1") == report


def test_an_environment_is_made_with_the_arguments_that_were_recorded(tmp_path: Path) -> None:
    env = gym.make("FrozenLake-v1", is_slippery=False, map_name="8x8", max_episode_steps=9)
    rng = np.random.default_rng(0)
    episodes = list(record(env, lambda _: int(rng.integers(4)), seeds=range(4)))
    provenance = {"environment": environment_of(env)}
    assert provenance["environment"]["kwargs"]["max_episode_steps"] == 9
    write_dataset(tmp_path / "v1", episodes, schema=schema_of(env), provenance=provenance)
    assert replay_command(Dataset.open(tmp_path / "v1"), "all", environment="gymnasium").ok
    bare = {"environment": {"id": "FrozenLake-v1"}}
    write_dataset(tmp_path / "v2", episodes, schema=schema_of(env), provenance=bare)
    assert not replay_command(Dataset.open(tmp_path / "v2"), "all", environment="gymnasium").ok
    env.close()


@pytest.mark.parametrize("kwargs", [[], "map", {"render_mode": "human"}])
def test_arguments_that_are_none_of_gym_make_are_refused(kwargs: object) -> None:
    provenance = {"environment": {"id": "CartPole-v1", "kwargs": kwargs}}
    with pytest.raises(ReplayError, match=r"expected arguments of gym\.make"):
        simulator(provenance, "gymnasium")(provenance)


def test_an_argument_that_is_no_json_cannot_be_recorded() -> None:
    env = gym.make("FrozenLake-v1")
    env.spec.kwargs["desc"] = print
    with pytest.raises(SchemaError, match="expected arguments of plain JSON"):
        environment_of(env)
    with pytest.raises(SchemaError, match=r"CartPoleEnv was not made by gym\.make; name a"):
        environment_of(CartPoleEnv())


def test_a_module_of_the_current_folder_is_found_for_that_look_up_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "worlds_of_this_folder"
    (tmp_path / f"{name}.py").write_text(
        "class World:\n"
        "    def __init__(self, provenance):\n"
        "        self.kind = provenance['kind']\n"
        "    reset = step = close = lambda self: None\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [it for it in sys.path if it not in ("", str(tmp_path))])
    before = sys.path.copy()
    world: Any = simulator({}, f"{name}:World")({"kind": "a world"})
    assert world.kind == "a world"
    assert sys.path == before
    sys.modules.pop(name)


def test_without_a_known_environment_the_ways_to_name_one_are_said(tmp_path: Path) -> None:
    with pytest.raises(
        ReplayError, match=r"--environment gymnasium .* module:id .* module:function"
    ):
        simulator({"environment": {"id": "CartPole-v1"}}, None)


def pendulum(seed: int) -> Episode:
    env, rng = gym.make("CartPole-v1"), np.random.default_rng(seed)
    rows = [env.reset(seed=seed)[0]]
    steps: list[tuple[int, float, bool, bool]] = []
    while not steps or not (steps[-1][2] or steps[-1][3]):
        action = int(rng.integers(2))
        observation, reward, terminated, truncated, _ = env.step(action)
        rows.append(observation)
        steps.append((action, float(reward), terminated, truncated))
    env.close()
    actions, rewards, terminated, truncated = zip(*steps, strict=True)
    schema = EpisodeSchema(
        (
            FieldSpec("observation", Axis.STATE, (4,), "float32"),
            FieldSpec("action", Axis.STEP, (), "int64"),
            FieldSpec("reward", Axis.STEP, (), "float32"),
            FieldSpec("terminated", Axis.STEP, (), "bool"),
            FieldSpec("truncated", Axis.STEP, (), "bool"),
            FieldSpec("seed", Axis.EPISODE, (), "int64"),
        )
    )
    return Episode(
        schema,
        {
            "observation": np.stack(rows),
            "action": np.array(actions, "int64"),
            "reward": np.array(rewards, "float32"),
            "terminated": np.array(terminated),
            "truncated": np.array(truncated),
            "seed": np.array(seed, "int64"),
        },
    )
