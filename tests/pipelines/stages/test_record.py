"""Each (scenario, seed) is recorded once, however often it is interrupted and by how many."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.learning.evaluation import episode_list
from pipelines.learning.promotion import ExpertManifest, read_expert, write_manifest
from pipelines.learning.runlog import read_record
from pipelines.running.params import ParamsError
from pipelines.stages import record
from pipelines.tasks.social_nav import task as social_nav
from pipelines.tasks.social_nav.scenarios import scenario_names
from pipelines.tasks.task import FirstSeed
from tests.pipelines import tiny
from trajstore.dataset import Dataset
from trajstore.errors import CorruptionError, StatusError
from trajstore.recording.recorder import Segment
from trajstore.recording.unfinished import open_recording, recording_folder

LISTED = episode_list(tiny.SCENARIOS, each=4, first_seed=FirstSeed.COLLECTION)


@pytest.fixture(scope="module")
def expert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.expert(tmp_path_factory.mktemp("expert"))


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "BLOCK", 2)


def recorded(expert: Path, out: Path, **changes: object) -> str:
    """Content digest of a version recorded with other parameters."""
    record.run(replace(tiny.RECORD, **changes), tiny.ENV, expert, out)  # type: ignore[arg-type]
    return Dataset.open(out).manifest.content_digest


def test_what_is_held_out_is_never_demonstrated(expert: Path, tmp_path: Path) -> None:
    env = replace(tiny.ENV, scenarios=(), horizon=5)
    record.run(replace(tiny.RECORD, each=1), env, expert, tmp_path / "v")
    assert sorted(Dataset.open(tmp_path / "v").episodes["scenario"]) == sorted(scenario_names())


def test_each_episode_is_recorded_once_in_its_order(expert: Path, tmp_path: Path) -> None:
    recorded(expert, tmp_path / "v")
    table = Dataset.open(tmp_path / "v").episodes
    assert list(zip(table["scenario"], table["seed"], strict=True)) == LISTED


@pytest.mark.slow
def test_the_digest_does_not_depend_on_shards_or_workers(
    expert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAJSTORE_WORKERS", "2")
    digests = {
        recorded(expert, tmp_path / f"{engine}-{shards}", shards=shards, engine=engine)
        for shards, engine in ((1, "sequential"), (2, "processes"), (4, "sequential"))
    }
    assert len(digests) == 1


class Killed(BaseException):
    """The worker would be gone."""


def kill_after(episodes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    left, add = episodes, Segment.add

    def dying(self: Segment, *arguments: object, **options: int) -> None:
        nonlocal left
        if left == 0:
            raise Killed
        left -= 1
        add(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Segment, "add", dying)


@pytest.mark.parametrize("shards", [1, 2, 4])
@pytest.mark.parametrize("episodes", [0, 3, 4])
def test_a_killed_recording_goes_on_even_with_other_shards(
    expert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shards: int, episodes: int
) -> None:
    whole = recorded(expert, tmp_path / "whole")
    with monkeypatch.context() as patch:
        kill_after(episodes, patch)
        with pytest.raises(Killed):
            recorded(expert, tmp_path / "torn")
    assert not (tmp_path / "torn").exists()
    kept = len(open_recording(tmp_path / "torn").frames())
    assert kept == episodes
    played: list[int] = []
    roll = social_nav.record_rollout

    def counting(act, names, config):
        played.extend(seed for _, seed in names)
        return roll(act, names, config)

    monkeypatch.setattr(social_nav, "record_rollout", counting)
    assert recorded(expert, tmp_path / "torn", shards=shards) == whole
    assert len(played) == len(set(played)) == len(LISTED) - kept
    assert not recording_folder(tmp_path / "torn").exists()


@pytest.mark.parametrize("change", ["another policy", "fewer episodes"])
def test_a_recording_that_was_begun_otherwise_is_dropped(
    expert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    with monkeypatch.context() as patch:
        kill_after(7, patch)
        with pytest.raises(Killed):
            recorded(expert, tmp_path / "v")
    each = 4
    if change == "fewer episodes":
        each = 2
    else:
        expert = tiny.expert(tmp_path / "other", seed=2, weights=9)
    clean = recorded(expert, tmp_path / "clean", each=each)
    assert recorded(expert, tmp_path / "v", each=each) == clean
    assert len(Dataset.open(tmp_path / "v")) == 2 * each


@pytest.mark.parametrize("state", ["draft", "superseded"])
def test_only_an_approved_expert_is_recorded(tmp_path: Path, state: str) -> None:
    expert = tiny.expert(tmp_path / "expert", state=state)
    with pytest.raises(StatusError, match="did not pass its gate"):
        recorded(expert, tmp_path / "v")
    assert not recording_folder(tmp_path / "v").exists()


def test_only_the_policy_that_was_approved_is_recorded(tmp_path: Path) -> None:
    expert = tiny.expert(tmp_path / "expert")
    manifest = read_record(expert / "manifest.json", ExpertManifest)
    row = {**manifest["seeds"][0], "policy": "0" * 64}
    write_manifest(expert, {**manifest, "seeds": [row], "policy": "0" * 64})
    with pytest.raises(CorruptionError, match="expected the approved policy"):
        read_expert(expert)


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [("engine", "got 'clouds'"), ("workers", "TRAJSTORE_WORKERS: expected a number")],
)
def test_what_cannot_run_drops_no_unfinished_recording(
    expert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, complaint: str
) -> None:
    with monkeypatch.context() as patch:
        kill_after(3, patch)
        with pytest.raises(Killed):
            recorded(expert, tmp_path / "v")
    before = tiny.contents(tmp_path)
    if fault == "workers":
        monkeypatch.setenv("TRAJSTORE_WORKERS", "many")
    engine = "clouds" if fault == "engine" else "sequential"
    with pytest.raises(ParamsError, match=complaint):
        recorded(expert, tmp_path / "v", engine=engine, each=1)
    assert tiny.contents(tmp_path) == before


def test_the_commit_of_the_code_is_told_beside_the_content(
    expert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = recorded(expert, tmp_path / "one")
    told = {"commit": "ab" * 20, "dirty": True}
    monkeypatch.setattr(record, "git_state", lambda *_: told)
    other = recorded(expert, tmp_path / "other")
    manifests = [Dataset.open(tmp_path / name).manifest for name in ("one", "other")]
    assert one == other
    assert manifests[0].content_digest == manifests[1].content_digest
    assert manifests[1].provenance["git"] == told
