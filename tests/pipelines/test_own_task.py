"""Tasks of the user's: a class, a plug-in, one not reproducible; and every kind of teacher."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import yaml

from pipelines.__main__ import main
from pipelines.comparison.record import read_comparison
from pipelines.running.params import ParamsError
from pipelines.tasks.drawing import ENOUGH_FAILURES, Drawn
from pipelines.tasks.gym_task import GymTask
from pipelines.tasks.reading import read_task
from trajstore import write_dataset
from trajstore.dataset import Dataset
from trajstore.disk.files import read_json
from trajstore.errors import PluginError
from trajstore.interop.gymnasium import record as play
from trajstore.interop.gymnasium import schema_of
from trajstore.interop.npz import export_dataset, import_dataset

SMALL = Path(__file__).parents[1] / "tiny" / "cartpole.yaml"
OWN = '''
from dataclasses import dataclass

import gymnasium as gym
import numpy as np

from pipelines.tasks.gym_task import GymTask
from trajstore import Axis, FieldSpec

SPACES = {
    "box": gym.spaces.Box(-np.inf, np.inf, (2,), np.float32),
    "dict": gym.spaces.Dict(
        {"at": gym.spaces.Box(-np.inf, np.inf, (1,), np.float64), "side": gym.spaces.Discrete(2)}
    ),
    "tuple": gym.spaces.Tuple(
        (gym.spaces.Box(-np.inf, np.inf, (1,), np.float32), gym.spaces.MultiBinary(2))
    ),
}
ACTIONS = {
    "free": gym.spaces.Box(-np.inf, np.inf, (2,), np.float32),
    "many": gym.spaces.MultiDiscrete([3, 2]),
    "one": gym.spaces.Discrete(3, start=-1),
}


class Line(gym.Env):
    """Walk to 1 before step 8, and not below -1."""

    version = "1"

    def __init__(self, seen="box", action="one", noise=0.0, ends="clock"):
        self.observation_space, self.action_space = SPACES[seen], ACTIONS[action]
        self.kind, self.noise, self.ends = seen, noise, ends

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        near = (options or {}).get("scenario") == "near"
        self.at, self.steps = 0.3 * near + 0.1 * self.np_random.uniform(-1.0, 1.0), 0
        return self._seen(), {"margin": 1.0 + self.at}

    def step(self, action):
        assert self.action_space.contains(action), action
        first = float(np.asarray(action, float).reshape(-1)[0])
        self.at += 0.25 * np.clip(first, -1.0, 1.0) + self.noise * np.random.default_rng().normal()
        self.steps += 1
        there, fell, late = self.at >= 1.0, self.at <= -1.0, self.steps >= 8
        if self.ends == "clock only":
            fell = there = False
        info = {"is_success": bool(there), "margin": 1.0 + self.at}
        return self._seen(), self.at, bool(there or fell), bool(late), info

    def _seen(self):
        at = np.array([self.at])
        if self.kind == "dict":
            return {"at": at, "side": int(self.at > 0.5)}
        if self.kind == "tuple":
            return at.astype(np.float32), np.array([self.at > 0, self.steps % 2], np.int8)
        return np.array([self.at, self.steps], np.float32)


def build(**kwargs):
    return Line(**kwargs)


def ahead(seen):
    return 1


@dataclass(frozen=True)
class Task(GymTask):
    """Builds it itself, and measures one thing more."""

    noise: float

    scene = (FieldSpec("margin", Axis.STEP, (), "float64", unit="m", role="clearance"),)

    def build(self):
        return Line(noise=self.noise)

    def metrics(self, episode):
        return {**super().metrics(episode), "least_margin": float(episode["margin"].min())}

    def units(self):
        return {**super().units(), "least_margin": "m"}


class NoBuild(GymTask):
    """Forgot it."""
'''
ENV = {
    "id": "line_task:build",
    "kwargs": {},
    "scenarios": [],
    "success": "is_success",
    "failure": "fell",
    "horizon": 0,
}
RATES = [{"metric": "success", "at_least": 0.0}, {"metric": "fell", "at_most": 1.0}]
FINISH: tuple[list[str], ...] = (
    ["pretrain"],
    ["finetune", "--arm", "baseline", "--out", "data/runs/baseline"],
    ["finetune", "--arm", "finetune", "--start", "data/runs/clone", "--out", "data/runs/finetune"],
    ["compare"],
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "line_task.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "line_task", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(change: Callable[[dict[str, Any]], None] = lambda _: None, **env: Any) -> None:
    """The parameters of a scripted teacher's comparison, too small to learn anything."""
    params: dict[str, Any] = yaml.safe_load(SMALL.read_text())
    params["env"] = {**ENV, **env}
    params["expert"] = None
    params["evaluation"] = {"track_each": 4, "judge_each": 4}
    params["record"] |= {"each": 6, "teacher": "line_task:ahead"}
    params["validate"] |= {"policy_episodes": 0, "replay_episodes": 2}
    params["finetune"]["arrival"]["conditions"] = RATES
    params["finetune"]["ppo"] |= {"num_envs": 2, "num_steps": 32, "minibatch": 32, "epochs": 1}
    clone = params["finetune"]["from_clone"]["finetune"]
    params["finetune"]["from_clone"] = {
        "finetune": clone | {"num_envs": 2, "num_steps": 32, "minibatch": 32, "epochs": 1}
    }
    budget = {"steps": 128, "evaluate_every": 64, "stop_on_arrival": False}
    params["finetune"]["budgets"] = {"baseline": budget, "finetune": budget}
    params["compare"] |= {"target": RATES, "targets": [0.0, 0.5], "expert": ""}
    change(params)
    Path("params.yaml").write_text(yaml.safe_dump(params))


