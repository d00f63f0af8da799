"""The commands of curation say what they make, as lines and as JSON, with the right status."""

import json
from pathlib import Path

import gymnasium as gym
import pytest

from tests import factories
from trajstore.cli import run
from trajstore.dataset import Dataset
from trajstore.interop.environment import environment_of
from trajstore.interop.gymnasium import record, schema_of
from trajstore.recording.bulk import write_dataset


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRAJSTORE", raising=False)
    factories.dataset(tmp_path / "data/store/expert/v1", count=10)
    factories.dataset(tmp_path / "data/store/more/v1", count=4, seed=8)
    return tmp_path / "data"


def output(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    assert run(arguments) == status, capsys.readouterr()
    out, error = capsys.readouterr()
    return out if status == 0 else error


def test_select_merge_split_tell_what_they_made(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("select", "expert@v1", "--as", "clean", "--exclude", "1,3-4", "--reason", "seen")
    assert "would be made of 7 episodes" in output(capsys, *asked, "--dry-run")
    assert not (data / "store" / "clean").exists()
    told = json.loads(output(capsys, *asked, "--json"))
    [made] = told["made"]
    assert (made["reference"], made["episodes"], made["left_out"]) == ("clean@v1", 7, 3)
    shown = output(capsys, "merge", "clean@v1", "expert@v1", "more@v1", "--as", "all")
    assert "all@v1: made of 14 episodes" in shown
    assert "7 left out (7 of them are in an earlier one)" in shown
    shown = output(
        capsys, *("split", "all@v1", "--fractions", "train=0.75,test=0.25", "--seed", "0"),
        *("--as", "all", "--by", "seed"),
    )  # fmt: skip
    assert "all-train@v1: made of 11 episodes" in shown
    assert "all-test@v1: made of 3 episodes" in shown


def test_inspect_shows_the_ancestry_and_diff_follows_it(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output(capsys, "select", "expert@v1", "--as", "a", "--where", "length > 2", "--reason", "why")
    output(capsys, "select", "a@v1", "--as", "b", "--exclude", "0")
    output(capsys, "select", "expert@v1", "--as", "c", "--episodes", "0-8")
    shown = output(capsys, "inspect", "b@v1")
    assert "ancestry: made by select exclude 0" in shown
    assert "  from a@v1 (" in shown
    assert "made by select where length > 2 (why)" in shown
    assert "    from expert@v1 (" in shown
    assert "its files hold the rows of" in shown
    [above] = json.loads(output(capsys, "inspect", "b@v1", "--json"))["ancestors"]
    assert above["parents"][0]["reference"] == "expert@v1"
    for pair in (("expert@v1", "b@v1"), ("b@v1", "expert@v1")):
        shown = output(capsys, "diff", *pair)
        assert "lineage: b@v1: select exclude 0" in shown
        assert "lineage: a@v1: select where length > 2 (why)" in shown
    lines = json.loads(output(capsys, "diff", "c@v1", "b@v1", "--json"))["lineage"]
    assert [line.partition(":")[0] for line in lines] == ["b@v1", "a@v1", "c@v1"]
    assert json.loads(output(capsys, "diff", "more@v1", "b@v1", "--json"))["lineage"] == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("select expert@v1 --as x", "say which episodes"),
        ("select expert@v1 --as x --where lenght>3", "did you mean length?"),
        ("select expert@v1 --as x --where length>999", "none of 10"),
        ("select expert@v1 --as x --episodes 10", "from 0 to 9"),
        ("select expert@v1 --as x --exclude a", "such as 0,4-9"),
        ("select expert@v1 --as x --marks none.json", "there is no such file"),
        ("select expert@v1 --as x --marks reviewed", "no episode of expert@v1 is marked yet"),
        ("select expert@v1 --as more --episodes 0", "a dataset of that name exists"),
        ("select none --as x --episodes 0", "none: there is no version of it"),
        ("merge expert@v1 --as x", "two or more versions"),
        ("split expert@v1 --as x --seed 0 --fractions a=0.5,b=0.2", "add up to 0.7"),
        ("split expert@v1 --as x --seed 0 --fractions a=0.5,a=0.5", "has a name twice"),
        ("split expert@v1 --as x --seed 0 --fractions half", "such as train=0.8,test=0.2"),
        ("split expert@v1 --as x --seed 0 --fractions a=nan,b=0.5", "between 0 and 1"),
        ("split expert@v1 --as x --seed -1 --fractions a=0.5,b=0.5", "-1 is not in the range"),
        ("split expert@v1 --as x --seed 0 --fractions A=0.5,b=0.5", "dataset name"),
        ("rename expert more", "a dataset of that name exists"),
        ("rename none x", "no dataset of that name"),
        ("copy none --to there", "none: there is no version of it"),
    ],
)
def test_wrong_use_is_one_line_and_changes_nothing(
    data: Path, capsys: pytest.CaptureFixture[str], arguments: str, told: str
) -> None:
    before = sorted(data.rglob("*"))
    complaint = output(capsys, *arguments.split(" "), status=2)
    assert told in complaint
    assert "Traceback" not in complaint
    assert sorted(data.rglob("*")) == before


def test_rename_and_copy_say_what_is_where(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "would be teleop" in output(capsys, "rename", "expert", "teleop", "--dry-run")
    assert "is now teleop" in output(capsys, "rename", "expert", "teleop")
    output(capsys, "approve", "teleop@v1", "--reason", "seen")
    copy = ("copy", "teleop@v1", "--to", "there/store")
    assert "there/store/teleop/v1: would be copied" in output(capsys, *copy, "--dry-run")
    shown = output(capsys, *copy)
    assert "copied and compared" in shown
    assert "validated by review: what was decided lies in " in shown
    assert "data/reviews.json; take it along" in shown
    told = json.loads(output(capsys, *copy, "--json"))
    assert (told["new"], told["reviews"]) == (False, 1)


def test_a_version_only_in_the_archive_is_named(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output(capsys, "quarantine", "more@v1", "--reason", "test")
    output(capsys, "rotate", "more", "--keep-quarantined", "0")
    complaint = output(capsys, "select", "more@v1", "--as", "x", "--episodes", "0", status=2)
    assert "look at archive:more@v1" in complaint
    output(capsys, "select", "archive:more@v1", "--as", "x", "--episodes", "0")


def test_episodes_that_were_selected_replay(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    env = gym.make("CartPole-v1")
    env.action_space.seed(0)
    episodes = record(env, lambda _: env.action_space.sample(), seeds=range(6))
    provenance = {"environment": environment_of(env)}
    target = data / "store" / "pole" / "v1"
    write_dataset(target, list(episodes), schema=schema_of(env), provenance=provenance)
    output(capsys, "select", "pole@v1", "--as", "some", "--where", "seed in (0, 2, 3, 5)")
    shown = output(
        capsys, "verify", "some@v1", "--deep", "--replay", "all", "--environment", "gymnasium"
    )
    assert "4/4 bit-equal" in shown
    assert Dataset.open(target).select("seed < 2").column("seed").tolist() == [0, 1]
