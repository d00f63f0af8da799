"""What a Minari dataset says is kept where there is a place; what is left out is listed."""

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import h5py
import minari as theirs
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gymnasium import spaces
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage

from tests import factories
from trajstore.cli import run
from trajstore.dataset import Dataset
from trajstore.episode.fields import Axis
from trajstore.errors import ArgumentError, CorruptionError, SchemaError
from trajstore.interop import minari
from trajstore.interop.environment import environment_of
from trajstore.interop.gymnasium import record, schema_of
from trajstore.quality.replay import verify_replay
from trajstore.recording.bulk import write_dataset

SAID = {
    "author": {"Ada", "Bob"},
    "author_email": {"ada@example.org"},
    "code_permalink": "https://example.org/code",
    "algorithm_name": "PPO",
    "description": "balances",
}


def played(seed: int, env: Any, *, as_table: bool, plain: bool) -> EpisodeBuffer:
    rng = np.random.default_rng(seed)
    seen, acts, rewards, ends = [env.reset(seed=seed)[0]], [], [], [(False, False)]
    while not any(ends[-1]):
        acts.append(int(rng.integers(2)))
        observation, reward, *end, _ = env.step(acts[-1])
        seen.append(observation)
        rewards.append(reward)
        ends.append(tuple(end))
    steps = len(acts)
    infos = {
        "x": np.arange(steps + 1.0),
        "level": ["easy"] * (steps + 1),
        "deep": {"angle": np.arange(2.0 * steps + 2).reshape(-1, 2)},
        "words": [str(row) for row in range(steps + 1)],
        "reward": np.zeros(steps + 1),
    }
    if not as_table:  # Minari's tables want as many infos as states
        infos |= {"of_step": np.arange(steps), "TimeLimit.truncated": np.zeros(steps, bool)}
    terminated, truncated = np.array(ends[1:]).T
    return EpisodeBuffer(
        None, seed, {"noise": 0.5}, np.array(seen), np.array(acts), rewards, terminated,
        truncated, None if plain else infos,
    )  # fmt: skip


def cartpole(
    folder: Path, *, data_format: str = "hdf5", limit: int | None = None, plain: bool = False
) -> Path:
    """A dataset as Minari writes it: five episodes of CartPole."""
    env = gym.make("CartPole-v1", max_episode_steps=limit or 500)
    folder.mkdir()
    storage = MinariStorage.new(
        folder, env.observation_space, env.action_space, env.spec, data_format=data_format
    )
    as_table = data_format != "hdf5"
    storage.update_episodes(
        [played(2**62 + it, env, as_table=as_table, plain=plain) for it in range(5)]
    )
    ids = {"dataset_id": "cartpole/test-v0", "minari_version": theirs.__version__}
    storage.update_metadata(SAID | ids | {"ref_min_score": 9.5, "home_made": [1]})
    return folder


def imported(source: Path, target: Path, **choices: Any) -> Dataset:
    found = minari.import_dataset(source, **choices)
    write_dataset(target, found.episodes, schema=found.schema, provenance=found.provenance)
    return Dataset.open(target)


@pytest.mark.parametrize("data_format", ["hdf5", "arrow", "parquet"])
def test_what_has_a_place_is_kept(tmp_path: Path, data_format: str) -> None:
    dataset = imported(cartpole(tmp_path / "m", data_format=data_format), tmp_path / "v1")
    assert dataset.column("seed").tolist() == [2**62 + seed for seed in range(5)]
    axes = {spec.name: (spec.axis, spec.shape, spec.dtype) for spec in dataset.schema.fields}
    assert axes["x"] == (Axis.STATE, (), "float64")
    assert axes["level"] == (Axis.EPISODE, (), "str")
    assert axes["deep/angle"] == (Axis.STATE, (2,), "float64")
    assert axes["options/noise"] == (Axis.EPISODE, (), "float64")
    if data_format == "hdf5":
        assert axes["of_step"] == (Axis.STEP, (), "int64")
        assert axes["TimeLimit_truncated"] == (Axis.STEP, (), "bool")
    np.testing.assert_array_equal(dataset[1]["x"], np.arange(len(dataset[1]) + 1.0))
    assert str(dataset[0]["level"]) == "easy"
    provenance = dataset.manifest.provenance
    assert provenance["environment"] == {"id": "CartPole-v1"}
    kept = provenance["minari"]
    assert set(kept["author"]) == SAID["author"]
    assert kept["home_made"] == [1]
    assert kept["ref_min_score"] == 9.5
    assert json.loads(kept["env_spec"])["entry_point"].startswith("gymnasium.envs")


