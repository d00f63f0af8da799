"""What an environment returns is what is recorded, or it is refused by field, step and value."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from trajstore.episode.fields import Axis, FieldSpec
from trajstore.errors import SchemaError
from trajstore.interop.gymnasium import record, schema_of


class Maze(gym.Env):
    """Ends at random; tells its temperature, its moves and its name."""

    observation_space = spaces.Dict(
        place=spaces.Box(-9, 9, (2,)),
        doors=spaces.Tuple([spaces.Discrete(3), spaces.MultiBinary(2)]),
    )
    action_space = spaces.Discrete(4)

    def _look(self):
        place = self.np_random.uniform(-9, 9, 2).astype("float32")
        doors = (self.np_random.integers(3), self.np_random.integers(0, 2, 2, dtype="int8"))
        return {"place": place, "doors": doors}, {"temperature": 20.5 + self.t, "move": self.t}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        observation, info = self._look()
        return observation, info | {"scenario": f"maze/{options['size']}"}

    def step(self, action):
        self.t += 1
        observation, info = self._look()
        return observation, -1, bool(self.np_random.random() < 0.1), self.t >= 30, info


EXTRA = (
    FieldSpec("temperature", Axis.STATE, (), "float64"),
    FieldSpec("move", Axis.STEP, (), "int64"),
    FieldSpec("scenario", Axis.EPISODE, (), "str"),
)


def test_any_environment_is_recorded_as_it_was():
    env = Maze()
    schema = schema_of(env, extra=EXTRA)
    seen = []

    def act(observation):
        seen.append(observation)
        return len(seen) % 4

    for seed, episode in enumerate(
        record(env, act, seeds=range(5), schema=schema, options={"size": "low"})
    ):
        length = len(episode)
        assert episode["seed"] == seed and episode["scenario"] == "maze/low"
        assert episode["temperature"].tolist() == [20.5 + t for t in range(length + 1)]
        assert episode["move"].tolist() == list(range(1, length + 1))
        places = np.stack([observation["place"] for observation in seen])
        np.testing.assert_array_equal(episode["observation/place"][:-1], places)
        assert episode["observation/doors/1"].shape == (length + 1, 2)
        assert episode["action"].tolist() == [(t + 1) % 4 for t in range(length)]
        seen.clear()


def test_a_field_that_the_environment_does_not_report_is_named():
    schema = schema_of(Maze(), extra=(FieldSpec("humidity", Axis.STEP, (), "float32"),))
    with pytest.raises(SchemaError, match="'humidity': expected the environment to report it"):
        next(record(Maze(), lambda _: 0, seeds=[1], schema=schema, options={"size": "low"}))


class Unsteady(Maze):
    """From its third step on it reports one thing otherwise than its spaces say."""

    def __init__(self, wrong):
        self.wrong = wrong

    def _look(self):
        observation, info = super()._look()
        if self.wrong == "shape" and self.t > 2:
            observation["place"] = np.zeros((3, 2), "float32")
        return observation, info

    def step(self, action):
        observation, reward, *ends = super().step(action)
        return observation, "x" if self.wrong == "reward" and self.t > 2 else reward, *ends


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ("shape", r"'observation/place': expected float32 of shape \(2,\) at every step, got "),
        ("reward", "'reward': expected float64 of shape .. at every step, got str"),
    ],
)
def test_an_environment_that_changes_what_it_reports_is_named_by_field(wrong, complaint):
    schema = schema_of(Maze())
    with pytest.raises(SchemaError, match=complaint):
        list(
            record(
                Unsteady(wrong), lambda _: 0, seeds=range(9), schema=schema, options={"size": "low"}
            )
        )


def test_a_registered_environment_is_recorded_without_a_schema():
    env = gym.make("CartPole-v1")
    episode = next(record(env, lambda _: 0, seeds=[3]))
    assert episode["observation"].shape == (len(episode) + 1, 4)
    assert set(episode.schema.names) >= {"action", "reward", "seed"}
    env.close()
