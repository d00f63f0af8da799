"""When a training may stop, and whether its policy is an expert; the expert that was approved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.learning.evaluation import rank
from pipelines.learning.policy import SavedPolicy, load_policy
from pipelines.learning.runlog import RATES
from pipelines.running.params import Amount, Count, Share
from trajstore.disk.files import read_json
from trajstore.errors import CorruptionError, StatusError

Row = Mapping[str, Any]


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