def test_what_is_left_out_is_listed_in_the_provenance_too(tmp_path: Path) -> None:
    found = minari.import_dataset(cartpole(tmp_path / "m"), mark_truncated=True)
    assert [line.split(":")[0] for line in found.left_out] == ["info 'reward'", "info 'words'"]
    assert found.provenance["left_out"] == list(found.left_out)
    assert any("options/noise" in line for line in found.notes)
    assert any("reports TimeLimit_truncated, deep/angle in" in line for line in found.notes) or any(
        "reports deep/angle, TimeLimit_truncated in" in line for line in found.notes
    )


@pytest.mark.parametrize("limit", [None, 20])
def test_an_imported_dataset_can_be_replayed(tmp_path: Path, limit: int | None) -> None:
    folder = cartpole(tmp_path / "m", limit=limit, plain=True)
    dataset = imported(folder, tmp_path / "v1")
    made = dataset.manifest.provenance["environment"]
    assert made.get("kwargs", {}) == ({"max_episode_steps": limit} if limit else {})
    report = verify_replay(dataset, lambda _: gym.make(made["id"], **made.get("kwargs", {})))
    assert report.equal == len(dataset) == 5


def dict_of(folder: Path, space: spaces.Dict, count: int = 3, *, ends: bool = True) -> Path:
    folder.mkdir()
    storage = MinariStorage.new(folder, space, spaces.Discrete(3, start=-1))
    space.seed(0)
    for length in range(2, 2 + count):
        rows = [space.sample() for _ in range(length + 1)]
        last = np.arange(length) == length - 1
        storage.update_episodes(
            [
                EpisodeBuffer(
                    observations={key: [row[key] for row in rows] for key in space.spaces},
                    actions=np.full(length, -1),
                    rewards=[0.0] * length,
                    terminations=last & (ends or length > 2),
                    truncations=[False] * length,
                )
            ]
        )
    storage.update_metadata({"dataset_id": "a-v0", "minari_version": theirs.__version__})
    return folder


def test_an_episode_without_an_end_names_the_way_round(tmp_path: Path) -> None:
    folder = dict_of(tmp_path / "m", spaces.Dict(a=spaces.Box(-1, 1, (2,))), ends=False)
    with pytest.raises(SchemaError, match=r"episode 0: .*--mark-truncated .*mark_truncated=True"):
        list(minari.import_dataset(folder).episodes)
    found = minari.import_dataset(folder, mark_truncated=True)
    ends = [(bool(it["terminated"][-1]), bool(it["truncated"][-1])) for it in found.episodes]
    assert ends == [(False, True), (True, False), (True, False)]
    assert "1 episodes without an end are taken as truncated: 0" in found.notes
    assert found.provenance["import_notes"] == list(found.notes)


