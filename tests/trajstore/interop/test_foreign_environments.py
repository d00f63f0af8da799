"""Environments that reuse arrays, reset themselves, step in numbers, or exceed their own spaces."""

import copy
import enum
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from trajstore.dataset import Dataset
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.nesting import flatten
from trajstore.errors import ReplayError, SchemaError
from trajstore.interop.environment import environment_of
from trajstore.interop.gymnasium import fields_of, record, schema_of
from trajstore.quality.replay import verify_replay
from trajstore.recording.bulk import write_dataset

NEW = not gym.__version__.startswith("0.")


class Counter(gym.Env):
    """Counts its steps in one array that it returns again and again, and ends after six."""

    observation_space: Any = spaces.Box(-100, 100, (2,), np.float32)
    action_space: Any = spaces.Box(-1, 1, (1,), np.float32)
    steps = 6

    def __init__(self) -> None:
        self.count = np.zeros(2, np.float32)
        self.info: dict[str, Any] = {"copy": self.count, "last": self.count}

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.count[:] = seed, 0
        return self.seen(), self.info

    def step(self, action: Any) -> Any:
        self.count += np.array([0, 1], np.float32)
        np.asarray(action)[:] = 0.0  # as a simulator that clips in place does
        return self.seen(), self.count[1], False, self.count[1] == self.steps, self.info

    def seen(self) -> Any:
        return self.count


class Framed(Counter):
    def seen(self) -> Any:
        return memoryview(self.count)


class Listed(Counter):
    """Returns lists of numbers that are whole, and ends as 0 and 1."""

    def seen(self) -> Any:
        return self.count.tolist()

    def step(self, action: Any) -> Any:
        observation, reward, *ends, info = super().step(action)
        return observation, float(reward), *map(int, ends), info


class Nested(Counter):
    observation_space = spaces.Dict(
        {"walker/gear": Counter.observation_space, "0": spaces.Discrete(9)}
    )

    def seen(self) -> Any:
        return {"0": np.int8(self.count[1]), "walker/gear": self.count[:]}


EXTRA = (
    FieldSpec("copy", Axis.STATE, (2,), "float32"),
    FieldSpec("last", Axis.EPISODE, (2,), "float32"),
)


class Policy:
    """Returns one array again and again, and spoils the observation that it was given."""

    def __init__(self) -> None:
        self.action = np.zeros(1, np.float32)
        self.asked = 0.0

    def __call__(self, observation: Any) -> np.ndarray:
        if isinstance(observation, np.ndarray):
            observation -= 0.0  # a policy that normalises in place
        self.asked = (self.asked + 0.0625) % 1
        self.action[:] = self.asked
        return self.action


@pytest.mark.parametrize("kind", [Counter, Framed, Listed, Nested])
def test_whatever_is_reused_is_copied(kind: type[Counter]) -> None:
    env = kind()
    schema = schema_of(env, extra=EXTRA)
    first, second = record(env, Policy(), seeds=[4, 5], schema=schema)
    name = "observation/k--walker-2fgear" if kind is Nested else "observation"
    expected = [[4, t] for t in range(7)]
    assert first[name].tolist() == first["copy"].tolist() == expected
    assert (first["last"].tolist(), second["last"].tolist()) == ([4, 6], [5, 6])
    assert first["action"][:, 0].tolist() == [0.0625 * (t + 1) for t in range(6)]
    assert first["reward"].tolist() == [1, 2, 3, 4, 5, 6]
    assert first["truncated"].tolist() == [False] * 5 + [True]
    if kind is Nested:
        assert first["observation/0"].tolist() == list(range(7))


def test_nested_observations_replay_under_names_that_are_no_names(tmp_path: Path) -> None:
    env = Nested()
    episodes = list(record(env, Policy(), seeds=range(3)))
    write_dataset(tmp_path / "v1", episodes, schema=schema_of(env), provenance={})
    report = verify_replay(Dataset.open(tmp_path / "v1"), lambda _: Nested())
    assert (report.equal, len(report.fields), report.ok) == (3, 5, True)


class SelfResetting(gym.Wrapper):
    """Resets when an episode ends; ``tell`` is what it then does to info."""

    def __init__(self, tell: Callable[[dict[str, Any], Any, dict[str, Any]], Any]) -> None:
        super().__init__(Counter())
        self.tell, self.hide = tell, False

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = self.env.step(action)
        if truncated:
            final, last = observation.copy(), {key: it.copy() for key, it in info.items()}
            observation, info = self.env.reset(seed=77)
            info = dict(info)
            self.tell(info, final, last)
        return observation, reward, terminated, truncated and not self.hide, info


