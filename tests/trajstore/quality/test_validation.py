"""Validation finds every fault it is there for, names the first place, and passes what is sound.

Among the faults are the five that an earlier system of this kind let through: a dataset shifted by
one step, one whose episodes are copies of three, one of a single episode, another contract of
observations than the policy's, and a minimum that the recorder itself had set.
"""

import dataclasses
import inspect
from pathlib import Path

import numpy as np
import pytest

from tests.trajstore.drives import (
    CONTRACT,
    SCENARIOS,
    SCHEMA,
    arrays,
    blocking,
    dataset,
    policy,
    shifted,
)
from trajstore import lifecycle as governance
from trajstore import quality as validation
from trajstore.dataset import Dataset
from trajstore.episode.episode import Episode
from trajstore.errors import TrajStoreError
from trajstore.quality import CHECKS, policy_agreement, replay_agreement, validate
from trajstore.quality.contract import Contract
from trajstore.recording.bulk import write_dataset
from trajstore.version.manifest import Status


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


def test_a_dataset_shifted_by_one_step_is_quarantined_without_asking_a_policy(
    tmp_path: Path,
) -> None:
    report = validate(dataset(tmp_path, [shifted(arrays(it)) for it in range(12)]), CONTRACT)
    assert report.status is Status.QUARANTINED
    messages = [it.message for it in report.findings if it.check == "alignment"]
    assert len(messages) == 2
    assert "the last two observations are the same in 12 of 12 episodes" in messages[0]
    assert "they show the state of one step later" in messages[1]


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
    assert "only 3 of 12 have steps of their own (copies: 3 of 0, 4 of 1" in (
        report.findings[0].message
    )
    assert report.findings[0].episode == 3


def test_a_dataset_of_one_episode_stays_a_draft(tmp_path: Path) -> None:
    contract = Contract()
    report = validate(dataset(tmp_path, [arrays(0)]), contract)
    assert report.status is Status.DRAFT
    assert "1, and the contract asks for at least 200" in report.findings[0].message


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"shape": [6]}, r"field 'observation': expected shape \[6\], got \[4\]"),
        ({"dtype": "float64"}, "field 'observation': expected dtype float64, got float32"),
        ({"low": 0}, "field 'observation': expected low 0, got -50"),
        ({"unit": "m"}, "field 'observation': expected unit m, got "),
        ({"name": "grid"}, "field 'grid': is missing, and the observation contract asks for it"),
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


def test_every_check_of_the_table_has_a_name_and_says_what_it_holds() -> None:
    for check in CHECKS.values():
        assert check.__doc__
    assert validation.CHECKS is CHECKS


def test_the_same_dataset_gives_the_same_report(tmp_path: Path) -> None:
    found = dataset(tmp_path, [shifted(arrays(it)) for it in range(5)])
    assert validate(found, CONTRACT).to_json() == validate(found, CONTRACT).to_json()
