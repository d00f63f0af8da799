"""What a version may be begun with, and how large it may grow."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trajstore.episode.provenance import check_provenance
from trajstore.episode.schema import EpisodeSchema, check_is_schema
from trajstore.errors import ArgumentError, QuotaExceededError

DEFAULT_QUOTA_BYTES = 25 * 10**9


def check_limit(quota_bytes: object) -> None:
    """Refuse what is no quota: a version has one, and it is a whole number of bytes."""
    if not isinstance(quota_bytes, int) or isinstance(quota_bytes, bool) or quota_bytes < 1:
        raise ArgumentError(
            "quota_bytes: expected a whole number of bytes of 1 or more, got "
            f"{ascii(quota_bytes)[:80]}; leave it out for {DEFAULT_QUOTA_BYTES:,}"
        )


def check_recipe(schema: EpisodeSchema, provenance: Mapping[str, Any], quota_bytes: int) -> None:
    """Refuse what no version can be made of, before anything is written."""
    check_provenance(provenance)
    check_limit(quota_bytes)
    check_is_schema(schema)


def check_quota(target: Path, *, needed: int, quota_bytes: int) -> None:
    """Refuse what would make a version take more bytes on disk than its quota."""
    if needed > quota_bytes:
        raise QuotaExceededError(
            f"version {target.name}: expected at most {quota_bytes:,} bytes on disk, "
            f"got {needed:,}; record fewer episodes, or start another dataset"
        )
