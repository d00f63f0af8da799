"""Statistics are those of all rows, and do not depend on how the rows came in."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import factories
from trajstore.episode.schema import Axis, FieldSpec
from trajstore.version.quantiles import QUANTILES, quantiles
from trajstore.version.statistics import FieldStatistics, measure

PAIR = FieldSpec("x", Axis.STEP, (2,), "float32", finite=False)


def of(rows: np.ndarray, field: FieldSpec = PAIR) -> dict[str, object]:
    statistics = FieldStatistics(field)
    statistics.add(rows)
    return statistics.to_json()


@given(st.lists(st.integers(1, 9000), min_size=1, max_size=6), st.integers(0, 99))
def test_cuts_change_nothing(sizes: list[int], seed: int) -> None:
    rows = np.random.default_rng(seed).normal(5, 2, (sum(sizes), 2)).astype("float32")
    pieces = FieldStatistics(PAIR)
    for piece in np.split(rows, np.cumsum(sizes)[:-1]):
        pieces.add(piece)
    assert pieces.to_json() == of(rows)


def test_the_figures_are_those_of_numpy() -> None:
    rows = np.random.default_rng(0).normal(1e6, 3, (30_000, 2)).astype("float32")
    found = of(rows)
    exact = rows.astype("float64")
    assert found["count"] == [30_000, 30_000]
    np.testing.assert_allclose(found["mean"], exact.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found["std"], exact.std(axis=0), rtol=1e-6)
    assert found["min"] == rows.min(axis=0).tolist()
    assert found["max"] == rows.max(axis=0).tolist()
    median = found["quantiles"]["0.5"]  # type: ignore[index]
    np.testing.assert_allclose(median, np.median(exact, axis=0), atol=0.3)


def test_values_that_are_not_finite_are_left_out() -> None:
    rows = np.array([[1, np.nan], [3, np.nan], [np.inf, np.nan]], "float32")
    found = of(rows)
    assert found["count"] == [2, 0]
    assert found["mean"] == [2.0, None]
    assert found["std"] == [1.0, None]
    assert found["min"] == [1.0, None]
    assert found["max"] == [3.0, None]
    assert found["quantiles"]["0.5"] == [2.0, None]  # type: ignore[index]


@pytest.mark.parametrize("dtype", ["int64", "uint8", "uint64"])
def test_integers_keep_their_exact_range(dtype: str) -> None:
    field = FieldSpec("x", Axis.STEP, (), dtype)
    top = np.iinfo(dtype).max
    found = of(np.array([1, top], dtype), field)
    assert (found["min"], found["max"]) == (1, top)


def test_truth_values_have_a_share() -> None:
    found = of(np.array([True, False, True, True]), FieldSpec("x", Axis.STEP, (), "bool"))
    assert (found["mean"], found["min"], found["max"]) == (0.75, 0, 1)


def test_a_wide_field_has_one_figure_for_all_components() -> None:
    field = FieldSpec("x", Axis.STATE, (64, 64), "uint8")
    rows = np.zeros((50, 64, 64), "uint8")
    rows[17, 3, 3] = 200
    found = of(rows, field)
    assert (found["min"], found["max"]) == (0, 200)
    assert found["count"] == 50 * 64 * 64


def test_episodes_are_measured_field_by_field() -> None:
    episodes = factories.episodes(4)
    found = measure(factories.SCHEMA, episodes)
    assert set(found) == set(factories.SCHEMA.names) - {"scenario"}
    seeds = [int(episode["seed"]) for episode in episodes]
    assert found["seed"]["mean"] == np.mean(seeds)


@pytest.mark.parametrize("scale", [1e150, 1e307, 1.7e308])
@pytest.mark.parametrize("shape", [(), (2,), (300,)])
def test_values_near_the_largest_float_have_finite_figures(
    scale: float, shape: tuple[int, ...]
) -> None:
    """Without a warning, which would be an error here; small ones may come before."""
    field = FieldSpec("x", Axis.STEP, shape, "float64", finite=False)
    rows = np.random.default_rng(0).uniform(-1, 1, (40_000 // max(1, *shape, 1), *shape))
    small, great = of(rows, field), of(rows * scale, field)
    for name in ("mean", "std", "min", "max"):
        np.testing.assert_allclose(np.array(great[name]) / scale, small[name], rtol=1e-9)
    for level, values in small["quantiles"].items():  # type: ignore[attr-defined]
        found = np.array(great["quantiles"][level])  # type: ignore[index]
        np.testing.assert_allclose(found / scale, values, rtol=1e-9)


def test_columns_do_not_disturb_each_other_when_one_grows_great() -> None:
    most = np.finfo(np.float64).max
    field = FieldSpec("x", Axis.STEP, (2,), "float64", finite=False)
    plain = np.random.default_rng(0).normal(size=(20_000, 1))
    other = np.repeat([[1.0], [most], [-most], [np.inf], [np.nan]], [19_996, 1, 1, 1, 1], axis=0)
    found = of(np.hstack([plain, other]), field)
    alone = of(np.hstack([plain, np.ones_like(plain)]), field)
    for name in ("mean", "std", "min", "max"):
        assert found[name][0] == alone[name][0], name  # type: ignore[index]
    assert found["max"][1] == -found["min"][1] == most  # type: ignore[index]
    assert 0 < found["std"][1] < most  # type: ignore[index]
    assert found["mean"][1] == pytest.approx(1.0)  # type: ignore[index]


@given(st.integers(1, 400), st.integers(1, 4), st.integers(0, 10**6))
def test_quantiles_are_those_of_numpy_bit_for_bit(count: int, columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, columns)) * 10.0 ** rng.integers(-200, 200)
    rows[rng.random(rows.shape) < 0.2] = -0.0
    rows[rng.random(rows.shape) < 0.1] = 0.0
    assert quantiles(rows).tobytes() == np.quantile(rows.T.copy(), QUANTILES, axis=1).tobytes()
    values = rng.integers(0, 256, (count, 1)).astype(np.uint8)
    assert quantiles(values).tobytes() == np.quantile(values, QUANTILES, axis=0).tobytes()


@given(st.lists(st.integers(1, 90), min_size=1, max_size=8), st.integers(0, 10**6))
def test_frames_that_were_seen_give_the_figures_of_their_rows(sizes: list[int], seed: int) -> None:
    spec = FieldSpec("x", Axis.STEP, (160, 160, 3), "uint8", codec="jpeg")
    rng = np.random.default_rng(seed)
    pool = rng.integers(0, 256, (5, *spec.shape)).astype(np.uint8)
    rows = [pool[rng.integers(0, 5, size)] for size in sizes]
    whole, seen = FieldStatistics(spec), FieldStatistics(spec)
    asked = 0
    for episode in rows:
        whole.add(episode)

        def some(numbers: Sequence[int], of: np.ndarray = episode) -> np.ndarray:
            nonlocal asked
            asked += len(numbers)
            return of[numbers]

        seen.add_seen(len(episode), int(episode.min()), int(episode.max()), some)
    assert seen.to_json() == whole.to_json()
    assert asked <= 14 * (1 + np.log2(len(sizes) + sum(sizes)))
