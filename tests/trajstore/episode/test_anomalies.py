"""A detector finds the fault it is named for, at its steps, and is silent on a plain episode."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trajstore.episode import anomalies
from trajstore.episode.anomalies import DETECTORS, Anomaly
from trajstore.episode.episode import Episode
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec
from trajstore.episode.signals import changes, runs, same_as_before

STEPS = 80
Arrays = dict[str, np.ndarray]

SCHEMA = EpisodeSchema(
    (
        FieldSpec("observation", Axis.STATE, (6,), "float32"),
        FieldSpec("robot_pose", Axis.STATE, (3,), "float32"),
        FieldSpec("action", Axis.STEP, (2,), "float32", low=-1.0, high=1.0),
        FieldSpec("reward", Axis.STEP, (), "float32"),
        FieldSpec("clearance", Axis.STEP, (), "float32"),
        FieldSpec("terminated", Axis.STEP, (), "bool"),
        FieldSpec("truncated", Axis.STEP, (), "bool"),
        FieldSpec("outcome", Axis.EPISODE, (), "str"),
        FieldSpec("return", Axis.EPISODE, (), "float64"),
    )
)


def plain(steps: int = STEPS, seed: int = 0) -> Arrays:
    rng = np.random.default_rng(seed)
    reward = rng.normal(0.1, 0.05, steps).astype(np.float32)
    observation = rng.normal(0, 0.1, (steps + 1, 6)).cumsum(0).astype(np.float32)
    pose = np.stack([np.arange(steps + 1) * 0.05, np.zeros(steps + 1), np.zeros(steps + 1)], 1)
    return {
        "observation": observation,
        "robot_pose": pose.astype(np.float32),
        "action": rng.uniform(-0.9, 0.9, (steps, 2)).astype(np.float32),
        "reward": reward,
        "clearance": rng.uniform(0.5, 3.0, steps).astype(np.float32),
        "terminated": np.arange(steps) == steps - 1,
        "truncated": np.zeros(steps, bool),
        "outcome": np.array("goal"),
        "return": np.array(reward.sum(dtype=np.float64)),
    }


def frozen(arrays: Arrays) -> None:
    arrays["action"][10:40] = 0.25


def saturated(arrays: Arrays) -> None:
    arrays["action"][10:45:2], arrays["action"][11:45:2] = 1.0, -1.0


def jump(arrays: Arrays) -> None:
    arrays["observation"][31:] += 50.0


def repeated(arrays: Arrays) -> None:
    arrays["observation"][20:27] = arrays["observation"][20]


def spike(arrays: Arrays) -> None:
    arrays["reward"][12] = 40.0
    arrays["return"] = np.array(arrays["reward"].sum(dtype=np.float64))


def stuck(arrays: Arrays) -> None:
    arrays["robot_pose"][5:71, :2] = 1.0


def near(arrays: Arrays) -> None:
    arrays["clearance"][50:53] = 0.04


def touching(arrays: Arrays) -> None:
    arrays["clearance"][79] = 0.0


def collided(arrays: Arrays) -> None:
    arrays["outcome"] = np.array("collision_wall")


def wrong_return(arrays: Arrays) -> None:
    arrays["return"] = np.array(3.5)


Fault = Callable[[Arrays], None]

FAULTS: list[tuple[Fault, str, int, int]] = [
    (frozen, "frozen_actions", 10, 39),
    (saturated, "saturated_actions", 10, 44),
    (jump, "observation_jumps", 30, 30),
    (repeated, "repeated_observations", 20, 25),
    (spike, "reward_spikes", 12, 12),
    (stuck, "stuck", 5, 69),
    (near, "near_misses", 50, 52),
    (touching, "collisions", 79, 79),
    (collided, "collisions", 79, 79),
    (wrong_return, "recorded_totals", 0, 79),
]


@pytest.mark.parametrize(
    ("fault", "kind", "first", "last"), FAULTS, ids=lambda it: getattr(it, "__name__", str(it))
)
def test_each_fault_is_found_at_its_steps_and_nothing_else(
    fault: Fault, kind: str, first: int, last: int
) -> None:
    arrays = plain()
    fault(arrays)
    found = anomalies.find(Episode(SCHEMA, arrays))
    assert [(it.kind, it.first, it.last) for it in found] == [(kind, first, last)]
    assert 0 < found[0].score <= 1


@pytest.mark.parametrize("detector", DETECTORS.values(), ids=DETECTORS)
@pytest.mark.parametrize("seed", range(20))
def test_a_plain_episode_has_no_anomaly(detector: anomalies.Detector, seed: int) -> None:
    assert list(detector(Episode(SCHEMA, plain(seed=seed)))) == []


def test_an_episode_of_two_steps_is_too_short() -> None:
    assert [it.kind for it in anomalies.find(Episode(SCHEMA, plain(steps=2)))] == ["too_short"]


def test_an_episode_of_thousands_of_steps_is_too_long() -> None:
    found = anomalies.find(Episode(SCHEMA, plain(steps=2_100)))
    assert ("too_long", 2_000) in [(it.kind, it.first) for it in found]


def test_each_detector_has_a_test_of_its_fault() -> None:
    tested = {kind for _, kind, _, _ in FAULTS} | {"too_short", "too_long"}
    assert tested == set(DETECTORS)


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 8])
def test_detectors_take_the_shortest_episodes(steps: int) -> None:
    for anomaly in anomalies.find(Episode(SCHEMA, plain(steps=steps))):
        assert 0 <= anomaly.first <= anomaly.last < steps


def test_detectors_need_no_field_but_the_ends() -> None:
    schema = EpisodeSchema(
        tuple(it for it in SCHEMA.fields if it.name in ("terminated", "truncated"))
    )
    arrays = {name: plain()[name] for name in schema.names}
    assert anomalies.find(Episode(schema, arrays)) == []


def test_steps_that_are_no_total_are_left_alone() -> None:
    schema = EpisodeSchema((*SCHEMA.fields, FieldSpec("steps", Axis.STEP, (), "int64")))
    arrays = plain() | {"steps": np.arange(STEPS)}
    assert anomalies.find(Episode(schema, arrays)) == []


def test_discrete_actions_may_repeat() -> None:
    fields = [it for it in SCHEMA.fields if it.name != "action"]
    schema = EpisodeSchema((*fields, FieldSpec("action", Axis.STEP, (), "int64")))
    arrays = plain() | {"action": np.zeros(STEPS, np.int64)}
    assert anomalies.find(Episode(schema, arrays)) == []


def test_the_score_counts_each_kind_once_by_its_worst() -> None:
    found = [Anomaly("a", 0, 0, "", 0.2), Anomaly("a", 1, 1, "", 0.5), Anomaly("b", 2, 2, "", 0.1)]
    assert anomalies.score(found) == pytest.approx(0.6)
    assert anomalies.score([]) == 0.0


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 6))
def test_runs_are_the_maximal_ones(mask: list[bool], least: int) -> None:
    found = list(runs(np.array(mask), least))
    covered = {index for first, last in found for index in range(first, last + 1)}
    for first, last in found:
        assert last - first + 1 >= least
        assert first == 0 or not mask[first - 1]
        assert last == len(mask) - 1 or not mask[last + 1]
    lone = [index for index, value in enumerate(mask) if value and index not in covered]
    assert all(mask[index] for index in covered)
    assert len(lone) == sum(mask) - len(covered)


@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 12), st.integers(1, 4)),
        elements=st.sampled_from([0.0, 1.0, float("nan"), float("inf")]),
    )
)
def test_a_row_is_the_same_as_before_where_all_its_components_are(rows: np.ndarray) -> None:
    assert same_as_before(rows).tolist() == (rows[1:] == rows[:-1]).all(axis=1).tolist()


def test_changes_are_sums_of_components_in_terms_of_their_mean() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    rows[:, 3] = 7.0
    change = np.abs(np.diff(rows.astype(np.float64), axis=0))[:, [0, 1, 2, 4, 5]]
    expected = (change / change.mean(axis=0)).mean(axis=1)
    np.testing.assert_allclose(changes(rows), expected, rtol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38, 1e-44])
def test_changes_of_components_that_cannot_be_compared_do_not_count(value: float) -> None:
    rows = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    plain_sizes = changes(rows[:, :1])
    odd = rows.copy()
    odd[20, 1], odd[21, 1] = value, -value
    found = changes(odd)
    assert np.isfinite(found).all()
    if value != 1e-44:
        np.testing.assert_array_equal(found, plain_sizes)


def test_nothing_changes_in_rows_that_stay_the_same() -> None:
    assert len(changes(np.ones((20, 3), np.float64))) == 0
    assert len(changes(np.ones((1, 3), np.float16))) == 0
