"""An episode played again is the recorded one, bit for bit; the first difference is named.

A changed environment, by its version or by its dynamics, never passes; neither does a dataset
whose actions are shifted by a step. Data never chooses what is imported.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trajstore.dataset import Dataset
from trajstore.episode.episode import Episode
from trajstore.episode.schema import ENDS, Axis, EpisodeSchema, FieldSpec
from trajstore.errors import CorruptionError, ReplayError, SchemaError
from trajstore.quality.records import (
    REPORT,
    Difference,
    read_report,
    report_path,
    write_report,
)
from trajstore.quality.replay import compare, first_step, spread, verify_replay
from trajstore.recording.bulk import write_dataset

SCHEMA = EpisodeSchema(
    (
        FieldSpec("observation", Axis.STATE, (2,), "float64"),
        FieldSpec("height", Axis.STATE, (), "float32"),
        FieldSpec("action", Axis.STEP, (2,), "float64"),
        FieldSpec("reward", Axis.STEP, (), "float64"),
        FieldSpec("terminated", Axis.STEP, (), "bool"),
        FieldSpec("truncated", Axis.STEP, (), "bool"),
        FieldSpec("scenario", Axis.EPISODE, (), "str"),
        FieldSpec("seed", Axis.EPISODE, (), "int64"),
    )
)
PROVENANCE = {"environment": {"id": "Drift", "version": "1", "entry_point": "elsewhere:make"}}


class Drift:
    """A point that is pushed about; the scenario sets how far, the seed where it starts."""

    def __init__(self, *, version: str = "1", pull: float = 0.9, steps: int = 9) -> None:
        self.version, self.pull, self.steps = version, pull, steps

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.at = np.random.default_rng(seed).normal(size=2)
        self.far = {"near": 1.0, "far": 2.0}[(options or {})["scenario"]]
        self.left = self.steps
        return self.at.copy(), {"height": self.at[0]}

    def step(self, action: Any) -> Any:
        self.at = self.pull * self.at + self.far * np.asarray(action)
        self.left -= 1
        return self.at.copy(), float(self.at.sum()), False, self.left == 0, {"height": self.at[0]}

    def close(self) -> None:
        pass


def record(seed: int, scenario: str = "far") -> Episode:
    env, rng = Drift(), np.random.default_rng(seed + 99)
    observation, info = env.reset(seed=seed, options={"scenario": scenario})
    rows: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    rows["observation"].append(observation)
    rows["height"].append(info["height"])
    done = False
    while not done:
        action = rng.normal(size=2)
        observation, reward, terminated, done, info = env.step(action)
        values = {**info, "observation": observation, "action": action, "reward": reward}
        for name, value in (values | {"terminated": terminated, "truncated": done}).items():
            rows[name].append(value)
    moving = [spec for spec in SCHEMA.fields if spec.axis is not Axis.EPISODE]
    arrays = {spec.name: np.array(rows[spec.name], spec.dtype) for spec in moving}
    return Episode(SCHEMA, arrays | {"scenario": np.array(scenario), "seed": np.array(seed)})


def changed(episode: Episode, **arrays: np.ndarray) -> Episode:
    return Episode(SCHEMA, dict(episode.arrays) | arrays)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    episodes = [record(seed, ("near", "far")[seed % 2]) for seed in range(6)]
    write_dataset(tmp_path / "v1", episodes, schema=SCHEMA, provenance=PROVENANCE)
    return Dataset.open(tmp_path / "v1")


def drift(provenance: Mapping[str, Any]) -> Drift:
    return Drift(version=provenance["environment"]["version"])


def test_what_was_recorded_comes_out_bit_for_bit(dataset: Dataset) -> None:
    report = verify_replay(dataset, drift)
    assert (report.checked, report.equal, report.ok) == (6, 6, True)
    assert str(report) == "6/6 bit-equal in 5 fields"


@pytest.mark.parametrize(
    ("field", "row", "step"),
    [("observation", 0, 0), ("observation", 4, 3), ("height", 9, 8), ("reward", 5, 5)],
)
def test_one_changed_number_is_named_with_its_step(field: str, row: int, step: int) -> None:
    episode = record(3)
    rows = episode[field].copy()
    rows[row] = np.nextafter(rows[row], np.inf, dtype=rows.dtype)
    found = compare(changed(episode, **{field: rows}), Drift(), index=3)
    assert found is not None
    assert (found.episode, found.step, found.field.split("[")[0]) == (3, step, field)


@settings(max_examples=40, deadline=None)
@given(row=st.integers(0, 9), column=st.integers(0, 1), bit=st.integers(0, 51))
def test_any_flipped_bit_of_an_observation_is_found(row: int, column: int, bit: int) -> None:
    rows = record(1)["observation"].copy()
    rows.view(np.uint64)[row, column] ^= np.uint64(1 << bit)
    found = compare(changed(record(1), observation=rows), Drift())
    assert found is not None
    assert found.field == f"observation[{column}]"
    assert found.step == max(row - 1, 0)


def test_actions_shifted_by_a_step_differ_at_the_first_step() -> None:
    episode = record(2)
    shifted = changed(episode, action=np.roll(episode["action"], 1, axis=0))
    assert first_step(Drift())(shifted) == 0
    assert first_step(Drift())(episode) is None


def test_other_dynamics_are_caught(dataset: Dataset) -> None:
    report = verify_replay(dataset, lambda _: Drift(pull=0.9 + 1e-12))
    assert report.equal == 0
    first = report.first_difference
    assert first is not None
    assert (first.episode, first.step) == (0, 0)
    told = "not reproducible, first difference: episode 0, step 0, observation["
    assert f"0/6 bit-equal in 5 fields; {told}" in str(report)


def test_another_version_is_caught_though_every_step_is_equal(dataset: Dataset) -> None:
    report = verify_replay(dataset, lambda _: Drift(version="2"))
    assert report.equal == report.checked
    assert not report.ok
    assert report.first_difference == Difference(None, None, "environment version", "1", "2")


def test_an_earlier_or_later_end_is_a_difference() -> None:
    short, long = compare(record(4), Drift(steps=5)), compare(record(4), Drift(steps=12))
    assert short == Difference(0, 4, "truncated", "False", "True")
    assert long == Difference(0, 8, "truncated", "True", "False")


def test_an_early_end_is_a_difference_though_the_ends_are_left_out(dataset: Dataset) -> None:
    report = verify_replay(dataset, lambda _: Drift(steps=2), leave_out=ENDS)
    assert (report.equal, report.ok, len(report.differences)) == (0, False, 6)
    assert str(report.first_difference) == (
        "episode 0, step 1, length: expected 9 steps, got an environment that ended after 2"
    )
    assert first_step(Drift(steps=8), leave_out=ENDS)(dataset[0]) == 7
    assert verify_replay(dataset, lambda _: Drift(steps=12), leave_out=ENDS).ok


def test_a_tolerance_passes_rounding_and_nothing_larger(dataset: Dataset) -> None:
    rounding = verify_replay(dataset, lambda _: Drift(pull=0.9 + 1e-13), tolerance=1e-9)
    assert str(rounding) == "6/6 equal within 1e-09 in 5 fields"
    assert not verify_replay(dataset, lambda _: Drift(pull=0.9 + 1e-6), tolerance=1e-9).ok


def test_only_the_wanted_episodes_are_played(dataset: Dataset) -> None:
    report = verify_replay(dataset, drift, indices=spread(len(dataset), 3))
    assert report.episodes == (0, 2, 5)


def test_a_difference_in_the_last_bit_is_told_in_full() -> None:
    episode = record(0)
    rows = episode["observation"].copy()
    rows[3, 1] = np.nextafter(rows[3, 1], 9)
    found = compare(changed(episode, observation=rows), Drift())
    assert found is not None
    assert found.expected != found.got
    assert float(found.expected) == rows[3, 1]


@pytest.mark.parametrize("call", ["reset", "step", "close", "build"])
@pytest.mark.parametrize("raised", [SystemExit(0), RuntimeError("down")])
def test_an_environment_that_ends_the_process_has_verified_nothing(
    dataset: Dataset, call: str, raised: BaseException
) -> None:
    def ends(*_: Any, **__: Any) -> Any:
        raise raised

    def build(_: Mapping[str, Any]) -> Drift:
        env = Drift()
        return ends() if call == "build" else setattr(env, call, ends) or env

    with pytest.raises(ReplayError, match=f": {type(raised).__name__}: {raised}$"):
        verify_replay(dataset, build)


def test_a_report_is_read_as_it_was_written(dataset: Dataset) -> None:
    report = verify_replay(dataset, lambda _: Drift(version="2", pull=0.8), tolerance=1e-9)
    assert read_report(dataset.path) is None
    write_report(dataset.path, report)
    assert report_path(dataset.path).name == "v1.replay.json"
    assert read_report(dataset.path) == report


@pytest.mark.parametrize("record", [{}, {"format_version": 2}, [], {"format_version": 1}])
def test_what_is_no_report_is_refused(record: Any) -> None:
    with pytest.raises(CorruptionError, match="expected a replay report of format 2"):
        REPORT.parse(record, "v1.replay.json")


def test_an_environment_that_fails_is_a_replay_error(dataset: Dataset) -> None:
    def broken(_: Mapping[str, Any]) -> Drift:
        raise RuntimeError("no such map")

    with pytest.raises(ReplayError, match="RuntimeError: no such map"):
        verify_replay(dataset, broken)
    with pytest.raises(ReplayError, match="KeyError"):
        compare(
            record(0).__class__(SCHEMA, dict(record(0).arrays) | {"scenario": np.array("x")}),
            Drift(),
        )


class Mute(Drift):
    """Reports no height; ``word`` is what its observation is called in a dict, if it is one."""

    def __init__(self, word: str = "") -> None:
        super().__init__()
        self.word = word

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        observation, info = super().reset(seed=seed, options=options)
        return self.called(observation), {} if not self.word else info

    def step(self, action: Any) -> Any:
        observation, *rest, info = super().step(action)
        return self.called(observation), *rest, {} if not self.word else info

    def called(self, observation: Any) -> Any:
        return {self.word: observation, "more": 1} if self.word else observation


def test_a_field_that_the_environment_does_not_report_is_not_verified(dataset: Dataset) -> None:
    report = verify_replay(dataset, lambda _: Mute())
    assert (report.equal, report.ok, len(report.differences)) == (0, False, 6)
    assert str(report.first_difference) == (
        "episode 0, step 0, height: expected the environment to report this field, got "
        "['observation']"
    )
    assert verify_replay(dataset, lambda _: Mute(), leave_out=["height"]).ok
    assert "height" not in verify_replay(dataset, lambda _: Mute(), leave_out=["height"]).fields
    with pytest.raises(SchemaError, match="no field 'weight'; there are"):
        verify_replay(dataset, drift, leave_out=["weight"])
    everything = [name for name in SCHEMA.names if name != "action"]
    with pytest.raises(ReplayError, match="no field is left to compare"):
        verify_replay(dataset, drift, leave_out=everything)


def test_an_environment_that_observes_something_else_is_not_verified(dataset: Dataset) -> None:
    """As an image recorded behind a wrapper, replayed on the bare environment."""
    report = verify_replay(dataset, lambda _: Mute("image"))
    assert (report.equal, report.ok) == (0, False)
    assert str(report.first_difference).startswith("episode 0, step 0, observation: expected shape")


def test_a_replay_of_no_episode_is_not_verified(dataset: Dataset) -> None:
    report = verify_replay(dataset, drift, indices=[])
    assert (report.checked, report.ok) == (0, False)


class Otherwise(Drift):
    """Reports one thing of another type, which a cast would make equal."""

    def __init__(self, field: str, make: Any) -> None:
        super().__init__()
        self.field, self.make = field, make

    def step(self, action: Any) -> Any:
        names = ["observation", "reward", "terminated", "truncated", "info"]
        told = dict(zip(names, super().step(action), strict=True))
        told[self.field] = self.make(told[self.field])
        return tuple(told.values())


@pytest.mark.parametrize(
    ("field", "make", "equal"),
    [
        ("terminated", lambda _: 0.3, False),
        ("terminated", lambda _: "", False),
        ("terminated", lambda _: None, False),
        ("terminated", lambda _: 0, True),
        ("reward", lambda it: [it], False),
        ("reward", str, False),
        ("reward", lambda it: complex(it, 1), False),
        ("reward", np.float64, True),
        ("reward", np.longdouble, True),
        ("observation", list, True),
        ("observation", tuple, True),
        ("observation", memoryview, True),
        ("observation", lambda it: [[it[0]], it], False),
        ("observation", lambda it: it.astype(np.float32), False),
        ("observation", lambda it: it.astype(np.int64), False),
        ("observation", lambda it: np.ma.masked_array(it, True), False),
    ],
)
def test_values_are_compared_and_never_cast(
    dataset: Dataset, field: str, make: Any, equal: bool
) -> None:
    assert verify_replay(dataset, lambda _: Otherwise(field, make)).ok is equal


def test_what_holds_for_the_whole_episode_is_compared_at_its_end(tmp_path: Path) -> None:
    class Ending(Drift):
        word = "home"

        def step(self, action: Any) -> Any:
            *rest, info = super().step(action)
            return *rest, {**info, "outcome": self.word if self.left == 0 else None}

    class Lost(Ending):
        word = "lost"

    schema = EpisodeSchema((*SCHEMA.fields, FieldSpec("outcome", Axis.EPISODE, (), "str")))
    made = [Episode(schema, {**record(1).arrays, "outcome": np.array("home")})]
    write_dataset(tmp_path / "v1", made, schema=schema, provenance=PROVENANCE)
    found = Dataset.open(tmp_path / "v1")
    assert verify_replay(found, lambda _: Ending()).ok
    assert verify_replay(found, lambda _: Ending()).not_compared == ()
    quiet = verify_replay(found, drift)
    assert quiet.ok, "it does not report an outcome, and need not"
    assert str(quiet) == "1/1 bit-equal in 5 fields, not compared: outcome"
    unlike = verify_replay(found, drift, leave_out=["outcome", "height"])
    assert str(unlike) == "1/1 bit-equal in 4 fields, not compared: height, outcome"
    report = verify_replay(found, lambda _: Lost())
    assert str(report.first_difference) == ("episode 0, step 8, outcome: expected home, got lost")
