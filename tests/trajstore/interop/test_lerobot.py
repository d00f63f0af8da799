"""LeRobot's datasets, v3.0 and v2.1: what comes in, what goes out, and what neither invents."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests import factories
from tests.trajstore.interop import lerobots
from tests.trajstore.interop.test_exchange import version
from trajstore.cli import run
from trajstore.dataset import Dataset
from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import ArgumentError, CorruptionError, NotFoundError, SchemaError
from trajstore.interop import lerobot
from trajstore.recording.bulk import write_dataset

VERSIONS = ["v3.0", "v2.1"]


def theirs(index: int) -> dict[str, np.ndarray]:
    first = sum(lerobots.LENGTHS[:index])
    return lerobots.rows(index, lerobots.LENGTHS[index], first, set(lerobots.FEATURES))


@pytest.mark.parametrize("version_", VERSIONS)
def test_the_last_frame_is_the_final_state_unless_told_otherwise(tmp_path, version_):
    found = lerobot.import_dataset(lerobots.write(tmp_path / "d", version=version_))
    axes = {spec.name: spec.axis for spec in found.schema.fields}
    assert axes["observation/state"] == axes["observation/images/side"] == Axis.STATE
    assert axes["action"] == axes["reward"] == Axis.STEP
    for index, episode in enumerate(found.episodes):
        rows = theirs(index)
        assert len(episode) == lerobots.LENGTHS[index] - 1
        np.testing.assert_array_equal(episode["observation/state"], rows["observation.state"])
        np.testing.assert_array_equal(
            episode["observation/images/side"], rows["observation.images.side"]
        )
        np.testing.assert_array_equal(episode["action"], rows["action"][:-1])
        np.testing.assert_array_equal(episode["reward"], rows["next.reward"][:-1])
        assert not episode["terminated"].any()
        assert episode["truncated"][-1]
        assert episode["task"] == lerobots.TASKS[index % 2]
        assert bool(episode["success"]) is (index % 2 == 0)
    assert "the last action of each episode, its reward and its end are left out" in found.notes[0]


def test_every_action_is_kept_where_the_last_observation_may_be_repeated(tmp_path):
    found = lerobot.import_dataset(lerobots.write(tmp_path / "d"), final_state="repeat")
    for index, episode in enumerate(found.episodes):
        rows = theirs(index)
        np.testing.assert_array_equal(episode["action"], rows["action"])
        np.testing.assert_array_equal(episode["observation/state"][:-1], rows["observation.state"])
        np.testing.assert_array_equal(
            episode["observation/state"][-1], rows["observation.state"][-1]
        )
        assert episode["terminated"].tolist() == rows["next.done"].tolist()
    assert "stands twice" in found.notes[0]


def test_nothing_is_made_up_where_observations_lie_on_the_step_axis(tmp_path):
    found = lerobot.import_dataset(lerobots.write(tmp_path / "d"), final_state="none")
    assert found.schema.field("observation/state").axis is Axis.STEP
    for index, episode in enumerate(found.episodes):
        rows = theirs(index)
        np.testing.assert_array_equal(episode["observation/state"], rows["observation.state"])
        np.testing.assert_array_equal(episode["action"], rows["action"])
        assert bool(episode["success"]) == rows["next.success"][-1]


def test_a_success_that_comes_earlier_is_kept_for_each_step(tmp_path):
    plain = lerobot.import_dataset(lerobots.write(tmp_path / "a"), final_state="none")
    assert "next_success" not in plain.schema.names  # all of it stands in success
    asked = lerobot.import_dataset(tmp_path / "a", leave_out=["success"])
    assert asked.schema.names[-1] != "success"
    assert "next_success" in asked.schema.names
    source = lerobots.write(tmp_path / "b", version="v2.1")
    path = source / "data/chunk-000/episode_000000.parquet"
    read = pq.read_table(path)
    place, said = read.schema.get_field_index("next.success"), [False, True, True, False, True]
    pq.write_table(read.set_column(place, "next.success", [said]), path)
    first, *_ = lerobot.import_dataset(source, final_state="none").episodes
    assert first["next_success"].tolist() == said
    assert first["success"]


def test_names_of_lerobot_leave_fields_out_too(tmp_path):
    source = lerobots.write(tmp_path / "d")
    theirs = ["observation.images.side", "next.reward"]
    found = lerobot.import_dataset(source, leave_out=theirs)
    own = lerobot.import_dataset(source, leave_out=["observation/images/side", "reward"])
    assert found.schema == own.schema
    assert found.left_out == own.left_out
    assert {"observation/images/side", "reward"}.isdisjoint(found.schema.names)
    dataset = filmed(tmp_path / "v1")
    lerobot.export_dataset(dataset, tmp_path / "out", lossless=True)
    ours = lerobot.import_dataset(tmp_path / "out", leave_out=["observation.images.wrist"])
    assert set(ours.schema.names) == {*FILMED.names} - {"observation/images/wrist"}
    assert len(list(ours.episodes)) == len(dataset)
    with pytest.raises(ArgumentError, match=r"got 'next\.rewards'"):
        lerobot.import_dataset(source, leave_out=["next.reward", "next.rewards"])


def test_what_is_missing_is_named_with_what_to_do(tmp_path, monkeypatch):
    pytest.importorskip("av")
    monkeypatch.chdir(tmp_path)
    source = lerobots.write(tmp_path / "d", filmed=True).relative_to(tmp_path)
    next(source.rglob("*.mp4")).unlink()
    missing = rf"^d: videos/.*mp4 is missing; .* --leave-out {lerobots.CAMERA} "
    with pytest.raises(CorruptionError, match=missing):
        list(lerobot.import_dataset(source).episodes)
    assert len(list(lerobot.import_dataset(source, leave_out=[lerobots.CAMERA]).episodes)) == 3
    (source / "meta/info.json").unlink()
    with pytest.raises(CorruptionError, match=r"not a whole one: 'meta/info.json' is missing"):
        lerobot.import_dataset(source)
    with pytest.raises(NotFoundError, match="hf download lerobot/pusht --repo-type dataset"):
        lerobot.import_dataset(Path("lerobot/pusht"))
    with pytest.raises(NotFoundError, match="nothing to import; check the path"):
        lerobot.import_dataset(Path("pusht"))


@pytest.mark.parametrize("name", ["*.parquet", "*.mp4", "info.json"])
def test_files_that_git_lfs_did_not_fetch_are_named(tmp_path, name):
    pytest.importorskip("av")
    source = lerobots.write(tmp_path / "d", filmed=True)
    path = next(source.rglob(name))
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(CorruptionError, match=rf"{path.name} is a pointer of Git LFS.*git lfs"):
        list(lerobot.import_dataset(source).episodes)


def test_what_is_not_there_is_not_invented(tmp_path):
    lost = ("next.reward", "next.done", "next.success", "observation.images.side")
    source = lerobots.write(tmp_path / "d", without=lost)
    found = lerobot.import_dataset(source, final_state="repeat")
    expected = {"observation", "action", "terminated", "truncated", "task", "operator"}
    assert set(found.schema.names) == expected
    assert all(one["truncated"][-1] and not one["terminated"].any() for one in found.episodes)
    assert any("nothing says how episodes ended" in note for note in found.notes)


def test_a_time_limit_tells_truncated_from_terminated(tmp_path):
    source = lerobots.write(tmp_path / "d")
    found = list(lerobot.import_dataset(source, final_state="repeat", time_limit=6).episodes)
    assert [bool(it["truncated"][-1]) for it in found] == [False, False, True]
    assert [bool(it["terminated"][-1]) for it in found] == [True, True, False]


def test_names_rate_robot_and_notes_are_kept(tmp_path):
    found = lerobot.import_dataset(lerobots.write(tmp_path / "d"))
    told = found.provenance["lerobot"]
    assert told["fps"] == lerobots.FPS
    assert found.provenance["dt"] == 1 / lerobots.FPS
    assert told["robot_type"] == "so100"
    assert found.schema.field("observation/state").names == tuple(lerobots.JOINTS)
    assert found.schema.field("action").names == ("x", "y")
    assert found.schema.field("reward").names == ()
    assert {one["operator"] for one in found.episodes} == {"bo"}
    episodes = list(found.episodes)
    write_dataset(tmp_path / "v1", episodes, schema=found.schema, provenance=found.provenance)
    lerobot.export_dataset(Dataset.open(tmp_path / "v1"), tmp_path / "out")
    told = json.loads((tmp_path / "out/meta/info.json").read_text())
    assert (told["fps"], told["robot_type"]) == (lerobots.FPS, "so100")
    assert told["features"]["observation.state"]["names"] == lerobots.JOINTS
    assert told["features"]["action"]["names"] == ["x", "y"]


KILLED = """
import os, signal, sys
from trajstore.cli import run
from trajstore.recording.recorder import Recorder
def cut(recorder, episodes):
    for place, episode in enumerate(episodes):
        if place == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        recorder.add(episode)
