"""Round trips through the packages whose formats they are; ``make exchange`` has all of them."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.trajstore.interop import lerobots
from tests.trajstore.interop.test_lerobot import FILMED, filmed
from trajstore.dataset import Dataset
from trajstore.recording.bulk import write_dataset

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch):
    """LeRobot's dataset, which must not look for anything on a network."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("lerobot.datasets.lerobot_dataset").LeRobotDataset


@pytest.mark.parametrize("choices", [{}, {"codec": "h264"}, {"lossless": True}])
def test_lerobot_opens_what_was_exported(tmp_path: Path, theirs, choices) -> None:
    from trajstore.interop import lerobot

    dataset = filmed(tmp_path / "v1")
    lerobot.export_dataset(dataset, tmp_path / "out", **choices)
    opened = theirs("some/name", root=tmp_path / "out", video_backend="pyav")
    assert (len(opened), opened.num_episodes) == (dataset.steps, len(dataset))
    assert opened.fps == lerobots.FPS
    frame = 0
    for episode in dataset:
        for step in range(len(episode)):
            item = opened[frame]
            for name in ("action", "observation/state"):
                np.testing.assert_array_equal(item[name.replace("/", ".")], episode[name][step])
            assert item["task"] == episode["task"]
            assert bool(item["next.terminated"]) == episode["terminated"][step]
            for camera in ("top", "wrist"):
                own = episode[f"observation/images/{camera}"][step]
                got = item[f"observation.images.{camera}"].numpy().transpose(1, 2, 0) * 255
                off = np.abs(got - own)
                assert off.max() < 0.01 if choices.get("lossless") else off.mean() < 4
            frame += 1
    mean = opened.meta.stats["action"]["mean"]
    np.testing.assert_allclose(mean, dataset.column("action").mean(axis=0), rtol=1e-5)
    windows = theirs(
        "some/name",
        root=tmp_path / "out",
        video_backend="pyav",
        delta_timestamps={"action": [0, 1 / lerobots.FPS]},
    )
    assert windows[0]["action"].shape == (2, 2)


@pytest.mark.parametrize("films", [True, False])
def test_what_lerobot_recorded_comes_in(tmp_path: Path, theirs, films: bool) -> None:
    from trajstore.interop import lerobot

    cameras = {
        "observation.images.top": {
            "dtype": "video" if films else "image",
            "shape": (96, 128, 3),
            "names": ["height", "width", "channels"],
        }
    }
    plain = {
        key: {**it, "shape": tuple(it["shape"])}
        for key, it in lerobots.FEATURES.items()
        if key not in (*lerobots.PLACES, "observation.images.side")
    }
    made = theirs.create(
        "some/name", lerobots.FPS, plain | cameras, root=tmp_path / "d", robot_type="so100"
    )
    for index, length in enumerate(lerobots.LENGTHS):
        rows = lerobots.rows(index, length, 0, set(plain))
        frames = lerobots.film(index, length)
        for step in range(length):
            frame = {key: np.atleast_1d(it[step]) for key, it in rows.items()}
            frame |= {"observation.images.top": frames[step], "task": lerobots.TASKS[index % 2]}
            made.add_frame(frame)
        made.save_episode()
    made.finalize()
    found = lerobot.import_dataset(tmp_path / "d", final_state="none")
    assert found.provenance["lerobot"]["robot_type"] == "so100"
    for index, episode in enumerate(found.episodes):
        rows = lerobots.rows(index, lerobots.LENGTHS[index], 0, set(plain))
        np.testing.assert_array_equal(episode["action"], rows["action"])
        np.testing.assert_array_equal(episode["reward"], rows["next.reward"])
        np.testing.assert_array_equal(episode["observation/state"], rows["observation.state"])
        assert episode["task"] == lerobots.TASKS[index % 2]
        meant = lerobots.film(index, lerobots.LENGTHS[index])
        off = np.abs(episode["observation/images/top"].astype(int) - meant)
        assert off.mean() < 4 if films else off.max() == 0


