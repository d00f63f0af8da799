"""The Social Navigation Quality Index, version 1: one number an episode, reported, never a gate.

SNQI is robot_sf's own index, not a published one. Penalties are normalised by a committed
baseline that scripted robots made; ``python -m benchmarks.snqi_baseline`` makes it anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trajstore.disk.files import read_json
from trajstore.errors import TrajStoreError

WEIGHTS: dict[str, float] = {
    "success": 0.19046,
    "time": 0.09491,
    "collision": 0.10484,
    "near_misses": 0.30826,
    "comfort_exposure": 0.17983,
    "force_events": 0.06921,
    "jerk": 0.05249,
}
"""robot_sf's set ``camera_ready_v3``; they sum to 1, so that SNQI lies in [-0.81, +0.19]."""
PENALTIES = tuple(name for name in WEIGHTS if name != "success")
BASELINE_FILE = Path(__file__).with_name("snqi_baseline.json")


class SnqiError(TrajStoreError):
    """The baseline cannot normalise a metric."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """Median and 95th percentile of each penalty over the episodes of scripted robots.

    Attributes:
        horizon: steps of an episode at most, by which time is normalised.
        origin: what made it: robots, episodes, environment version.
    """

    horizon: int
    statistics: Mapping[str, tuple[float, float]]
    origin: Mapping[str, Any]

    def __post_init__(self) -> None:
        for name in PENALTIES:
            if name not in self.statistics:
                raise SnqiError(f"SNQI baseline: expected statistics of {name!r}, got none")
            median, p95 = self.statistics[name]
            if not p95 > median:
                raise SnqiError(
                    f"SNQI baseline, {name}: expected a 95th percentile above the median "
                    f"{median}, got {p95}; add episodes that differ in it"
                )

    def to_json(self) -> dict[str, Any]:
        """As the committed file holds it."""
        return {
            "version": 1,
            "horizon": self.horizon,
            "statistics": {
                name: {"median": median, "p95": p95}
                for name, (median, p95) in self.statistics.items()
            },
            "origin": dict(self.origin),
        }


def snqi(metrics: Mapping[str, float | None], steps: int, baseline: Baseline) -> float:
    """SNQI v1 of one episode.

    ``w_s * success - sum over penalties of w * clip((x - median) / (p95 - median), 0, 1)``.
    A metric that does not apply to the episode (jerk of two steps) costs nothing.
    """
    values = _penalties(metrics, steps, baseline.horizon)
    total = WEIGHTS["success"] * float(metrics["success"] or 0.0)
    for name, value in values.items():
        if value is not None:
            median, p95 = baseline.statistics[name]
            total -= WEIGHTS[name] * min(max((value - median) / (p95 - median), 0.0), 1.0)
    return total


def baseline_of(
    rows: Sequence[Mapping[str, Any]], *, horizon: int, origin: Mapping[str, Any]
) -> Baseline:
    """The baseline that episode rows make.

    Collisions are yes or no, so that their median and 95th percentile say nothing; they are
    normalised by 0 and 1. Time is taken over the episodes that reached the goal: a failed one
    counts 1, which is clipped to the whole penalty.
    """
    statistics = {"collision": (0.0, 1.0)}
    for name in PENALTIES:
        values = [
            value
            for row in rows
            if (name != "time" or row["success"])
            and (value := _penalties(row["metrics"], row["steps"], horizon)[name]) is not None
        ]
        if name != "collision" and values:
            median, p95 = np.quantile(values, [0.5, 0.95])
            statistics[name] = (float(median), float(p95))
    return Baseline(horizon, statistics, origin)


def load_baseline(path: Path = BASELINE_FILE) -> Baseline:
    """The committed baseline, or the one at ``path``."""
    record = read_json(path)
    statistics = {
        name: (float(pair["median"]), float(pair["p95"]))
        for name, pair in record["statistics"].items()
    }
    return Baseline(int(record["horizon"]), statistics, record["origin"])


def _penalties(
    metrics: Mapping[str, float | None], steps: int, horizon: int
) -> dict[str, float | None]:
    time = steps / horizon if metrics["success"] else 1.0
    return {"time": time, **{name: metrics[name] for name in PENALTIES if name != "time"}}
