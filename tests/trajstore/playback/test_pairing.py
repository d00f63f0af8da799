"""Episodes of two versions are paired by digest, then by what was asked of them, then by order."""

from pathlib import Path

import pytest

from tests import factories
from tests.trajstore import scenes
from trajstore.dataset import Dataset
from trajstore.episode.schema import EpisodeSchema
from trajstore.playback.pairing import Pair, match, pairs_of, told
from trajstore.playback.viewed import Viewed
from trajstore.recording.bulk import write_dataset


def viewed(path: Path, seeds: list[int], *, steps: int = 12) -> Viewed:
    from trajstore.episode.episode import Episode

    made = [Episode(scenes.SCHEMA, scenes.arrays(seed, steps=steps)) for seed in seeds]
    write_dataset(path, made, schema=scenes.SCHEMA, provenance={})
    return Viewed(Dataset.open(path))


def test_keys_are_matched_once_each_in_order() -> None:
    assert match(["a", "a", "b", None], ["b", "a", None, "a", "a"]) == [(0, 1), (1, 3), (2, 0)]


def test_the_same_episodes_find_each_other_wherever_they_lie(tmp_path: Path) -> None:
    one, other = viewed(tmp_path / "v1", [0, 1, 2, 3, 4]), viewed(tmp_path / "v2", [4, 2, 0])
    pairs = pairs_of(one, other)
    assert pairs == [Pair(0, 2, "digest"), Pair(2, 1, "digest"), Pair(4, 0, "digest")]
    assert told(pairs, 5, 3) == (
        "Episodes are paired 3 by digest; 2 of the first version have no partner."
    )


def test_what_differs_is_paired_by_scenario_and_seed_then_by_order(tmp_path: Path) -> None:
    one = viewed(tmp_path / "v1", [0, 1, 2, 70])
    other = viewed(tmp_path / "v2", [80, 2, 1, 0], steps=13)
    assert [tuple(pair) for pair in pairs_of(one, other)] == [
        (0, 3, "scenario and seed"),
        (1, 2, "scenario and seed"),
        (2, 1, "scenario and seed"),
        (3, 0, "order"),
    ]


@pytest.mark.parametrize("left", [["scenario", "seed"], ["seed"]])
def test_without_seeds_the_order_decides(tmp_path: Path, left: list[str]) -> None:
    schema = EpisodeSchema(tuple(it for it in factories.SCHEMA.fields if it.name not in left))
    sides = []
    for number in (1, 2):
        factories.dataset(tmp_path / f"v{number}", count=3, seed=number, schema=schema)
        sides.append(Viewed(Dataset.open(tmp_path / f"v{number}")))
    pairs = pairs_of(sides[0], sides[1])
    assert pairs == [Pair(index, index, "order") for index in range(3)]
    assert told(pairs, 3, 3) == "Episodes are paired 3 by order."
