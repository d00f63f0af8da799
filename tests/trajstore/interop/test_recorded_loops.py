"""Whoever plays an environment, each episode is recorded as it was, and plays again equal."""

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from trajstore.dataset import Dataset
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.errors import ArgumentError, SchemaError
from trajstore.interop import vector, wrappers
from trajstore.interop.environment import environment_of
from trajstore.interop.gymnasium import record, schema_of
from trajstore.interop.wrappers import SeededResets
from trajstore.quality.replay import verify_replay
from trajstore.store import Store

OLD = gym.__version__.startswith("0.")
MODES = [""] if OLD else ["NEXT_STEP", "SAME_STEP", "DISABLED"]
EXTRA = (
    FieldSpec("heat", Axis.STATE, (), "float64"),
    FieldSpec("force", Axis.STEP, (2,), "float32"),
    FieldSpec("outcome", Axis.EPISODE, (), "str"),
)


class Rooms(gym.Env):
    """Observes dicts and tuples in a buffer of its own; ends at random; tells at the end."""

    observation_space = spaces.Dict(
        place=spaces.Box(-9, 9, (2,)),
        doors=spaces.Tuple([spaces.Discrete(3), spaces.Box(0, 255, (40, 40), np.uint8)]),
    )
    action_space = spaces.Dict(gear=spaces.Discrete(4), push=spaces.Box(-1, 1, (2,)))

    def __init__(self):
        self.buffer = np.zeros((40, 40), np.uint8)

    def _look(self, last=False):
        self.buffer[:] = self.np_random.integers(0, 255, (40, 40))
        place = self.np_random.uniform(-9, 9, 2).astype("float32")
        info = {"heat": float(self.np_random.random()), "force": place * 2, "t": self.t}
        if last:
            info["outcome"] = f"left at {self.t}"
        return {"place": place, "doors": (self.np_random.integers(3), self.buffer)}, info

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self._look()

    def step(self, action):
        self.t += 1
        gone, late = bool(self.np_random.random() < 0.2), self.t >= 9
        observation, info = self._look(gone or late)
        return observation, float(action["push"][0]) / 3, gone, late, info


def build(_=None):
    return Rooms()


def make():
    return SeededResets(Rooms())


def in_mode(kind, makers, mode, **more):
    return kind(makers, **more, **({"autoreset_mode": mode_of(mode)} if mode else {}))


def mode_of(mode):
    return getattr(gym.vector.AutoresetMode, mode)


def replayed(dataset: Dataset, simulator=build) -> int:
    report = verify_replay(dataset, simulator)
    assert not report.differences
    return report.equal


def open_recorder(path: Path, env, **more):
    schema = schema_of(env, extra=EXTRA, **more)
    return Store(path).record("rooms", schema=schema, provenance={"environment": {"id": "Rooms"}})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", [gym.vector.SyncVectorEnv, gym.vector.AsyncVectorEnv])
def test_every_episode_of_a_vector_environment_plays_again_equal(tmp_path: Path, kind, mode):
    inner = in_mode(kind, [make] * 3, mode, copy=False)
    inner.action_space.seed(0)
    with open_recorder(tmp_path, inner) as recorder:
        env = vector.RecordEpisodes(inner, recorder)
        assert env.num_envs == 3 and env.single_action_space == Rooms.action_space
        env.reset(seed=11)
        ends = []
        for step in range(40):
            *_, terminated, truncated, _ = env.step(inner.action_space.sample())
            over = terminated | truncated
            ends += np.flatnonzero(over).tolist()
            if mode == "DISABLED" and over.any():
                seeds = [100 + step * 3 + number for number in range(3)] if step % 2 else None
                env.reset(seed=seeds, options={"reset_mask": over})
        under_way = 3 - (0 if mode == "SAME_STEP" or OLD else int(over.sum()))
        env.close()
        assert env.dropped <= under_way
    dataset = Store(tmp_path).open("rooms@v1")
    assert len(dataset) == len(ends) > 15
    assert replayed(dataset) == len(ends)
    assert {11, 12, 13} <= {int(it["seed"]) for it in dataset}
    assert all(it["outcome"] == f"left at {len(it)}" for it in dataset)


@pytest.mark.parametrize("cut", ["drop", "truncate"])
def test_an_episode_that_is_reset_before_its_end_is_dropped_or_truncated(tmp_path: Path, cut: str):
    env = gym.make("CartPole-v1")
    with Store(tmp_path).record("cut", schema=schema_of(env), provenance={}) as recorder:
        watched = wrappers.RecordEpisodes(env, recorder, cut=cut)
        for steps in (3, 0, 5):
            watched.reset(seed=steps)
            for _ in range(steps):
                watched.step(0)
        watched.reset()
        while not any(watched.step(0)[2:4]):
            pass
        watched.close()
    episodes = list(Store(tmp_path).open("cut@v1"))
    assert [len(it) for it in episodes[:-1]] == ([3, 5] if cut == "truncate" else [])
    assert all(it["truncated"][-1] and not it["terminated"].any() for it in episodes[:-1])
    assert episodes[-1]["terminated"][-1]
    assert watched.dropped == (2 if cut == "drop" else 0)


