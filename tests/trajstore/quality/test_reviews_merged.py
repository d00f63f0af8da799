"""Two curators decide on two branches, and git merges them: no decision is lost."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests import factories
from trajstore.choosing.marks import Mark
from trajstore.dataset import Dataset
from trajstore.disk.checked import checked_line
from trajstore.disk.files import write_json
from trajstore.disk.locks import lock
from trajstore.errors import CorruptionError, FormatError, LockedError
from trajstore.lifecycle import review
from trajstore.quality.marks import digests_of, disputed, mark_episodes, reviewed_marks
from trajstore.quality.reviews import UNREADABLE, effective_status, read_reviews, standing
from trajstore.version.manifest import Status

ONE, OTHER = "1" * 64, "2" * 64
ATTRIBUTES = Path(__file__).parents[3] / ".gitattributes"
GOOD, BAD = Status.VALIDATED, Status.QUARANTINED


def git(folder: Path, *words: str, status: int = 0) -> str:
    names = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    ran = subprocess.run(
        ["git", *names, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ran.returncode == status, ran.stdout + ran.stderr
    return ran.stdout


def decide(folder: Path, digest: str, status: Status, reason: str, second: int) -> None:
    at = f"2027-01-01T00:00:{second:02}+00:00"
    review(folder / "data/reviews.json", digest, status, reason=reason, clock=lambda: at)
    git(folder, "commit", "-qam", reason)


def reasons(folder: Path) -> list[str]:
    return [it.reason for it in read_reviews(folder / "data/reviews.json")]


def project(folder: Path, start: str, *, attributes: bool = True) -> Path:
    """A repository on ``main`` with a file of reviews, and a branch ``other``."""
    folder.mkdir()
    git(folder, "init", "-qb", "main")
    (folder / "data").mkdir()
    path = folder / "data/reviews.json"
    if start == "former":
        write_json(path, {"format_version": 1, "reviews": []})
    else:
        review(path, ONE, GOOD, reason="first", clock=lambda: "2027-01-01T00:00:00+00:00")
    if attributes:
        (folder / ".gitattributes").write_bytes(ATTRIBUTES.read_bytes())
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "start")
    git(folder, "branch", "other")
    return folder


def test_the_repository_merges_reviews_by_keeping_both_sides() -> None:
    assert "data/reviews.json merge=union" in ATTRIBUTES.read_text()


@pytest.mark.parametrize("start", ["former", "lines"])
@pytest.mark.parametrize("ours_first", [True, False])
def test_what_both_branches_decided_counts_after_a_merge(
    tmp_path: Path, start: str, ours_first: bool
) -> None:
    folder = project(tmp_path / "project", start)
    decide(folder, ONE, BAD, "ours", 10 if ours_first else 20)
    decide(folder, OTHER, GOOD, "ours too", 30)
    git(folder, "checkout", "-q", "other")
    decide(folder, ONE, GOOD, "theirs", 20 if ours_first else 10)
    decide(folder, OTHER, BAD, "theirs too", 40)
    git(folder, "checkout", "-q", "main")
    git(folder, "merge", "-qm", "merged", "other")
    first = ["first"] if start == "lines" else []
    both = ["ours", "theirs"] if ours_first else ["theirs", "ours"]
    assert reasons(folder) == [*first, *both, "ours too", "theirs too"]
    held = read_reviews(folder / "data/reviews.json")
    assert effective_status(None, held, ONE) is (GOOD if ours_first else BAD)
    assert effective_status(GOOD, held, OTHER) is BAD


def test_a_former_file_that_both_branches_turned_into_lines(tmp_path: Path) -> None:
    """What both took over stands once, whatever git repeats."""
    folder = project(tmp_path / "project", "former")
    old = {"digest": ONE, "status": "quarantined", "reason": "old", "by": "ann", "time": "2026"}
    write_json(folder / "data/reviews.json", {"format_version": 1, "reviews": [old]})
    git(folder, "commit", "-qam", "of 0.1.0")
    git(folder, "checkout", "-qB", "other")
    git(folder, "checkout", "-q", "main")
    decide(folder, OTHER, BAD, "ours", 10)
    git(folder, "checkout", "-q", "other")
    decide(folder, OTHER, GOOD, "theirs", 5)
    git(folder, "merge", "-qm", "merged", "main")
    assert reasons(folder) == ["old", "theirs", "ours"]


def test_marks_of_two_curators_on_two_branches_are_all_there_after_a_merge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two marks on one episode the later counts, and who disagreed is told."""
    folder = project(tmp_path / "project", "lines")
    path = folder / "data/reviews.json"
    factories.dataset(folder / "data/store/expert/v1", count=40)
    dataset = Dataset.open(folder / "data/store/expert/v1")
    own = digests_of(dataset)
    bar: dict[str, list[Mark]] = {
        "ann": [Mark(it, "exclude", ("grip",), "ann's") for it in own[:25]],
        "bo": [Mark(it, "keep", ("slow",)) for it in own[20:]],
    }
    for second, (name, branch) in enumerate((("ann", "main"), ("bo", "other"))):
        git(folder, "checkout", "-q", branch)
        monkeypatch.setattr("trajstore.quality.marks.user", lambda name=name: name)
        for number, mark in enumerate(bar[name]):
            at = f"2027-01-01T00:{number:02}:{10 * second:02}+00:00"
            mark_episodes(path, [mark], clock=lambda at=at: at)
        git(folder, "commit", "-qam", name)
    git(folder, "checkout", "-q", "main")
    git(folder, "merge", "-qm", "merged", "other")
    found = reviewed_marks(path)
    assert found.keys() == set(own)
    assert [found[it] for it in own] == [*bar["ann"], *bar["bo"][5:]]
    assert [[it.by for it in lines] for lines in disputed(dataset, path).values()] == [
        ["bo", "ann"]
    ] * 5
    assert list(disputed(dataset, path)) == [20, 21, 22, 23, 24]
    assert reasons(folder) == ["first"]


