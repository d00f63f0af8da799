"""The benchmark measures what it says: same data for everyone, values compared, failures shown."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import runner
from benchmarks.check import compare_values
from benchmarks.data import generate, load
from benchmarks.goals import GOALS
from benchmarks.peers import PEERS, Batch, memmap, missing_modules, npz
from benchmarks.peers.drawing import Rows
from benchmarks.report import markdown, ratios, short
from benchmarks.runner import Plan, run_dataset

MACHINE = {"cpu": "a", "cores": 2, "python": "3", "load": 0.0, "repeats": 1, "seconds": 0.01}
ALTERED = {"imitation": "float64", "minari": "grid"}
"""Peers that give back something else than was written, and the word that says what."""


def tiny_plan(out: Path, *peers: str) -> Plan:
    return Plan(out=out, peers=peers, repeats=1, seconds=0.01, episodes=4)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    for name in ("A", "B"):
        generate(folder, name, episodes=4)
    return folder


def test_the_same_seed_gives_the_same_bytes(sources: Path, tmp_path: Path) -> None:
    again = generate(tmp_path, "B", episodes=4)
    for file in sorted(again.iterdir()):
        assert file.read_bytes() == (sources / again.name / file.name).read_bytes()


def test_b_is_a_with_a_grid_that_compresses(sources: Path) -> None:
    source = load(sources / "B_4")
    assert source.fields["grid"].shape == (source.steps, 64, 64)
    assert set(load(sources / "A_4").fields) == set(source.fields) - {"grid"}
    assert 8 < len(np.unique(source.fields["grid"])) < 64


def test_windows_are_drawn_inside_episodes_and_reach_every_start() -> None:
    rows = Rows(np.array([3, 16, 20]))
    first = rows.draw_windows(np.random.default_rng(0), 500, 16)
    assert set(first.tolist()) == {3, 19, 20, 21, 22, 23}
    episode, step = rows.locate(first)
    assert (step + 16 <= rows.lengths[episode]).all()


def test_values_that_came_back_intact_are_called_exact(sources: Path, tmp_path: Path) -> None:
    source = load(sources / "B_4")
    npz.write(tmp_path / "npz", source)
    assert compare_values(npz.open_store(tmp_path / "npz"), source) == "exact"


def test_a_changed_value_is_named(sources: Path, tmp_path: Path) -> None:
    source = load(sources / "A_4")
    memmap.write(tmp_path / "store", source)
    reader = memmap.open_store(tmp_path / "store")
    reader.fields["reward"] = np.where(np.arange(source.steps) == 5, 9.0, reader.fields["reward"])
    assert compare_values(reader, source).startswith("reward: largest error")


def test_a_window_across_an_end_is_named(sources: Path, tmp_path: Path) -> None:
    source = load(sources / "A_4")
    memmap.write(tmp_path / "store", source)

    class Careless(memmap.MemmapReader):
        def windows(self, rng: np.random.Generator, size: int, length: int) -> Batch:
            flat = np.full(size, source.lengths[0] - 3)[:, None] + np.arange(length)
            return {name: rows[flat] for name, rows in self.fields.items()}

    assert "windows: not runs" in compare_values(Careless(tmp_path / "store"), source)


def test_the_store_is_measured_beside_the_limit_on_both_data_sets(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, "memmap", "trajstore")
    results = {
        "machine": MACHINE,
        "datasets": {name: run_dataset(name, plan) for name in ("A", "B")},
        "extra": {},
    }
    for dataset in ("A", "B"):
        record = results["datasets"][dataset]["peers"]["trajstore"]
        assert (record["status"], record["values"]) == ("ok", "exact")
        ratio = ratios(results, dataset, "transitions_cpu", ("trajstore", "memmap"))
        assert ratio is not None
        assert 0 < ratio.low <= ratio.middle <= ratio.high
    page = markdown(json.loads(json.dumps(results)), GOALS)
    assert "A: random steps / limit" in page
    assert {path.name for path in tmp_path.iterdir()} == {"data"}


def test_a_peer_that_is_not_installed_is_skipped_with_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "missing_modules", lambda peer: ["lance"])
    facts = run_dataset("A", tiny_plan(tmp_path, "lance"))
    page = markdown({"machine": MACHINE, "datasets": {"A": facts}, "extra": {}}, GOALS)
    assert "skipped: not installed: lance" in page
    assert "A lance: skipped, not installed: lance" in capsys.readouterr().out


def test_figures_have_three_digits() -> None:
    assert [short(value) for value in (0.0, 1.0, 1234.0, 9.876e6)] == ["0", "1", "1.23k", "9.88M"]


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["A", "B"])
@pytest.mark.parametrize("peer", sorted(PEERS))
def test_every_peer_gives_back_what_it_got_or_says_how_not(
    peer: str, dataset: str, tmp_path: Path
) -> None:
    if missing_modules(PEERS[peer]) or dataset not in PEERS[peer].datasets:
        pytest.skip("not installed, or not for this data set")
    record = run_dataset(dataset, tiny_plan(tmp_path, peer))["peers"][peer]
    if (peer, dataset) == ("imitation", "B"):
        assert "DictObs" in record["error"]
        return
    assert record["status"] == "ok", record["error"]
    altered = peer == "imitation" or (peer, dataset) == ("minari", "B")
    assert (ALTERED[peer] if altered else "exact") in record["values"]


@pytest.mark.slow
@pytest.mark.parametrize("peer", ["trajstore", "trajstore_jpeg", "trajstore_h264", "lerobot"])
def test_cameras_come_back_as_well_as_their_codec_lets_them(
    peer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing_modules(PEERS[peer]):
        pytest.skip("not installed")
    monkeypatch.setattr("benchmarks.data.CAMERA_STEPS", 20)
    record = run_dataset("C", tiny_plan(tmp_path, peer))["peers"][peer]
    assert record["status"] == "ok", record["error"]
    lossless = peer == "trajstore"
    assert (record["values"] == "exact") == lossless
    assert record["runs"][0]["psnr_db"] == 99 if lossless else record["runs"][0]["psnr_db"] > 30
