"""Marks of episodes lie in the file of reviews, merge as reviews do, and decide what is trained."""

import json
from itertools import permutations
from pathlib import Path

import pytest
from loguru import logger

from tests import factories
from trajstore.choosing.marks import Mark, MarksFile, counts_of, marks_from
from trajstore.cli import run
from trajstore.dataset import Dataset
from trajstore.disk.checked import checked_line
from trajstore.disk.files import write_json
from trajstore.errors import CorruptionError, NotFoundError
from trajstore.lifecycle import review
from trajstore.quality.marks import mark_episodes, reviewed_marks
from trajstore.quality.reviews import read_reviews
from trajstore.store import Store
from trajstore.version.manifest import Status

ONE, OTHER = "1" * 64, "2" * 64


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRAJSTORE", raising=False)
    factories.dataset(tmp_path / "data/store/expert/v1", count=10)
    return Store(tmp_path / "data/store")


def digests(store: Store) -> list[str]:
    found: list[str] = Dataset.open(store.path("expert@v1")).episodes["digest"].tolist()
    return found


def out(*episodes: str) -> list[Mark]:
    return [Mark(it, "exclude") for it in episodes]


def test_marks_stand_beside_reviews_and_the_last_of_an_episode_counts(tmp_path: Path) -> None:
    path = tmp_path / "reviews.json"
    review(path, ONE, Status.VALIDATED, reason="first")
    assert (
        mark_episodes(path, [Mark(ONE, "exclude", ("blurred",), "why"), Mark(OTHER, "keep")]) == 2
    )
    review(path, ONE, Status.QUARANTINED, reason="second")
    assert mark_episodes(path, [Mark(ONE, "keep"), Mark(OTHER, "keep")]) == 1, "one did not change"
    assert {it.mark for it in reviewed_marks(path).values()} == {"keep"}
    assert [it.reason for it in read_reviews(path)] == ["first", "second"]
    assert mark_episodes(path, [Mark(OTHER)]) == 1
    assert reviewed_marks(path).keys() == {ONE}, "a plain mark takes back what was said"
    before = path.read_bytes()
    assert mark_episodes(path, [Mark(OTHER), Mark(ONE, "keep")]) == 0
    assert path.read_bytes() == before


def test_any_order_and_repetition_of_lines_means_the_same(tmp_path: Path) -> None:
    path = tmp_path / "reviews.json"
    at = "2027-01-01T00:00:00+00:00"
    for mark in ("keep", "exclude", ""):
        mark_episodes(path, [Mark(ONE, mark)], clock=lambda: at)  # type: ignore[arg-type]
    lines = path.read_bytes().splitlines(keepends=True)
    mark_episodes(path, [Mark(ONE, "exclude")], clock=lambda: "2027-01-01T02:00:00+01:00")
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 4
    for order in permutations([*lines, lines[0]]):
        path.write_bytes(b"".join(order))
        assert reviewed_marks(path)[ONE].mark == "exclude"


def test_marks_are_added_to_a_file_of_the_former_format(tmp_path: Path) -> None:
    path = tmp_path / "reviews.json"
    old = {"digest": ONE, "status": "quarantined", "reason": "old", "by": "ann", "time": "2026"}
    write_json(path, {"format_version": 1, "reviews": [old]})
    mark_episodes(path, out(ONE))
    assert [it.reason for it in read_reviews(path)] == ["old"]
    assert path.read_bytes().count(b'"kind":') == 2


