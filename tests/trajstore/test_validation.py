"""Validation finds every fault it is there for, names the first place, and passes what is sound.

Among the faults are the five that an earlier system of this kind let through: a dataset shifted by
one step, one whose episodes are copies of three, one of a single episode, another contract of
observations than the policy's, and a minimum that the recorder itself had set.
"""

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from trajstore import governance, validation
from trajstore.contract import Contract
from trajstore.dataset import Dataset
from trajstore.episode import Episode
from trajstore.errors import ReplayError, SchemaError, TrajStoreError
from trajstore.findings import Severity
from trajstore.manifest import Status
from trajstore.schema import Axis, EpisodeSchema, FieldSpec
from trajstore.validation import CHECKS, Report, policy_agreement, replay_agreement, validate
from trajstore.writer import write_dataset

Arrays = dict[str, np.ndarray]
SCENARIOS = ("frontal_approach/low", "blind_corner/medium")
SCHEMA = EpisodeSchema(
    (
        FieldSpec("observation", Axis.STATE, (4,), "float32", low=-50, high=50),
        FieldSpec("robot_pose", Axis.STATE, (3,), "float32", unit="m"),
        FieldSpec("robot_velocity", Axis.STATE, (2,), "float32"),
        FieldSpec("time", Axis.STATE, (), "float32", unit="s"),
        FieldSpec("action", Axis.STEP, (2,), "float32", low=-1, high=1),
        FieldSpec("reward", Axis.STEP, (), "float32"),
        FieldSpec("terminated", Axis.STEP, (), "bool"),
        FieldSpec("truncated", Axis.STEP, (), "bool"),
        FieldSpec("scenario", Axis.EPISODE, (), "str"),
        FieldSpec("seed", Axis.EPISODE, (), "int64"),
    )
)
CONTRACT = Contract(
    minimum_episodes=10,
    required_scenarios=SCENARIOS,
    episodes_per_scenario=5,
    required_provenance=("policy.id",),
    observation=tuple(SCHEMA.field(name).to_json() for name in ("observation", "action")),
    reserved_seeds=((1_000_000, 2_000_000),),
    min_steps=2,
)


def policy(observations: np.ndarray) -> np.ndarray:
    """The expert of this file: turns the observation into an action, without memory."""
    turned = np.tanh(observations @ np.array([[0.3, -0.2], [0.1, 0.5], [-0.4, 0.2], [0.2, 0.1]]))
    return turned.astype(np.float32)


def arrays(seed: int, steps: int = 40) -> Arrays:
    """One drive of the expert: velocity follows the action, the observation shows the velocity."""
    rng = np.random.default_rng(seed)
    velocity = np.zeros((steps + 1, 2))
    observation = np.zeros((steps + 1, 4), np.float32)
    action = np.zeros((steps, 2), np.float32)
    noise = rng.normal(0, 1, (steps + 1, 2))
    observation[0] = [0, 0, *noise[0]]
    for step in range(steps):
        action[step] = policy(observation[step][None])[0]
        velocity[step + 1] = 0.7 * velocity[step] + 0.3 * action[step]
        observation[step + 1] = [*(2 * velocity[step + 1]), *noise[step + 1]]
    position = np.cumsum(velocity, axis=0) * 0.1
    return {
        "observation": observation,
        "robot_pose": np.column_stack([position, np.zeros(steps + 1)]).astype(np.float32),
        "robot_velocity": velocity.astype(np.float32),
        "time": np.arange(steps + 1, dtype=np.float32) * np.float32(0.125),
        "action": action,
        "reward": rng.normal(0, 1, steps).astype(np.float32),
        "terminated": np.arange(steps) == steps - 1,
        "truncated": np.zeros(steps, bool),
        "scenario": np.array(SCENARIOS[seed % 2]),
        "seed": np.array(2_000_000 + seed),
    }


def dataset(folder: Path, made: Sequence[Arrays], schema: EpisodeSchema = SCHEMA) -> Dataset:
    write_dataset(
        folder / "v",
        [Episode(schema, it) for it in made],
        schema=schema,
        provenance={"policy": {"id": "p1"}},
    )
    return Dataset.open(folder / "v")


def shifted(it: Arrays) -> Arrays:
    """What a recorder stores that keeps the observation after the action, and pads the end."""
    rows = it["observation"]
    return it | {"observation": np.concatenate([rows[1:], rows[-1:]])}


def blocking(report: Report) -> list[str]:
    return [finding.check for finding in report.of(Severity.BLOCKING)]


def test_a_sound_dataset_is_validated_without_a_finding(tmp_path: Path) -> None:
    checks = {
        **CHECKS,
        "policy": policy_agreement(policy),
        "replay": replay_agreement(lambda episode: None),
    }
    report = validate(dataset(tmp_path, [arrays(it) for it in range(12)]), CONTRACT, checks=checks)
    assert report.findings == ()
    assert report.status is Status.VALIDATED
    assert report.checks == tuple(checks)


# --- the five failures of the system before ---------------------------------------------------


def test_a_dataset_shifted_by_one_step_is_quarantined_without_asking_a_policy(
    tmp_path: Path,
) -> None:
    report = validate(dataset(tmp_path, [shifted(arrays(it)) for it in range(12)]), CONTRACT)
    assert report.status is Status.QUARANTINED
    messages = [it.message for it in report.findings if it.check == "alignment"]
    assert len(messages) == 2
    assert "the last two observations are the same in 12 of 12 episodes" in messages[0]
    assert "got that of one step later" in messages[1]


