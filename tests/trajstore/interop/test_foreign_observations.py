"""Observations of environments that others wrote: outside of their space, and missions."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from trajstore.dataset import Dataset
from trajstore.errors import SchemaError
from trajstore.interop.gymnasium import record, schema_of
from trajstore.quality import validate
from trajstore.quality.contract import Contract
from trajstore.quality.replay import verify_replay
from trajstore.recording.bulk import write_dataset


class Lander(gym.Env):
    """Sees 1.502 in a space that ends at 1.5, as LunarLander-v2 does, and another kind of gear."""

    observation_space = spaces.Dict(
        at=spaces.Box(-1.5, 1.5, (2,), np.float32), gear=spaces.Discrete(3)
    )
    action_space = spaces.Discrete(2)

    def __init__(self, at: Any = 1.502) -> None:
        self.at = at

    def look(self) -> Any:
        here = self.at if self.t == 2 else 0.1 * self.t
        return {"at": np.array([0.0, here], np.float32), "gear": 7 if self.t == 2 else 0}

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.t = 0
        return self.look(), {}

    def step(self, action: Any) -> Any:
        self.t += 1
        return self.look(), 0.0, False, self.t == 4 + action, {}


def test_observations_outside_of_their_space_are_kept_counted_and_told(tmp_path: Path) -> None:
    env = Lander()
    schema = schema_of(env)
    made = list(record(env, lambda _: 0, seeds=range(3)))
    assert made[0]["observation/at"][2, 1] == np.float32(1.502)
    write_dataset(tmp_path / "v1", made, schema=schema, provenance={})
    dataset = Dataset.open(tmp_path / "v1")
    figures = dataset.manifest.statistics
    assert figures["observation/at"]["outside"] == figures["observation/gear"]["outside"] == 3
    assert "outside" not in figures["action"]
    report = validate(dataset, Contract(minimum_episodes=1, allowed_copies=9))
    found = [it for it in report.findings if it.check == "bounds"]
    assert [(it.severity, it.episode, it.step) for it in found] == [("warning", 0, 2)] * 2
    assert "expected values in [-1.5, 1.5], got 3 rows with others" in found[0].message
    assert report.status == "validated"
    assert verify_replay(dataset, lambda _: Lander()).ok
    assert schema.field("observation/at").to_json()["strict"] is False


def test_an_option_refuses_observations_outside_of_their_space() -> None:
    schema = schema_of(Lander(), strict=True)
    with pytest.raises(SchemaError, match=r"'observation/at': row 2: expected values in \[-1.5, "):
        next(record(Lander(), lambda _: 0, seeds=[0], schema=schema))
    inside = schema_of(Lander(at=1.5), strict=True)
    with pytest.raises(SchemaError, match=r"'observation/gear': row 2: .* got 7"):
        next(record(Lander(at=1.5), lambda _: 0, seeds=[0], schema=inside))
    with pytest.raises(SchemaError, match="'observation/at': row 2: expected finite values"):
        next(record(Lander(at=np.nan), lambda _: 0, seeds=[0]))


class Missions(spaces.Space):
    def __init__(self) -> None:
        super().__init__(dtype=str)

    def contains(self, x: Any) -> bool:
        return isinstance(x, str)


class Grid(gym.Env):
    """Like MiniGrid: an image, a direction and a mission; ``turn`` changes the mission half way."""

    observation_space = spaces.Dict(
        image=spaces.Box(0, 255, (3, 3, 3), np.uint8),
        direction=spaces.Discrete(4),
        mission=Missions(),
    )
    action_space = spaces.Discrete(3)

    def __init__(self, *, turn: bool = False) -> None:
        self.turn = turn

    def look(self) -> Any:
        door = ("blue", "", "rot \u2028")[self.np_random.integers(3) if self.turn else self.door]
        image = self.np_random.integers(0, 9, (3, 3, 3), dtype=np.uint8)
        return {"image": image, "direction": self.t % 4, "mission": f"{door}"}

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.t, self.door = 0, int(self.np_random.integers(2))
        return self.look(), {}

    def step(self, action: Any) -> Any:
        self.t += 1
        return self.look(), 0.0, False, self.t == 5, {}


@pytest.mark.parametrize("turn", [False, True])
def test_missions_are_text_of_the_state_axis(tmp_path: Path, turn: bool) -> None:
    env, rng = Grid(turn=turn), np.random.default_rng(0)
    made = list(record(env, lambda _: int(rng.integers(3)), seeds=range(12)))
    spoken = [it["observation/mission"].tolist() for it in made]
    assert {len(it) for it in spoken} == {6}
    assert (max(len(set(it)) for it in spoken) > 1) is turn
    write_dataset(tmp_path / "v1", made, schema=schema_of(env), provenance={})
    dataset = Dataset.open(tmp_path / "v1")
    assert [it["observation/mission"].tolist() for it in dataset] == spoken
    assert [it.digest for it in dataset] == [it.digest for it in made]
    assert dataset.findings(deep=True) == []
    assert verify_replay(dataset, lambda _: Grid(turn=turn)).ok
    assert verify_replay(dataset, lambda _: Grid(turn=not turn)).equal < 12
    steps = dataset.take(range(dataset.steps))
    flat = [word for words in spoken for word in words[:-1]]
    assert steps["observation/mission"].tolist() == flat
    assert dataset.column("observation/mission").tolist() == np.concatenate(spoken).tolist()


def test_a_mission_that_stays_the_same_may_belong_to_the_episode(tmp_path: Path) -> None:
    constant = ["observation/mission"]
    schema = schema_of(Grid(), constant=constant)
    made = list(record(Grid(), lambda _: 0, seeds=range(12), schema=schema))
    assert {it["observation/mission"] for it in made} == {"blue", ""}
    write_dataset(tmp_path / "v1", made, schema=schema, provenance={})
    assert verify_replay(Dataset.open(tmp_path / "v1"), lambda _: Grid()).ok
    with pytest.raises(SchemaError, match="'observation/mission': expected it to stay the same"):
        list(record(Grid(turn=True), lambda _: 0, seeds=range(12), schema=schema))
    with pytest.raises(
        SchemaError, match="no field 'mission' of the observation; there are observation/"
    ):
        schema_of(Grid(), constant=["mission"])
