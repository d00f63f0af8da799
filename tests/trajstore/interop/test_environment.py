"""An environment in wrappers is described so that it can be made again, or it is refused."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import wrappers

from trajstore.dataset import Dataset
from trajstore.errors import ReplayError, SchemaError
from trajstore.interop.environment import environment_of, make_again
from trajstore.interop.gymnasium import record, schema_of
from trajstore.quality.replay import verify_replay
from trajstore.recording.bulk import write_dataset

pytestmark = pytest.mark.filterwarnings("ignore:.*(deprecat|__array__|precision lowered)")
NEW = not gym.__version__.startswith("0.")
ONE = np.ones(1, np.float32)


def cart(**kwargs: Any) -> Any:
    return gym.make("CartPole-v1", **kwargs)


def pendulum() -> Any:
    return gym.make("Pendulum-v1", max_episode_steps=12)


def stacked(env: Any) -> Any:
    name = "FrameStackObservation" if NEW else "FrameStack"
    return getattr(wrappers, name)(env, 3)


WRAPPED: dict[str, Callable[[], Any]] = {
    "bare": cart,
    "rescaled": lambda: wrappers.RescaleAction(pendulum(), -1.0, 1.0),
    "rescaled by arrays": lambda: wrappers.RescaleAction(pendulum(), -ONE, ONE),
    "a longer limit around": lambda: wrappers.TimeLimit(cart(max_episode_steps=9), 1000),
    "a shorter limit around": lambda: wrappers.TimeLimit(cart(), 7),
    "a limit around a wrapper": lambda: wrappers.TimeLimit(wrappers.ClipAction(pendulum()), 7),
    "no limit": lambda: cart().unwrapped,
    "flattened": lambda: wrappers.FlattenObservation(cart()),
    "stacked": lambda: stacked(cart()),
    "time in view": lambda: wrappers.TimeAwareObservation(cart()),
    "counted": lambda: wrappers.RecordEpisodeStatistics(cart()),
    "several": lambda: stacked(
        wrappers.FlattenObservation(wrappers.RescaleAction(pendulum(), -2, 2))
    ),
}


def chain(env: Any) -> Iterator[str]:
    while isinstance(env, gym.Wrapper):
        if type(env).__name__ != "RecordEpisodeStatistics":
            yield type(env).__name__
        env = env.env


@pytest.mark.parametrize("name", WRAPPED)
def test_what_is_made_again_is_equal_and_replays(name: str, tmp_path: Path) -> None:
    env = WRAPPED[name]()
    told = environment_of(env)
    again = make_again(json.loads(json.dumps(told)))
    assert set(chain(env)) - set(chain(again)) == set()
    assert again.observation_space == env.observation_space
    assert again.action_space == env.action_space
    env.action_space.seed(3)
    made = list(record(env, lambda _: env.action_space.sample(), seeds=range(4)))
    write_dataset(tmp_path / "v1", made, schema=schema_of(env), provenance={"environment": told})
    report = verify_replay(Dataset.open(tmp_path / "v1"), lambda _: again)
    assert (report.equal, report.ok) == (4, True), str(report)


def test_what_wrappers_were_there_is_told() -> None:
    env = WRAPPED["several"]()
    told = environment_of(env)
    assert told["kwargs"] == {"max_episode_steps": 12}
    assert [it["name"] for it in told["wrappers"]][:2] == ["RescaleAction", "FlattenObservation"]
    assert told["wrappers"][0]["kwargs"] == {"min_action": -2, "max_action": 2}
    assert environment_of(cart().unwrapped)["kwargs"] == {"max_episode_steps": None}


class Own(gym.ObservationWrapper):
    def observation(self, observation: Any) -> Any:
        return observation


class RescaleAction(wrappers.RescaleAction):
    """Of the same name as Gymnasium's, and not the same."""


def doubled(env: Any) -> Any:
    more = (env.observation_space,) if NEW else ()
    return wrappers.TransformObservation(env, lambda seen: 2 * seen, *more)


