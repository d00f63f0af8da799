"""The approved expert: its manifest, and the policy that was approved and no other."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.learning.policy import SavedPolicy, load_policy
from trajstore.disk.files import read_json
from trajstore.errors import CorruptionError, StatusError


def read_expert(folder: Path) -> tuple[Mapping[str, Any], SavedPolicy]:
    """The expert's manifest and its best policy.

    Raises:
        NotFoundError: there is no expert.
        StatusError: the expert is not approved.
        CorruptionError: the policy is not the one that was approved.
    """
    manifest = read_json(folder / "manifest.json")
    if manifest.get("state") != "approved":
        raise StatusError(
            f"expert {folder}: expected state approved, got {manifest.get('state')!r}; "
            "train it until it passes its gate"
        )
    policy = load_policy(folder / manifest["best"])
    approved = [row["policy"] for row in manifest["seeds"] if row["seed"] == manifest["best_seed"]]
    if approved != [policy.digest]:
        raise CorruptionError(
            f"expert {folder}: expected the approved policy {approved}, got {policy.digest}; "
            "run the expert stage again"
        )
    return manifest, policy
