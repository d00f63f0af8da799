"""Is this dataset fit for training? Every check, all findings, one status."""

from trajstore.quality.agreement import policy_agreement, replay_agreement
from trajstore.quality.report import CHECKS, Check, Report, every_check, validate

__all__ = [
    "CHECKS",
    "Check",
    "Report",
    "every_check",
    "policy_agreement",
    "replay_agreement",
    "validate",
]