@pytest.mark.parametrize("how", ["cherry-pick", "rebase"])
def test_lines_that_reach_a_branch_whose_file_is_still_a_former_one(
    tmp_path: Path, how: str
) -> None:
    folder = project(tmp_path / "project", "former")
    path = folder / "data/reviews.json"
    old = {"digest": ONE, "status": "validated", "reason": "old", "by": "ann", "time": "2026"}
    decide(folder, ONE, BAD, "turned into lines", 10)
    decide(folder, ONE, GOOD, "picked", 20)
    git(folder, "checkout", "-q", "other")
    write_json(path, {"format_version": 1, "reviews": [old]})
    git(folder, "commit", "-qam", "by 0.1.0")
    git(folder, how, "main")
    assert path.read_bytes().count(b'"format_version": 1') == 1, "a former file among lines"
    assert reasons(folder)[0] == "old"
    assert reasons(folder)[-1] == "picked"
    decide(folder, ONE, BAD, "last", 30)
    assert b'"format_version": 1' not in path.read_bytes()
    assert (reasons(folder)[0], reasons(folder)[-2:]) == ("old", ["picked", "last"])


def test_merging_again_and_crosswise_repeats_nothing(tmp_path: Path) -> None:
    folder = project(tmp_path / "project", "lines")
    for turn in range(3):
        decide(folder, ONE, BAD, f"main {turn}", 10 * turn + 1)
        git(folder, "checkout", "-q", "other")
        decide(folder, ONE, GOOD, f"other {turn}", 10 * turn + 2)
        git(folder, "merge", "-qm", "in", "main")
        git(folder, "checkout", "-q", "main")
        decide(folder, ONE, BAD, f"main again {turn}", 10 * turn + 3)
        git(folder, "merge", "-qm", "back", "other")
    told = [f"{who} {turn}" for turn in range(3) for who in ("main", "other", "main again")]
    assert reasons(folder) == ["first", *told]
    held = read_reviews(folder / "data/reviews.json")
    assert effective_status(GOOD, held, ONE) is BAD


@pytest.mark.parametrize("style", ["merge", "diff3", "zdiff3"])
@pytest.mark.parametrize("start", ["former", "lines"])
def test_a_conflict_is_named_and_its_advice_keeps_both(
    tmp_path: Path, start: str, style: str
) -> None:
    folder = project(tmp_path / "project", start, attributes=False)
    git(folder, "config", "merge.conflictStyle", style)
    decide(folder, ONE, BAD, "ours", 10)
    git(folder, "checkout", "-q", "other")
    decide(folder, ONE, GOOD, "theirs", 5)
    git(folder, "checkout", "-q", "main")
    git(folder, "merge", "-q", "other", status=1)
    path = folder / "data/reviews.json"
    with pytest.raises(CorruptionError, match="keep the lines of both sides: delete only") as told:
        read_reviews(path)
    assert str(told.value).startswith(f"{path}, line ")
    with pytest.raises(CorruptionError):
        review(path, ONE, GOOD, reason="over it")
    marks = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")
    kept = [line for line in path.read_text().splitlines() if not line.startswith(marks)]
    path.write_text("\n".join(kept))  # an editor may leave the last line without its end
    assert reasons(folder)[-2:] == ["theirs", "ours"]
    review(path, ONE, GOOD, reason="looked at both")
    assert reasons(folder)[-3:] == ["theirs", "ours", "looked at both"]


