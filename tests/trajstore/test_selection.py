"""A selection of a dataset is what a version of these episodes alone would be, wherever it goes."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests import factories
from trajstore.dataset import Dataset
from trajstore.episode.episode import Episode
from trajstore.recording.bulk import write_dataset
from trajstore.recording.recorder import Recorder
from trajstore.version.composing import Source, compose
from trajstore.version.files import LocalFiles

SCHEMA = factories.WIDE_SCHEMA
CHOSEN = np.array([1, 2, 5, 7, 8, 9, 13])


def whole(folder: Path) -> Path:
    factories.dataset(folder / "whole", count=14, schema=SCHEMA)
    return folder / "whole"


def in_parts(folder: Path) -> Path:
    episodes = factories.episodes(14, schema=SCHEMA)
    write_dataset(folder / "a", episodes[:6], schema=SCHEMA, provenance={})
    with Recorder(folder / "b", schema=SCHEMA, provenance={}, extends=folder / "a") as recorder:
        for episode in episodes[6:]:
            recorder.add(episode)
    return folder / "b"


def with_gaps(folder: Path) -> Path:
    """The same episodes, in parts that hold rows of others between them."""
    more = factories.episodes(14, schema=SCHEMA)
    more = [*more[:3], *factories.episodes(2, seed=77, schema=SCHEMA), *more[3:]]
    write_dataset(folder / "c", more, schema=SCHEMA, provenance={})
    kept = np.array([*range(3), *range(5, 16)])
    compose(folder / "d", [Source(LocalFiles(folder / "c"), kept)], {}, quota_bytes=10**9)
    return folder / "d"


@pytest.fixture(scope="module", params=[whole, in_parts, with_gaps], ids=lambda it: it.__name__)
def dataset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    make: Callable[[Path], Path] = request.param
    return Dataset.open(make(tmp_path_factory.mktemp("selection")))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A version of the chosen episodes alone."""
    target = tmp_path_factory.mktemp("alone") / "v1"
    episodes = factories.episodes(14, schema=SCHEMA)
    chosen = [episodes[it] for it in CHOSEN]
    write_dataset(target, chosen, schema=SCHEMA, provenance={"made_by": "factories"})
    return Dataset.open(target)


def check_same(found: Dataset, expected: Dataset) -> None:
    assert len(found) == len(expected)
    assert found.steps == expected.steps
    assert found.manifest.content_digest == expected.manifest.content_digest
    assert found.manifest.anomalies == expected.manifest.anomalies
    assert found.manifest.scenario_counts == expected.manifest.scenario_counts
    for name in SCHEMA.names:
        one, other = found.column(name), expected.column(name)
        assert one.dtype == other.dtype or one.dtype.kind == "U"
        assert np.array_equal(one, other)
        assert one.dtype.kind == "U" or not one.flags.writeable
        rows = zip(found.rows(name), expected.rows(name), strict=True)
        assert all(np.array_equal(*pair) for pair in rows)
    for name, column in expected.episodes.items():
        assert np.array_equal(found.episodes[name], column)
    for mine, theirs in zip(found, expected, strict=True):
        assert isinstance(mine, Episode)
        assert mine.digest == theirs.digest


def same_batch(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[it], other[it]) for it in one)


def test_it_reads_as_a_version_of_its_own(dataset: Dataset, alone: Dataset) -> None:
    check_same(dataset.select(episodes=CHOSEN), alone)


def test_draws_passes_and_windows_are_those_of_that_version(
    dataset: Dataset, alone: Dataset
) -> None:
    some = dataset.select(episodes=CHOSEN)
    fields = [*SCHEMA.names, "next_observation"]
    for of in (lambda it: it.sample(300, rng=np.random.default_rng(1), fields=fields),
               lambda it: it.sample(40, rng=np.random.default_rng(1), where=it.lengths > 9),
               lambda it: it.take([0, 5, it.steps - 1])):  # fmt: skip
        assert same_batch(of(some), of(alone))
    for window in (None, 1, 4):
        passes = [
            it.batches(16, rng=np.random.default_rng(2), window=window) for it in (some, alone)
        ]
        assert passes[0].state() == passes[1].state()
        for one, other in zip(*passes, strict=True):
            assert same_batch(one, other)