def plain(info: dict[str, Any], final: Any, last: dict[str, Any]) -> None:
    info |= {"final_observation": final, "final_info": last}


def new(info: dict[str, Any], final: Any, last: dict[str, Any]) -> None:
    info |= {"final_obs": final, "final_info": last}


def stable_baselines(info: dict[str, Any], final: Any, last: dict[str, Any]) -> None:
    info |= {"terminal_observation": final, **last}


@pytest.mark.parametrize("tell", [plain, new, stable_baselines])
def test_the_last_observation_of_one_that_resets_itself_is_its_own(
    tell: Any, tmp_path: Path
) -> None:
    env = SelfResetting(tell)
    schema = schema_of(env, extra=EXTRA)
    episodes = list(record(env, Policy(), seeds=[4, 5], schema=schema))
    assert [it["observation"][-1].tolist() for it in episodes] == [[4, 6], [5, 6]]
    assert [it["copy"][-1].tolist() for it in episodes] == [[4, 6], [5, 6]]
    assert [it["last"].tolist() for it in episodes] == [[4, 6], [5, 6]]
    write_dataset(tmp_path / "v1", episodes, schema=schema, provenance={})
    dataset = Dataset.open(tmp_path / "v1")
    assert verify_replay(dataset, lambda _: SelfResetting(tell)).ok
    assert verify_replay(dataset, lambda _: Counter()).ok


class AutoResetCounter(SelfResetting):
    pass


class Modal(SelfResetting):
    metadata = {"autoreset_mode": "AutoresetMode.SAME_STEP"}  # noqa: RUF012


def test_one_that_resets_itself_and_does_not_tell_is_refused_by_name() -> None:
    for kind in (AutoResetCounter, Modal):
        with pytest.raises(SchemaError, match=f"{kind.__name__} resets by itself"):
            next(record(kind(lambda *_: None), Policy(), seeds=[4]))
    hiding = SelfResetting(stable_baselines)
    hiding.hide = True
    with pytest.raises(SchemaError, match=r"'terminal_observation' in info .* hides the end"):
        next(record(hiding, Policy(), seeds=[4]))


class Loop(gym.Wrapper):
    """Goes on with the next episode, and tells the end in words of its own."""

    def step(s, a: Any) -> Any:  # noqa: N805
        observation, reward, terminated, truncated, info = s.env.step(a)
        if truncated:
            info = {**info, "last_observation": observation}
            observation, _ = s.env.reset(seed=77)
        return observation, reward, terminated, truncated, info


class Ring(Counter):
    """Calls its own ``reset`` at every third step, and so at its end."""

    every = 3

    def step(self, action: Any) -> Any:
        observation, *others, info = super().step(action)
        if self.count[1] % self.every == 0:
            observation, info = self.reset(seed=77)
        return observation, *others, info


class AtItsEnd(Ring):
    every = 6


class Adapter(gym.Env):
    """Holds what it plays under a name of its own."""

    def __init__(self) -> None:
        self.game = Counter()
        self.observation_space = self.game.observation_space
        self.action_space = self.game.action_space

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return self.game.reset(seed=seed)

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = self.game.step(action)
        if truncated:
            observation, info = self.game.reset(seed=77)
        return observation, reward, terminated, truncated, info


class OfItsClass(Counter):
    """Asks its class for ``reset``, not itself."""

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = super().step(action)
        if truncated:
            observation, info = super().reset(seed=77)
        return observation, reward, terminated, truncated, info


class Bound(Counter):
    """Kept its ``reset`` from before."""

    def __init__(self) -> None:
        super().__init__()
        self.again = self.reset

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = super().step(action)
        if truncated:
            observation, info = self.again(seed=77)
        return observation, reward, terminated, truncated, info


class OneOfMany(Adapter):
    """Holds what it plays in a list."""

    @property
    def game(self) -> Any:
        return self.games[0]

    @game.setter
    def game(self, game: Any) -> None:
        self.games = [game]


