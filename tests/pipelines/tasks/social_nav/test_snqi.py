"""SNQI is its formula by hand; a baseline that cannot normalise is refused."""

import math

import pytest

from pipelines.tasks.social_nav.metrics import COMFORT_FORCE
from pipelines.tasks.social_nav.snqi import (
    PENALTIES,
    WEIGHTS,
    Baseline,
    SnqiError,
    baseline_of,
    load_baseline,
    snqi,
)

BASELINE = Baseline(
    horizon=100,
    statistics={
        "time": (0.2, 0.6),
        "collision": (0.0, 1.0),
        "near_misses": (0.0, 10.0),
        "comfort_exposure": (0.0, 0.1),
        "force_events": (1.0, 5.0),
        "jerk": (1.0, 3.0),
    },
    origin={},
)
PLAIN = {
    "success": 1.0,
    "collision": 0.0,
    "near_misses": 0.0,
    "comfort_exposure": 0.0,
    "force_events": 0.0,
    "jerk": 0.5,
}


def test_weights_sum_to_one_and_bound_the_index() -> None:
    assert math.isclose(sum(WEIGHTS.values()), 1.0, abs_tol=1e-9)
    worst = dict.fromkeys(PLAIN, 99.0) | {"success": 0.0}
    assert snqi(PLAIN, 10, BASELINE) == pytest.approx(WEIGHTS["success"])
    assert snqi(worst, 100, BASELINE) == pytest.approx(WEIGHTS["success"] - 1.0)


def test_each_penalty_is_its_place_between_median_and_95th_percentile() -> None:
    metrics = PLAIN | {"near_misses": 4.0, "force_events": 3.0, "jerk": 2.5}
    expected = (
        WEIGHTS["success"]
        - WEIGHTS["time"] * 0.5
        - WEIGHTS["near_misses"] * 0.4
        - WEIGHTS["force_events"] * 0.5
        - WEIGHTS["jerk"] * 0.75
    )
    assert snqi(metrics, 40, BASELINE) == pytest.approx(expected)


def test_a_failed_episode_pays_the_whole_time() -> None:
    lost = snqi(PLAIN | {"success": 0.0}, 1, BASELINE)
    assert lost == pytest.approx(-WEIGHTS["time"])


def test_a_metric_that_does_not_apply_costs_nothing() -> None:
    assert snqi(PLAIN | {"jerk": None}, 1, BASELINE) == snqi(PLAIN, 1, BASELINE)


def rows(near: list[float]) -> list[dict[str, object]]:
    return [
        {
            "success": True,
            "steps": 20 + i,
            "metrics": PLAIN
            | {"near_misses": n, "comfort_exposure": n, "force_events": n, "jerk": n},
        }
        for i, n in enumerate(near)
    ]


def test_a_baseline_is_median_and_95th_percentile_of_its_episodes() -> None:
    found = baseline_of(rows([0.0, 1.0, 2.0, 3.0, 4.0]), horizon=100, origin={})
    assert found.statistics["jerk"] == pytest.approx((2.0, 3.8))
    assert found.statistics["time"] == pytest.approx((0.22, 0.238))
    assert found.statistics["collision"] == (0.0, 1.0)


def test_a_penalty_that_does_not_vary_is_refused() -> None:
    with pytest.raises(SnqiError, match="near_misses: expected a 95th percentile above"):
        baseline_of(rows([1.0, 1.0, 1.0]), horizon=100, origin={})
    with pytest.raises(SnqiError, match="expected statistics of 'jerk'"):
        Baseline(100, {k: (0.0, 1.0) for k in PENALTIES if k != "jerk"}, {})


def test_the_committed_baseline_normalises_every_penalty() -> None:
    found = load_baseline()
    assert found is not None
    assert set(found.statistics) == set(PENALTIES)
    assert found.origin["episodes"] >= 200


def test_the_comfort_force_is_what_the_baseline_measured() -> None:
    found = load_baseline()
    assert found is not None
    assert found.origin["comfort_force"] == COMFORT_FORCE
    assert found.origin["comfort_force_measured"] == pytest.approx(COMFORT_FORCE, rel=0.15)
