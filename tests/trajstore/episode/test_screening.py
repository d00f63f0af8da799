"""What many episodes at once are found to have is what each one is found to have."""

from collections.abc import Iterator

import numpy as np
import pytest

from tests import factories
from trajstore.episode import anomalies
from trajstore.episode.anomalies import DETECTORS
from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.schema import EpisodeSchema
from trajstore.episode.screening import SCREENS, Batch, find_all

PLAIN = EpisodeSchema(
    (
        FieldSpec("observation", Axis.STEP, (3,), "float64", finite=False),
        FieldSpec("action", Axis.STEP, (2,), "float32"),
        FieldSpec("reward", Axis.STEP, (), "float32"),
        FieldSpec("terminated", Axis.STEP, (), "bool"),
        FieldSpec("truncated", Axis.STEP, (), "bool"),
        FieldSpec("return", Axis.EPISODE, (), "float64"),
    )
)


def batch_of(episodes: list[Episode]) -> Batch:
    columns = {}
    for spec in episodes[0].schema.fields:
        arrays = [episode.arrays[spec.name] for episode in episodes]
        columns[spec.name] = (
            np.stack(arrays) if spec.axis is Axis.EPISODE else np.concatenate(arrays)
        )
    return Batch(episodes, columns)


def faulty(rng: np.random.Generator, *, steps: int) -> dict[str, np.ndarray]:
    """Arrays of `PLAIN` with what detectors look for, at places drawn."""
    made = {
        "observation": rng.normal(size=(steps, 3)).cumsum(axis=0),
        "action": rng.uniform(-1, 1, (steps, 2)).astype("f4"),
        "reward": rng.normal(size=steps).astype("f4"),
        "terminated": np.arange(steps) == steps - 1,
        "truncated": np.zeros(steps, bool),
    }
    at, length = int(rng.integers(steps)), int(rng.integers(1, 40))
    match int(rng.integers(8)):
        case 0:
            made["action"][at : at + length] = made["action"][at]
        case 1:
            made["action"][at : at + length, 0] = made["action"][at, 0]
        case 2:
            made["observation"][at : at + length] = made["observation"][at]
        case 3:
            made["observation"][at:] += 10.0 ** rng.integers(0, 4)
        case 4:
            made["reward"][at] = 10.0 ** rng.integers(0, 4)
        case 5:
            made["observation"][at, 0] = [np.nan, np.inf][at % 2]
        case 6:
            made["observation"][:] = made["observation"][0]
    total = made["reward"].sum(dtype=np.float64)
    return {**made, "return": np.array(total + (at % 5 == 0))}


def drawn(seed: int) -> Iterator[Episode]:
    rng = np.random.default_rng(seed)
    for _ in range(60):
        yield Episode(PLAIN, faulty(rng, steps=int(rng.integers(1, 90))))


@pytest.mark.parametrize("seed", range(12))
def test_many_at_once_have_what_each_of_them_has(seed: int) -> None:
    episodes = list(drawn(seed))
    wanted = [anomalies.find(episode) for episode in episodes]
    assert find_all(batch_of(episodes)) == wanted
    assert sum(map(bool, wanted)) > 20


@pytest.mark.parametrize("schema", [factories.SCHEMA, factories.WIDE_SCHEMA])
def test_state_fields_and_bounds_are_screened_alike(schema: EpisodeSchema) -> None:
    rng = np.random.default_rng(3)
    episodes = []
    for seed in range(40):
        arrays = factories.arrays(seed, steps=int(rng.integers(1, 80)), schema=schema)
        at = int(rng.integers(len(arrays["action"])))
        if seed % 3 == 0:
            arrays["action"][at:] = [1, -1]
        if seed % 3 == 1:
            arrays["observation"][at:] = arrays["observation"][at]
        episodes.append(Episode(schema, arrays))
    wanted = [anomalies.find(episode) for episode in episodes]
    assert find_all(batch_of(episodes)) == wanted
    kinds = {found.kind for one in wanted for found in one}
    assert {"saturated_actions", "repeated_observations", "frozen_actions"} <= kinds


def test_every_detector_that_is_screened_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SCREENS.keys() <= DETECTORS.keys()
    episodes = list(drawn(0))[:5]

    def always(episode: Episode) -> Iterator[anomalies.Anomaly]:
        yield anomalies.Anomaly("always", 0, 0, f"{len(episode)} steps", 0.1)

    monkeypatch.setitem(DETECTORS, "always", always)
    assert [one[-1].kind for one in find_all(batch_of(episodes))] == ["always"] * 5