def hidden() -> gym.Env:
    """One that holds what it plays in no attribute."""
    inner = Counter()

    class Hidden(Adapter):
        observation_space, action_space = inner.observation_space, inner.action_space

        def __init__(self) -> None:
            gym.Env.__init__(self)

        @property
        def game(self) -> Any:
            return inner

    return Hidden()


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (OfItsClass, "OfItsClass"),
        (Bound, "Bound"),
        (OneOfMany, "OneOfMany"),
        (hidden, "Hidden"),
        (lambda: gym.wrappers.TransformReward(OneOfMany(), lambda it: it), "OneOfMany"),
        (lambda: Loop(Counter()), "Loop"),
        (lambda: gym.wrappers.TransformReward(Loop(Counter()), lambda it: it), "Loop"),
        (Ring, "Ring"),
        (AtItsEnd, "AtItsEnd"),
        (lambda: gym.wrappers.TransformReward(AtItsEnd(), lambda it: it), "AtItsEnd"),
        (Adapter, "Adapter"),
    ],
)
def test_a_reset_within_a_step_is_refused_whatever_it_is_called(
    make: Any, name: str, tmp_path: Path
) -> None:
    env = make()
    with pytest.raises(SchemaError, match=rf"{name} resets by itself, .*; have it report 'final_o"):
        next(record(env, Policy(), seeds=[4]))
    assert "reset" not in {**vars(env), **vars(env.unwrapped)}
    episodes = list(record(Counter(), Policy(), seeds=[4]))
    write_dataset(tmp_path / "v1", episodes, schema=schema_of(Counter()), provenance={})
    dataset = Dataset.open(tmp_path / "v1")
    with pytest.raises(ReplayError, match=f"environment: {name} resets by itself, so"):
        verify_replay(dataset, lambda _: make())


class Planner(Counter):
    """Plays ahead on another environment and on copies of itself, and resets those alone."""

    def __init__(self) -> None:
        super().__init__()
        self.model = gym.make("CartPole-v1")
        self.models = [gym.make("CartPole-v1")]

    def step(self, action: Any) -> Any:
        self.model.reset(seed=0)
        self.models[0].reset(seed=0)
        for ahead in (copy.deepcopy(self), pickle.loads(pickle.dumps(self))):  # noqa: S301
            ahead.reset(seed=9)
            assert ahead.count.tolist() == [9, 0]
        return super().step(action)


class Twice(Counter):
    """Has a ``reset`` of its own on the instance, which calls itself."""

    def __init__(self) -> None:
        super().__init__()
        self.reset = self.again

    def again(self, *, seed: int, options: Any = None) -> Any:
        return self.reset(seed=seed, options={}) if options is None else super().reset(seed=seed)


@pytest.mark.parametrize("make", [Planner, Twice])
def test_a_reset_that_is_none_of_the_episode_is_left_alone(make: type[Counter]) -> None:
    env = make()
    own = vars(env).get("reset")
    for seed, episode in zip([4, 5], record(env, Policy(), seeds=[4, 5]), strict=True):
        assert episode["observation"].tolist() == [[seed, t] for t in range(7)]
    assert vars(env).get("reset") == own


class Turn(str, enum.Enum):  # noqa: UP042 - whose str() is not its value
    RIGHT = "right_turn"
    LEFT = "l"


class Level(int, enum.Enum):
    HARD = 7


class Share(float, enum.Enum):
    THIRD = 1 / 3


class Shouted(str):
    __slots__ = ()

    def __str__(self) -> str:
        return self.upper()


class Naming(Counter):
    """Reports one text and two numbers on every axis, of classes of their own."""

    def __init__(self, text: Any) -> None:
        super().__init__()
        self.text = text

    def seen(self) -> Any:
        told = {"text": self.text, "level": Level.HARD, "share": Share.THIRD}
        self.info = {f"{axis}_{key}": it for axis in Axis for key, it in told.items()}
        return self.count


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (Turn.RIGHT, "right_turn"),
        (Turn.LEFT, "l"),
        (Axis.STATE, "state"),
        (np.str_("as_it_is"), "as_it_is"),
        (Shouted("quiet"), "quiet"),
    ],
)
def test_text_and_numbers_of_an_enum_are_recorded_as_their_value(
    text: Any, value: str, tmp_path: Path
) -> None:
    kinds = {"text": "str", "level": "int64", "share": "float64"}
    extra = [FieldSpec(f"{a}_{k}", a, (), dtype) for a in Axis for k, dtype in kinds.items()]
    schema = schema_of(Counter(), extra=extra)
    episodes = list(record(Naming(text), Policy(), seeds=[4], schema=schema))
    write_dataset(tmp_path / "v1", episodes, schema=schema, provenance={})
    dataset = Dataset.open(tmp_path / "v1")
    for axis in Axis:
        assert set(np.ravel(dataset[0][f"{axis}_text"]).tolist()) == {value}
        assert set(np.ravel(dataset[0][f"{axis}_level"]).tolist()) == {7}
        assert set(np.ravel(dataset[0][f"{axis}_share"]).tolist()) == {1 / 3}
    assert verify_replay(dataset, lambda _: Naming(text)).ok
    assert not verify_replay(dataset, lambda _: Naming("another")).ok


