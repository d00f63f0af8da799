"""The verdict on a version: what the checks made of it, in a file beside it.

The file of ``v4`` is ``v4.status.json``; the sealed folder itself is never edited. The verdict
names the content digest that it judges, so that it cannot be taken for one on other data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trajstore.disk.files import read_json, write_json
from trajstore.errors import CorruptionError, NotFoundError
from trajstore.version.findings import Finding, Severity
from trajstore.version.manifest import Status

FORMAT_VERSION = 1


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
        return {
            "format_version": FORMAT_VERSION,
            "status": self.status.value,
            "digest": self.digest,
            "findings": [finding.to_json() for finding in self.findings],
            "history": [dict(entry) for entry in self.history],
            "contract": dict(self.contract) if self.contract is not None else None,
        }

    @classmethod
    def from_json(cls, record: Any, where: object = "verdict") -> "Verdict":  # noqa: ANN401
        """Build a verdict from what `to_json` gave.

        Raises:
            CorruptionError: if the record is no verdict.
        """
        try:
            if record["format_version"] != FORMAT_VERSION:
                raise ValueError(f"format version {record['format_version']!r}")
            return cls(
                Status(record["status"]),
                str(record["digest"]),
                tuple(_finding(entry) for entry in record["findings"]),
                tuple(dict(entry) for entry in record["history"]),
                record["contract"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptionError(_other(where, f"{type(error).__name__}: {error}")) from error


def status_path(version: Path) -> Path:
    """Return where the verdict on a version's folder lies.

    Example:
        >>> status_path(Path("store/expert/v4")).as_posix()
        'store/expert/v4.status.json'
    """
    return version.with_name(f"{version.name}.status.json")


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


def read_verdict(version: Path) -> Verdict | None:
    """Return the verdict beside a version; ``None`` if it was never judged.

    Raises:
        CorruptionError: if the file is there but holds no verdict.
    """
    path = status_path(version)
    try:
        record = read_json(path)
    except NotFoundError:
        return None
    except CorruptionError as error:
        raise CorruptionError(_other(path, "something else")) from error
    return Verdict.from_json(record, path)


def write_verdict(version: Path, verdict: Verdict) -> None:
    """Put the verdict beside the version, in one durable step.

    Raises:
        StorageError: if the operating system refuses; the earlier verdict is then unchanged.
    """
    write_json(status_path(version), verdict.to_json())


def _other(where: object, found: str) -> str:
    return (
        f"{where}: expected a verdict of format {FORMAT_VERSION}, got {found}; "
        "remove it and validate the version again"
    )


def _finding(record: Mapping[str, Any]) -> Finding:
    return Finding(**{**record, "severity": Severity(record["severity"])})