Recorder.add_all = cut
run(["--store", "store", "import", "d", "--from", "lerobot", "--as", "copy"])
"""


def test_an_import_that_was_killed_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lerobots.write(tmp_path / "d")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", KILLED], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "store/copy/v1").exists()
    given = ["--store", "store", "import", "d", "--from", "lerobot", "--as", "copy"]
    assert run(given) == 0
    assert "went on after 1 episodes of an interrupted import" in capsys.readouterr().out
    found = lerobot.import_dataset(tmp_path / "d").episodes
    recorded = Dataset.open(tmp_path / "store/copy/v1")
    assert [one.digest for one in recorded] == [one.digest for one in found]
    assert run(given) == 0
    assert "recorded nothing: copy@v1 holds them already" in capsys.readouterr().out


@pytest.mark.parametrize("group_rows", [1, 4, 100])
def test_episodes_may_lie_across_row_groups(tmp_path, group_rows):
    plain = lerobot.import_dataset(lerobots.write(tmp_path / "a"))
    grouped = lerobot.import_dataset(lerobots.write(tmp_path / "b", group_rows=group_rows))
    assert [it.digest for it in plain.episodes] == [it.digest for it in grouped.episodes]


def test_tasks_that_change_within_an_episode_are_on_the_step_axis(tmp_path):
    source = lerobots.write(tmp_path / "d", version="v2.1")
    path = source / "data/chunk-000/episode_000000.parquet"
    read = pq.read_table(path)
    place = read.schema.get_field_index("task_index")
    numbers = [0, 0, 1, 1, 1]
    pq.write_table(read.set_column(place, "task_index", [numbers]), path)
    lines = (source / "meta/episodes.jsonl").read_text().splitlines()
    lines[0] = json.dumps(json.loads(lines[0]) | {"tasks": list(lerobots.TASKS)})
    (source / "meta/episodes.jsonl").write_text("\n".join(lines))
    first, *_ = lerobot.import_dataset(source, final_state="none").episodes
    assert first["task"].tolist() == [lerobots.TASKS[it] for it in numbers]


def test_an_end_before_the_last_frame_is_kept_as_a_field(tmp_path):
    source = lerobots.write(tmp_path / "d", version="v2.1")
    path = source / "data/chunk-000/episode_000000.parquet"
    read = pq.read_table(path)
    place = read.schema.get_field_index("next.done")
    pq.write_table(read.set_column(place, "next.done", [[False, False, True, True, True]]), path)
    first, *_ = lerobot.import_dataset(source, final_state="repeat").episodes
    assert first["next_done"].tolist() == [False, False, True, True, True]
    assert first["terminated"].tolist() == [False] * 4 + [True]


def test_an_episode_of_one_frame_names_the_way_round(tmp_path):
    schema = factories.SCHEMA
    write_dataset(tmp_path / "v1", [factories.episode(0, steps=1)], schema=schema, provenance={})
    lerobot.export_dataset(Dataset.open(tmp_path / "v1"), tmp_path / "out", fps=10)
    shutil.rmtree(tmp_path / "out/meta/trajstore")
    with pytest.raises(SchemaError, match="--final-state repeat"):
        list(lerobot.import_dataset(tmp_path / "out").episodes)
    assert len(list(lerobot.import_dataset(tmp_path / "out", final_state="repeat").episodes)) == 1


def test_what_others_see_of_an_export(tmp_path):
    dataset = version(tmp_path / "v1", "nested")
    lost = lerobot.export_dataset(dataset, tmp_path / "out", fps=15)
    assert any(line.startswith("field 'seed'") for line in lost)
    told = json.loads((tmp_path / "out/meta/info.json").read_text())
    assert (told["codebase_version"], told["fps"]) == ("v3.0", 15)
    assert told["total_frames"] == dataset.steps
    read = pq.read_table(tmp_path / "out/data/chunk-000/file-000.parquet")
    assert set(read.schema.names) == set(told["features"])
    assert pq.read_metadata(tmp_path / "out/data/chunk-000/file-000.parquet").num_row_groups == 6
    first = dataset[0]
    done = first["terminated"] | first["truncated"]
    assert read["next.done"].to_pylist()[: len(first)] == done.tolist()
    assert read["action"].to_pylist()[0] == first["action"][0].tolist()
    assert read["timestamp"].to_pylist()[1] == pytest.approx(1 / 15)
    figures = json.loads((tmp_path / "out/meta/stats.json").read_text())
    actions = dataset.column("action").astype("f8")
    np.testing.assert_allclose(figures["action"]["mean"], actions.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(figures["action"]["std"], actions.std(axis=0), rtol=1e-6)
    np.testing.assert_allclose(figures["action"]["q90"], np.quantile(actions, 0.9, axis=0))
    tasks = pq.read_table(tmp_path / "out/meta/tasks.parquet")
    assert json.loads(tasks.schema.metadata[b"pandas"])["index_columns"] == ["task"]
    assert set(tasks["task"].to_pylist()) == set(dataset.episodes["scenario"])


def test_what_others_see_comes_back_without_what_is_ours(tmp_path):
    dataset = version(tmp_path / "v1", "flat")
    lerobot.export_dataset(dataset, tmp_path / "out")
    shutil.rmtree(tmp_path / "out/meta/trajstore")
    back = lerobot.import_dataset(tmp_path / "out", final_state="repeat")
    for one, own in zip(back.episodes, dataset, strict=True):
        np.testing.assert_array_equal(one["observation"][:-1], own["observation"][:-1])
        for name in ("action", "reward", "terminated", "truncated"):
            np.testing.assert_array_equal(one[name], own[name])


def test_vectors_of_one_number_come_back_as_such(tmp_path):
    schema = EpisodeSchema(
        (
            FieldSpec("observation", Axis.STATE, (1,), "float32"),
            FieldSpec("action", Axis.STEP, (1,), "float32"),
            FieldSpec("reward", Axis.STEP, (), "float64"),
            FieldSpec("terminated", Axis.STEP, (), "bool"),
            FieldSpec("truncated", Axis.STEP, (), "bool"),
        )
    )
    numbers = np.arange(4, dtype="float32")
    arrays = {"observation": numbers[:, None], "action": numbers[:3, None], "reward": np.ones(3)}
    arrays |= {"terminated": np.array([False, False, True]), "truncated": np.zeros(3, bool)}
    episodes = [Episode(schema, arrays)]
    write_dataset(tmp_path / "v1", episodes, schema=schema, provenance={})
    lerobot.export_dataset(Dataset.open(tmp_path / "v1"), tmp_path / "out")
    found = lerobot.import_dataset(tmp_path / "out")
    assert [one.digest for one in found.episodes] == [one.digest for one in episodes]


def test_an_export_that_was_changed_since_is_not_taken_for_ours(tmp_path):
    dataset = version(tmp_path / "v1", "flat")
    lerobot.export_dataset(dataset, tmp_path / "out")
    rest = tmp_path / "out/meta/trajstore/rest.parquet"
    pq.write_table(pq.read_table(rest).slice(1), rest)
    with pytest.raises(Exception, match="remove meta/trajstore"):
        lerobot.import_dataset(tmp_path / "out")


@pytest.mark.parametrize(("choices", "said"), [({"fps": 0}, "fps"), ({"codec": "vp9"}, "codec")])
def test_options_that_make_no_sense_are_refused(tmp_path, choices, said):
    pytest.importorskip("av")
    dataset = filmed(tmp_path / "v1")
    with pytest.raises(ArgumentError, match=said):
        lerobot.export_dataset(dataset, tmp_path / "out", **choices)
    assert not (tmp_path / "out").exists()


FILMED = EpisodeSchema(
    (
        FieldSpec("observation/images/top", Axis.STATE, (96, 128, 3), "uint8"),
        FieldSpec("observation/images/wrist", Axis.STATE, (96, 128, 3), "uint8"),
        FieldSpec("observation/state", Axis.STATE, (3,), "float32"),
        FieldSpec("action", Axis.STEP, (2,), "float32"),
        FieldSpec("terminated", Axis.STEP, (), "bool"),
        FieldSpec("truncated", Axis.STEP, (), "bool"),
        FieldSpec("success", Axis.EPISODE, (), "bool"),
        FieldSpec("task", Axis.EPISODE, (), "str"),
    )
)


def filmed(target: Path) -> Dataset:
    """Three episodes of two cameras."""
    episodes = []
    for index, length in enumerate(lerobots.LENGTHS):
        rng = np.random.default_rng(index)
        last = np.arange(length) == length - 1
        arrays = {
            "observation/images/top": lerobots.film(index, length + 1),
            "observation/images/wrist": lerobots.film(index + 7, length + 1),
            "observation/state": rng.normal(size=(length + 1, 3)).astype("f4"),
            "action": rng.normal(size=(length, 2)).astype("f4"),
            "terminated": last & (index > 0),
            "truncated": last & (index == 0),
            "success": np.array(index == 1),
            "task": np.array(lerobots.TASKS[index % 2]),
        }
        episodes.append(Episode(FILMED, arrays))
    write_dataset(target, episodes, schema=FILMED, provenance={"dt": 1 / lerobots.FPS})
    return Dataset.open(target)


@pytest.mark.parametrize("codec", ["av1", "h264"])
def test_cameras_become_videos_whose_loss_is_told(tmp_path, codec):
    pytest.importorskip("av")
    dataset = filmed(tmp_path / "v1")
    lost = lerobot.export_dataset(dataset, tmp_path / "out", codec=codec)
    told = [line for line in lost if "exact pixels" in line]
    assert len(told) == 2
    assert all(codec.upper() in line and "dB (PSNR)" in line for line in told)
    assert len(list((tmp_path / "out/videos").rglob("*.mp4"))) == 2
    back = lerobot.import_dataset(tmp_path / "out")
    assert back.schema == dataset.schema
    assert sum("decoded from video, which is lossy" in note for note in back.notes) == 2
    for one, own in zip(back.episodes, dataset, strict=True):
        for name in dataset.schema.names:
            if name.startswith("observation/images"):
                off = np.abs(one[name].astype(int) - own[name])
                assert off.mean() < 4, name
                np.testing.assert_array_equal(one[name][-1], own[name][-1])
            else:
                np.testing.assert_array_equal(one[name], own[name])


def test_pictures_stay_exact_where_that_is_wanted(tmp_path):
    dataset = filmed(tmp_path / "v1")
    lost = lerobot.export_dataset(dataset, tmp_path / "out", lossless=True)
    assert not any("pixels" in line for line in lost)
    back = lerobot.import_dataset(tmp_path / "out")
    assert [one.digest for one in back.episodes] == [one.digest for one in dataset]


@pytest.mark.parametrize("version_", VERSIONS)
def test_videos_of_others_are_decoded_and_said_to_be_lossy(tmp_path, version_):
    pytest.importorskip("av")
    source = lerobots.write(tmp_path / "d", version=version_, filmed=True)
    found = lerobot.import_dataset(source, final_state="none")
    assert any("observation/images/top: decoded from" in note for note in found.notes)
    for index, episode in enumerate(found.episodes):
        meant = lerobots.film(index, lerobots.LENGTHS[index])
        off = np.abs(episode["observation/images/top"].astype(int) - meant)
        assert off.mean() < 4
    without = lerobot.import_dataset(source, leave_out=["observation/images/top"])
    assert "observation/images/top" not in without.schema.names
