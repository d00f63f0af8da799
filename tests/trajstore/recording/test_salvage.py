"""What is whole before and behind the damage is found, in order; what is lost is counted."""

from pathlib import Path

import pytest

from tests import factories
from trajstore.cli import run
from trajstore.dataset import Dataset
from trajstore.errors import JournalError
from trajstore.recording.bulk import write_dataset
from trajstore.recording.frames import MARK, Frame
from trajstore.recording.recorder import Recorder, Segment
from trajstore.recording.recover import salvage, seal_recording, seal_salvaged
from trajstore.recording.unfinished import open_recording

SCHEMA = factories.SCHEMA
EPISODES = factories.episodes(5)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A recording of five episodes, the second and the fourth by another worker."""
    target = tmp_path / "store" / "half" / "v1"
    with (
        pytest.raises(InterruptedError),
        Recorder(target, schema=SCHEMA, provenance={}) as recorder,
        Segment(target, "w", schema=SCHEMA) as worker,
    ):
        for order, episode in enumerate(EPISODES):
            (worker if order in (1, 3) else recorder).add(episode, order=order)
        raise InterruptedError
    return target


def flip(target: Path, *orders: int, at: int) -> list[Frame]:
    """Change a bit of the frames of some episodes, ``at`` bytes behind the payload's start."""
    frames = open_recording(target).frames()
    for path, frame in (frames[order] for order in orders):
        content = bytearray(path.read_bytes())
        content[frame.offset + at] ^= 4
        path.write_bytes(content)
    return [frames[order][1] for order in orders]


@pytest.mark.parametrize("at", [-28, -20, -10, -1, 0, 40, 100])
def test_the_episodes_around_the_damage_are_sealed(target: Path, tmp_path: Path, at: int) -> None:
    [frame] = flip(target, 2, at=at)
    with pytest.raises(JournalError, match="trajstore recover NAME --salvage"):
        seal_recording(target)
    found = salvage(open_recording(target))
    assert found.lost == (("journal-main.log", frame.offset - 28, frame.size + 28 + MARK.size),)
    assert found.missing == [2]
    manifest, same = seal_salvaged(target)
    assert same == found
    kept = [episode for order, episode in enumerate(EPISODES) if order != 2]
    wanted = write_dataset(tmp_path / "kept", kept, schema=SCHEMA, provenance={})
    assert manifest.content_digest == wanted.content_digest
    assert [it.name for it in target.parent.iterdir()] == ["v1"]


def test_a_sound_recording_loses_nothing(target: Path) -> None:
    assert salvage(open_recording(target)).lost == ()
    manifest, found = seal_salvaged(target)
    assert (manifest.episodes, found.missing) == (5, [])


def test_damage_in_two_journals_is_counted_in_both(target: Path) -> None:
    flip(target, 0, 3, at=60)
    manifest, found = seal_salvaged(target)
    assert (manifest.episodes, len(found.lost), found.missing) == (3, 2, [0, 3])
    digests = [episode.digest for episode in Dataset.open(target)]
    assert digests == [EPISODES[order].digest for order in (1, 2, 4)]


def test_a_journal_without_its_head_or_any_episode_is_refused_and_stays(target: Path) -> None:
    journals = {name: open_recording(target).journal(name) for name in ("main", "w")}
    journals["w"].unlink()
    for content in (b"", b"x" * 400, journals["main"].read_bytes()[:60]):
        journals["main"].write_bytes(content)
        with pytest.raises(JournalError):
            seal_salvaged(target)
        assert journals["main"].read_bytes() == content


@pytest.mark.parametrize("byte", [0, 19, 25, 54])
def test_a_damaged_head_costs_no_episode(target: Path, byte: int) -> None:
    journal = open_recording(target).journal("main")
    content = bytearray(journal.read_bytes())
    content[byte] ^= 1
    journal.write_bytes(content)
    with pytest.raises(
        JournalError, match=r"its beginning is damaged.* trajstore recover NAME --salvage"
    ):
        seal_recording(target)
    found = salvage(open_recording(target))
    assert (len(found.frames), found.missing) == (5, [])
    assert [(name, first) for name, first, _ in found.lost] == [("journal-main.log", 0)]
    assert seal_salvaged(target)[0].episodes == 5
    assert [one.digest for one in Dataset.open(target)] == [one.digest for one in EPISODES]


def test_the_last_acknowledged_episode_is_not_taken_for_a_torn_one(target: Path) -> None:
    [frame] = flip(target, 4, at=30)
    with pytest.raises(JournalError, match="in an episode that was recorded"):
        seal_recording(target)
    with pytest.raises(JournalError), Recorder(target, schema=SCHEMA, provenance={}):
        pass
    manifest, found = seal_salvaged(target)
    assert manifest.episodes == 4
    assert found.lost == (("journal-main.log", frame.offset - 28, frame.size + 28 + MARK.size),)


def test_the_command_tells_how_many_bytes_were_never_acknowledged(
    target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = open_recording(target).journal("w")
    journal.write_bytes(journal.read_bytes() + b"\xf5EP1" + bytes(1296))
    line = ["--store", str(target.parent.parent), "recover"]
    assert run(line) == 0
    told = (
        "half@v1: 1,300 bytes that were never acknowledged are dropped when it goes on or is sealed"
    )
    assert told in " ".join(capsys.readouterr().out.split())
    for action in (["--seal", "--dry-run"], ["--seal"]):
        assert run([*line, "half", *action]) == 0
        out = capsys.readouterr().out
        assert "half@v1 with 5 episodes; lost: 1,300 bytes at byte " in out
        assert "of journal-w.log; places without an episode: none" in out


def test_the_command_salvages_only_when_told(
    target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(target, 2, at=50)
    line = ["--store", str(target.parent.parent), "recover", "half"]
    assert run([*line, "--seal"]) == 1
    assert run([*line, "--seal", "--salvage"]) == 2
    assert run([*line, "--salvage", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "would seal half@v1 with 4 episodes; lost: " in out
    assert "of journal-main.log; places without an episode: 2" in out
    assert not target.exists()
    assert run([*line, "--salvage"]) == 0
    assert "sealed half@v1 with 4 episodes; lost: " in capsys.readouterr().out
    assert len(Dataset.open(target)) == 4