def test_a_single_environment_is_seen_as_without_the_wrapper(tmp_path: Path):
    def walk(env):
        env.action_space.seed(0)
        seen = [env.reset(seed=4)]
        while not any(seen[-1][2:4]):
            seen.append(env.step(env.action_space.sample()))
        return seen

    plain = gym.make("CartPole-v1")
    with Store(tmp_path).record(
        "pole", schema=schema_of(plain), provenance={"environment": environment_of(plain)}
    ) as recorder:
        env = wrappers.RecordEpisodes(gym.make("CartPole-v1"), recorder)
        assert environment_of(env) == {"id": "CartPole-v1"}
        for one, other in zip(walk(env), walk(plain), strict=True):
            np.testing.assert_array_equal(one[0], other[0])
            assert one[1:] == other[1:]
        for _ in range(9):
            env.reset()
            while not any(env.step(env.action_space.sample())[2:4]):
                pass
    dataset = Store(tmp_path).open("pole@v1")
    assert replayed(dataset, lambda _: gym.make("CartPole-v1")) == 10
    assert len({int(it["seed"]) for it in dataset}) == 10 and dataset[0]["seed"] == 4


def resetting(env):
    """As Gymnasium has it: in 0.29 in the same step, in 1.x in the next."""
    found = gym.wrappers
    return found.AutoResetWrapper(env) if OLD else found.Autoreset(env)


def test_an_environment_that_resets_itself_is_recorded(tmp_path: Path):
    inner = resetting(make())
    inner.action_space.seed(0)
    with open_recorder(tmp_path, inner) as recorder:
        env = wrappers.RecordEpisodes(inner, recorder)
        env.reset(seed=1)
        ends = sum(any(env.step(inner.action_space.sample())[2:4]) for _ in range(60))
        env.close()
    dataset = Store(tmp_path).open("rooms@v1")
    assert replayed(dataset) == len(dataset) == ends > 5


def test_a_reset_that_tells_no_seed_is_refused_unless_there_is_no_field(tmp_path: Path):
    inner = in_mode(gym.vector.SyncVectorEnv, [Rooms] * 2, MODES[0])
    inner.action_space.seed(0)
    with open_recorder(tmp_path, inner) as recorder:
        env = vector.RecordEpisodes(inner, recorder)
        env.reset(seed=5)
        with pytest.raises(
            SchemaError, match=r"environment \d was reset without a seed; wrap each .*SeededResets"
        ):
            for _ in range(30):
                env.step(inner.action_space.sample())
        assert recorder.begin is not None
    with open_recorder(tmp_path, inner, seeded=False) as recorder:
        env = vector.RecordEpisodes(inner, recorder)
        env.reset()
        for _ in range(30):
            env.step(inner.action_space.sample())
    assert "seed" not in Store(tmp_path).open("rooms@v2").schema.names


def test_what_does_not_fit_is_named_and_not_recorded(tmp_path: Path):
    env = Rooms()
    extra = (FieldSpec("humidity", Axis.STEP, (), "float32"),)
    with Store(tmp_path).record("rooms", schema=schema_of(env, extra=extra), provenance={}) as it:
        watched = wrappers.RecordEpisodes(env, it)
        watched.reset(seed=1)
        with pytest.raises(SchemaError, match="'humidity': expected a value for it"):
            watched.step(env.action_space.sample())
        with pytest.raises(SchemaError, match="'action/gear': row 0: expected values in"):
            watched.reset(seed=1)
            watched.step({"gear": 9, "push": np.zeros(2, "float32")})
        with pytest.raises(ArgumentError, match="cut: expected one of drop, truncate, got 'keep'"):
            wrappers.RecordEpisodes(env, it, cut="keep")
        with pytest.raises(SchemaError, match=r"vector\.RecordEpisodes"):
            wrappers.RecordEpisodes(gym.vector.SyncVectorEnv([Rooms]), it)
        with pytest.raises(SchemaError, match=r"wrappers\.RecordEpisodes"):
            vector.RecordEpisodes(env, it)
        watched.close()
        it.add(
            next(record(Told(), lambda _: env.action_space.sample(), seeds=[1], schema=it.schema))
        )


class Told(Rooms):
    def _look(self, last=False):
        observation, info = super()._look(last)
        return observation, info | {"humidity": 0.5}


def test_seeds_follow_from_the_last_one_given():
    told = []
    env = make()
    for seed in (3, None, None, 4, None, 3, None):
        told.append(env.reset(seed=seed)[1]["seed"])
    assert told[0] == told[5] == 3 and told[3] == 4 and told[1] == told[6]
    assert len(set(told)) == 5 and all(0 <= it < 2**32 for it in told)


def test_two_wrappers_share_a_recorder(tmp_path: Path):
    with open_recorder(tmp_path, Rooms()) as recorder:
        both = [wrappers.RecordEpisodes(Rooms(), recorder) for _ in range(2)]
        for number, env in enumerate(both):
            env.action_space.seed(number)
            env.reset(seed=number)
        left = set(both)
        while left:
            left -= {
                it for it in sorted(left, key=id) if any(it.step(it.action_space.sample())[2:4])
            }
    dataset = Store(tmp_path).open("rooms@v1")
    assert sorted(int(it["seed"]) for it in dataset) == [0, 1]
    assert replayed(dataset) == 2