def run(*stages: list[str]) -> None:
    for stage in stages:
        reviews = [] if stage[0] in ("compare", "record", "expert") else ["--reviews", "r.json"]
        assert main([*stage, *reviews]) == 0, stage


@pytest.mark.slow
def test_a_class_of_the_user_says_what_is_different(here: Path) -> None:
    written(id="line_task:Task", noise=0.0, scenarios=["near", "far"])
    run(["record"], ["validate"], *FINISH)
    dataset = Dataset.open(Path("data/current/expert"))
    assert dataset.schema.field("margin").role == "clearance"
    assert set(dataset.episodes["scenario"]) == {"near", "far"}
    report = read_comparison(Path("data/reports/comparison.json"))
    assert report.units["least_margin"] == "m"
    assert set(report.metrics["finetune"]) == {"success", "fell", "least_margin"}
    assert {row.scenario for row in report.scenarios} == {"near", "far"}
    assert "No expert was trained" in Path("data/reports/expert.md").read_text()
    assert Path("data/reports/expert.png").is_file()


def test_a_class_is_read_with_its_own_keys_and_no_others(here: Path) -> None:
    written(id="line_task:Task", noise=0.5)
    task = read_task(Path("params.yaml"))
    assert type(task).__name__ == "Task"
    written(id="line_task:Task")
    with pytest.raises(ParamsError, match="env: the key 'noise' is missing; add it"):
        read_task(Path("params.yaml"))
    written(id="line_task:build", noise=0.5)
    with pytest.raises(ParamsError, match="got 'noise'"):
        read_task(Path("params.yaml"))
    written(id="line_task:NoBuild")
    with pytest.raises(ParamsError, match="expected line_task:NoBuild to have a method build"):
        read_task(Path("params.yaml")).make()


@pytest.mark.parametrize("value", ["line_task:build", "line_task:Line", "line_task:Task"])
def test_an_installed_package_offers_a_task_by_name(
    here: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    told = here / "someones_tasks-1.2.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: someones-tasks\nVersion: 1.2\n")
    points = f"[trajstore.tasks]\nLine-v7 = {value}\nCartPole-v1 = {value}\nBad-v0 = line_task:no\n"
    (told / "entry_points.txt").write_text(points)
    written(id="Line-v7", **({"noise": 0.0} if value.endswith("Task") else {}))
    task = read_task(Path("params.yaml"))
    assert type(task.make().unwrapped).__name__ == "Line"
    assert task.version == "Line-v7 1"
    assert task.environment()["id"] == "Line-v7"
    written(id="CartPole-v1")
    assert type(read_task(Path("params.yaml")).make().unwrapped).__name__ == "CartPoleEnv"
    written(id="Bad-v0")
    with pytest.raises(PluginError, match=r"someones-tasks 1\.2: could not be imported"):
        read_task(Path("params.yaml"))


def test_the_module_of_a_registered_id_is_imported_by_gymnasium(here: Path) -> None:
    Path("line_ids.py").write_text(
        "import gymnasium\nfrom line_task import Line\n"
        "gymnasium.register('LineOwn-v3', entry_point=Line, max_episode_steps=5)\n"
    )
    task = GymTask(**{**ENV, "id": "line_ids:LineOwn-v3"})
    assert task.make().spec.max_episode_steps == 5  # type: ignore[union-attr]


