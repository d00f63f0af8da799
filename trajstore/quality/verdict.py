"""The verdict on a version: what the checks made of it, in a file beside it.

The file of ``v4`` is ``v4.status.json``; the sealed folder itself is never edited. The verdict
names the content digest that it judges, so that it cannot be taken for one on other data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from trajstore.quality.records import FORMAT_VERSION, Kind
from trajstore.version.findings import Finding, Severity
from trajstore.version.manifest import Status


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checks made of one version.

    Attributes:
        status: draft, validated or quarantined.
        digest: content digest of the version that was judged, hexadecimal.
        findings: all of them, blocking or not.
        history: earlier and present judgements, oldest first: ``time``, ``status``, ``why``.
        contract: the contract that the version was held to, as JSON.
    """

    status: Status
    digest: str
    findings: tuple[Finding, ...] = ()
    history: tuple[Mapping[str, str], ...] = ()
    contract: Mapping[str, object] | None = None

    def on(self, digest: str) -> Status | None:
        """Return the status if this verdict is about that content digest, else ``None``."""
        return self.status if self.digest == digest else None

    def to_json(self) -> dict[str, object]:
        """Return the verdict as it stands in its file."""
        findings = [finding.to_json() for finding in self.findings]
        record: dict[str, object] = msgspec.to_builtins(self)
        return {"format_version": FORMAT_VERSION, **record, "findings": findings}


VERDICT = Kind(Verdict, "a verdict", "remove it and validate the version again", "status")
status_path, read_verdict, write_verdict = (
    VERDICT.beside,
    VERDICT.read_beside,
    VERDICT.write_beside,
)


def decide(findings: Sequence[Finding], *, complete: bool) -> Status:
    """Return the status that findings lead to.

    Args:
        findings: of every check.
        complete: whether there are as many episodes as the contract demands; a version that is
            sound but too small stays a draft.

    Example:
        >>> decide([], complete=True), decide([], complete=False)
        (<Status.VALIDATED: 'validated'>, <Status.DRAFT: 'draft'>)
    """
    if any(finding.severity is Severity.BLOCKING for finding in findings):
        return Status.QUARANTINED
    return Status.VALIDATED if complete else Status.DRAFT