def test_a_dataset_shifted_by_one_step_does_not_agree_with_its_policy(tmp_path: Path) -> None:
    """Even where no other field betrays it and the end was not padded."""
    made = []
    for seed in range(12):
        it = shifted(arrays(seed))
        it["observation"][-1] += 0.5
        made.append(it)
    checks = {"policy": policy_agreement(policy)}
    report = validate(dataset(tmp_path, made), CONTRACT, checks=checks)
    assert report.status is Status.QUARANTINED
    (finding,) = report.findings
    assert (finding.episode, finding.step) == (0, 0)
    assert finding.message.endswith("shifted by one")


def test_episodes_that_are_copies_of_three_are_quarantined(tmp_path: Path) -> None:
    """They claim seeds and scenarios of their own, so their digests differ."""
    made = [
        arrays(it % 3) | {"seed": np.array(2_000_000 + it), "scenario": np.array(SCENARIOS[it % 2])}
        for it in range(12)
    ]
    report = validate(dataset(tmp_path, made), CONTRACT)
    assert blocking(report) == ["distinct"]
    assert "expected 12 with steps of their own, got 3 (copies: 3 of 0, 4 of 1" in (
        report.findings[0].message
    )
    assert report.findings[0].episode == 3


def test_a_dataset_of_one_episode_stays_a_draft(tmp_path: Path) -> None:
    contract = Contract()
    report = validate(dataset(tmp_path, [arrays(0)]), contract)
    assert report.status is Status.DRAFT
    assert "expected at least 200 by the contract, got 1" in report.findings[0].message


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"shape": [6]}, r"field 'observation': expected shape \[6\], got \[4\]"),
        ({"dtype": "float64"}, "field 'observation': expected dtype float64, got float32"),
        ({"low": 0}, "field 'observation': expected low 0, got -50"),
        ({"unit": "m"}, "field 'observation': expected unit m, got "),
        ({"name": "grid"}, "field 'grid': expected by the observation contract, got none"),
    ],
)
def test_another_contract_of_observations_is_quarantined_and_the_first_difference_named(
    tmp_path: Path, change: dict[str, object], complaint: str
) -> None:
    wanted = SCHEMA.field("observation").to_json() | change
    contract = dataclasses.replace(CONTRACT, observation=(wanted,))
    report = validate(dataset(tmp_path, [arrays(it) for it in range(12)]), contract)
    assert blocking(report) == ["observation"]
    with pytest.raises(TrajStoreError, match=complaint):
        raise TrajStoreError(report.findings[0].message)


def test_the_minimum_comes_from_the_contract_and_from_nowhere_else(tmp_path: Path) -> None:
    """A recorder that writes its own minimum into the dataset changes nothing."""
    target = tmp_path / "v"
    own = {"policy": {"id": "p1"}, "minimum_episodes": 1, "contract": {"minimum_episodes": 1}}
    made = [Episode(SCHEMA, arrays(it)) for it in range(4)]
    write_dataset(target, made, schema=SCHEMA, provenance=own)
    assert validate(Dataset.open(target), Contract()).status is Status.DRAFT
    for function in (validate, governance.judge, governance.publish):
        assert not [it for it in inspect.signature(function).parameters if "minimum" in it]
    assert Contract().minimum_episodes == 200


# --- every other check ------------------------------------------------------------------------


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
    found = report.of(Severity.BLOCKING)[0]
    assert (found.episode, found.step) == (episode, step)


def test_steps_that_were_left_out_are_a_warning(tmp_path: Path) -> None:
    made = [arrays(it) for it in range(12)]
    made[6]["robot_pose"][30:, 0] += 5.0
    report = validate(dataset(tmp_path, made), CONTRACT)
    (found,) = report.of(Severity.WARNING)
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
    report = validate(Dataset(found.path, forged), CONTRACT)
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
        Dataset(found.path, dataclasses.replace(found.manifest, schema=narrow)),
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


def test_every_check_of_the_table_has_a_name_and_says_what_it_holds() -> None:
    for check in CHECKS.values():
        assert check.__doc__
    assert validation.CHECKS is CHECKS


def test_the_same_dataset_gives_the_same_report(tmp_path: Path) -> None:
    found = dataset(tmp_path, [shifted(arrays(it)) for it in range(5)])
    assert validate(found, CONTRACT).to_json() == validate(found, CONTRACT).to_json()


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        ({"minimum": 3}, "got 'minimum'"),
        ({"minimum_episodes": 0}, "expected minimum_episodes of at least 1, got 0"),
        ({"minimum_episodes": "200"}, "expected minimum_episodes"),
        ({"minimum_episodes": float("nan")}, "expected minimum_episodes"),
        ({"required_scenarios": "crowd"}, "expected a list as required_scenarios"),
        ({"reserved_seeds": [[5, 5]]}, "expected ranges of seeds"),
        ({"reserved_seeds": [[True, 5]]}, "expected ranges of seeds"),
    ],
)
def test_a_contract_that_makes_no_sense_is_refused(
    record: dict[str, object], complaint: str
) -> None:
    with pytest.raises(SchemaError, match=complaint):
        Contract.from_json(record)


def test_a_contract_survives_json() -> None:
    assert Contract.from_json(CONTRACT.to_json()) == CONTRACT