def test_a_pass_resumes_and_knows_the_whole_version_as_other_data(dataset: Dataset) -> None:
    some = dataset.select(episodes=CHOSEN)
    begun = some.batches(16, rng=np.random.default_rng(2))
    next(begun)
    rest = list(begun)
    again = some.batches(16, resume=some.batches(16, rng=np.random.default_rng(2)).state())
    assert same_batch(list(again)[-1], rest[-1])
    with pytest.raises(ValueError, match="content"):
        dataset.batches(16, resume=begun.state())


def test_selections_of_selections_add_up(dataset: Dataset, alone: Dataset) -> None:
    most = dataset.select(exclude="0,3")
    some = most.select(lambda table: np.isin(table["seed"], CHOSEN))
    check_same(some, alone)
    assert some.select("seed in (5, 9)").column("seed").tolist() == [5, 9]
    check_same(some.select(), alone)


def test_it_goes_to_another_process(dataset: Dataset, alone: Dataset) -> None:
    sent = pickle.dumps(dataset.select(episodes=CHOSEN))
    check_same(pickle.loads(sent), alone)  # noqa: S301 - made here


def test_it_copies_nothing(dataset: Dataset) -> None:
    some = dataset.select(episodes="2")
    assert np.shares_memory(some.column("observation"), dataset[2]["observation"])


def test_a_cache_of_decoded_rows_serves_it(
    dataset: Dataset, alone: Dataset, tmp_path: Path
) -> None:
    cached = Dataset.open(dataset.path, cache=tmp_path / "cache")
    check_same(cached.select(episodes=CHOSEN), alone)


def test_torch_and_imitation_see_the_selection(dataset: Dataset, alone: Dataset) -> None:
    from torch.utils.data import DataLoader

    from trajstore.interop import imitation, torch

    some = dataset.select(episodes=CHOSEN)
    for it in (some, alone):
        assert len(torch.Steps(it)) == alone.steps
    pairs = zip(
        DataLoader(torch.StepBatches(some, 16, seed=3), batch_size=None, num_workers=2,
                   multiprocessing_context="fork"),
        torch.StepBatches(alone, 16, seed=3),
        strict=True,
    )  # fmt: skip
    for one, other in pairs:
        assert all((one[name] == other[name]).all() for name in other)
    flat = (some, alone)
    for one, other in zip(*map(imitation.trajectories, flat), strict=True):
        assert np.array_equal(one.acts, other.acts)
    batches = [
        list(imitation.TransitionBatches(it, 16, rng=np.random.default_rng(0))) for it in flat
    ]
    assert all(np.array_equal(a["acts"], b["acts"]) for a, b in zip(*batches, strict=True))


@pytest.mark.parametrize("package", ["npz", "imitation", "minari"])
def test_it_is_exported_as_that_version_is(
    package: str, dataset: Dataset, alone: Dataset, tmp_path: Path
) -> None:
    from importlib import import_module

    pytest.importorskip(package if package != "npz" else "numpy")
    there = import_module(f"trajstore.interop.{package}")
    there.export_dataset(dataset.select(episodes=CHOSEN), tmp_path / "out")
    back = there.import_dataset(tmp_path / "out")
    digests = [episode.digest for episode in back.episodes]
    assert digests == alone.episodes["digest"].tolist()


def test_it_says_what_it_is(dataset: Dataset) -> None:
    some = dataset.select(episodes="0-2")
    assert ": 3 of 14 episodes, " in repr(some)
    assert some.manifest.files == {}
    assert some.findings() == []
    assert "action" in some.zarr()["step"]