@pytest.mark.parametrize(
    ("wrap", "name"),
    [
        (Own, "Own"),
        (doubled, "TransformObservation"),
        (wrappers.NormalizeObservation, "NormalizeObservation"),
        (wrappers.NormalizeReward, "NormalizeReward"),
        (lambda env: wrappers.ClipAction(Own(pendulum())), "Own"),
        (lambda env: RescaleAction(pendulum(), -1.0, 1.0), "RescaleAction"),
    ],
)
def test_a_wrapper_that_its_arguments_do_not_make_again_is_refused(wrap: Any, name: str) -> None:
    said = f"the wrapper {name} cannot be made again .*; name a function that builds it"
    with pytest.raises(SchemaError, match=said) as found:
        environment_of(wrap(cart()))
    assert "--environment module:function" in str(found.value)


def test_an_environment_of_an_unknown_id_is_refused() -> None:
    gym.register("Passing-v0", entry_point="gymnasium.envs.classic_control:CartPoleEnv")
    env = gym.make("Passing-v0")
    assert environment_of(env) == {"id": "Passing-v0"}
    del gym.registry["Passing-v0"]
    with pytest.raises(
        SchemaError, match=r"environment Passing-v0: gym.make does not know this id"
    ):
        environment_of(env)


def test_wrappers_that_an_id_stands_for_are_not_told_again() -> None:
    def entry(**kwargs: Any) -> Any:
        return wrappers.RescaleAction(gym.envs.classic_control.PendulumEnv(**kwargs), -1.0, 1.0)

    outer = (wrappers.ClipAction.wrapper_spec(),)
    inner = (wrappers.RescaleAction.wrapper_spec(min_action=-1.0, max_action=1.0),)
    gym.register("Inside-v0", entry_point=entry, additional_wrappers=(*inner, *outer))
    gym.register(
        "Around-v0",
        entry_point="gymnasium.envs.classic_control:PendulumEnv",
        additional_wrappers=outer,
    )
    try:
        assert environment_of(gym.make("Around-v0")) == {"id": "Around-v0"}
        around = wrappers.FlattenObservation(gym.make("Around-v0"))
        told = environment_of(around)
        assert [it["name"] for it in told["wrappers"]] == ["FlattenObservation"]
        assert list(chain(make_again(told))) == list(chain(around))
        assert environment_of(gym.make("Inside-v0")) == {"id": "Inside-v0"}
    finally:
        del gym.registry["Inside-v0"], gym.registry["Around-v0"]


@pytest.mark.parametrize(
    "wrapper",
    [
        "RescaleAction",
        {"name": "RecordVideo", "kwargs": {"video_folder": "videos"}},
        {"name": "gymnasium:make", "kwargs": {}},
        {"name": ["RescaleAction"], "kwargs": {}},
        {"name": "TransformReward", "kwargs": {"f": "print"}},
        {"name": "RescaleAction", "kwargs": []},
        {"name": "vector", "kwargs": {}},
        {"kwargs": {}},
    ],
)
def test_data_never_chooses_what_wraps(wrapper: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ReplayError, match=r"expected wrappers that gymnasium .* has"):
        make_again({"id": "CartPole-v1", "wrappers": [wrapper]})
    assert list(tmp_path.iterdir()) == []


def test_arguments_come_back_as_they_were() -> None:
    gym.register("Arguments-v0", entry_point=lambda **kwargs: Kept(kwargs))
    given = {
        "size": (3, (4, 5)),
        "list": [1, (2,)],
        "array": np.array([[0.1, 2.0]], np.float32),
        "deep": {"number": np.float64(0.5), "none": None, "words": ["a"]},
    }
    try:
        env = gym.make("Arguments-v0", **given, disable_env_checker=True)
        again = make_again(json.loads(json.dumps(environment_of(env))))
        kept = again.unwrapped.kwargs
        assert (kept["size"], kept["list"]) == ((3, (4, 5)), [1, (2,)])
        assert kept["array"].dtype == np.float32
        np.testing.assert_array_equal(kept["array"], given["array"])
        assert kept["deep"] == {"number": 0.5, "none": None, "words": ["a"]}
        for bad in (print, {1: 2}, {"tuple": 3}, np.array([None]), {1, 2}, 1j):
            with pytest.raises(SchemaError, match=r"expected (arguments of plain JSON|plain arg)"):
                environment_of(gym.make("Arguments-v0", it=bad, disable_env_checker=True))
    finally:
        del gym.registry["Arguments-v0"]


class Kept(gym.Env):
    observation_space = action_space = gym.spaces.Discrete(2)

    def __init__(self, kwargs: Any) -> None:
        kwargs.pop("render_mode", None)
        self.kwargs = kwargs
