"""What an environment told is looked at: frozen observations, limits, ends that are none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trajstore.dataset import Dataset
from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.nesting import step_schema
from trajstore.playback.payload import About, build
from trajstore.playback.viewed import Viewed
from trajstore.quality import Report, validate
from trajstore.quality.contract import Contract
from trajstore.recording.bulk import write_dataset

ACTION = FieldSpec("action", Axis.STEP, (), "int64")
FLOATS = step_schema([FieldSpec("observation", Axis.STATE, (2,), "float32")], [ACTION])
GRID = step_schema([FieldSpec("observation", Axis.STATE, (), "int64")], [ACTION])
NESTED = step_schema(
    [
        FieldSpec("observation/place", Axis.STATE, (2,), "float32", finite=False),
        FieldSpec("observation/mission", Axis.STATE, (), "str"),
        FieldSpec("camera", Axis.STATE, (2,), "float32"),
    ],
    [FieldSpec("action/turn", Axis.STEP, (2,), "float32")],
)
BANDIT = step_schema([FieldSpec("observation", Axis.STATE, (), "int64", low=0, high=0)], [ACTION])
CONTRACT = Contract(minimum_episodes=1, allowed_copies=10_000, anomalous_share=1.0)


def walk(seed: int, steps: int, schema: Any = FLOATS, *, terminated: bool = False) -> Any:
    """Arrays of an episode in which everything moves."""
    rng = np.random.default_rng(seed)
    end = np.arange(steps) == steps - 1
    made: dict[str, Any] = {"terminated": end & terminated, "truncated": end & (not terminated)}
    for spec in schema.fields:
        if spec.name in made:
            continue
        rows = spec.rows(steps)
        values = rng.normal(0, 1, rows) if spec.dtype[0] == "f" else rng.integers(0, 90, rows)
        made[spec.name] = np.array(list(map(str, values))) if spec.is_text else values
        made[spec.name] = made[spec.name].astype(spec.dtype)
    return made


def still(made: dict[str, Any], *roots: str) -> dict[str, Any]:
    """The same, but every row of these fields is the last one: the array was reused."""
    return {
        name: np.repeat(rows[-1:], len(rows), axis=0) if name.startswith(roots) else rows
        for name, rows in made.items()
    }


def judged(folder: Path, made: list[Any], schema: Any = FLOATS, provenance: Any = None) -> Report:
    episodes = [Episode(schema, it) for it in made]
    write_dataset(folder / "v1", episodes, schema=schema, provenance=provenance or {})
    return validate(Dataset.open(folder / "v1"), CONTRACT)


def found(report: Report, check: str) -> list[tuple[str, int | None]]:
    return [(it.severity.value, it.episode) for it in report.findings if it.check == check]


@pytest.mark.parametrize("schema", [FLOATS, GRID, NESTED])
@pytest.mark.parametrize("steps", [2, 30])
@pytest.mark.parametrize("reused", [("observation",), ("observation", "action")])
def test_observations_that_stand_still_while_something_moves_block(
    tmp_path: Path, schema: Any, steps: int, reused: tuple[str, ...]
) -> None:
    made = [still(walk(seed, steps, schema), *reused) for seed in range(250)]
    report = judged(tmp_path, made, schema)
    assert found(report, "frozen") == [("blocking", 0)]
    assert report.status == "quarantined"
    (message,) = [it.message for it in report.findings if it.check == "frozen"]
    assert "at every step of 250 of 250 episodes in which actions" in message


def test_one_long_episode_that_stands_still_is_enough_for_numbers_with_a_fraction(
    tmp_path: Path,
) -> None:
    made = [walk(seed, 12) for seed in range(9)]
    made[4] = still(made[4], "observation")
    assert found(judged(tmp_path, made), "frozen") == [("blocking", 4)]


@pytest.mark.parametrize(
    ("schema", "change"),
    [
        (FLOATS, lambda it: it),
        (FLOATS, lambda it: still(it, "observation", "action", "reward")),
        (NESTED, lambda it: still(it, "observation/place")),
        (NESTED, lambda it: still(it, "observation/mission", "camera")),
        (GRID, lambda it: still(it, "observation") if it["action"][0] < 30 else it),
        (BANDIT, lambda it: it | {"observation": 0 * it["observation"]}),
        (FLOATS, lambda it: {name: rows[-2:] for name, rows in it.items()}),
    ],
    ids=["moves", "waits", "text moves", "place moves", "pushes a wall", "bandit", "one step"],
)
def test_what_has_a_reason_to_stand_still_passes(
    tmp_path: Path, schema: Any, change: Callable[[Any], Any]
) -> None:
    made = [walk(seed, 12, schema) for seed in range(20)]
    if schema is FLOATS and len(change(made[0])["action"]) == 2:
        made = [
            {name: rows[-1:] if len(rows) == 12 else rows[-2:] for name, rows in it.items()}
            for it in made
        ]
    else:
        made = [change(it) for it in made]
    assert found(judged(tmp_path, made, schema), "frozen") == []


def test_places_that_are_not_known_stand_still_too(tmp_path: Path) -> None:
    made = [still(walk(seed, 12, NESTED), "observation") for seed in range(3)]
    for it in made:
        it["observation/place"][:] = np.nan
    assert found(judged(tmp_path, made, NESTED), "frozen") == [("blocking", 0)]


LIMIT = {"environment": {"id": "X-v0", "kwargs": {"max_episode_steps": 20}}}
WRAPPED = {
    "environment": {
        "id": "X-v0",
        "wrappers": [{"name": "TimeLimit", "kwargs": {"max_episode_steps": 20}}],
    }
}


@pytest.mark.parametrize("provenance", [{}, LIMIT, WRAPPED])
def test_ends_by_terminated_at_the_time_limit_are_a_warning(
    tmp_path: Path, provenance: Any
) -> None:
    made = [walk(seed, 20, terminated=seed % 3 != 1) for seed in range(12)]
    report = judged(tmp_path, made, provenance=provenance)
    assert found(report, "ends") == [("warning", 0)]
    (finding,) = [it for it in report.findings if it.check == "ends"]
    assert finding.step == 19
    assert "8 of 8 episodes end by 'terminated' after 20 steps" in finding.message
    assert report.status == "validated"


def test_a_limit_at_which_far_more_end_than_anywhere_else_is_a_warning(tmp_path: Path) -> None:
    """CartPole in a wrapper that sets terminated: those that fall end early, none is truncated."""
    made = [walk(seed, 20 if seed % 2 else 2 + seed // 2, terminated=True) for seed in range(24)]
    assert found(judged(tmp_path, made), "ends") == [("warning", 1)]
    told = [
        walk(seed, 20 if seed % 2 else 2 + seed // 2, terminated=seed % 2 == 0)
        for seed in range(24)
    ]
    assert found(judged(tmp_path / "told", told), "ends") == []


@pytest.mark.parametrize(
    ("lengths", "provenance"),
    [
        (range(4, 20), {}),
        ([20] * 2, {}),
        ([1] * 12, {}),
        ([20] * 11 + [21], {}),
        ([8] * 12, LIMIT),
        ([20] * 12 + [25], LIMIT),
        (range(4, 20), {"environment": {"kwargs": 3, "wrappers": "x"}}),
        (range(4, 20), {"environment": {"kwargs": {"max_episode_steps": "20"}, "wrappers": [3]}}),
    ],
)
def test_true_ends_pass(tmp_path: Path, lengths: Any, provenance: Any) -> None:
    made = [walk(seed, steps, terminated=True) for seed, steps in enumerate(lengths)]
    assert found(judged(tmp_path, made, provenance=provenance), "ends") == []


def test_values_outside_of_an_open_range_are_told_once_a_field(tmp_path: Path) -> None:
    observation = FieldSpec(
        "observation", Axis.STATE, (2,), "float32", low=-9, high=9, strict=False
    )
    goal = FieldSpec("goal", Axis.EPISODE, (2,), "float32", low=0, strict=False)
    schema = step_schema([observation], [ACTION], goal)
    made = [walk(seed, 12, schema) | {"goal": np.ones(2, np.float32)} for seed in range(5)]
    assert found(judged(tmp_path / "inside", made, schema), "bounds") == []
    made[3]["observation"][7, 1] = 9.5
    made[4]["observation"][:, 0] = -20
    made[2]["goal"] = np.array([1, -1], np.float32)
    report = judged(tmp_path, made, schema)
    told = [(it.episode, it.step) for it in report.findings if it.check == "bounds"]
    assert told == [(3, 7), (2, None)]
    assert "got 14 rows with others, from [-20.0, " in report.findings[0].message
    assert report.status == "validated"
    dataset = Dataset.open(tmp_path / "v1")
    assert dataset.manifest.statistics["observation"]["outside"] == 14
    assert dataset.schema.field("observation").strict is False


def test_values_that_are_not_finite_are_told_once_a_field(tmp_path: Path) -> None:
    pose = FieldSpec("observation/pose", Axis.STATE, (2,), "float32", finite=False)
    aside = FieldSpec("rest", Axis.STEP, (), "float32", finite=False)
    schema = step_schema([pose], [ACTION], aside)
    made = [walk(seed, 12, schema) for seed in range(5)]
    made[1]["rest"][:] = np.nan
    assert found(judged(tmp_path / "finite", made, schema), "bounds") == []
    made[3]["observation/pose"][7, 1] = np.nan
    made[4]["observation/pose"][:2] = np.inf
    report = judged(tmp_path, made, schema)
    (told,) = [it for it in report.findings if it.check == "bounds"]
    assert (told.episode, told.step, told.severity) == (3, 7, "warning")
    assert "'observation/pose': nan or infinite in 3 of 65 rows of a component" in told.message
    assert report.status == "validated"


@pytest.mark.parametrize("kind", ["too_short", "observation_jumps"])
def test_a_detector_that_flags_most_of_a_dataset_is_told_once_and_does_not_score(
    tmp_path: Path, kind: str
) -> None:
    made = [walk(seed, 3 if kind == "too_short" else 30) for seed in range(20)]
    if kind == "observation_jumps":
        for it in made:
            it["observation"] *= np.float32(1e-3)
            it["observation"][9] = 1e6
    made[5] = walk(5, 40)
    made[5]["reward"][7] = 1e9
    report = judged(tmp_path, made)
    notes = [it for it in report.findings if it.check == "anomalies"]
    assert [it.severity.value for it in notes] == ["note"]
    assert notes[0].message.startswith(f"{kind}: flags 19 of 20")
    dataset = Dataset.open(tmp_path / "v1")
    scores = dataset.episodes["anomaly"]
    assert np.flatnonzero(scores).tolist() == [5]
    assert not scores.flags.writeable


def test_a_page_marks_what_an_unfit_detector_found_and_does_not_score_it(tmp_path: Path) -> None:
    made = [walk(seed, 3) for seed in range(20)]
    judged(tmp_path, made)
    viewed = Viewed(Dataset.open(tmp_path / "v1"))
    side = build(viewed, About("x", "v1", "draft", ()), [0, 7])
    assert ["", "too_short flags 20 of 20 episodes: unfit for it, does not score."] in (
        side.record["notices"]
    )
    for row in side.record["episodes"]:
        assert [it["kind"] for it in row["anomalies"]] == ["too_short"]
        assert row["score"] == 0
        assert not any(it["differs"] for it in row["facts"])