@pytest.mark.slow
def test_an_environment_that_is_not_reproducible_is_compared_where_the_contract_allows_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(kwargs={"noise": 0.05})
    run(["record"])
    assert main(["validate", "--reviews", "r.json"]) == 1
    refused = read_json(Path("data/reports/validation.json"))
    (found,) = [it for it in refused["findings"] if it["check"] == "replay"]
    assert refused["status"] == "quarantined"
    assert found["severity"] == "blocking"
    assert "replay: not reproducible" in found["message"]
    assert "; first observation[0]: expected " in found["message"]
    assert found["step"] == 0
    written(lambda params: params["validate"].update(reproducible=False), kwargs={"noise": 0.05})
    run(["validate"], *FINISH)
    allowed = read_json(Path("data/reports/validation.json"))
    (told,) = [it for it in allowed["findings"] if it["check"] == "replay"]
    assert told["severity"] == "warning"
    assert told["message"].endswith("; the contract allows it")
    assert allowed["contract"]["reproducible"] is False
    assert read_comparison(Path("data/reports/comparison.json")).matched.seeds == (1, 2)


@pytest.mark.slow
def test_a_policy_on_disk_is_a_teacher(here: Path) -> None:
    written()
    run(["record"], ["validate"], *FINISH[:3])
    policy = "data/runs/finetune/seed_2/policy"

    def taught(params: dict[str, Any]) -> None:
        params["record"] |= {"teacher": None}
        params["validate"] |= {"policy_episodes": 2}
        params["pretrain"] |= {"only_successes": False}
        params["compare"] |= {"dataset": "data/again"}
        params["compare"]["arms"] = {it: f"data/again_{it}" for it in ("baseline", "finetune")}

    written(taught)
    run(
        ["record", "--policy", policy, "--out", "data/again"],
        ["validate", "--dataset", "data/again", "--expert", policy, "--out", "data/again.json"],
        ["pretrain", "--dataset", "data/again", "--report", "data/again.json",
         "--out", "data/again_clone"],
        ["finetune", "--arm", "baseline", "--out", "data/again_baseline"],
        ["finetune", "--arm", "finetune", "--start", "data/again_clone",
         "--out", "data/again_finetune"],
        ["compare"],
    )  # fmt: skip
    made_by = Dataset.open(Path("data/again")).manifest.provenance["policy"]
    assert made_by["id"].startswith("policy-")


def others(folder: Path, *, through: str) -> Path:
    """A version made by an importer: of others, who tell no scenario, outcome or version."""
    env = gym.make("CartPole-v1", max_episode_steps=30)
    schema = schema_of(env, seeded=False)
    env.action_space.seed(3)
    played = [*play(env, lambda _: env.action_space.sample(), seeds=range(6), schema=schema)]
    first = folder / "first"
    write_dataset(first, played, schema=schema, provenance={"policy": {"id": "someone"}})
    if through == "npz":
        export_dataset(Dataset.open(first), folder / "away.npz")
        found = import_dataset(folder / "away.npz")
    else:
        minari = pytest.importorskip("trajstore.interop.minari")
        minari.export_dataset(Dataset.open(first), folder / "away")
        found = minari.import_dataset(folder / "away")
    out = folder / "store" / "demos" / "v1"
    write_dataset(out, found.episodes, schema=found.schema, provenance=found.provenance)
    return out


@pytest.mark.slow
@pytest.mark.parametrize("through", ["npz", "minari"])
def test_an_imported_dataset_is_a_teacher(
    here: Path, through: str, capsys: pytest.CaptureFixture[str]
) -> None:
    demos = str(others(here, through=through))
    rates = [{"metric": "return", "at_least": 30.0}]

    def shown(params: dict[str, Any]) -> None:
        params["record"] |= {"teacher": None}
        params["validate"] |= {"replay_episodes": 0}
        params["finetune"]["arrival"]["conditions"] = rates
        params["compare"] |= {"target": rates, "targets": [10.0]}

    env = {"id": "CartPole-v1", "success": None, "failure": None, "horizon": 30}
    written(shown, **env)
    run(["record", "--policy", demos], ["validate", "--expert", demos], *FINISH)
    report = read_json(Path("data/reports/validation.json"))
    assert report["status"] == "validated"
    origin = [it for it in report["findings"] if it["check"] == "origin"]
    assert bool(origin) == ("version" not in Dataset.open(Path(demos)).manifest.provenance)
    mine, theirs = (Dataset.open(Path(it)).manifest for it in ("data/current/expert", demos))
    assert mine.content_digest == theirs.content_digest
    assert read_comparison(Path("data/reports/comparison.json")).measures == ("return",)
    written(lambda it: (shown(it), it["pretrain"].update(only_successes=True)), **env)  # type: ignore[func-returns-value]
    assert main(["pretrain", "--reviews", "r.json", "--out", "data/other"]) == 1
    assert "only_successes: expected false" in capsys.readouterr().err
    written(lambda it: (shown(it), it["validate"].update(policy_episodes=2)), **env)  # type: ignore[func-returns-value]
    assert main(["validate", "--expert", demos, "--out", "data/v.json"]) == 1
    assert "policy_episodes: expected 0" in capsys.readouterr().err
    assert not Path("data/v.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kwargs", "success"),
    [
        ({"seen": "dict", "action": "free"}, "is_success"),
        ({"seen": "tuple", "action": "many"}, 2.0),
        ({"seen": "box", "action": "one", "ends": "clock only"}, None),
    ],
)
def test_every_kind_of_space_and_end_runs_to_a_comparison(
    here: Path, kwargs: dict[str, Any], success: Any
) -> None:
    with Path("line_task.py").open("a") as file:
        file.write(
            "\n\ndef many(seen):\n    return np.array([2, 1])\n"
            "\n\ndef free(seen):\n    return np.array([0.9, -7.0], np.float32)\n"
        )

    def change(params: dict[str, Any]) -> None:
        params["record"]["teacher"] = f"line_task:{teachers[kwargs['action']]}"
        if success is None:
            asked = [{"metric": "return", "at_least": 1.0}]
            params["finetune"]["arrival"]["conditions"] = asked
            params["compare"] |= {"target": asked}
        else:
            params["pretrain"]["only_successes"] = True

    teachers = {"free": "free", "many": "many", "one": "ahead"}
    failure = None if success is None else "fell"
    written(change, kwargs=kwargs, success=success, failure=failure)
    run(["record"], ["validate"], *FINISH)
    report = read_comparison(Path("data/reports/comparison.json"))
    assert report.measures == (("return",) if success is None else ("success", "fell"))
    assert [row.scenario for row in report.scenarios] == ["all"]
    dataset = Dataset.open(Path("data/current/expert"))
    if success is None:
        assert set(dataset.episodes["outcome"]) == {"timeout"}
    else:
        assert set(dataset.episodes["outcome"]) == {"success"}


