"""A journal gives back what was appended; a torn end is dropped, damage before it never."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import factories
from trajstore.errors import JournalError
from trajstore.recording.frames import frame_bytes
from trajstore.recording.journal import Journal, read_episodes, scan

SCHEMA = factories.WIDE_SCHEMA
EPISODES = factories.episodes(4, schema=SCHEMA)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("journal") / "journal.log"
    journal = Journal(path, SCHEMA)
    for order, episode in enumerate(EPISODES):
        before = journal.size
        journal.append(episode, order=order)
        assert journal.size - before == frame_bytes(episode)
    journal.close()
    return path


def test_episodes_come_back(whole: Path) -> None:
    found = scan(whole, SCHEMA)
    assert found.torn == 0
    assert [frame.steps for frame in found.frames] == [len(episode) for episode in EPISODES]
    for episode, back in zip(EPISODES, read_episodes(whole, SCHEMA, found.frames), strict=True):
        assert back.digest == episode.digest
        assert back["scenario"] == episode["scenario"]
        np.testing.assert_array_equal(back["camera/grid"], episode["camera/grid"])


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_journal_cut_anywhere_keeps_its_whole_frames(
    whole: Path, tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    data = whole.read_bytes()
    cut = int(share * len(data))
    path = tmp_path_factory.mktemp("cut") / "journal.log"
    path.write_bytes(data[:cut])
    kept = [frame for frame in scan(whole, SCHEMA).frames if frame.offset + frame.size <= cut]
    journal = Journal(path, SCHEMA)
    assert journal.frames == kept
    journal.append(EPISODES[0], order=9)
    journal.close()
    assert [frame.order for frame in scan(path, SCHEMA).frames] == [
        *(frame.order for frame in kept),
        9,
    ]


def test_damage_after_the_scan_is_an_error(whole: Path, tmp_path: Path) -> None:
    frames = scan(whole, SCHEMA).frames
    path = tmp_path / "journal.log"
    content = bytearray(whole.read_bytes())
    content[frames[1].offset + 100] ^= 1
    path.write_bytes(content)
    with pytest.raises(JournalError, match="expected the episode 1, got damage"):
        list(read_episodes(path, SCHEMA, frames))


def test_another_schema_is_named(whole: Path) -> None:
    with pytest.raises(JournalError, match="begun with another schema"):
        scan(whole, factories.SCHEMA)


def test_another_file_is_no_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    path.write_bytes(b"x" * 100)
    with pytest.raises(JournalError, match="is no journal"):
        Journal(path, SCHEMA)
    assert path.read_bytes() == b"x" * 100
