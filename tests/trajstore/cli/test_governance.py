"""The commands of governance say what they decide, as table and as JSON, with the right status."""

import json
import re
from pathlib import Path

import pytest

from tests import factories
from trajstore.cli import run

CONTRACT = '{"minimum_episodes": 3}'


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with two recorded versions and a contract."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRAJSTORE", raising=False)
    for number in (1, 2):
        folder = tmp_path / "data" / "in" / str(number) / "expert"
        factories.dataset(folder, count=4, seed=100 * number)
    (tmp_path / "data" / "contract.json").write_text(CONTRACT)
    return tmp_path / "data"


def output(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    assert run(arguments) == status, capsys.readouterr()
    return capsys.readouterr().out


def facts(
    capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0
) -> dict[str, object]:
    found: dict[str, object] = json.loads(output(capsys, *arguments, "--json", status=status))
    return found


def publish_both(capsys: pytest.CaptureFixture[str]) -> None:
    for number in ("1", "2"):
        output(capsys, "validate", f"data/in/{number}/expert")
        output(capsys, "publish", f"data/in/{number}/expert")


def test_validate_exits_with_1_for_a_draft_and_names_the_finding(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "contract.json").unlink()
    shown = output(capsys, "validate", "data/in/1/expert", status=1)
    assert "draft" in shown
    assert "the contract asks for at least 200" in " ".join(shown.split())
    said = re.search(r"to say how many are enough, put (\{.*\}) into (\S+)", shown)
    assert said is not None
    Path(said[2]).write_text(said[1])
    assert "validated" in output(capsys, "validate", "data/in/1/expert")


def test_a_dry_run_of_validate_writes_no_verdict(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = facts(capsys, "validate", "data/in/1/expert", "--dry-run")
    assert found["status"] == "validated"
    assert not (data / "in" / "1" / "expert.status.json").exists()


def test_publish_rotate_and_restore_tell_what_they_did(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output(capsys, "validate", "data/in/1/expert")
    assert facts(capsys, "publish", "data/in/1/expert", "--dry-run")["version"] == 1
    assert not (data / "store").exists()
    publish_both(capsys)
    planned = facts(capsys, "rotate", "expert", "--keep", "1", "--dry-run")
    assert (data / "store" / "expert" / "v1").is_dir()
    assert facts(capsys, "rotate", "expert", "--keep", "1")["decisions"] == planned["decisions"]
    assert not (data / "store" / "expert" / "v1").exists()
    assert "would be restored" in output(capsys, "restore", "expert@v1", "--dry-run")
    assert "restored at" in output(capsys, "restore", "expert@v1")
    assert (data / "store" / "expert" / "v1").is_dir()


def test_a_quarantine_is_written_for_git_and_wins(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_both(capsys)
    output(capsys, "quarantine", "expert@v2", "--reason", "wrong scale", "--dry-run")
    assert not (data / "reviews.json").exists()
    output(capsys, "quarantine", "expert@v2", "--reason", "wrong scale")
    found = facts(capsys, "validate", "expert@v2", status=1)
    assert (found["status"], found["effective_status"]) == ("validated", "quarantined")
    output(capsys, "approve", "expert@v2", "--reason", "seen every episode")
    output(capsys, "validate", "expert@v2")


def test_an_archived_version_can_be_reviewed(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_both(capsys)
    output(capsys, "rotate", "expert", "--keep", "1")
    output(capsys, "quarantine", "expert@v1", "--reason", "old sensor")
    assert "expert@v1" in (data / "reviews.json").read_text()


def test_a_version_that_only_the_archive_has_is_found_there(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_both(capsys)
    output(capsys, "rotate", "expert", "--keep", "1")
    for line in ("inspect {}", "du {}", "diff {} expert@v2", "verify {}"):
        assert run(line.format("expert@v1").split()) == 2
        told = capsys.readouterr().err
        assert "look at archive:expert@v1, or bring it back: trajstore restore expert@v1" in told
    assert run(["inspect", "expert@v9"]) == 2
    assert "archive" not in capsys.readouterr().err


def test_a_dataset_that_is_all_in_the_archive_is_found_there(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_both(capsys)
    for number in (1, 2):
        output(capsys, "quarantine", f"expert@v{number}", "--reason", "old sensor")
    output(capsys, "rotate", "expert", "--keep-quarantined", "0")
    for reference in ("expert", "expert@latest"):
        assert run(["inspect", reference]) == 2
        told = capsys.readouterr().err
        assert "look at archive:expert@v2, or bring it back: trajstore restore expert@v2" in told


@pytest.mark.parametrize("versions", [("v9",), ("v2", "v1"), ("v99", "v2")])
def test_a_version_in_use_that_is_not_live_is_refused_and_nothing_rotates(
    data: Path, capsys: pytest.CaptureFixture[str], versions: tuple[str, ...]
) -> None:
    publish_both(capsys)
    output(capsys, "rotate", "expert", "--keep", "1")
    output(capsys, "restore", "expert@v1")
    output(capsys, "rotate", "expert", "--keep", "1")
    before = sorted(data.rglob("*"))
    options = [word for version in versions for word in ("--in-use", version)]
    for dry in ([], ["--dry-run"]):
        assert run(["rotate", "expert", *options, *dry]) == 2
        assert "not in the store; there are v2" in capsys.readouterr().err
    assert sorted(data.rglob("*")) == before


def test_a_version_of_the_store_is_published_under_the_name_of_its_dataset(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    factories.dataset(data / "store" / "mine" / "v1", count=4)
    output(capsys, "validate", "mine@v1")
    for dry in (["--dry-run"], []):
        shown = output(capsys, "publish", "data/store/mine/v1", *dry)
        assert "mine@v1: there already, nothing published" in shown
    assert not (data / "store" / "v1").exists()


def test_numbers_for_people_have_separators(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    factories.dataset(data / "many", count=1001)
    assert "16 checks, 1,001 episodes" in output(capsys, "validate", "data/many")


def test_damaged_reviews_are_told_once_and_no_version_is_called_damaged(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_both(capsys)
    (data / "reviews.json").write_text("garbage")
    for line in (["list"], ["du"]):
        assert run(line) == 1
        told = capsys.readouterr()
        assert told.out.count("unreadable") == 2
        assert "damaged" not in told.out
        assert told.err.endswith(", or take the last good one from git\n")
        assert len(told.err.splitlines()) == 1
    checked = json.loads(output(capsys, "doctor", "--json", status=1))
    assert [it["what"] for it in checked if it["verdict"] == "bad"] == ["status"]


def test_diff_shows_episodes_and_provenance(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish_both(capsys)
    found = facts(capsys, "diff", "expert@v1", "expert@v2")
    assert (found["kept"], found["same_content"]) == (0, False)
    assert "content" in output(capsys, "diff", "expert@v1", "expert@v1")


@pytest.mark.parametrize(
    "arguments",
    [
        ("rotate", "nobody"),
        ("restore", "expert@v9"),
        ("restore", "expert"),
        ("quarantine", "expert@v9", "--reason", "x"),
        ("quarantine", "expert@v1"),
        ("publish", "data/nothing"),
        ("diff", "expert@v1", "../../etc/passwd"),
        ("validate", "Bad@Name"),
        ("rotate", "expert", "--keep", "0"),
        ("rotate", "expert", "--in-use", "v9"),
    ],
)
def test_wrong_use_exits_with_2_before_anything_is_touched(
    data: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    before = sorted(data.rglob("*"))
    assert run(arguments) == 2
    assert capsys.readouterr().err
    assert sorted(data.rglob("*")) == before


@pytest.mark.parametrize(
    "command", ["validate", "approve", "quarantine", "publish", "rotate", "restore", "diff"]
)
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Examples:" in output(capsys, command, "--help")


def test_every_command_takes_reviews_and_archive_from_the_environment(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_both(capsys)
    monkeypatch.setenv("TRAJSTORE_REVIEWS", str(data / "elsewhere" / "reviews.json"))
    monkeypatch.setenv("TRAJSTORE_ARCHIVE", str(data / "packs"))
    output(capsys, "quarantine", "expert@v2", "--reason", "wrong scale")
    assert not (data / "reviews.json").exists()
    listed = json.loads(output(capsys, "list", "expert", "--json"))
    assert [it["status"] for it in listed] == ["validated", "quarantined"]
    assert facts(capsys, "inspect", "expert@v2")["status"] == "quarantined"
    assert facts(capsys, "validate", "expert@v2", status=1)["effective_status"] == "quarantined"
    checked = {it["what"]: it["found"] for it in json.loads(output(capsys, "doctor", "--json"))}
    assert checked["expert@v2"] == "quarantined, 4 episodes"
    output(capsys, "play", "expert@v2", "--no-open", "--out", "page.html")
    assert "wrong scale" in (data.parent / "page.html").read_text()
    assert run(["publish", "data/store/expert/v2"]) == 1
    assert "this one is quarantined" in capsys.readouterr().err
    output(capsys, "rotate", "expert", "--keep-quarantined", "0")
    assert len(list((data / "packs").iterdir())) == 1 and not (data / "archive").exists()
    assert facts(capsys, "inspect", "archive:expert@latest")["status"] == "quarantined"


def test_an_option_of_a_command_wins_over_the_environment(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_both(capsys)
    monkeypatch.setenv("TRAJSTORE_REVIEWS", str(data / "other.json"))
    monkeypatch.setenv("TRAJSTORE_ARCHIVE", str(data / "other"))
    own = ["--reviews", str(data / "own.json")]
    output(capsys, "quarantine", "expert@v2", "--reason", "wrong scale", *own)
    assert (data / "own.json").exists() and not (data / "other.json").exists()
    output(capsys, "validate", "expert@v2", *own, status=1)
    output(capsys, "validate", "expert@v2")
    output(capsys, "rotate", "expert", "--keep", "1", "--archive", str(data / "own"))
    assert (data / "own").is_dir() and not (data / "other").exists()
