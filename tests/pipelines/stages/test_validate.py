"""A dataset is used only if it is what the expert did in this world; anything else stops here."""

from pathlib import Path

import pytest
import yaml

from pipelines.stages import validate
from pipelines.stages.validate import ValidateParams
from tests.pipelines import tiny
from trajstore.dataset import Dataset
from trajstore.disk.files import read_json
from trajstore.episode.episode import Episode
from trajstore.recording.bulk import write_dataset

PARAMS = ValidateParams(8, 4, 4, 1e-4, 4)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    tiny.dataset(folder)
    return folder


def report(recorded: Path, dataset: Path, params: ValidateParams = PARAMS) -> dict:
    return validate.run(
        params,
        tiny.ENV,
        dataset=dataset,
        expert=recorded / "models",
        reviews=recorded / "reviews.json",
    )


def shifted(recorded: Path, target: Path) -> Path:
    """The same dataset, but every action is that of the step before."""
    source = Dataset.open(recorded / "expert")
    episodes = []
    for episode in source:
        action = episode["action"].copy()
        action[1:] = episode["action"][:-1]
        episodes.append(Episode(source.schema, {**episode.arrays, "action": action}))
    provenance = source.manifest.provenance
    write_dataset(target, episodes, schema=source.schema, provenance=provenance)
    return target


def test_the_expert_s_own_episodes_are_validated(recorded: Path) -> None:
    told = report(recorded, recorded / "expert")
    assert (told["status"], told["findings"]) == ("validated", [])


def test_fewer_episodes_than_the_contract_asks_stay_a_draft(recorded: Path) -> None:
    told = report(recorded, recorded / "expert", ValidateParams(9, 4, 4, 1e-4, 4))
    assert told["status"] == "draft"


def test_shifted_actions_are_quarantined_by_policy_and_replay(
    recorded: Path, tmp_path: Path
) -> None:
    told = report(recorded, shifted(recorded, tmp_path / "v"))
    assert told["status"] == "quarantined"
    assert {"policy", "replay"} <= {finding["check"] for finding in told["findings"]}


@pytest.mark.parametrize(("fault", "status"), [(False, 0), (True, 1)], ids=["good", "shifted"])
def test_the_stage_s_exit_status_stops_what_follows(
    recorded: Path, tmp_path: Path, fault: bool, status: int
) -> None:
    dataset = shifted(recorded, tmp_path / "v") if fault else recorded / "expert"
    weights = {name: getattr(tiny.ENV.reward, name) for name in tiny.ENV.reward.__slots__}
    env = {"horizon": 25, "goal_radius": 0.5, "scenarios": list(tiny.SCENARIOS), "reward": weights}
    section = {name: getattr(PARAMS, name) for name in PARAMS.__slots__}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump({"env": env, "validate": section}))
    out = tmp_path / "reports" / "validation.json"
    options = [
        "--params",
        path,
        "--dataset",
        dataset,
        "--expert",
        recorded / "models",
        "--out",
        out,
    ]
    reviews = ["--reviews", recorded / "reviews.json"]
    assert validate.main([str(word) for word in [*options, *reviews]]) == status
    assert read_json(out)["status"] == ("quarantined" if fault else "validated")
