"""When a training may stop, and whether its policy is an expert; the expert that was approved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from pipelines.learning.evaluation import rank
from pipelines.learning.policy import SavedPolicy, load_policy
from pipelines.learning.runlog import EPISODES, RATES, Rates, RunError, Sha256, read_record
from pipelines.learning.sealing import ARM, check_files, read_arm, read_member
from pipelines.running.params import Amount, Count, Share
from trajstore.disk.checked import CHECK, without_check, write_checked
from trajstore.disk.files import digest, read_json
from trajstore.errors import CorruptionError, StatusError

Row = Mapping[str, Any]
MANIFEST = "manifest.json"
SEALED = (ARM, EPISODES)
"""What the manifest of an expert holds the digests of."""


JudgedSeed = TypedDict(
    "JudgedSeed",
    {
        "seed": Amount,
        "steps": Amount,
        "policy": Sha256,
        "selection": float,
        "episodes": Count,
        "success": Share,
        "collision": Share,
        "return": float,
        "by_scenario": dict[str, Rates],
    },
)
"""One seed of an expert at the gate."""
Tracked = TypedDict(
    "Tracked",
    {
        "episodes": Count,
        "success": Share,
        "collision": Share,
        "return": float,
        "by_scenario": dict[str, Rates],
    },
)
"""The expert on the episodes of every evaluation."""


class ExpertManifest(TypedDict):
    """What is decided about an expert; ``files`` are SHA-256 of the arm and the episodes."""

    id: str
    policy: Sha256
    state: str
    promotable: bool
    reasons: tuple[str, ...]
    best_seed: Amount
    best: str
    tracking: Tracked
    seeds: tuple[JudgedSeed, ...]
    pooled: dict[str, float]
    environment: str
    diagnosis: tuple[str, ...]
    history: tuple[dict[str, Any], ...]
    files: dict[str, Sha256]


@dataclass(frozen=True, slots=True)
class Criterion:
    """Rates to reach and not to exceed at ``hold`` evaluations in a row, for a training to end."""

    success: Share
    collision: Share
    hold: Count


@dataclass(frozen=True, slots=True)
class Convergence(Criterion):
    """Or: no better score in ``plateau_window`` evaluations; 0 never."""

    plateau_window: Amount


@dataclass(frozen=True, slots=True)
class Gate:
    """What an expert must show on held-out episodes, each seed alone and all together.

    Success and collision are shares, the seeds those trained, the episodes those judged a seed.
    """

    success: Share
    collision: Share
    seeds: Count
    episodes: Count


def has_arrived(rows: Sequence[Row], *, criterion: Criterion) -> str | None:
    """Why to stop now, or ``None``: the target held for enough evaluations in a row."""
    tail = rows[-criterion.hold :]
    if len(tail) == criterion.hold and all(
        row["success"] >= criterion.success and row["collision"] <= criterion.collision
        for row in tail
    ):
        return f"arrived: the target held for {criterion.hold} evaluations"
    return None


def has_converged(rows: Sequence[Row], *, convergence: Convergence) -> str | None:
    """Why to stop now, or ``None``; ``rows`` are the evaluations so far, oldest first."""
    if has_arrived(rows, criterion=convergence):
        return f"converged: the criteria held for {convergence.hold} evaluations"
    window = convergence.plateau_window
    if window and len(rows) > window:
        scores = [rank(row) for row in rows]
        if max(scores[-window:]) <= max(scores[:-window]):
            return f"plateau: no better score in {window} evaluations"
    return None


@dataclass(frozen=True, slots=True)
class Promotion:
    """Whether the expert is promoted, why, and which seed is the best."""

    promoted: bool
    reasons: tuple[str, ...]
    best: int
    pooled: Mapping[str, float]


def decide(rows: Sequence[Row], *, gate: Gate) -> Promotion:
    """Hold every seed, and all of them together, against the gate.

    The best seed is the one with the best ``selection``, its score on the episodes that chose its
    policy: judged episodes choose nothing, so that the rates on them are no luckier than others.
    """
    reasons = []
    if len(rows) < gate.seeds:
        reasons.append(f"seeds: expected at least {gate.seeds}, got {len(rows)}")
    total = sum(row["episodes"] for row in rows)
    weighed = {key: sum(row[key] * row["episodes"] for row in rows) for key in RATES}
    pooled = {key: share / total for key, share in weighed.items()} | {"episodes": total}
    for name, row in [*((f"seed {row['seed']}", row) for row in rows), ("pooled", pooled)]:
        if row["episodes"] < gate.episodes:
            reasons.append(
                f"{name}: expected at least {gate.episodes} episodes, got {row['episodes']}"
            )
        if row["success"] < gate.success:
            reasons.append(f"{name}: expected success >= {gate.success}, got {row['success']:.3f}")
        if row["collision"] > gate.collision:
            reasons.append(
                f"{name}: expected collisions <= {gate.collision}, got {row['collision']:.3f}"
            )
    best = max(range(len(rows)), key=lambda i: rows[i]["selection"])
    return Promotion(not reasons, tuple(reasons), best, pooled)


def superseded(former: Row, manifest: Row) -> list[dict[str, Any]]:
    """The manifests of experts that were approved before, oldest first; ``former`` may be empty."""
    history = [dict(entry) for entry in former.get("history", [])]
    if former.get("state") == "approved" and former["id"] != manifest["id"]:
        entry = {key: value for key, value in former.items() if key != "history"}
        history.append(entry | {"state": "superseded"})
    return history


def diagnose(rows: Sequence[Row], *, worst: int = 5) -> list[str]:
    """Sentences that say where the seeds fail, how, and what to try."""
    failures = []
    for name in sorted({name for row in rows for name in row["by_scenario"]}):
        parts = [row["by_scenario"][name] for row in rows]
        success = sum(part["success"] for part in parts) / len(parts)
        collision = sum(part["collision"] for part in parts) / len(parts)
        failures.append((success, collision, name))
    lines = []
    for success, collision, name in sorted(failures)[:worst]:
        timeout = max(0.0, 1.0 - success - collision)
        how = "mostly by collision" if collision >= timeout else "mostly by running out of time"
        lines.append(
            f"{name}: success {success:.2f}, collisions {collision:.2f}, "
            f"out of time {timeout:.2f}; fails {how}"
        )
    collisions = sum(part[1] for part in failures)
    timeouts = sum(max(0.0, 1.0 - part[0] - part[1]) for part in failures)
    other = "heavier env.reward.collision" if collisions >= timeouts else "longer env.horizon"
    return [*lines, f"try more expert.budget.steps, or a {other}"]


def write_manifest(folder: Path, manifest: Row) -> None:
    """Seal an expert: write what was decided, with the digests of what it was decided on."""
    write_checked(folder / MANIFEST, {**manifest, "files": _sealed(folder)})


def _sealed(folder: Path) -> dict[str, str]:
    return {name: digest(folder / name) for name in SEALED if (folder / name).is_file()}


def read_former(folder: Path) -> Row:
    """The manifest of the expert before, for its history; nothing if there was none.

    Raises:
        CorruptionError: it was changed after it was written.
    """
    if not (folder / MANIFEST).is_file():
        return {}
    found = read_json(folder / MANIFEST)
    if isinstance(found, dict) and CHECK not in found:  # of an earlier release
        return found
    return without_check(found, folder / MANIFEST)


def read_manifest(folder: Path) -> ExpertManifest:
    """The manifest of an expert, approved or not, all of whose parts are as they were sealed.

    Raises:
        NotFoundError: there is no manifest.
        CorruptionError: the manifest was changed.
        RunError: it does not fit its type, or a part of the expert is not the one it tells of.
    """
    manifest = read_record(folder / MANIFEST, ExpertManifest)
    check_files(folder, manifest["files"], _sealed(folder))
    arm = read_arm(folder)
    for row in manifest["seeds"]:
        read_member(folder, arm, row["seed"])
    best = [row["policy"] for row in manifest["seeds"] if row["seed"] == manifest["best_seed"]]
    told = (manifest["best"], [manifest["policy"]])
    if told != (f"seed_{manifest['best_seed']}/policy", best):
        raise RunError(
            f"{folder / MANIFEST}: expected the policy of the best seed, {best}, got {told}; "
            "run the expert stage again"
        )
    return manifest


def read_expert(folder: Path) -> tuple[ExpertManifest, SavedPolicy]:
    """The expert's manifest and its best policy.

    Raises:
        NotFoundError: there is no expert.
        StatusError: the expert is not approved.
        CorruptionError: the manifest was changed, or the policy is not the one that was approved.
        RunError: a part of the expert is not the one that was sealed.
    """
    manifest = read_manifest(folder)
    if manifest["state"] != "approved":
        raise StatusError(
            f"expert {folder}: expected state approved, got {manifest['state']!r}; "
            "train it until it passes its gate"
        )
    policy = load_policy(folder / manifest["best"])
    if policy.digest != manifest["policy"]:
        raise CorruptionError(
            f"expert {folder}: expected the approved policy {manifest['policy']}, got "
            f"{policy.digest}; run the expert stage again"
        )
    return manifest, policy
