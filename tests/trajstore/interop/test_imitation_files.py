"""What imitation saved comes in with its kinds, or asks for them; an end is what it says."""

import zipfile
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pyarrow as pa
import pytest
from gymnasium import spaces
from imitation.data import rollout, serialize, types

from tests import factories
from trajstore.cli import run
from trajstore.dataset import Dataset
from trajstore.errors import ArgumentError, CorruptionError, SchemaError
from trajstore.interop import imitation
from trajstore.interop.gymnasium import space_of
from trajstore.interop.imitation import TransitionBatches, trajectories
from trajstore.recording.bulk import write_dataset

pytestmark = pytest.mark.filterwarnings("ignore:keys will default:DeprecationWarning")


def saved(folder: Path, *lengths: int, rewards: bool = True, **changes: Any) -> Path:
    """Trajectories of CartPole as imitation saves them, all terminal."""
    made = []
    for number, length in enumerate(lengths or (3, 5, 5)):
        rng = np.random.default_rng(number)
        known: dict[str, Any] = {
            "obs": rng.uniform(-0.1, 0.1, (length + 1, 4)).astype("float32"),
            "acts": rng.integers(0, 2, length),
            "infos": None,
            "terminal": True,
        } | {key: make(length) for key, make in changes.items()}
        rews = rng.normal(size=length)
        made.append(
            types.TrajectoryWithRew(**known, rews=rews) if rewards else types.Trajectory(**known)
        )
    serialize.save(folder, made)
    return folder


def test_whole_numbers_are_asked_for_and_taken_from_the_environment(tmp_path: Path) -> None:
    source = saved(tmp_path / "s")
    with pytest.raises(SchemaError, match=r"--environment.*--space 'action=Discrete\(2\)"):
        imitation.import_dataset(source)
    found = imitation.import_dataset(source, environment="CartPole-v1")
    env = gym.make("CartPole-v1")
    assert space_of(found.schema, "action") == env.action_space
    assert space_of(found.schema, "observation") == env.observation_space
    assert found.provenance["environment"] == {"id": "CartPole-v1"}
    said = imitation.import_dataset(source, spaces={"action": spaces.Discrete(4)})
    assert space_of(said.schema, "action") == spaces.Discrete(4)
    text = imitation.import_dataset(source, spaces=("action=Discrete(3, start=-1)",))
    assert space_of(text.schema, "action") == spaces.Discrete(3, start=-1)


@pytest.mark.parametrize(
    "said",
    ["action=Discrete(__import__('os'))", "action=os.system('x')", "action", "reward=Box(0, 1)"],
)
def test_a_space_that_is_none_is_wrong_use(tmp_path: Path, said: str) -> None:
    with pytest.raises(ArgumentError, match="space: expected"):
        imitation.import_dataset(saved(tmp_path / "s"), spaces=(said,))


def test_a_clone_of_discrete_actions_is_no_gaussian(tmp_path: Path) -> None:
    from stable_baselines3.common.distributions import CategoricalDistribution
    from stable_baselines3.common.policies import ActorCriticPolicy

    found = imitation.import_dataset(saved(tmp_path / "s"), environment="CartPole-v1")
    seen, acts = (space_of(found.schema, name) for name in ("observation", "action"))
    policy = ActorCriticPolicy(seen, acts, lambda _: 1e-3)
    assert isinstance(policy.action_dist, CategoricalDistribution)


def test_without_rewards_there_is_no_field_of_them(tmp_path: Path) -> None:
    source = saved(tmp_path / "s", rewards=False)
    found = imitation.import_dataset(source, environment="CartPole-v1")
    assert "reward" not in found.schema.names
    write_dataset(tmp_path / "v1", found.episodes, schema=found.schema, provenance={})
    dataset = Dataset.open(tmp_path / "v1")
    assert not hasattr(trajectories(dataset)[0], "rews")
    assert next(iter(TransitionBatches(dataset, 4, rng=np.random.default_rng(0))))[
        "acts"
    ].shape == (4,)
    imitation.export_dataset(dataset, tmp_path / "out")
    back = imitation.import_dataset(tmp_path / "out")
    assert [it.digest for it in back.episodes] == [it.digest for it in dataset]


def test_numbers_keep_every_bit(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(4, 2))
    source = saved(tmp_path / "s", 3, obs=lambda _: rows, acts=lambda n: rows[:n])
    (episode,) = imitation.import_dataset(source).episodes
    np.testing.assert_array_equal(episode["observation"], rows)
    assert episode["reward"].dtype == np.float64


def ends(found: Any) -> list[tuple[bool, bool]]:
    return [(bool(it["terminated"][-1]), bool(it["truncated"][-1])) for it in found.episodes]


def test_the_file_cannot_tell_truncation_and_it_is_said(tmp_path: Path) -> None:
    source = saved(tmp_path / "s")
    said = {"action": spaces.Discrete(2)}
    found = imitation.import_dataset(source, spaces=said)
    assert ends(found) == [(True, False)] * 3
    assert "cannot tell truncation from termination: 3 episodes" in found.notes[0]
    assert "--time-limit STEPS (in Python time_limit=STEPS)" in found.notes[0]
    told = imitation.import_dataset(source, spaces=said, time_limit=5)
    assert ends(told) == [(True, False), (False, True), (False, True)]
    assert told.provenance["import_notes"] == list(told.notes)


