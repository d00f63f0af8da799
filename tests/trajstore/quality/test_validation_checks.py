"""Each check of validation finds the fault it is there for, and names its first place."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.trajstore.drives import CONTRACT, SCENARIOS, SCHEMA, Arrays, arrays, blocking, dataset
from trajstore.dataset import Dataset
from trajstore.episode.episode import Episode
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec
from trajstore.errors import ReplayError
from trajstore.quality import CHECKS, replay_agreement, validate
from trajstore.version.files import LocalFiles
from trajstore.version.findings import Severity
from trajstore.version.manifest import Status


def early(made: list[Arrays]) -> None:
    """The observation of the step before; the first one doubled."""
    for it in made:
        rows = it["observation"]
        it["observation"] = np.concatenate([rows[:1], rows[:-1]])


def zero_padded(made: list[Arrays]) -> None:
    for it in made:
        it["observation"][-1] = 0


def same_seed(made: list[Arrays]) -> None:
    made[4]["seed"] = made[2]["seed"]


def leaked(made: list[Arrays]) -> None:
    made[5]["seed"] = np.array(1_000_007)


def missing_scenario(made: list[Arrays]) -> None:
    for it in made:
        it["scenario"] = np.array(SCENARIOS[0])


def time_jumps(made: list[Arrays]) -> None:
    made[3]["time"][20:] += 0.125


def too_short(made: list[Arrays]) -> None:
    made[7] = arrays(7, steps=1)


Fault = Callable[[list[Arrays]], None]


@pytest.mark.parametrize(
    ("fault", "check", "episode", "step"),
    [
        (early, "alignment", None, None),
        (zero_padded, "alignment", None, None),
        (same_seed, "seeds", 4, None),
        (leaked, "seeds", 5, None),
        (missing_scenario, "coverage", None, None),
        (time_jumps, "steps", 3, 19),
        (too_short, "episodes", 7, None),
    ],
)
def test_each_fault_is_blocking_and_its_first_place_named(
    tmp_path: Path, fault: Fault, check: str, episode: int | None, step: int | None
) -> None:
    made = [arrays(it) for it in range(12)]
    fault(made)
    report = validate(dataset(tmp_path, made), CONTRACT)
    assert set(blocking(report)) == {check}
    found = next(it for it in report.findings if it.severity is Severity.BLOCKING)
    assert (found.episode, found.step) == (episode, step)


def test_steps_that_were_left_out_are_a_warning(tmp_path: Path) -> None:
    made = [arrays(it) for it in range(12)]
    made[6]["robot_pose"][30:, 0] += 5.0
    report = validate(dataset(tmp_path, made), CONTRACT)
    (found,) = [it for it in report.findings if it.severity is Severity.WARNING]
    assert (found.check, found.episode, found.step) == ("steps", 6, 29)


def test_repeated_steps_are_a_warning(tmp_path: Path) -> None:
    made = [arrays(it) for it in range(12)]
    made[2]["observation"][10:20] = made[2]["observation"][10]
    report = validate(dataset(tmp_path, made), CONTRACT)
    assert ("steps", 2, 10) in [(it.check, it.episode, it.step) for it in report.findings]
    assert report.status is Status.VALIDATED


def test_missing_provenance_is_blocking(tmp_path: Path) -> None:
    contract = dataclasses.replace(CONTRACT, required_provenance=("policy.id", "environment.id"))
    report = validate(dataset(tmp_path, [arrays(it) for it in range(12)]), contract)
    assert blocking(report) == ["provenance"]
    assert "'environment.id'" in report.findings[0].message


def test_a_flipped_byte_is_blocking_and_the_other_checks_still_report(tmp_path: Path) -> None:
    found = dataset(tmp_path, [arrays(it) for it in range(3)])
    path = found.path / "step" / "action" / "c.0.0"
    data = bytearray(path.read_bytes())
    data[9] ^= 1
    path.write_bytes(data)
    report = validate(Dataset.open(found.path), CONTRACT)
    assert "files" in blocking(report)
    assert report.checks == tuple(CHECKS)
    assert "coverage" in blocking(report)


def test_statistics_that_are_not_those_of_the_data_are_blocking(tmp_path: Path) -> None:
    found = dataset(tmp_path, [arrays(it) for it in range(12)])
    false = {**found.manifest.statistics, "reward": {"count": 1, "mean": 0.85}}
    forged = dataclasses.replace(found.manifest, statistics=false)
    (found.path / "manifest.json").write_bytes(forged.to_bytes())
    report = validate(Dataset.open(found.path), CONTRACT)
    assert blocking(report) == ["statistics"]
    assert "statistics of 'reward': expected count" in report.findings[0].message


def test_a_value_outside_its_range_is_found_with_episode_and_step(tmp_path: Path) -> None:
    made = [arrays(it) for it in range(12)]
    made[8]["observation"][17, 2] = 49.0
    found = dataset(tmp_path, made)
    narrow = EpisodeSchema(
        (
            FieldSpec("observation", Axis.STATE, (4,), "float32", low=-20, high=20),
            *SCHEMA.fields[1:],
        )
    )
    report = validate(
        Dataset(LocalFiles(found.path, dataclasses.replace(found.manifest, schema=narrow))),
        CONTRACT,
        checks={"contents": CHECKS["contents"]},
    )
    ranges = [it for it in report.findings if "expected values in" in it.message]
    assert (ranges[0].episode, ranges[0].step) == (8, 17)


def test_a_replay_that_differs_is_blocking_with_its_step(tmp_path: Path) -> None:
    checks = {"replay": replay_agreement(lambda episode: 13)}
    report = validate(dataset(tmp_path, [arrays(0)]), CONTRACT, checks=checks)
    assert (report.findings[0].check, report.findings[0].step) == ("replay", 13)


def test_a_replay_that_is_impossible_is_blocking(tmp_path: Path) -> None:
    def refuse(episode: Episode) -> int | None:
        raise ReplayError("episode: expected environment 2, got 1")

    report = validate(
        dataset(tmp_path, [arrays(0)]), CONTRACT, checks={"replay": replay_agreement(refuse)}
    )
    assert "expected environment 2" in report.findings[0].message
