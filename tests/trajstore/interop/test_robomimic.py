"""robomimic's files: demonstrations, environment, models and filter keys, in and out."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests import factories
from tests.trajstore.interop.test_exchange import version
from trajstore.dataset import Dataset
from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import SchemaError
from trajstore.interop import robomimic
from trajstore.recording.bulk import write_dataset

LENGTHS = {"demo_0": 3, "demo_1": 4, "demo_10": 2}
MODEL = "<mujoco>" + "ä" * 40_000 + "</mujoco>"
ENVIRONMENT = {"env_name": "Lift", "type": 1, "env_kwargs": {"robots": ["Panda"]}}


def seen(index: int) -> np.ndarray:
    length = list(LENGTHS.values())[index]
    return np.random.default_rng(index).normal(size=(length + 1, 2)).astype("f4")


def write(path: Path, *, following: bool = True) -> Path:
    """A file as robomimic's documents describe it."""
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["total"] = sum(LENGTHS.values())
        data.attrs["env_args"] = json.dumps(ENVIRONMENT)
        for index, (name, length) in enumerate(LENGTHS.items()):
            demo = data.create_group(name)
            demo.attrs["num_samples"] = length
            demo.attrs["model_file"] = MODEL + str(index)
            demo["actions"] = np.full((length, 7), index / 10)
            demo["rewards"] = np.arange(length, dtype="f8")
            demo["dones"] = (np.arange(length) == length - 1).astype("i8") * (index != 1)
            demo["states"] = np.full((length, 5), float(index))
            demo["obs/eef"] = seen(index)[:-1]
            demo.create_dataset(
                "obs/camera", data=np.full((length + 1, 8, 8, 3), index, "u1")[:-1],
                compression="gzip",
            )  # fmt: skip
            if following:
                demo["next_obs/eef"] = seen(index)[1:]
                demo["next_obs/camera"] = np.full((length, 8, 8, 3), index, "u1")
        file["mask/train"] = np.array([b"demo_0", b"demo_10"])
        file["mask/valid"] = np.array([b"demo_1"])
    return path


def test_next_obs_gives_the_final_state(tmp_path):
    found = robomimic.import_dataset(write(tmp_path / "d"))
    assert found.schema.field("observation/eef").axis is Axis.STATE
    for index, episode in enumerate(found.episodes):
        np.testing.assert_array_equal(episode["observation/eef"], seen(index))
        assert len(episode) == list(LENGTHS.values())[index]
        assert bool(episode["terminated"][-1]) is (index != 1)
        assert bool(episode["truncated"][-1]) is (index == 1)
        np.testing.assert_array_equal(episode["states"], np.full((len(episode), 5), index))
        assert bytes(episode["model_file"]).rstrip(b"\0").decode() == MODEL + str(index)
        assert episode["demo"] == [0, 1, 10][index]
        assert bool(episode["filter_key/train"]) is (index != 1)
        assert bool(episode["filter_key/valid"]) is (index == 1)
    assert found.provenance["robomimic"]["env_args"] == ENVIRONMENT
    assert "environment" not in found.provenance


def test_an_environment_of_gymnasium_can_be_replayed(tmp_path):
    write(tmp_path / "d")
    with h5py.File(tmp_path / "d", "a") as file:
        told = {"env_name": "CartPole-v1", "type": 2, "env_kwargs": {}}
        file["data"].attrs["env_args"] = json.dumps(told)
    found = robomimic.import_dataset(tmp_path / "d")
    assert found.provenance["environment"] == {"id": "CartPole-v1"}


