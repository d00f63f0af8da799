"""Run every check, put together what they found, and give a version its status by it.

A new check is a generator function and its entry in ``CHECKS``.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from trajstore.dataset import Dataset
from trajstore.errors import CorruptionError, FormatError, TrajStoreError
from trajstore.quality import alignment, cameras, contents, coverage, telling
from trajstore.quality.contract import Contract
from trajstore.quality.plugged import PluggedCheck, plugged_checks
from trajstore.quality.records import (
    Clock,
    Judgement,
    Verdict,
    read_verdict,
    utc_now,
    write_verdict,
)
from trajstore.version.coders import check_decoders
from trajstore.version.findings import Finding, Severity
from trajstore.version.manifest import Status

Check = Callable[[Dataset, Contract], Iterator[Finding]]
"""Yields what is wrong with a dataset, the first offending episode and step named."""

CHECKS: dict[str, Check] = {
    "integrity": contents.integrity,
    "contents": contents.contents,
    "alignment": alignment.alignment,
    "steps": alignment.step_order,
    "frozen": telling.frozen,
    "cameras": cameras.cameras,
    "bounds": telling.bounds,
    "ends": telling.ends,
    "episodes": coverage.episode_count,
    "distinct": contents.distinct,
    "seeds": coverage.seeds,
    "coverage": coverage.scenario_coverage,
    "provenance": coverage.provenance,
    "observation": coverage.observation_contract,
    "statistics": contents.statistics,
    "anomalies": contents.anomaly_scores,
}
"""Every check of ours that ``validate`` runs, in this order; add yours here."""


@dataclass(frozen=True, slots=True)
class Report:
    """What all checks made of one version.

    Attributes:
        digest: content digest of the version, hexadecimal.
        findings: of all checks, in the order in which these ran.
        status: what they lead to, before anyone reviews it.
        plugins: package and version of each check that another package brought, by name.
    """

    digest: str
    episodes: int
    checks: tuple[str, ...]
    findings: tuple[Finding, ...]
    status: Status
    contract: Contract
    plugins: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, without times, so that equal data give equal reports."""
        plugins = {"plugins": dict(self.plugins)} if self.plugins else {}
        return plugins | {
            "digest": self.digest,
            "episodes": self.episodes,
            "status": self.status.value,
            "checks": list(self.checks),
            "findings": [finding.to_json() for finding in self.findings],
            "contract": self.contract.to_json(),
        }


def every_check() -> dict[str, Check]:
    """Our checks, and those of other installed packages."""
    return {**CHECKS, **plugged_checks(CHECKS)}


def validate(
    dataset: Dataset,
    contract: Contract,
    *,
    checks: Mapping[str, Check] | None = None,
) -> Report:
    """Run every check, to its end, whatever the others found.

    What is sound but has too few episodes for the contract stays a draft.

    Args:
        dataset: any sealed version; it is only read.
        contract: what it must fulfil.
        checks: by name; ours and those of installed packages unless told. Add those that need a
            policy or a simulator: ``{**every_check(), "policy": policy_agreement(act)}``.

    Raises:
        NotFoundError: if the package of a camera's codec is not installed, which no version is to
            blame for.
    """
    check_decoders(dataset.schema.coded)
    checks = every_check() if checks is None else checks
    findings: list[Finding] = []
    for name, check in checks.items():
        try:
            findings.extend(check(dataset, contract))  # those before an error are kept
        except TrajStoreError as error:
            message = f"check could not finish: {error}"
            findings.append(Finding(Severity.BLOCKING, name, message))
    status = Status.VALIDATED
    if any(finding.severity is Severity.BLOCKING for finding in findings):
        status = Status.QUARANTINED
    elif len(dataset) < contract.minimum_episodes:
        status = Status.DRAFT
    digest = dataset.manifest.content_digest
    plugins = {it: one.plugin.origin for it, one in checks.items() if isinstance(one, PluggedCheck)}
    made = tuple(checks), tuple(findings), status, contract, plugins
    return Report(digest, len(dataset), *made)


def judge(
    version: Path,
    contract: Contract,
    *,
    checks: Mapping[str, Check] | None = None,
    clock: Clock = utc_now,
) -> Report:
    """Run every check on a version and put the verdict beside it.

    A version that was validated is a draft, durably, until the checks have ended, however they
    end. A judgement that changes nothing adds nothing to the verdict's history.

    Args:
        version: folder of a sealed version; it is only read.
        contract: what it must fulfil.
        checks: by name; ours and those of installed packages unless told.
        clock: tells the time that the history notes.

    Raises:
        NotFoundError: if there is no version, or as `validate`; its status stays as it was.
        CorruptionError: if the verdict that is there is damaged; nothing was checked.
        StorageError: if the verdict cannot be written.
    """
    before = read_verdict(version)
    with suppress(CorruptionError, FormatError):
        check_decoders(Dataset.open(version).schema.coded)
    if before and before.status is Status.VALIDATED and version.is_dir():
        begun: Judgement = {
            "time": clock(),
            "status": Status.DRAFT.value,
            "why": "validating began, and has not ended",
        }
        withdrawn = msgspec.structs.replace(
            before, status=Status.DRAFT, findings=(), history=(*before.history, begun)
        )
        write_verdict(version, withdrawn)
    report = validate(Dataset.open(version), contract, checks=checks)
    history = before.history if before and before.digest == report.digest else ()
    why = "every check passed"
    if report.findings:
        first, count = report.findings[0], len(report.findings)
        why = f"{count} finding{'s' * (count > 1)}, first: {first.check}: {first.message}"
    if not history or history[-1]["status"] != report.status or history[-1]["why"] != why:
        now: Judgement = {"time": clock(), "status": report.status.value, "why": why}
        history = (*history, now)
    made = report.findings, history, contract.to_json(), report.plugins
    write_verdict(version, Verdict(report.status, report.digest, *made))
    return report