def test_a_conflict_or_a_joined_pair_in_a_former_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "reviews.json"
    one = f'"by": "a", "digest": "{ONE}", "reason": "x", "status": "quarantined", "time": "2026"'
    other = one.replace("quarantined", "validated")
    for between, told in (
        ("\n<<<<<<< HEAD\n", "keep the reviews of both sides, each with its braces"),
        (", ", "stands twice"),
    ):
        path.write_text(f'{{"format_version": 1, "reviews": [{{{one}{between}{other}}}]}}')
        with pytest.raises(CorruptionError, match=told) as error:
            read_reviews(path)
        assert "both sides" in str(error.value)


def test_lines_joined_cut_or_of_another_tool_are_named(tmp_path: Path) -> None:
    path = tmp_path / "reviews.json"
    for reason in ("a", "b"):
        review(path, ONE, BAD, reason=reason)
    one, other = path.read_bytes().splitlines()
    for text in (one + other, one[:-1], one + b"\n" + other[:50], b"", b"\n", b'{"a":1}\n' + one):
        path.write_bytes(text)
        with pytest.raises(CorruptionError, match=r"reviews\.json"):
            read_reviews(path)
    for text in (one + b"\r\n" + other + b"\r\n", one + b"\n\n" + other, one + b"\n" + other):
        path.write_bytes(text)
        assert [it.reason for it in read_reviews(path)] == ["a", "b"]


def test_a_line_of_another_kind_is_refused_and_never_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "reviews.json"
    review(path, ONE, BAD, reason="a")
    path.write_bytes(path.read_bytes() + checked_line({"format_version": 2, "kind": "vow"}))
    with pytest.raises(FormatError, match="line 2: expected a review or a mark, got 'vow'"):
        read_reviews(path)
    with pytest.raises(FormatError):
        review(path, ONE, GOOD, reason="b")
    assert standing(tmp_path / "v1", path, ONE)[0] == UNREADABLE
    path.write_bytes(checked_line({"format_version": 3, "kind": "review"}))
    with pytest.raises(FormatError, match="line 1: expected format 2, got 3"):
        read_reviews(path)


def test_a_clock_that_went_back_does_not_hide_a_later_decision(tmp_path: Path) -> None:
    path = tmp_path / "reviews.json"
    review(path, ONE, GOOD, reason="ahead", clock=lambda: "2027-06-01T00:00:00+02:00")
    kept = review(path, ONE, BAD, reason="behind", clock=lambda: "2027-05-31T21:00:00+00:00")
    assert kept.time == "2027-06-01T00:00:00+02:00"
    assert [it.reason for it in read_reviews(path)] == ["ahead", "behind"]


def test_four_processes_add_reviews_and_none_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "reviews.json"
    children = []
    for worker in range(4):
        child = os.fork()
        if child == 0:
            for number in range(8):
                while True:
                    try:
                        review(path, ONE, BAD, reason=f"{worker}.{number}")
                        break
                    except LockedError:
                        time.sleep(0.002)
            os._exit(0)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(it, 0)[1]) for it in children] == [0] * 4
    told = sorted(it.reason for it in read_reviews(path))
    assert told == [f"{worker}.{number}" for worker in range(4) for number in range(8)]


def test_one_process_at_a_time_writes_and_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "governance").mkdir()
    real, link = tmp_path / "governance/all.json", tmp_path / "reviews.json"
    link.symlink_to(real)
    review(link, ONE, BAD, reason="through a link")
    assert (link.is_symlink(), len(read_reviews(real))) == (True, 1)
    with (
        lock(real.with_name(".all.json.lock"), purpose="a review"),
        pytest.raises(LockedError, match="in use by a review by process"),
    ):
        review(link, ONE, GOOD, reason="meanwhile")
    assert len(read_reviews(real)) == 1