@pytest.mark.parametrize("change", [{"mark": "maybe"}, {"episode": "12"}, {"more": 1}])
def test_a_line_that_is_no_mark_is_named(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "reviews.json"
    mark_episodes(path, out(ONE))
    record = json.loads(path.read_text()) | change
    record.pop("check")
    path.write_bytes(checked_line(record))
    with pytest.raises(CorruptionError, match="line 1: expected a mark, got"):
        reviewed_marks(path)
    with pytest.raises(CorruptionError):
        mark_episodes(path, out(OTHER))


def test_training_leaves_excluded_episodes_out_and_says_how_many(store: Store) -> None:
    own = digests(store)
    mark_episodes(store.reviews, [*out(own[2], own[5], ONE), Mark(own[1], "keep")])
    said: list[str] = []
    logger.enable("trajstore")
    number = logger.add(said.append, format="{message}")
    try:
        dataset = store.open("expert@v1")
    finally:
        logger.remove(number)
        logger.disable("trajstore")
    assert len(said) == 1
    assert "2 of 10 episodes left out" in said[0]
    assert dataset.episodes["digest"].tolist() == [it for it in own if it not in (own[2], own[5])]
    for whole in (
        store.open("expert@v1", excluded="kept"),
        store.open("expert@v1", purpose="inspection"),
    ):
        assert len(whole) == 10
        assert whole.manifest.content_digest != dataset.manifest.content_digest
    mark_episodes(store.reviews, out(*own))
    with pytest.raises(NotFoundError, match="all 10 are marked exclude"):
        store.open("expert@v1")
    with pytest.raises(ValueError, match="excluded: expected 'left out' or 'kept'"):
        store.open("expert@v1", excluded="all")  # type: ignore[arg-type]


def test_a_selection_by_what_was_marked_and_counts_everywhere(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["select", "expert@v1", "--as", "clean", "--marks", "reviewed"]) == 2
    assert "no episode of expert@v1 is marked yet" in capsys.readouterr().err
    own = digests(store)
    tagged = Mark(own[0], "keep", ("blurred",), "look")
    mark_episodes(store.reviews, [*out(own[2], own[5], ONE), tagged])
    for command, words in (
        (["list"], "1 kept, 2 excluded, 1 tagged, 1 with a note"),
        (["inspect", "expert@v1"], "1 kept, 2 excluded, 1 tagged, 1 with a note"),
        (["validate", "expert@v1", "--dry-run"], "2 excluded"),
    ):
        run([*command])
        assert words in " ".join(capsys.readouterr().out.split()), command
        run([*command, "--json"])
        told = json.loads(capsys.readouterr().out)
        counts = told[0]["marks"] if command == ["list"] else told["marks"]
        assert counts == {"keep": 1, "exclude": 2, "tagged": 1, "noted": 1}
    where = "'blurred' not in tags"
    words = ["select", "expert@v1", "--as", "clean", "--marks", "reviewed", "--where", where]
    assert run(words) == 0
    assert "made of 7 episodes" in capsys.readouterr().out
    for where, count in (("mark != 'exclude'", 8), ("'blurred' in tags and note == 'look'", 1)):
        assert run(["select", "expert@v1", "--as", "x", "--where", where, "--dry-run"]) == 0
        assert f"of {count} episodes" in capsys.readouterr().out


def marks_file(store: Store, path: Path, **change: object) -> Path:
    digest = Dataset.open(store.path("expert@v1")).manifest.content_digest
    own = digests(store)
    marks = [
        {"episode": own[3], "mark": "exclude", "tags": ["blurred", "late"], "note": "bad\nlight"},
        {"episode": own[4], "mark": "keep", "tags": [], "note": ""},
        {"episode": own[5], "mark": None, "tags": [], "note": ""},
    ]
    record = {
        "format_version": 1, "dataset": "expert@v1", "content_digest": digest, "marks": marks,
    }  # fmt: skip
    write_json(path, record | change)
    return path


def test_a_file_of_a_page_is_brought_in_once(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(marks_file(store, tmp_path / "marks.json"))
    mark_episodes(store.reviews, out(digests(store)[5]))
    assert run(["review", "expert@v1", "--marks", path, "--dry-run"]) == 0
    assert "3 marks would change" in capsys.readouterr().out
    assert len(reviewed_marks(store.reviews)) == 1
    assert run(["review", "expert@v1", "--marks", path]) == 0
    assert "3 marks changed" in capsys.readouterr().out
    assert run(["review", "expert@v1", "--marks", path]) == 0
    assert "0 marks changed" in capsys.readouterr().out
    assert run(["review", "expert@v1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["counts"] == {"keep": 1, "exclude": 1, "tagged": 1, "noted": 1}
    assert [it["note"] for it in told["marks"] if it["tags"]] == ["bad\nlight"]
    assert '"by":' in store.reviews.read_text()
    assert '"version":"expert@v1"' in store.reviews.read_text()


REFUSED = {
    "another dataset": (
        {"content_digest": ONE, "dataset": "other@v2"},
        "these are marks of other@v2",
    ),
    "no dataset": ({"content_digest": ""}, "not told which"),
    "unknown episode": (
        {"marks": [{"episode": ONE, "mark": "keep"}]},
        "1 of its marks name no episode of",
    ),
    "another format": ({"format_version": 2}, "expected marks of format 1"),
    "no digest": ({"marks": [{"episode": "12", "mark": "keep"}]}, "expected marks of format 1"),
    "another mark": ({"marks": [{"episode": ONE, "mark": "maybe"}]}, "expected marks of format 1"),
    "one twice": ({"marks": [{"episode": ONE, "mark": "keep"}] * 2}, "two marks on the episode"),
    "a tag that does not print": ({"marks": [{"episode": ONE, "tags": ["\x1b[31m"]}]}, "print"),
    "a note without end": ({"marks": [{"episode": ONE, "note": "x" * 5000}]}, "at most 4,096"),
    "more keys": ({"extra": 1}, "unknown field"),
    "no list": ({"marks": {"a": 1}}, "expected marks of format 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_file_of_marks_of_this_version_changes_nothing(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    change, told = REFUSED[case]
    path = marks_file(store, tmp_path / "marks.json", **change)
    assert run(["review", "expert@v1", "--marks", str(path)]) in (1, 2)
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1
    assert not store.reviews.exists()


def test_marks_of_plain_json_keep_their_words() -> None:
    tagged = {"episode": ONE, "mark": None, "tags": ["a", "b", "a"], "note": "ü"}
    found = marks_from({"format_version": 1, "marks": [tagged]}, "here")
    assert found == MarksFile("", "", {ONE: Mark(ONE, "", ("a", "b"), "ü")})
    assert counts_of(found.marks.values()) == {"keep": 0, "exclude": 0, "tagged": 1, "noted": 1}
    assert found.marks[ONE].to_json() == tagged | {"tags": ["a", "b"]}


def test_two_curators_who_disagree_are_named(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = digests(store)
    says = {"ann": ("exclude", "exclude", "keep"), "bo": ("keep", "exclude", "")}
    for second, (name, marks) in enumerate(says.items()):
        monkeypatch.setattr("trajstore.quality.marks.user", lambda name=name: name)
        at = f"2027-01-01T00:00:0{second}+00:00"
        told = [Mark(it, mark) for it, mark in zip(own, marks, strict=False)]  # type: ignore[arg-type]
        mark_episodes(store.reviews, told, clock=lambda at=at: at)
    assert run(("review", "expert@v1")) == 0
    lines = [it for it in capsys.readouterr().out.splitlines() if "disputed" in it]
    assert lines == [
        "episode 0 is disputed, the last word counts: exclude by ann (2027-01-01T00:00:00+00:00), "
        "then keep by bo (2027-01-01T00:00:01+00:00)"
    ]
    assert run(("review", "expert@v1", "--json")) == 0
    [one] = json.loads(capsys.readouterr().out)["disputed"]
    assert (one["episode"], one["number"]) == (own[0], 0)
    assert [it["by"] for it in one["said"]] == ["ann", "bo"]