def test_the_environments_own_limit_tells_it(tmp_path: Path) -> None:
    found = imitation.import_dataset(saved(tmp_path / "s", 499, 500), environment="CartPole-v1")
    assert ends(found) == [(True, False), (False, True)]


def test_infos_of_plain_numbers_are_kept_and_tell_truncation(tmp_path: Path) -> None:
    def infos(length: int) -> np.ndarray:
        last = np.arange(length) == length - 1
        return np.array(
            [
                {
                    "TimeLimit.truncated": bool(it and length == 5),
                    "distance": 0.5,
                    "count": 2,
                    "array": np.zeros(2),
                    **({"episode": {"r": 1.0}} if it else {}),
                }
                for it in last
            ]
        )

    found = imitation.import_dataset(
        saved(tmp_path / "s", infos=infos), spaces={"action": spaces.Discrete(2)}
    )
    assert ends(found) == [(True, False), (False, True), (False, True)]
    assert found.notes == ()
    assert {"distance", "count"} <= set(found.schema.names)
    assert [line.split(":")[0] for line in found.left_out] == ["infos 'array'", "infos 'episode'"]
    (first, *_) = found.episodes
    assert first["distance"].tolist() == [0.5] * 3


def test_infos_that_would_run_code_are_only_named(tmp_path: Path) -> None:
    evil = {"py/reduce": [{"py/function": "os.system"}, {"py/tuple": ["touch pwned"]}]}
    source = saved(tmp_path / "s", infos=lambda n: np.array([{"x": evil}] * n))
    found = imitation.import_dataset(source, spaces={"action": spaces.Discrete(2)})
    assert len(list(found.episodes)) == 3
    assert found.left_out == ("infos 'x': no number at every step",)


def test_done_means_the_same_everywhere(tmp_path: Path) -> None:
    from trajstore.interop.torch import StepBatches

    factories.dataset(tmp_path / "v1", count=10)
    dataset = Dataset.open(tmp_path / "v1")
    flat = rollout.flatten_trajectories(trajectories(dataset))
    assert flat.dones.sum() == dataset.column("terminated").sum() == 5
    batches = TransitionBatches(dataset, 1, rng=np.random.default_rng(0))
    assert sum(int(batch["dones"].sum()) for batch in batches) == 5
    streamed = StepBatches(dataset, 16, seed=0)
    assert sum(int(batch["terminated"].sum()) for batch in streamed) == 5
    assert sum(int(batch["truncated"].sum()) for batch in streamed) == 5


def test_an_interrupted_import_goes_on_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from trajstore.recording.journal import Journal

    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "s", 3, 4, 5, 6)
    command = ["--store", "st", "import", "s", "--from", "imitation", "--as", "x"]
    command += ["--environment", "CartPole-v1"]
    append = Journal.append

    def killed(self: Journal, episode: Any, **options: Any) -> None:
        if len(self.frames) == 2:
            raise KeyboardInterrupt
        append(self, episode, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "append", killed)
        assert run(command) == 130
    capsys.readouterr()
    assert run(command) == 0
    assert "went on after 2 episodes of an interrupted import" in capsys.readouterr().out
    assert Dataset.open(tmp_path / "st/x/v1").lengths.tolist() == [3, 4, 5, 6]
    assert run(command) == 0
    assert "recorded nothing: x@v1 holds them already" in capsys.readouterr().out
    assert [it.name for it in (tmp_path / "st/x").glob("v*")] == ["v1"]


def test_infos_that_are_no_plain_json_are_named(tmp_path: Path) -> None:
    from trajstore.interop.imitation_infos import Infos

    noted = Infos()
    row = {"infos": pa.array([['{"py/object": "os.system"}', "[1]"]])}
    assert noted.add(row, 2) is None
    assert noted.fields(consumed=False) == ({}, ("infos 'py/object': no number at every step",))


def test_what_was_put_beside_an_export_of_ours_is_named(tmp_path: Path) -> None:
    factories.dataset(tmp_path / "v1")
    imitation.export_dataset(Dataset.open(tmp_path / "v1"), tmp_path / "out")
    assert imitation.import_dataset(tmp_path / "out").left_out == ()
    (tmp_path / "out/notes.txt").write_text("mine")
    found = imitation.import_dataset(tmp_path / "out")
    assert found.left_out == ("file 'notes.txt': no part of the format",)
    with (
        zipfile.ZipFile(tmp_path / "out/trajstore.npz", "a") as archive,
        archive.open("mine.npy", "w") as file,
    ):
        np.save(file, np.zeros(3))
    with pytest.raises(CorruptionError, match="expected the arrays of its schema, got others"):
        imitation.import_dataset(tmp_path / "out")
    path = tmp_path / "out/trajstore.json"
    path.write_text(path.read_text().replace("{", '{"mine": 1, ', 1))
    with pytest.raises(CorruptionError, match=r"schema and provenance alone, got .*mine"):
        imitation.import_dataset(tmp_path / "out")
