"""The whole pipeline on environments of others: a registered id, and a function of the user's."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipelines.__main__ import main
from pipelines.comparison.record import read_comparison
from pipelines.learning.policy import load_policy
from pipelines.running.params import ParamsError
from pipelines.stages import record
from pipelines.stages.record import RecordParams
from pipelines.tasks.coding import Coding
from pipelines.tasks.gym_task import GymTask
from pipelines.tasks.reading import read_task
from trajstore.dataset import Dataset
from trajstore.errors import ArgumentError

SMALL = Path(__file__).parents[1] / "tiny" / "cartpole.yaml"
OWN = '''
import gymnasium as gym
import numpy as np


class Line(gym.Env):
    """Walk to 1 before the walls at -1 and 2; the way there is shorter in one scenario."""

    version = "1"
    observation_space = gym.spaces.Dict(
        {"at": gym.spaces.Box(-5.0, 5.0, (1, 1), np.float32), "side": gym.spaces.Discrete(2)}
    )
    action_space = gym.spaces.Box(-0.5, 0.25, (1, 1), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        first = 0.5 if (options or {}).get("scenario") == "near" else 0.0
        self.at = first + 0.1 * self.np_random.uniform(-1.0, 1.0)
        return self._seen(), {}

    def step(self, action):
        self.at += float(action[0, 0])
        there = 0.9 <= self.at <= 1.3
        hit = not -1.0 <= self.at <= 2.0
        return self._seen(), float(there) - 0.01, there or hit, False, {"is_success": there}

    def _seen(self):
        return {"at": np.array([[self.at]], np.float32), "side": int(self.at > 0.5)}


def build(**kwargs):
    return Line(**kwargs)
'''
STAGES: tuple[list[str], ...] = (
    ["expert"],
    ["record"],
    ["validate", "--reviews", "reviews.json"],
    ["publish"],
    ["pretrain", "--reviews", "reviews.json"],
    ["finetune", "--reviews", "reviews.json", "--arm", "baseline", "--out", "data/runs/baseline"],
    ["finetune", "--reviews", "reviews.json", "--arm", "finetune", "--start", "data/runs/clone",
     "--out", "data/runs/finetune"],
    ["compare"],
)  # fmt: skip


def run_all(folder: Path, params: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    Path("params.yaml").write_text(yaml.safe_dump(params))
    for arguments in STAGES:
        assert main(arguments) == 0, arguments


@pytest.fixture
def small() -> dict[str, Any]:
    params: dict[str, Any] = yaml.safe_load(SMALL.read_text())
    return params


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    (tmp_path / "own_line.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_line", raising=False)
    return {
        "id": "own_line:build",
        "kwargs": {},
        "scenarios": ["near", "far"],
        "success": "is_success",
        "failure": "wall",
        "horizon": 12,
    }


@pytest.mark.slow
def test_a_registered_id_runs_by_parameters_alone(
    tmp_path: Path, small: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_all(tmp_path, small, monkeypatch)
    report = read_comparison(Path("data/reports/comparison.json"))
    assert report.measures == ("return",)
    assert report.ratio.gate.seeds == 2
    assert set(report.final["finetune"]) == {"return"}
    assert not any("collision" in goal.goal for goal in report.goals)
    page = Path("data/reports/report.html").read_text()
    assert "return of at least 150" in page
    assert "ollision" not in page.split("</style>")[1].partition("How to read this page")[0]
    assert load_policy(Path("data/runs/finetune/seed_1/policy")).architecture.choices == (2,)
    dataset = Dataset.open(Path("data/current/expert"))
    assert dataset.schema.field("action").dtype == "int64"


@pytest.mark.slow
def test_an_environment_of_the_user_runs_by_the_name_of_a_function(
    tmp_path: Path,
    small: dict[str, Any],
    own: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates = [{"metric": "success", "at_least": 0.0}, {"metric": "wall", "at_most": 1.0}]
    small["env"] = own
    small["expert"]["gate"]["conditions"] = rates
    small["expert"]["convergence"]["conditions"] = rates
    small["finetune"]["arrival"]["conditions"] = rates
    small["compare"] |= {"target": rates, "targets": [0.0, 0.5]}
    small["record"]["each"] = 5
    run_all(tmp_path, small, monkeypatch)
    report = read_comparison(Path("data/reports/comparison.json"))
    assert report.measures == ("success", "wall")
    assert {row.scenario for row in report.scenarios} == {"near", "far"}
    assert any("walls" in goal.goal for goal in report.goals)
    dataset = Dataset.open(Path("data/current/expert"))
    actions = dataset.column("action")
    assert actions.shape[1:] == (1, 1)
    assert actions.min() >= -0.5
    assert actions.max() <= 0.25


def test_a_task_tells_how_an_episode_ended(own: dict[str, Any]) -> None:
    task = GymTask(**own)
    ahead, back = (
        lambda seen: np.ones((len(seen), 1), np.float32),
        lambda seen: -np.ones((len(seen), 1), np.float32),
    )
    episodes = [("near", 1), ("far", 2)]
    assert [it.outcome for it in task.play(ahead, episodes)] == ["success", "success"]
    assert [it.outcome for it in task.play(back, episodes)] == ["wall", "wall"]
    still = task.play(lambda seen: np.full((len(seen), 1), 1 / 3, np.float32), [("far", 3)])
    assert still[0].outcome == "timeout"
    assert still[0].rates == {"success": False, "wall": False}
    assert still[0].steps == 12
    assert task.rates == ("success", "wall")


def test_training_never_plays_an_episode_that_is_judged(own: dict[str, Any]) -> None:
    task = GymTask(**own)
    seeds: list[int] = []
    vec = task.make_vec(2, 7)
    for env in vec.envs:  # type: ignore[attr-defined]
        inner = env.env.env.unwrapped
        first = inner.reset
        inner.reset = lambda *, seed=None, options=None, first=first: (
            seeds.append(seed),
            first(seed=seed, options=options),
        )[1]
    vec.reset()
    for _ in range(60):
        vec.step(np.zeros((2, 1), np.float32))
    assert len(seeds) >= 8
    assert min(seeds) >= 10_000_000
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"id": "NoSuch-v0"}, "expected an environment that Gymnasium makes"),
        ({"id": "lab/NoSuch-v0"}, "the module that registers it before it, module:lab/NoSuch-v0"),
        ({"id": "own_line:nothing"}, "expected a function that can be imported"),
        ({"id": "no_such_module:build"}, "expected a function that can be imported"),
        ({"id": "own_line:np"}, "expected a function"),
        ({"kwargs": {"odd": 1}}, "env.kwargs: expected what own_line:build takes"),
    ],
)
def test_what_is_no_environment_is_named(
    own: dict[str, Any], change: dict[str, Any], told: str
) -> None:
    with pytest.raises(ParamsError, match=told):
        GymTask(**{**own, **change}).make()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"success": None}, "expected a success beside it"),
        ({"failure": "return"}, "expected a name of its own"),
        ({"scenarios": ["a", "a"]}, "expected each once"),
        ({"horizon": -1}, "horizon"),
        ({"odd": 1}, "got 'odd'"),
    ],
)
def test_a_section_that_contradicts_itself_is_refused(
    tmp_path: Path, own: dict[str, Any], change: dict[str, Any], told: str
) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump({"env": {**own, **change}}))
    with pytest.raises(ParamsError, match=told):
        read_task(path)


def test_actions_and_observations_come_back_as_they_were() -> None:
    import gymnasium as gym

    spaces = gym.spaces
    seen = spaces.Dict(
        {
            "b": spaces.MultiDiscrete([2, 3]),
            "a": spaces.Box(0, 255, (2, 2), np.uint8),
            "c": spaces.Tuple([spaces.Discrete(2, start=5), spaces.Box(-1.0, 1.0, (3,))]),
        }
    )
    for action in (
        spaces.Box(np.float32([-2.0, 0.0]), np.float32([2.0, 10.0])),
        spaces.Box(-3.0, 3.0, (2, 2), np.float32),
        spaces.Discrete(4, start=-1),
        spaces.MultiDiscrete([2, 3]),
    ):
        coding = Coding(seen, action)
        assert coding.size == 4 + 5 + 2 + 3
        drawn = [action.sample() for _ in range(50)]
        for one in drawn:
            coded = coding.encode(np.asarray(one)[None])
            back = coding.decode(coded)[0]
            np.testing.assert_allclose(back, one, atol=1e-5)
            assert action.contains(back)
            assert coding.spaces()[1].contains(coded[0])
        vector = coding.seen(seen.sample())
        assert vector.shape == (coding.size,)
        assert vector.dtype == np.float32
        assert vector[4:9].sum() == 2.0


def test_an_action_that_no_policy_gives_is_refused() -> None:
    import gymnasium as gym

    with pytest.raises(ArgumentError, match="expected Box, Discrete or MultiDiscrete"):
        Coding(gym.spaces.Box(-1.0, 1.0, (1,)), gym.spaces.MultiBinary(3))
    with pytest.raises(ArgumentError, match="expected a space of numbers"):
        Coding(gym.spaces.Text(5), gym.spaces.Discrete(2))


def test_a_function_is_a_teacher(
    tmp_path: Path, own: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ahead.py").write_text(
        "import numpy as np\n\n\ndef go(seen):\n"
        "    assert seen['at'].shape == (1, 1)\n"
        "    return np.full((1, 1), 0.125, np.float32)\n"
    )
    monkeypatch.delitem(sys.modules, "ahead", raising=False)
    params = RecordParams(2, 1, 10**9, "sequential", teacher="ahead:go")
    assert record.run(params, GymTask(**own), tmp_path / "nobody", tmp_path / "v") == 4
    dataset = Dataset.open(tmp_path / "v")
    assert set(dataset.episodes["outcome"]) == {"success"}
    assert (dataset.column("action") == 0.125).all()
    assert dataset.manifest.provenance["policy"]["id"] == "ahead:go"
    with pytest.raises(ParamsError, match=r"record\.teacher: expected a function that can be"):
        wrong = RecordParams(2, 1, 10**9, "sequential", teacher="ahead:stop")
        record.run(wrong, GymTask(**own), tmp_path / "nobody", tmp_path / "w")
    assert not (tmp_path / "w").exists()


def test_a_share_of_hard_episodes_is_refused_where_a_task_cannot_choose(
    tmp_path: Path, small: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    small["expert"]["ppo"]["hard_share"] = 0.5
    Path("params.yaml").write_text(yaml.safe_dump(small))
    assert main(["expert"]) == 1
    assert "hard_share: expected 0, since this task cannot choose" in capsys.readouterr().err