def test_names_of_an_enum_are_their_values() -> None:
    space = spaces.Dict({Turn.RIGHT: spaces.Discrete(2)})
    assert [it.name for it in fields_of("action", space, axis=Axis.STEP)] == ["action/right_turn"]
    assert flatten("action", {Turn.RIGHT: 1}) == {"action/right_turn": 1}
    assert f"{FieldSpec(Turn.RIGHT, Axis.STEP, (), 'bool').name}" == "right_turn"


@pytest.mark.filterwarnings("ignore:.*deprecated")
def test_the_wrappers_of_gymnasium_that_reset_are_recorded_as_they_were() -> None:
    seeds, bare = range(4), gym.make("CartPole-v1")
    expected = [it.digest for it in record(bare, lambda _: 0, seeds=seeds)]
    if NEW:
        wrapped = [gym.wrappers.Autoreset(gym.make("CartPole-v1"))]
    else:
        wrapped = [
            gym.wrappers.AutoResetWrapper(gym.make("CartPole-v1")),
            gym.make("CartPole-v1", autoreset=True),
        ]
    for env in wrapped:
        assert [it.digest for it in record(env, lambda _: 0, seeds=seeds)] == expected
        assert environment_of(env) == {"id": "CartPole-v1"}


def several() -> list[Any]:
    makers = [lambda: gym.make("CartPole-v1")] * 3
    found = [gym.vector.SyncVectorEnv(makers)]
    if NEW:
        found.append(gym.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync"))
        found.append(gym.make_vec("CartPole-v1", num_envs=2))
        found.append(gym.wrappers.vector.RecordEpisodeStatistics(found[0]))
    else:
        from stable_baselines3.common.vec_env import DummyVecEnv

        found.append(gym.vector.make("CartPole-v1", num_envs=2, asynchronous=False))
        found.append(gym.wrappers.RecordEpisodeStatistics(found[0]))
        found.append(DummyVecEnv(makers))
    return found


@pytest.mark.filterwarnings("ignore:.*deprecated")
def test_several_that_are_stepped_together_are_refused_by_name() -> None:
    expected = schema_of(gym.make("CartPole-v1"))
    for env in several():
        for use in (environment_of, lambda it: record(it, lambda _: 0, seeds=[1])):
            with pytest.raises(SchemaError, match=rf"{type(env).__name__} steps [23] together"):
                use(env)
        assert schema_of(env).names == expected.names
        assert schema_of(env).field("observation") == expected.field("observation")
        env.close()
    single = gym.wrappers.RecordEpisodeStatistics(gym.make("CartPole-v1"))
    assert len(list(record(single, lambda _: 0, seeds=np.arange(2)))) == 2


class Old(gym.Env):
    observation_space = action_space = spaces.Discrete(2)
    returned: Any = (0, {})

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return self.returned

    def step(self, action: Any) -> Any:
        return 0, 0.0, True, {}


def test_interfaces_that_are_not_gymnasiums_are_named() -> None:
    with pytest.raises(SchemaError, match=r"step must return observation, .* of 4 parts \(int"):
        next(record(Old(), lambda _: 0, seeds=[1]))
    env = Old()
    for env.returned in (0, np.zeros(2), (0, 0), (0, {}, {})):
        with pytest.raises(
            SchemaError, match="reset must return observation and info, as in Gymnasium"
        ):
            next(record(env, lambda _: 0, seeds=[1]))
    for other in ("CartPole-v1", None, Counter):
        with pytest.raises(SchemaError, match="has no reset and step; give one as gymnasium"):
            environment_of(other)  # type: ignore[arg-type]