def test_robomimic_trains_on_what_was_exported(tmp_path: Path) -> None:
    loader = pytest.importorskip("robomimic.utils.dataset").SequenceDataset
    observing = pytest.importorskip("robomimic.utils.obs_utils")
    from trajstore.interop import robomimic

    dataset = filmed(tmp_path / "v1")
    robomimic.export_dataset(dataset, tmp_path / "out.hdf5")
    keys = {"low_dim": ["state"], "rgb": ["images.top"]}
    observing.initialize_obs_utils_with_obs_specs({"obs": keys, "goal": {}})
    read = loader(
        str(tmp_path / "out.hdf5"),
        obs_keys=("state", "images.top"),
        dataset_keys=("actions", "dones"),
        frame_stack=1,
        seq_length=1,
        pad_frame_stack=True,
        pad_seq_length=True,
        get_pad_mask=False,
        goal_mode=None,
        hdf5_cache_mode=None,
        hdf5_use_swmr=False,
        load_next_obs=True,
    )
    assert len(read) == dataset.steps
    place = 0
    for episode in dataset:
        for step in range(len(episode)):
            item = read[place]
            np.testing.assert_array_equal(item["actions"][0], episode["action"][step])
            seen = episode["observation/state"]
            np.testing.assert_array_equal(item["obs"]["state"][0], seen[step])
            np.testing.assert_array_equal(item["next_obs"]["state"][0], seen[step + 1])
            own = episode["observation/images/top"][step]
            np.testing.assert_array_equal(item["obs"]["images.top"][0], own)
            place += 1
    with h5py.File(tmp_path / "out.hdf5") as file:
        assert "env_args" in file["data"].attrs


def test_rerun_reads_what_was_exported(tmp_path: Path) -> None:
    pytest.importorskip("rerun")
    reader = pytest.importorskip("rerun.chunk").RrdReader
    from trajstore.interop import rerun

    dataset = filmed(tmp_path / "v1")
    assert rerun.export_dataset(dataset, tmp_path / "out") == ()
    files = sorted((tmp_path / "out").iterdir())
    assert [it.name for it in files] == [f"episode_{it:06d}.rrd" for it in range(len(dataset))]
    for path, episode in zip(files, dataset, strict=True):
        found = {}
        for chunk in reader(path).stream().to_chunks():
            batch = chunk.to_record_batch()
            names = {name.partition(":")[2]: name for name in batch.schema.names}
            for kind in ("scalars", "buffer"):
                if kind in names:
                    rows = batch.column(names[kind]).to_pylist()
                    found[chunk.entity_path.strip("/")] = rows
                    assert batch.column("step").to_pylist() == list(range(len(rows)))
                    assert "time" in batch.schema.names
        assert found.keys() == {it.name for it in FILMED.fields if it.axis != "episode"}
        for name, rows in found.items():
            own = episode[name]
            got = np.array(rows, np.uint8 if "images" in name else np.float64)
            np.testing.assert_array_equal(got.reshape(own.shape), own)


def test_the_packages_are_told_when_they_are_missing(tmp_path: Path) -> None:
    program = """
import sys
sys.modules["rerun"] = None
from trajstore.cli import run
sys.exit(run(["export", sys.argv[1], "--to", "rerun", sys.argv[2]]))
"""
    filmed(tmp_path / "v1")
    done = subprocess.run(
        [sys.executable, "-c", program, f"{tmp_path}/v1", f"{tmp_path}/out"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert done.returncode == 2
    assert "pip install 'trajstore[rerun]'" in done.stderr
    assert not (tmp_path / "out").exists()


def test_minari_and_imitation_read_the_same_episodes(tmp_path: Path) -> None:
    minari = pytest.importorskip("minari")
    pytest.importorskip("imitation")
    from tests import factories
    from trajstore.interop import imitation
    from trajstore.interop import minari as ours

    factories.dataset(tmp_path / "v1")
    dataset = Dataset.open(tmp_path / "v1")
    ours.export_dataset(dataset, tmp_path / "minari")
    imitation.export_dataset(dataset, tmp_path / "imitation")
    opened = minari.MinariDataset(tmp_path / "minari/data")
    loaded = imitation.trajectories(dataset)
    for theirs_, other, own in zip(opened.iterate_episodes(), loaded, dataset, strict=True):
        np.testing.assert_array_equal(theirs_.observations, own["observation"])
        np.testing.assert_array_equal(other.obs, own["observation"])
    for module, name in ((ours, "minari"), (imitation, "imitation")):
        back = module.import_dataset(tmp_path / name)
        write_dataset(
            tmp_path / f"back-{name}",
            list(back.episodes),
            schema=back.schema,
            provenance=back.provenance,
        )
        again = Dataset.open(tmp_path / f"back-{name}")
        assert again.manifest.content_digest == dataset.manifest.content_digest