@pytest.mark.parametrize(
    ("final_state", "steps", "axis"),
    [
        (None, 6, Axis.STATE),
        ("drop", 6, Axis.STATE),
        ("repeat", 9, Axis.STATE),
        ("none", 9, Axis.STEP),
    ],
)
def test_without_next_obs_the_final_state_is_chosen(tmp_path, final_state, steps, axis):
    found = robomimic.import_dataset(
        write(tmp_path / "d", following=False), final_state=final_state
    )
    assert sum(len(one) for one in found.episodes) == steps
    assert found.schema.field("observation/eef").axis is axis
    assert found.notes[0].startswith("no state after the last action comes from the file")


def test_a_time_limit_truncates(tmp_path):
    found = robomimic.import_dataset(write(tmp_path / "d"), time_limit=3)
    ends = [(bool(it["terminated"][-1]), bool(it["truncated"][-1])) for it in found.episodes]
    assert ends == [(False, True), (False, True), (True, False)]


def test_strange_groups_are_named_and_left_out(tmp_path):
    write(tmp_path / "d")
    with h5py.File(tmp_path / "d", "a") as file:
        file["data/demo_0/datagen_info/x"] = np.ones(3)
    found = robomimic.import_dataset(tmp_path / "d")
    assert found.left_out == ("group 'datagen_info': nothing that robomimic knows",)
    assert found.provenance["left_out"] == list(found.left_out)


def test_what_came_in_goes_out_as_robomimic_wrote_it(tmp_path):
    found = robomimic.import_dataset(write(tmp_path / "d"))
    episodes = list(found.episodes)
    write_dataset(tmp_path / "v1", episodes, schema=found.schema, provenance=found.provenance)
    robomimic.export_dataset(Dataset.open(tmp_path / "v1"), tmp_path / "out")
    with h5py.File(tmp_path / "d") as one, h5py.File(tmp_path / "out") as other:
        assert json.loads(other["data"].attrs["env_args"]) == ENVIRONMENT
        assert other["data"].attrs["total"] == one["data"].attrs["total"]
        for index, name in enumerate(LENGTHS):
            mine, theirs = other[f"data/demo_{index}"], one[f"data/{name}"]
            for key in ("actions", "rewards", "states", "obs/eef", "next_obs/eef", "obs/camera"):
                np.testing.assert_array_equal(mine[key], theirs[key])
                assert mine[key].dtype == theirs[key].dtype
            assert mine.attrs["model_file"] == theirs.attrs["model_file"]
            assert mine.attrs["num_samples"] == theirs.attrs["num_samples"]
        assert other["mask/train"][()].tolist() == [b"demo_0", b"demo_2"]
    back = robomimic.import_dataset(tmp_path / "out")
    assert back.schema == found.schema
    assert [it.digest for it in back.episodes] == [it.digest for it in episodes]


def test_what_others_see_of_an_export(tmp_path):
    dataset = version(tmp_path / "v1", "nested")
    lost = robomimic.export_dataset(dataset, tmp_path / "out")
    assert "field 'seed': it lies in the group trajstore" in lost
    with h5py.File(tmp_path / "out") as file:
        assert len(file["data"]) == len(dataset)
        for index, own in enumerate(dataset):
            demo = file[f"data/demo_{index}"]
            np.testing.assert_array_equal(demo["obs/speed"], own["observation/speed"][:-1])
            np.testing.assert_array_equal(demo["next_obs/picture"], own["observation/picture"][1:])
            assert demo["dones"][()].tolist() == own["terminated"].astype(int).tolist()


def test_a_version_without_observations_of_numbers_is_refused(tmp_path):
    schema = EpisodeSchema(
        (FieldSpec("seen", Axis.STATE, (), "float32"), *factories.SCHEMA.fields[1:])
    )
    arrays = {name: it for name, it in factories.arrays().items() if name != "observation"}
    arrays["seen"] = np.zeros(factories.STEPS + 1, "f4")
    write_dataset(tmp_path / "v1", [Episode(schema, arrays)], schema=schema, provenance={})
    with pytest.raises(SchemaError, match="robomimic needs observations of numbers"):
        robomimic.export_dataset(Dataset.open(tmp_path / "v1"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
