"""Run every check and put together what they found.

A new check is a generator function and its entry in ``CHECKS``.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from trajstore.dataset import Dataset
from trajstore.errors import TrajStoreError
from trajstore.quality import alignment, contents, coverage
from trajstore.quality.contract import Contract
from trajstore.quality.verdict import decide
from trajstore.version.findings import Finding, Severity
from trajstore.version.manifest import Status

Check = Callable[[Dataset, Contract], Iterator[Finding]]
"""Yields what is wrong with a dataset, the first offending episode and step named."""

CHECKS: dict[str, Check] = {
    "integrity": contents.integrity,
    "contents": contents.contents,
    "alignment": alignment.alignment,
    "steps": alignment.step_order,
    "episodes": coverage.episode_count,
    "distinct": contents.distinct,
    "seeds": coverage.seeds,
    "coverage": coverage.scenario_coverage,
    "provenance": coverage.provenance,
    "observation": coverage.observation_contract,
    "statistics": contents.statistics,
    "anomalies": contents.anomaly_scores,
}
"""Every check that ``validate`` runs, in this order; add yours here."""


@dataclass(frozen=True, slots=True)
class Report:
    """What all checks made of one version.

    Attributes:
        digest: content digest of the version, hexadecimal.
        episodes: how many it has.
        checks: names of the checks that ran, in order.
        findings: of all of them, in that order.
        status: what they lead to, before anyone reviews it.
        contract: what the version was held to.
    """

    digest: str
    episodes: int
    checks: tuple[str, ...]
    findings: tuple[Finding, ...]
    status: Status
    contract: Contract

    def of(self, severity: Severity) -> list[Finding]:
        """Return the findings of one severity."""
        return [finding for finding in self.findings if finding.severity is severity]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, without times, so that equal data give equal reports."""
        return {
            "digest": self.digest,
            "episodes": self.episodes,
            "status": self.status.value,
            "checks": list(self.checks),
            "findings": [finding.to_json() for finding in self.findings],
            "contract": self.contract.to_json(),
        }


def validate(
    dataset: Dataset,
    contract: Contract,
    *,
    checks: Mapping[str, Check] = CHECKS,
) -> Report:
    """Run every check, to its end, whatever the others found.

    Args:
        dataset: any sealed version; it is only read.
        contract: what it must fulfil.
        checks: by name; add those that need a policy or a simulator:
            ``{**CHECKS, "policy": policy_agreement(act)}``.
    """
    findings = [
        finding
        for name, check in checks.items()
        for finding in _run(name, check, dataset, contract)
    ]
    status = decide(findings, complete=len(dataset) >= contract.minimum_episodes)
    return Report(
        dataset.manifest.content_digest,
        len(dataset),
        tuple(checks),
        tuple(findings),
        status,
        contract,
    )


def _run(name: str, check: Check, dataset: Dataset, contract: Contract) -> list[Finding]:
    found: list[Finding] = []
    try:
        for finding in check(dataset, contract):
            found.append(finding)
    except TrajStoreError as error:
        found.append(Finding(Severity.BLOCKING, name, f"check could not finish: {error}"))
    return found
