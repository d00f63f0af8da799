"""A comparison names what changed, in episodes, fields and distributions, and nothing else."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import factories
from trajstore.dataset import Dataset
from trajstore.episode.episode import Episode
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec
from trajstore.quality.drift import diff, ks_distance, ks_threshold, stability_index
from trajstore.recording.bulk import write_dataset


def dataset(folder: Path, episodes: list[Episode], **provenance: object) -> Dataset:
    write_dataset(folder, episodes, schema=episodes[0].schema, provenance=provenance)
    return Dataset.open(folder)


def test_a_version_does_not_differ_from_itself(tmp_path: Path) -> None:
    one = dataset(tmp_path / "a", factories.episodes(30))
    found = diff(one, one)
    assert found.same_content
    assert (found.added, found.removed, found.changed, found.kept) == ((), (), (), 30)
    assert {it.verdict for it in found.drift} == {"same"}
    assert (found.schema, found.coverage, found.provenance) == ((), {}, {})


def test_episodes_are_matched_by_content_then_by_scenario_and_seed(tmp_path: Path) -> None:
    old = factories.episodes(6)
    changed = Episode(factories.SCHEMA, {**old[2].arrays, "reward": old[2].arrays["reward"] + 1})
    new = [old[1], old[0], changed, old[3], factories.episode(77), old[4]]
    found = diff(dataset(tmp_path / "a", old), dataset(tmp_path / "b", new))
    assert found.kept == 4
    assert found.changed == ((2, 2),)
    assert found.added == (4,)
    assert found.removed == (5,)
    assert found.coverage == {}


def test_a_moved_distribution_is_named_with_its_component(tmp_path: Path) -> None:
    old = [factories.episode(it, steps=40) for it in range(60)]
    new = []
    for it in range(60, 120):
        arrays = factories.arrays(it, steps=40)
        arrays["action"][:, 1] = np.clip(arrays["action"][:, 1] * 0.2 + 0.7, -1, 1)
        new.append(Episode(factories.SCHEMA, arrays))
    found = diff(dataset(tmp_path / "a", old), dataset(tmp_path / "b", new))
    assert [(it.field, it.component) for it in found.drift if it.verdict == "major"] == [
        ("action", 1)
    ]


def test_two_draws_of_one_distribution_do_not_drift(tmp_path: Path) -> None:
    halves = [[factories.episode(it, steps=30) for it in range(k, k + 60)] for k in (0, 60)]
    found = diff(dataset(tmp_path / "a", halves[0]), dataset(tmp_path / "b", halves[1]))
    assert [it.field for it in found.drift if it.verdict != "same"] == []


def test_changes_of_schema_and_provenance_are_sentences(tmp_path: Path) -> None:
    fields = [it for it in factories.SCHEMA.fields if it.name != "reward"]
    schema = EpisodeSchema((*fields, FieldSpec("cost", Axis.STEP, (), "float32", unit="J")))
    arrays = factories.arrays()
    arrays["cost"] = arrays.pop("reward")
    one = dataset(tmp_path / "a", [factories.episode()], policy={"id": "p1"}, seeds=[1])
    other = dataset(tmp_path / "b", [Episode(schema, arrays)], policy={"id": "p2"}, seeds=[1])
    found = diff(one, other)
    assert found.schema == ("field 'reward' removed", "field 'cost' added")
    assert found.provenance == {"policy.id": ("p1", "p2")}


@given(
    st.lists(st.floats(-10, 10), min_size=1, max_size=30),
    st.lists(st.floats(-10, 10), min_size=1, max_size=30),
)
def test_the_distance_is_symmetric_and_lies_between_0_and_1(
    one: list[float], other: list[float]
) -> None:
    distance = ks_distance(np.array(one), np.array(other))
    assert 0 <= distance <= 1
    assert distance == ks_distance(np.array(other), np.array(one))
    assert stability_index(np.array(one), np.array(other)) >= 0
    assert ks_distance(np.array(one), np.array(one)) == 0


def test_the_distance_is_that_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    for _ in range(20):
        one, other = rng.normal(size=50), rng.normal(0.3, 1.2, size=70)
        assert ks_distance(one, other) == pytest.approx(stats.ks_2samp(one, other).statistic)


def test_equal_distributions_rarely_pass_the_threshold() -> None:
    rng = np.random.default_rng(1)
    limit = ks_threshold(100, 100, significance=0.05)
    draws = [ks_distance(rng.normal(size=100), rng.normal(size=100)) > limit for _ in range(400)]
    assert 0.01 <= np.mean(draws) <= 0.08


def test_values_near_the_largest_float_are_compared(tmp_path: Path) -> None:
    schema = EpisodeSchema(
        tuple(
            FieldSpec(it.name, it.axis, it.shape, "float64") if it.name == "observation" else it
            for it in factories.SCHEMA.fields
        )
    )
    sides = []
    for name, shift in (("a", 0.0), ("b", 0.5)):
        episodes = []
        for seed in range(20):
            arrays = factories.arrays(seed, steps=40)
            unit = np.random.default_rng(seed).uniform(-0.5, 0.5, (41, 4)) + shift
            episodes.append(Episode(schema, arrays | {"observation": 1.7e308 * unit}))
        sides.append(dataset(tmp_path / name, episodes))
    (moved,) = [it for it in diff(*sides).drift if it.verdict != "same"]
    assert moved.field == "observation"
    assert np.isfinite([*moved.means, *moved.deviations, moved.psi]).all()
    assert moved.means[1] - moved.means[0] == pytest.approx(0.5 * 1.7e308, rel=0.05)
