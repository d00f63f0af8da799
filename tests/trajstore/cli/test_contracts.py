"""A contract is that of one dataset; none is held to another's."""

import json
from pathlib import Path

import pytest

from tests import factories
from trajstore.cli import run
from trajstore.quality.records import read_verdict
from trajstore.store import Store
from trajstore.version.manifest import Status

EXPERT = '{"minimum_episodes": 3, "required_scenarios": ["frontal_approach/low"]}'
STRICT = '{"minimum_episodes": 3, "required_scenarios": ["nowhere/low"]}'


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A store of two datasets that are fit for the contract of the first."""
    for name in ("expert", "scripted"):
        factories.dataset(tmp_path / "store" / name / "v1", count=4)
    return tmp_path


def validate(data: Path, reference: str, *options: str) -> str:
    """The status that a dataset has after it was validated."""
    run(["--store", str(data / "store"), "validate", reference, *options])
    return Store(data / "store").status(reference).value


def test_each_dataset_is_held_to_its_own_contract(data: Path) -> None:
    (data / "expert.contract.json").write_text(EXPERT)
    (data / "scripted.contract.json").write_text(STRICT)
    assert validate(data, "expert@v1") == "validated"
    assert validate(data, "scripted@v1") == "quarantined"
    assert validate(data, f"{data}/store/expert/v1") == "validated"
    factories.dataset(data / "in/scripted", count=4, seed=50)
    assert validate(data, f"{data}/in/scripted") == "quarantined"


def test_a_contract_of_one_dataset_quarantines_no_other(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "expert.contract.json").write_text(STRICT)
    assert validate(data, "expert@v1") == "quarantined"
    assert validate(data, "scripted@v1") == "draft", "200 episodes, the default"
    assert "not applied" not in capsys.readouterr().err


@pytest.mark.parametrize("whose", [None, "expert"])
def test_a_contract_of_the_whole_store_is_that_of_the_dataset_it_names(
    data: Path, capsys: pytest.CaptureFixture[str], whose: str | None
) -> None:
    named = {} if whose is None else {"dataset": whose}
    (data / "contract.json").write_text(json.dumps(json.loads(STRICT) | named))
    assert validate(data, "scripted@v1") == "draft"
    told = capsys.readouterr().err
    assert ("names no dataset" in told) == (whose is None)
    assert ("call it scripted.contract.json" in told) == (whose is None)
    assert validate(data, "expert@v1") == ("draft" if whose is None else "quarantined")
    assert validate(data, "scripted@v1", "--contract", f"{data}/contract.json") == "quarantined"


def test_a_contract_that_names_no_dataset_is_that_of_the_only_one(tmp_path: Path) -> None:
    factories.dataset(tmp_path / "store/expert/v1", count=4)
    (tmp_path / "contract.json").write_text(STRICT)
    assert validate(tmp_path, "expert@v1") == "quarantined"


def test_what_the_version_was_held_to_before_counts_without_a_file(data: Path) -> None:
    (data / "once.json").write_text(EXPERT)
    assert validate(data, "expert@v1", "--contract", f"{data}/once.json") == "validated"
    assert validate(data, "expert@v1") == "validated"
    verdict = read_verdict(data / "store/expert/v1")
    assert verdict is not None
    assert verdict.contract is not None
    assert verdict.contract["required_scenarios"] == ["frontal_approach/low"]


@pytest.mark.parametrize(
    "text",
    [
        '{"required_scenarios": ["\\ud800"]}', '{"observation": [{"name": "\\udfff"}]}',
        "[]", "3", "null", '"x"', "{", "", '{"minimum_episodes": 1e999}', '{"max_steps": 2.5}',
        '{"required_scenarios": [1]}', '{"required_provenance": [null]}', '{"observation": [3]}',
        '{"observation": [{}]}', '{"reserved_seeds": [[1]]}', '{"dataset": 3}', '{"dataset": []}',
        '{"minimum_episodes": 3, "minimum_episodes": 1}', '{"policy_tolerance": true}',
        '{"required_scenarios": {"a": 1}}', '{"anomalous_share": NaN}', '{"max_steps": null}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["expert.contract.json", "contract.json", "named.json"])
def test_a_file_that_is_no_contract_is_named_in_one_line(
    data: Path, capsys: pytest.CaptureFixture[str], text: str, place: str
) -> None:
    (data / place).write_text(text)
    options = ["--contract", str(data / place)] if place == "named.json" else []
    assert run(["--store", str(data / "store"), "validate", "expert@v1", *options]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"trajstore: {data / place}: ")
    assert len(told.splitlines()) == 1
    assert Store(data / "store").status("expert@v1") is Status.DRAFT


def test_a_link_to_a_contract_that_is_gone_is_not_taken_for_none(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "expert.contract.json").symlink_to(data / "gone.json")
    assert run(["--store", str(data / "store"), "validate", "expert@v1"]) == 2
    assert "expert.contract.json: there is no such file" in capsys.readouterr().err
