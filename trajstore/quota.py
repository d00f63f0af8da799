"""How large a version may grow."""

from pathlib import Path

from trajstore.errors import QuotaExceededError

DEFAULT_QUOTA_BYTES = 25 * 10**9


def check_quota(target: Path, *, needed: int, quota_bytes: int) -> None:
    """Refuse what would make a version larger than its quota.

    Args:
        target: folder of the version, for the message.
        needed: bytes on disk that the version would take.
        quota_bytes: most it may take.

    Raises:
        QuotaExceededError: if it needs more.
    """
    if needed > quota_bytes:
        raise QuotaExceededError(
            f"version {target.name}: expected at most {quota_bytes:,} bytes on disk, "
            f"got {needed:,}; record fewer episodes, or start another dataset"
        )
