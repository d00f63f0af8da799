"""``recover`` does one thing to an unfinished recording, or nothing; damage hides nothing else."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests import factories
from tests.trajstore.faults import count_operations, killed_at
from trajstore.cli import run
from trajstore.recording.unfinished import open_recording
from trajstore.store import Store


def unfinished(root: Path) -> None:
    with (
        pytest.raises(InterruptedError),
        Store(root).record("half", schema=factories.SCHEMA, provenance={}) as recorder,
    ):
        recorder.add(factories.episode(1))
        raise InterruptedError


@pytest.mark.parametrize("flags", ["--seal --discard", "--discard --seal"])
def test_contradictory_flags_touch_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: str
) -> None:
    unfinished(tmp_path)
    assert run(["--store", str(tmp_path), "recover", "half", *flags.split()]) == 2
    assert "--seal and --discard exclude each other; choose one" in capsys.readouterr().err
    assert [len(open_recording(it).frames()) for it in Store(tmp_path).unfinished("half")] == [1]


def test_what_a_killed_discard_left_is_removed_by_the_next(tmp_path: Path) -> None:
    lines = ["--store", str(tmp_path), "recover", "half", "--discard"]

    def discard(_: object) -> None:
        run(lines)

    unfinished(tmp_path)
    count, left = count_operations(lambda: discard(None)), 0
    for number in range(1, count + 1):
        unfinished(tmp_path)
        killed_at(number, "after", discard)
        left += (tmp_path / "half/.v1.dropped").exists()
        run(lines)
        assert not [it.name for it in (tmp_path / "half").iterdir() if it.is_dir()]
    assert left


@pytest.mark.parametrize("flag", ["--seal", "--discard"])
def test_a_live_recording_is_named_and_no_table_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    with Store(tmp_path).record("half", schema=factories.SCHEMA, provenance={}) as recorder:
        recorder.add(factories.episode(1))
        assert run(["--store", str(tmp_path), "recover", "half", flag]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "recording v1 by process" in printed.err


Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    def call(*arguments: str) -> tuple[int, str, str]:
        status = run(["--store", str(tmp_path), *arguments])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


def damage_record(root: Path) -> None:
    (root / "half" / ".v1.recording" / "recording.json").write_bytes(b"")


def lose_record(root: Path) -> None:
    (root / "half" / ".v1.recording" / "recording.json").unlink()


def damage_journal(root: Path) -> None:
    journal = root / "half" / ".v1.recording" / "journal-main.log"
    content = bytearray(journal.read_bytes())
    content[5] ^= 1
    journal.write_bytes(content)


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """A store with a sealed version and an unfinished recording of two other datasets."""
    for name in ("sound", "other"):
        with (
            suppress(InterruptedError),
            Store(tmp_path).record(name, schema=factories.SCHEMA, provenance={}) as recorder,
        ):
            recorder.add(factories.episode(1))
            if name == "other":
                raise InterruptedError
    unfinished(tmp_path)
    return tmp_path


@pytest.mark.parametrize("damage", [damage_record, lose_record])
def test_one_damaged_recording_hides_nothing_else(
    beside: Path, call: Call, damage: Callable[[Path], None]
) -> None:
    damage(beside)
    for command in ("list", "du", "doctor"):
        status, out, err = call(command)
        words = [line.split() for line in out.splitlines()]
        named = [line for line in words if {"half", "half@v1"} & set(line[:2])]
        assert status == 1
        assert len([line for line in named if {"damaged", "bad"} & set(line)]) == 1
        assert "sound" in out
        assert command == "doctor" or "trajstore recover half --discard" in err
    status, out, err = call("list", "--json")
    rows = {row["dataset"]: row for row in json.loads(out)}
    assert (rows["half"]["status"], rows["other"]["status"]) == ("damaged", "recording")
    assert rows["half"]["bytes"] == rows["other"]["bytes"]
    assert rows["sound"]["status"] == "draft"


@pytest.mark.parametrize("damage", [damage_record, lose_record, damage_journal])
def test_a_damaged_recording_is_shown_and_can_be_discarded(
    beside: Path, call: Call, damage: Callable[[Path], None]
) -> None:
    damage(beside)
    status, out, err = call("recover")
    rows = [line.split()[:3] for line in out.splitlines() if "v1" in line]
    assert status == 1 and len(err.splitlines()) == 1
    assert rows == [["half", "v1", "damaged"], ["other", "v1", "recording"]]
    assert call("recover", "half", "--seal")[0] == 1
    assert Store(beside).unfinished("half") != []
    status, out, _ = call("recover", "half", "--discard", "--dry-run")
    assert status == 0 and "would discard the recording of half@v1: damaged" in out
    assert Store(beside).unfinished("half") != []
    status, out, err = call("recover", "half", "--discard")
    assert (status, err) == (0, "") and "discarded the recording of half@v1" in out
    assert Store(beside).unfinished("half") == []
    assert call("list")[0] == 0


def test_a_dry_run_says_what_would_be_done_and_does_nothing(beside: Path, call: Call) -> None:
    assert "would seal half@v1 with 1 episodes" in call("recover", "half", "--seal", "--dry-run")[1]
    out = call("recover", "half", "--discard", "--dry-run")[1]
    assert "would discard the recording of half@v1: 1 episodes" in out
    found = json.loads(call("recover", "half", "--seal", "--dry-run", "--json")[1])
    assert found[0]["outcome"] == "would seal half@v1 with 1 episodes"
    assert len(open_recording(Store(beside).unfinished("half")[0]).frames()) == 1


@pytest.mark.parametrize("flags", [["--seal"], ["--seal", "--dry-run"]])
def test_a_recording_without_episodes_is_kept_by_a_seal_that_fails(
    tmp_path: Path, call: Call, flags: list[str]
) -> None:
    with (
        pytest.raises(InterruptedError),
        Store(tmp_path).record("we", schema=factories.SCHEMA, provenance={}),
    ):
        raise InterruptedError
    status, out, err = call("recover", "we", *flags)
    assert (status, out) == (1, "")
    assert "holds no episode yet; record some, or remove it" in err
    assert len(Store(tmp_path).unfinished("we")) == 1


@pytest.mark.parametrize("command", ["list", "list --json", "du", "recover", "recover --json"])
def test_a_store_that_is_not_there_is_no_empty_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert run(["--store", str(tmp_path / "nope"), *command.split()]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "nope: no store there: none there" in printed.err


def test_the_default_store_may_be_yet_to_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRAJSTORE", raising=False)
    assert [run([command]) for command in ("list", "du", "recover")] == [0, 0, 0]
    assert "data/store: no datasets yet" in capsys.readouterr().out
    monkeypatch.setenv("TRAJSTORE", "typo")
    assert [run([command]) for command in ("list", "du", "recover")] == [2, 2, 2]
