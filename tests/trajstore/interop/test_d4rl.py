"""D4RL's files: where episodes end, why, and what stands for their final state."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from trajstore.episode.fields import Axis
from trajstore.interop import d4rl_files

STEPS = 20
TERMINALS, TIMEOUTS = (4, 11), (8, 19)
STOPS = (5, 9, 12, 20)


def write(path: Path, *, following: bool = False, timed: bool = True) -> np.ndarray:
    """A file as D4RL writes it; the observations, of one more step than it has."""
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(STEPS + 1, 3)).astype("f4")
    steps = np.arange(STEPS)
    with h5py.File(path, "w") as file:
        file.create_dataset("observations", data=seen[:-1], compression="gzip")
        file["actions"] = rng.normal(size=(STEPS, 2)).astype("f4")
        file["rewards"] = np.arange(STEPS, dtype="f4")
        file["terminals"] = np.isin(steps, TERMINALS)
        if timed:
            file["timeouts"] = np.isin(steps, TIMEOUTS)
        if following:
            file["next_observations"] = seen[1:]
        file["infos/qpos"] = rng.normal(size=(STEPS, 4))
        file["infos/goal"] = np.ones(2)
        file["metadata/algorithm"] = "SAC"
        file["metadata/iteration"] = 3
    return seen


def test_terminals_terminate_and_timeouts_truncate(tmp_path):
    seen = write(tmp_path / "d", following=True)
    found = d4rl_files.import_dataset(tmp_path / "d")
    first = 0
    for episode, stop in zip(found.episodes, STOPS, strict=True):
        np.testing.assert_array_equal(episode["observation"], seen[first : stop + 1])
        assert episode["reward"].tolist() == list(range(first, stop))
        assert bool(episode["terminated"][-1]) is (stop - 1 in TERMINALS)
        assert bool(episode["truncated"][-1]) is (stop - 1 in TIMEOUTS)
        assert episode["infos/qpos"].shape == (stop - first, 4)
        first = stop
    assert not found.notes
    assert found.provenance["d4rl"] == {"metadata/algorithm": "SAC", "metadata/iteration": 3}
    assert found.left_out == ("array 'infos/goal': neither a row a step, nor text or one number",)


@pytest.mark.parametrize(
    ("final_state", "rows", "axis"),
    [
        ("drop", [4, 3, 2, 7], Axis.STATE),
        ("repeat", [5, 4, 3, 8], Axis.STATE),
        ("none", [5, 4, 3, 8], Axis.STEP),
    ],
)
def test_the_final_state_is_chosen(tmp_path, final_state, rows, axis):
    seen = write(tmp_path / "d", following=True)
    found = d4rl_files.import_dataset(tmp_path / "d", final_state=final_state)
    episodes = list(found.episodes)
    assert [len(one) for one in episodes] == rows
    assert found.schema.field("observation").axis is axis
    assert any("next_observations" in line for line in found.left_out)
    if final_state == "repeat":
        np.testing.assert_array_equal(episodes[0]["observation"][-1], seen[4])
        assert episodes[0]["terminated"][-1]
    if final_state == "drop":
        assert all(one["truncated"][-1] for one in episodes)
        np.testing.assert_array_equal(episodes[0]["observation"], seen[:5])


def test_without_timeouts_the_clock_is_asked_for(tmp_path):
    write(tmp_path / "d", timed=False)
    found = d4rl_files.import_dataset(tmp_path / "d", mark_truncated=True, final_state="repeat")
    assert [len(one) for one in found.episodes] == [5, 7, 8]
    assert any("--time-limit" in note for note in found.notes)
    assert any("behind the last end" in note for note in found.notes)
    limited = d4rl_files.import_dataset(tmp_path / "d", time_limit=4, final_state="repeat")
    ends = [(len(it), bool(it["terminated"][-1])) for it in limited.episodes]
    assert ends == [(4, False), (1, True), (4, False), (3, True), (4, False), (4, False)]


def test_rewards_that_are_absent_stay_absent(tmp_path):
    write(tmp_path / "d")
    with h5py.File(tmp_path / "d", "a") as file:
        del file["rewards"]
    assert "reward" not in d4rl_files.import_dataset(tmp_path / "d").schema.names


def test_large_files_are_read_in_stretches(tmp_path, monkeypatch):
    seen = write(tmp_path / "d", following=True)
    monkeypatch.setattr(d4rl_files, "AT_ONCE", 40)
    found = list(d4rl_files.import_dataset(tmp_path / "d").episodes)
    np.testing.assert_array_equal(found[-1]["observation"], seen[12:])