class Told(gym.Env[np.ndarray, np.int64]):
    """One step; even seeds succeed."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self) -> None:
        self.played: list[tuple[str, int]] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        self.played.append(((options or {})["scenario"], int(seed or 0)))
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        ended = "success" if self.played[-1][1] % 2 == 0 else "fell"
        return np.zeros(1, np.float32), 0.0, True, False, {"outcome": ended}


def drawn(env: Told, steps: int, *, share: float = 0.0, chances: Any = None) -> None:
    task = GymTask(**{**ENV, "id": "CartPole-v1"})
    coding = type(task.coding)(env.observation_space, env.action_space)
    played = Drawn(env, coding, ("a", "b"))
    played.reset(seed=5)
    if chances:
        played.weigh(chances)
    played.replay(share)
    for _ in range(steps):
        played.step(0)
        played.reset()


def test_scenarios_are_drawn_by_weight() -> None:
    even, uneven = Told(), Told()
    drawn(even, 400)
    drawn(uneven, 400, chances={"a": 0.9, "b": 0.1})
    assert 150 < sum(name == "a" for name, _ in even.played) < 250
    assert 330 < sum(name == "a" for name, _ in uneven.played) < 390


def test_episodes_that_failed_are_played_again_and_no_others() -> None:
    once, again = Told(), Told()
    drawn(once, 200)
    assert len(set(once.played)) == len(once.played)
    drawn(again, 200, share=0.5)
    seen: set[tuple[str, int]] = set()
    repeated = []
    for episode in again.played:
        if episode in seen:
            repeated.append(episode)
        seen.add(episode)
    assert 60 < len(repeated) < 120
    assert all(seed % 2 for _, seed in repeated)
    first = next(i for i, it in enumerate(again.played) if it in again.played[:i])
    assert sum(seed % 2 for _, seed in again.played[:first]) >= ENOUGH_FAILURES


@pytest.mark.parametrize("name", ["line_task:build", "line_task:Task"])
def test_a_success_that_no_info_has_is_told_before_anything_is_trained(
    here: Path, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.stages import repro

    own = {"noise": 0.0} if name.endswith("Task") else {}
    monkeypatch.setattr(repro, "reproduce", lambda _: 0)
    written(id=name, success="is_sucess", **own)
    assert repro.main([]) == 0
    said = capsys.readouterr().err
    assert "env.success: expected a name that exists, got 'is_sucess'; did you mean" in said
    assert len(said.splitlines()) == 1
    for right in ("is_success", 3.0, None):
        written(id=name, success=right, failure=None, **own)
        assert repro.main([]) == 0
        assert capsys.readouterr().err == ""
    written(id="line_task:NoBuild")
    assert repro.main([]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("key", ["is_sucess", "is_success"])
def test_a_dataset_without_a_success_is_told_of(here: Path, key: str) -> None:
    written(success=key)
    run(["record"], ["validate"])
    findings = read_json(Path("data/reports/validation.json"))["findings"]
    found = [(it["severity"], it["message"]) for it in findings if it["check"] == "success"]
    assert len(found) == (key == "is_sucess")
    assert all(it[0] == "warning" and "'is_sucess' of env.success" in it[1] for it in found)
