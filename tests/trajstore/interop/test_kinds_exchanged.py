"""The kinds of spaces survive on the way to another format and back, whoever wrote the file."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from minari import __version__
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage

from trajstore.dataset import Dataset
from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis
from trajstore.episode.nesting import ACTION, OBSERVATION, flatten, step_schema
from trajstore.interop.gymnasium import fields_of, space_of
from trajstore.recording.bulk import write_dataset

SEEN = spaces.Dict(
    {
        "0": spaces.Discrete(4, start=-2),
        "1": spaces.MultiBinary([2, 3]),
        "box": spaces.Box(np.array([-1, 0], "f4"), np.array([1, np.inf], "f4")),
        "odd key ": spaces.MultiBinary(4),
        "mission": spaces.Text(12),
        "start": spaces.MultiDiscrete([3, 4], start=[1, -2]),
        "pair": spaces.Tuple([spaces.Discrete(2), spaces.Dict(z=spaces.MultiDiscrete([2, 5]))]),
    }
)
ACTS = spaces.Tuple([spaces.Discrete(3, start=5), spaces.Box(-1, 1, (2,), np.float64)])


def rows(space: Any, samples: list[Any]) -> Any:
    """Samples of a space, nested as it is, rows at the leaves."""
    if isinstance(space, spaces.Tuple):
        return tuple(rows(it, [row[k] for row in samples]) for k, it in enumerate(space.spaces))
    if isinstance(space, spaces.Dict):
        return {key: rows(it, [row[key] for row in samples]) for key, it in space.spaces.items()}
    return samples if isinstance(space, spaces.Text) else np.array(samples, space.dtype)


def version(target: Path, steps: int = 4) -> Dataset:
    schema = step_schema(
        fields_of(OBSERVATION, SEEN, axis=Axis.STATE), fields_of(ACTION, ACTS, axis=Axis.STEP)
    )
    last = np.arange(steps) == steps - 1
    episodes = [
        Episode(
            schema,
            {
                **leaves(
                    schema, OBSERVATION, rows(SEEN, [SEEN.sample() for _ in range(steps + 1)])
                ),
                **leaves(schema, ACTION, rows(ACTS, [ACTS.sample() for _ in range(steps)])),
                "reward": np.arange(steps, dtype="f8"),
                "terminated": last,
                "truncated": ~last & last,
            },
        )
        for _ in range(3)
    ]
    write_dataset(target, episodes, schema=schema, provenance={})
    return Dataset.open(target)


def leaves(schema: Any, name: str, nested: Any) -> dict[str, np.ndarray]:
    return {
        leaf: np.array(values, None if schema.field(leaf).is_text else schema.field(leaf).dtype)
        for leaf, values in flatten(name, nested).items()
    }


@pytest.mark.parametrize("kind", ["npz", "minari"])
def test_kinds_come_back_as_they_were(tmp_path: Path, kind: str) -> None:
    dataset = version(tmp_path / "v1")
    package = import_module(f"trajstore.interop.{kind}")
    package.export_dataset(dataset, tmp_path / "out")
    back = package.import_dataset(tmp_path / "out")
    assert back.schema == dataset.schema
    assert [one.digest for one in back.episodes] == [one.digest for one in dataset]
    if kind == "minari":
        opened = MinariStorage.read(tmp_path / "out/data")
        assert opened.observation_space == space_of(dataset.schema, OBSERVATION)
        assert opened.action_space == space_of(dataset.schema, ACTION)


@pytest.mark.parametrize("data_format", ["hdf5", "arrow", "parquet"])
def test_kinds_that_minari_wrote_come_in(tmp_path: Path, data_format: str) -> None:
    from trajstore.interop import minari

    (tmp_path / "m").mkdir()
    storage = MinariStorage.new(tmp_path / "m", SEEN, ACTS, data_format=data_format)
    for steps in (2, 5):
        last = np.arange(steps) == steps - 1
        storage.update_episodes(
            [
                EpisodeBuffer(
                    observations=rows(SEEN, [SEEN.sample() for _ in range(steps + 1)]),
                    actions=rows(ACTS, [ACTS.sample() for _ in range(steps)]),
                    rewards=[0.5] * steps,
                    terminations=last,
                    truncations=np.zeros(steps, bool),
                )
            ]
        )
    storage.update_metadata({"dataset_id": "a-v0", "minari_version": __version__})
    found = minari.import_dataset(tmp_path / "m")
    known = {spec.name for spec in fields_of(OBSERVATION, SEEN, axis=Axis.STATE)}
    assert {spec.name for spec in found.schema.on(Axis.STATE)} == known
    assert [len(it) for it in found.episodes] == [2, 5]
    assert space_of(found.schema, ACTION) == ACTS