def test_a_field_that_has_no_form_names_how_to_leave_it_out(tmp_path: Path) -> None:
    folder = dict_of(tmp_path / "m", spaces.Dict(a=spaces.Box(-1, 1, (2,))))
    path = folder / "metadata.json"
    record = json.loads(path.read_text())
    nested = json.loads(record["observation_space"])
    empty = {"type": "Box", "dtype": "float32", "shape": [0], "low": [], "high": []}
    nested["subspaces"]["b"] = empty
    path.write_text(json.dumps(record | {"observation_space": json.dumps(nested)}))
    with h5py.File(folder / "main_data.hdf5", "a") as file:
        for episode in file.values():
            episode["observations"].create_dataset("b", (len(episode["rewards"]) + 1, 0), "f4")
    with pytest.raises(SchemaError, match=r"--leave-out observation/b .*leave_out="):
        minari.import_dataset(folder)
    found = minari.import_dataset(folder, leave_out=["observation/b"])
    assert len(list(found.episodes)) == 3


@pytest.mark.parametrize(
    ("field", "left"),
    [
        ("observation/a", {"observation/b"}),
        ("observation/b", {"observation/a"}),
        ("reward", {"observation/a", "observation/b"}),
    ],
)
def test_any_field_but_the_ends_can_be_left_out(tmp_path: Path, field: str, left: set[str]) -> None:
    space = spaces.Dict(a=spaces.Box(-1, 1, (2,)), b=spaces.Discrete(4, start=2))
    folder = dict_of(tmp_path / "m", space)
    found = minari.import_dataset(folder, leave_out=[field])
    assert {it.name for it in found.schema.fields if it.axis is Axis.STATE} == left
    assert field not in found.schema.names
    assert found.left_out == (f"field {field!r}: as asked",)
    assert len(list(found.episodes)) == 3
    for wrong in ("terminated", "nothing", "observation/c"):
        with pytest.raises(ArgumentError, match="leave out: expected names of"):
            minari.import_dataset(folder, leave_out=[wrong])


def test_values_are_never_cast_into_others(tmp_path: Path) -> None:
    folder = dict_of(tmp_path / "m", spaces.Dict(a=spaces.Box(-1, 1, (2,), np.float64)))
    path = folder / "metadata.json"
    path.write_text(path.read_text().replace("float64", "float32"))
    found = minari.import_dataset(folder)
    assert found.schema.field("observation/a").dtype == "float64"
    path.write_text(path.read_text().replace('\\"n\\": 3', '\\"n\\": 2'))
    record = json.loads(path.read_text())
    wrong = {"type": "Box", "dtype": "uint8", "shape": [], "low": 0, "high": 255}
    path.write_text(json.dumps(record | {"action_space": json.dumps(wrong)}))
    with pytest.raises(SchemaError, match=r"'action'.*uint8"):
        list(minari.import_dataset(folder).episodes)


def test_missing_spaces_are_asked_for_and_taken_from_the_environment(tmp_path: Path) -> None:
    folder = cartpole(tmp_path / "m")
    path = folder / "metadata.json"
    record = json.loads(path.read_text())
    for key in ("observation_space", "action_space", "env_spec"):
        del record[key]
    path.write_text(json.dumps(record))
    with pytest.raises(SchemaError, match=r"--environment CartPole-v1.*--space"):
        minari.import_dataset(folder)
    found = minari.import_dataset(folder, environment="CartPole-v1")
    assert found.provenance["environment"] == {"id": "CartPole-v1"}
    with pytest.raises(ArgumentError, match="is not registered with Gymnasium here"):
        minari.import_dataset(folder, environment="os:Evil-v0")


def pendulum(target: Path, **kwargs: Any) -> Dataset:
    env = gym.make("Pendulum-v1", **kwargs)
    schema = schema_of(env)
    write_dataset(
        target,
        record(env, lambda _: np.zeros(1, "f4"), seeds=range(2), schema=schema),
        schema=schema,
        provenance={"environment": environment_of(env), "algorithm_name": "none", "author": "Ada"},
    )
    return Dataset.open(target)


