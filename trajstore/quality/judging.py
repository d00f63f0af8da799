"""Give a version its status: by the checks, and by people."""

import datetime
import getpass
from collections.abc import Callable, Mapping
from pathlib import Path

from trajstore.dataset import Dataset
from trajstore.quality import CHECKS, Check, Report, validate
from trajstore.quality.contract import Contract
from trajstore.quality.reviews import Review, add_review
from trajstore.quality.verdict import Verdict, read_verdict, write_verdict
from trajstore.version.manifest import Status

Clock = Callable[[], str]
"""The present time, ISO 8601 with zone."""


def utc_now() -> str:
    """Return the present time, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def judge(
    version: Path,
    contract: Contract,
    *,
    checks: Mapping[str, Check] = CHECKS,
    clock: Clock = utc_now,
) -> Report:
    """Run every check on a version and put the verdict beside it.

    Args:
        version: folder of a sealed version; it is only read.
        contract: what it must fulfil.
        checks: by name.
        clock: tells the time that the verdict's history notes.

    Raises:
        NotFoundError: if there is no version.
        CorruptionError: if the verdict that is there is damaged; nothing was checked.
        StorageError: if the verdict cannot be written.
    """
    before = read_verdict(version)
    report = validate(Dataset.open(version), contract, checks=checks)
    write_verdict(version, verdict_of(report, before=before, time=clock()))
    return report


def verdict_of(report: Report, *, before: Verdict | None, time: str) -> Verdict:
    """Return the verdict of a report, with the history of the one before on the same content.

    A judgement that changes nothing adds nothing to the history.
    """
    history = before.history if before and before.digest == report.digest else ()
    why = "every check passed"
    if report.findings:
        first = report.findings[0]
        why = f"{len(report.findings)} findings, first: {first.check}: {first.message}"
    if not history or history[-1]["status"] != report.status or history[-1]["why"] != why:
        history = (*history, {"time": time, "status": report.status.value, "why": why})
    return Verdict(
        report.status, report.digest, report.findings, history, report.contract.to_json()
    )


def review(
    reviews: Path,
    digest: str,
    status: Status,
    *,
    reason: str,
    name: str = "",
    clock: Clock = utc_now,
) -> Review:
    """Write down what a person decides about a version; it wins over the verdict.

    Args:
        reviews: the file, kept in git.
        digest: content digest of the version; `Shelf.digest` knows those of archived ones too.
        status: validated or quarantined.
        reason: one sentence.
        name: how the person called the version, such as ``expert@v3``.
        clock: tells the time.

    Raises:
        ValueError: if there is no reason.
        CorruptionError: if the file is damaged; it is then left as it is.
        StorageError: if the operating system refuses.
    """
    decided = Review(digest, status, reason, getpass.getuser(), clock(), name)
    add_review(reviews, decided)
    return decided
