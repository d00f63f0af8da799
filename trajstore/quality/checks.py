"""The table of checks; a new one is a generator function and its entry here."""

from collections.abc import Callable, Iterator

from trajstore.dataset import Dataset
from trajstore.quality.alignment import alignment, step_order
from trajstore.quality.contents import (
    anomaly_scores,
    contents,
    distinct,
    integrity,
    statistics,
)
from trajstore.quality.contract import Contract
from trajstore.quality.coverage import (
    episode_count,
    observation_contract,
    provenance,
    scenario_coverage,
    seeds,
)
from trajstore.version.findings import Finding

Check = Callable[[Dataset, Contract], Iterator[Finding]]
"""Yields what is wrong with a dataset, the first offending episode and step named."""

CHECKS: dict[str, Check] = {
    "integrity": integrity,
    "contents": contents,
    "alignment": alignment,
    "steps": step_order,
    "episodes": episode_count,
    "distinct": distinct,
    "seeds": seeds,
    "coverage": scenario_coverage,
    "provenance": provenance,
    "observation": observation_contract,
    "statistics": statistics,
    "anomalies": anomaly_scores,
}
"""Every check that ``validate`` runs, in this order; add yours here."""
