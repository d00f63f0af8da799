"""The table of checks; a new one is a generator function and its entry here."""

from collections.abc import Callable, Iterator

from trajstore.contract import Contract
from trajstore.dataset import Dataset
from trajstore.findings import Finding
from trajstore.validation.alignment import alignment, step_order
from trajstore.validation.contents import (
    anomaly_scores,
    contents,
    distinct,
    integrity,
    statistics,
)
from trajstore.validation.coverage import (
    episode_count,
    observation_contract,
    provenance,
    scenario_coverage,
    seeds,
)

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
