"""Whatever is selected, and from what: views hold these episodes, in order, and each step once."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import factories
from trajstore.choosing.marks import Mark
from trajstore.dataset import Dataset
from trajstore.errors import NotFoundError

COUNT = 12
Narrow = Callable[[Dataset, list[int]], Dataset]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    target = tmp_path_factory.mktemp("made_up") / "v1"
    factories.dataset(target, count=COUNT, schema=factories.WIDE_SCHEMA)
    return Dataset.open(target)


def by_condition(of: Dataset, places: list[int]) -> Dataset:
    return of.select(f"seed in {of.column('seed')[places].tolist()}")


def by_number(of: Dataset, places: list[int]) -> Dataset:
    return of.select(episodes=list(reversed(places)))


def by_exclusion(of: Dataset, places: list[int]) -> Dataset:
    return of.select(exclude=[it for it in range(len(of)) if it not in places])


def by_mask(of: Dataset, places: list[int]) -> Dataset:
    return of.select(np.isin(np.arange(len(of)), places))


def by_marks(of: Dataset, places: list[int]) -> Dataset:
    digests = of.episodes["digest"].tolist()
    told = {it: Mark(it, "keep" if k in places else "exclude") for k, it in enumerate(digests)}
    return of.select("mark == 'keep'", marks=told)


WAYS: tuple[Narrow, ...] = (by_condition, by_number, by_exclusion, by_mask, by_marks)
chains = st.lists(
    st.tuples(st.sampled_from(WAYS), st.sets(st.integers(0, COUNT - 1), min_size=1)),
    min_size=1,
    max_size=3,
)


@given(chains, st.integers(0, 2**31))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_views_of_views(dataset: Dataset, chain: list[tuple[Narrow, set[int]]], seed: int) -> None:
    from trajstore.interop import imitation, torch

    view, kept = dataset, list(range(COUNT))
    for narrow, wanted in chain:
        places = sorted(it for it in wanted if it < len(view))
        if not places:
            with pytest.raises(NotFoundError):
                view.select(exclude=range(len(view)))
            continue
        view, kept = narrow(view, places), [kept[it] for it in places]
    assert view.column("seed").tolist() == kept
    assert view.episodes["digest"].tolist() == dataset.episodes["digest"][kept].tolist()
    assert [it.digest for it in view] == [dataset[it].digest for it in kept]
    rows = np.concatenate([dataset[it]["action"] for it in kept])
    assert np.array_equal(view.column("action"), rows)
    every = sorted(
        (place, step) for place, it in enumerate(kept) for step in range(len(dataset[it]))
    )
    rng = np.random.default_rng(seed)
    drawn = view.sample(64, rng=rng)
    for place, step, action in zip(drawn["episode"], drawn["step"], drawn["action"], strict=True):
        assert np.array_equal(action, dataset[kept[place]]["action"][step])
    for batches in (view.batches(7, rng=rng), torch.StepBatches(view, 7, seed=seed)):
        met = [pair for it in batches for pair in zip(it["episode"], it["step"], strict=True)]
        assert sorted((int(a), int(b)) for a, b in met) == every
    assert len(torch.Steps(view)) == len(every) == view.steps
    acts = [it.acts for it in imitation.trajectories(view)]
    assert np.array_equal(np.concatenate(acts), rows)