def test_an_export_recovers_its_environment_and_says_who_made_it(tmp_path: Path) -> None:
    dataset = pendulum(tmp_path / "v1", g=9.0, max_episode_steps=7)
    assert minari.export_dataset(dataset, tmp_path / "pendulum-v3") == ()
    opened = theirs.MinariDataset(tmp_path / "pendulum-v3/data")
    env = opened.recover_environment()
    assert (env.spec.id, env.spec.max_episode_steps, env.unwrapped.g) == ("Pendulum-v1", 7, 9.0)
    assert opened.spec.dataset_name == "pendulum"
    assert opened.storage.metadata["author"] == {"Ada"}
    assert opened.storage.metadata["algorithm_name"] == "none"


def test_what_minari_said_goes_back_to_it(tmp_path: Path) -> None:
    dataset = imported(cartpole(tmp_path / "m"), tmp_path / "v1", mark_truncated=True)
    minari.export_dataset(dataset, tmp_path / "out")
    metadata = MinariStorage.read(tmp_path / "out/data").metadata
    assert {key: metadata[key] for key in SAID} == SAID
    env = theirs.MinariDataset(tmp_path / "out/data").recover_environment()
    assert env.spec.id == "CartPole-v1"


def test_an_export_without_an_environment_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    factories.dataset(tmp_path / "v1")
    assert run(["export", str(tmp_path / "v1"), "--to", "minari", str(tmp_path / "out")]) == 0
    assert (
        "readers of minari miss: env_spec: the provenance names no environment"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize("key", ["walker/gear", ".", "a/"])
def test_a_key_that_hdf5_takes_for_a_path_is_refused(key: str) -> None:
    from trajstore.interop.minari import _check_keys

    with pytest.raises(SchemaError, match="expected one that HDF5 does not take for a path"):
        _check_keys(spaces.Dict({"a": spaces.Tuple([spaces.Dict({key: spaces.Discrete(2)})])}))


def test_partial_seeds_are_listed_and_kept_in_the_provenance(tmp_path: Path) -> None:
    folder = cartpole(tmp_path / "m")
    with h5py.File(folder / "main_data.hdf5", "a") as file:
        del file["episode_1"].attrs["seed"]
    found = minari.import_dataset(folder, mark_truncated=True)
    assert "seed" not in found.schema.names
    assert found.provenance["minari"]["seeds"][:2] == [2**62, None]
    assert any("only 4 of 5 episodes have one" in line for line in found.left_out)


def test_the_command_lists_and_goes_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAJSTORE", "store")
    dict_of(tmp_path / "m", spaces.Dict(a=spaces.Box(-1, 1, (2,))), ends=False)
    command = ["import", "m", "--from", "minari", "--as", "x"]
    assert run(command) == 1
    assert "--mark-truncated" in capsys.readouterr().err
    assert run([*command, "--mark-truncated", "--leave-out", "reward", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["left_out"] == ["field 'reward': as asked"]
    assert "1 episodes without an end are taken as truncated: 0" in told["notes"]
    assert Dataset.open(tmp_path / "store/x/v1").manifest.provenance["left_out"] == told["left_out"]
    assert run([*command, "--mark-truncated", "--leave-out", "nothing"]) == 2
    assert run([*command, "--time-limit", "3"]) == 2


@pytest.mark.parametrize(
    "said",
    ["{", json.dumps({"id": "os:X-v0"}), json.dumps({"id": 3}), '{"id":"A-v0","kwargs":[1]}'],
)
def test_an_environment_in_no_form_is_no_reason_to_refuse(tmp_path: Path, said: str) -> None:
    folder = cartpole(tmp_path / "m", plain=True)
    path = folder / "metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"env_spec": said, "note": "\ud800"}))
    found = minari.import_dataset(folder)
    assert "environment" not in found.provenance
    assert found.provenance["minari"]["env_spec"] == said
    assert found.left_out == ("metadata 'note': nothing that a provenance can hold",)
    assert any("environment" in line for line in found.notes)


def scribbled(path: Path) -> None:
    """Things of one's own in each corner of a Minari file."""
    with h5py.File(path, "a") as file:
        file.attrs["note2"] = "kept"
        file.attrs["calibration"] = [1.0, 2.0]
        for number, episode in enumerate(file.values()):
            episode["confidence"] = np.arange(len(episode["rewards"]) / 1.0)
            episode["rewards"].attrs["unit"] = "m"
            if number == 1:
                episode["apart/once"] = [1, 2]
    (path.parent / "readme.txt").write_text("hello")


def test_what_minari_does_not_know_is_kept_or_listed(tmp_path: Path) -> None:
    folder = dict_of(tmp_path / "m", spaces.Dict(a=spaces.Box(-1, 1, (2,))))
    scribbled(folder / "main_data.hdf5")
    found = minari.import_dataset(folder)
    assert found.schema.field("confidence").axis is Axis.STEP
    assert next(found.episodes)["confidence"].tolist() == [0.0, 1.0]
    kept = found.provenance["minari"]
    assert (kept["note2"], kept["calibration"]) == ("kept", [1.0, 2.0])
    assert found.left_out == (
        "file 'readme.txt': no part of the format",
        "attribute 'unit' of 'rewards': no place",
        "info 'apart/once': only 1 of 3 episodes have it",
    )


def test_what_was_put_into_an_export_of_ours_is_listed(tmp_path: Path) -> None:
    minari.export_dataset(pendulum(tmp_path / "v1"), tmp_path / "out")
    assert minari.import_dataset(tmp_path / "out").left_out == ()
    folder = tmp_path / "out/data"
    scribbled(folder / "main_data.hdf5")
    path = folder / "metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"mine": 1}))
    found = minari.import_dataset(tmp_path / "out")
    assert set(found.left_out) == {
        "file 'readme.txt': no part of the format",
        "attribute 'unit' of 'rewards': no place",
        "attribute 'note2' of the file: no place",
        "attribute 'calibration' of the file: no place",
        "info 'confidence': no field of the schema",
        "info 'apart/once': no field of the schema",
        "metadata 'mine': no part of an export",
    }
    assert found.provenance["left_out"] == list(found.left_out)


@pytest.mark.parametrize("data_format", ["hdf5", "arrow", "parquet"])
def test_an_episode_of_another_length_than_it_says_is_refused(
    tmp_path: Path, data_format: str
) -> None:
    folder = cartpole(tmp_path / "m", data_format=data_format)
    if data_format == "hdf5":
        with h5py.File(folder / "main_data.hdf5", "a") as file:
            file["episode_1"].attrs["total_steps"] += 1
    else:
        path = folder / "1/metadata.json"
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {"total_steps": record["total_steps"] + 1}))
    with pytest.raises(CorruptionError, match=r"episode 1: expected total_steps .* not whole"):
        minari.import_dataset(folder)


@pytest.mark.parametrize("key", ["total_episodes", "total_steps"])
def test_an_hdf5_file_that_counts_otherwise_is_refused(tmp_path: Path, key: str) -> None:
    folder = dict_of(tmp_path / "m", spaces.Dict(a=spaces.Box(-1, 1, (2,))))
    with h5py.File(folder / "main_data.hdf5", "a") as file:
        file.attrs[key] = 7
    with pytest.raises(CorruptionError, match=f"expected {key} 7 .* not whole"):
        minari.import_dataset(folder)


def test_columns_that_minari_does_not_know_are_kept_or_listed(tmp_path: Path) -> None:
    folder = cartpole(tmp_path / "m", data_format="parquet", plain=True)
    for path in folder.glob("*/*.parquet"):
        table = pq.read_table(path)
        table = table.append_column("confidence", pa.array(np.arange(table.num_rows / 1.0)))
        days = pa.array(np.zeros(table.num_rows, "M8[D]"))
        pq.write_table(table.append_column("day", days), path)
    found = minari.import_dataset(folder)
    assert next(found.episodes)["confidence"][:3].tolist() == [0.0, 1.0, 2.0]
    assert found.left_out == ("column 'day': neither numbers nor text in each row",)
