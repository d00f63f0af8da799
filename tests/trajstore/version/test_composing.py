"""Parts with gaps: their figures are exact, and what an attacker writes into one is refused."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import factories
from trajstore.dataset import Dataset
from trajstore.disk.json_text import canonical_json
from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import CorruptionError, TrajStoreError
from trajstore.recording.bulk import write_dataset
from trajstore.version.chunks import crc32c
from trajstore.version.composing import Source, compose
from trajstore.version.files import LocalFiles
from trajstore.version.layout import Part
from trajstore.version.manifest import Manifest
from trajstore.version.places import places
from trajstore.version.statistics import measure

SCHEMA = EpisodeSchema(
    (
        FieldSpec("heat", Axis.STATE, (20, 20), "float32", finite=False),
        FieldSpec("depth", Axis.STEP, (300,), "int64"),
        FieldSpec("map", Axis.EPISODE, (40, 40), "uint8"),
        FieldSpec("said", Axis.STEP, (), "str"),
        FieldSpec("seen", Axis.STATE, (), "str"),
        FieldSpec("crew", Axis.EPISODE, (), "str"),
        FieldSpec("loose", Axis.STEP, (400,), "float32", low=-1, high=1, strict=False),
        FieldSpec("terminated", Axis.STEP, (), "bool"),
        FieldSpec("truncated", Axis.STEP, (), "bool"),
    )
)


def episode(rng: np.random.Generator, steps: int) -> Episode:
    heat = rng.normal(size=(steps + 1, 20, 20)).astype("float32")
    heat[rng.random(heat.shape) < 0.05] = np.nan
    end = np.arange(steps) == steps - 1
    return Episode(
        SCHEMA,
        {
            "heat": heat,
            "depth": rng.integers(-(2**60), 2**60, (steps, 300)),
            "said": rng.choice([f"word {it}" for it in range(40)], steps),
            "seen": rng.choice([f"thing {it}" for it in range(90)], steps + 1),
            "crew": np.array(rng.choice(["bo", "ann", "zoë"])),
            "loose": rng.normal(0, 0.4, (steps, 400)).astype("float32"),
            "map": rng.integers(0, 255, (40, 40)).astype("uint8"),
            "terminated": end,
            "truncated": np.zeros(steps, bool),
        },
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Episode]]:
    rng = np.random.default_rng(4)
    episodes = [episode(rng, int(steps)) for steps in rng.integers(1, 60, 30)]
    target = tmp_path_factory.mktemp("composing") / "base"
    write_dataset(target, episodes, schema=SCHEMA, provenance={})
    return target, episodes


@settings(max_examples=25, deadline=None)
@given(dropped=st.sets(st.integers(0, 29), max_size=29), twice=st.booleans())
def test_any_choice_is_the_episodes_and_their_exact_figures(
    base: tuple[Path, list[Episode]],
    tmp_path_factory: pytest.TempPathFactory,
    dropped: set[int],
    twice: bool,
) -> None:
    path, episodes = base
    folder = tmp_path_factory.mktemp("choice")
    kept = np.array([it for it in range(30) if it not in dropped])
    first = compose(folder / "a", [Source(LocalFiles(path), kept)], {}, quota_bytes=10**9)
    expected = [episodes[it] for it in kept]
    assert first.statistics == measure(SCHEMA, expected)
    said = {text for it in expected for text in it["said"].tolist()}
    assert set(first.vocabularies["said"]) == said
    if twice:
        some = np.arange(0, len(kept), 2)
        sources = [Source(LocalFiles(folder / "a"), some), Source(LocalFiles(path), kept[:1])]
        second = compose(folder / "b", sources, {}, quota_bytes=10**9)
        expected = [expected[it] for it in some] + expected[:1]
        assert second.statistics == measure(SCHEMA, expected)
    found = Dataset.open(folder / ("b" if twice else "a"))
    assert found.findings(deep=True) == []
    assert [it.digest for it in found] == [it.digest for it in expected]


def test_zarr_and_xarray_find_the_rows_by_the_index(
    base: tuple[Path, list[Episode]], tmp_path: Path
) -> None:
    path, episodes = base
    kept = np.array([*range(4), *range(6, 30)])
    compose(tmp_path / "some", [Source(LocalFiles(path), kept)], {}, quota_bytes=10**9)
    group = Dataset.open(tmp_path / "some").zarr()
    first, lengths = group["index/first"][:], group["index/length"][:]
    steps = xarray.open_zarr(group.store, group="step", consolidated=False)
    states = xarray.open_zarr(group.store, group="state", consolidated=False)
    for row, number in enumerate(kept):
        step, state = first[row]
        count = lengths[row]
        depth = steps["depth"][step : step + count]
        assert np.array_equal(depth, episodes[number]["depth"])
        heat = states["heat"][state : state + count + 1]
        assert np.array_equal(heat, episodes[number]["heat"], equal_nan=True)


def with_gaps(folder: Path) -> Path:
    factories.dataset(folder / "base", count=8, schema=factories.WIDE_SCHEMA)
    source = Source(LocalFiles(folder / "base"), np.array([0, 1, 3, 4, 5, 7]))
    compose(folder / "some", [source], {}, quota_bytes=10**9)
    return folder / "some"


def rewritten(version: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """A manifest as someone would write it who can compute its digest."""
    record = json.loads((version / "manifest.json").read_bytes())
    change(record)
    del record["manifest_digest"]
    digest = hashlib.sha256(canonical_json(record)).hexdigest()
    content = canonical_json(record | {"manifest_digest": digest}) + b"\n"
    (version / "manifest.json").write_bytes(content)


RECORDED = [
    None, [], [8], [8, 2**62], [8, -1], [-8, 200], [0, 0], [2**70, 2**70], [5, 10**6], "88",
    [8.0, 200.0], [True, True], {"episodes": 8}, [8, 200, 3],
]  # fmt: skip


@pytest.mark.parametrize("recorded", RECORDED, ids=str)
def test_a_part_that_claims_what_cannot_be_is_refused(tmp_path: Path, recorded: object) -> None:
    version = with_gaps(tmp_path)
    rewritten(version, lambda it: it["parts"][0].update(recorded=recorded))
    with pytest.raises(CorruptionError):
        Manifest.read(version)


def test_a_format_that_does_not_fit_its_parts_is_refused(tmp_path: Path) -> None:
    version = with_gaps(tmp_path)
    rewritten(version, lambda it: it.update(format_version=1))
    with pytest.raises(CorruptionError):
        Manifest.read(version)
    rewritten(tmp_path / "base", lambda it: it.update(format_version=2))
    with pytest.raises(CorruptionError):
        Manifest.read(tmp_path / "base")


FIRST = {
    "below zero": lambda rows: rows - 1,
    "beyond the end": lambda rows: rows + 10**6,
    "far beyond": lambda rows: np.full_like(rows, 2**63 - 1),
    "in each other": lambda rows: rows * 0,
    "turned round": lambda rows: rows[::-1].copy(),
    "one too far": lambda rows: rows + np.arange(len(rows))[:, None],
}


@pytest.mark.parametrize("case", FIRST)
def test_rows_that_lie_elsewhere_are_refused(tmp_path: Path, case: str) -> None:
    version = with_gaps(tmp_path)
    path = version / "index" / "first" / "c.0.0"
    rows = np.frombuffer(path.read_bytes()[:-4], "<i8").reshape(-1, 2)
    data = FIRST[case](rows).astype("<i8").tobytes()
    crc = crc32c(data)
    content = data + crc.to_bytes(4, "little")
    path.write_bytes(content)
    known = {
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "crc32c": f"{crc:08x}",
    }
    rewritten(version, lambda it: it["files"].update({"index/first/c.0.0": known}))
    dataset = Dataset.open(version)
    with pytest.raises(TrajStoreError, match=": "):
        _ = dataset[0], dataset[5]
    assert dataset.findings(deep=True)


def test_a_lost_index_of_gaps_is_named(tmp_path: Path) -> None:
    version = with_gaps(tmp_path)
    (version / "index" / "first" / "c.0.0").unlink()
    dataset = Dataset.open(version)
    assert any("index/first" in it.message for it in dataset.findings())
    with pytest.raises(TrajStoreError, match="first"):
        _ = dataset[0]


def test_places_over_parts_with_and_without_gaps() -> None:
    class Rows:
        def __init__(self, rows: list[object]) -> None:
            self.rows = np.array(rows, np.int64)

        def span(self, first: int, stop: int) -> np.ndarray:
            return self.rows[first:stop]

    parts = [Part("", 2, 5), Part("parts/1", 2, 6, (4, 11)), Part("parts/2", 1, 4)]
    fields = {"index/length": Rows([2, 3, 1, 5, 4]), "index/first": Rows([[3, 4], [6, 9]])}
    found = places("v1", parts, fields)
    assert found.first[Axis.STEP].tolist() == [0, 2, 8, 11, 16]
    assert found.first[Axis.STATE].tolist() == [0, 3, 11, 16, 22]
    assert found.runs(Axis.STEP) == [(0, 5), (8, 9), (11, 20)]
    assert found.at(Axis.STEP, np.arange(15)).tolist() == [*range(5), 8, *range(11, 20)]
    assert dataclasses.asdict(parts[0])["recorded"] is None
