"""When a training may stop, and whether its policy is an expert: numbers in, verdict out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.learning.settings import Arrival, Convergence, Gate

Row = Mapping[str, Any]


def has_arrived(rows: Sequence[Row], *, arrival: Arrival) -> str | None:
    """Why to stop now, or ``None``: the target held for enough evaluations in a row."""
    tail = rows[-arrival.hold :]
    if len(tail) == arrival.hold and all(
        row["success"] >= arrival.success and row["collision"] <= arrival.collision for row in tail
    ):
        return f"arrived: the target held for {arrival.hold} evaluations"
    return None


def has_converged(rows: Sequence[Row], *, convergence: Convergence) -> str | None:
    """Why to stop now, or ``None``; ``rows`` are the evaluations so far, oldest first."""
    criteria = Arrival(convergence.success, convergence.collision, convergence.hold)
    if has_arrived(rows, arrival=criteria):
        return f"converged: the criteria held for {convergence.hold} evaluations"
    window = convergence.plateau_window
    if window and len(rows) > window:
        scores = [row["success"] - row["collision"] for row in rows]
        if max(scores[-window:]) <= max(scores[:-window]):
            return f"plateau: no better score in {window} evaluations"
    return None


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the expert is promoted, why, and which seed is the best."""

    promoted: bool
    reasons: tuple[str, ...]
    best: int
    pooled: Mapping[str, float]


def decide(rows: Sequence[Row], *, gate: Gate) -> Decision:
    """Hold every seed, and all of them together, against the gate.

    The best seed is the one with the best ``selection``, its score on the episodes that chose its
    policy: judged episodes choose nothing, so that the rates on them are no luckier than others.
    """
    reasons = []
    if len(rows) < gate.seeds:
        reasons.append(f"seeds: expected at least {gate.seeds}, got {len(rows)}")
    total = sum(row["episodes"] for row in rows)
    pooled = {
        key: sum(row[key] * row["episodes"] for row in rows) / total
        for key in ("success", "collision")
    }
    named = [(f"seed {row['seed']}", row) for row in rows]
    for name, row in [*named, ("pooled", {**pooled, "episodes": total})]:
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
    return Decision(not reasons, tuple(reasons), best, {**pooled, "episodes": total})


def superseded(former: Row, manifest: Row) -> list[dict[str, Any]]:
    """The experts that were approved before this one, oldest first, each with its manifest.

    Args:
        former: the manifest that is replaced; empty if there is none.
        manifest: the new one.
    """
    history = [dict(entry) for entry in former.get("history", [])]
    if former.get("state") == "approved" and former["id"] != manifest["id"]:
        entry = {key: value for key, value in former.items() if key != "history"}
        history.append(entry | {"state": "superseded"})
    return history


def diagnose(rows: Sequence[Row], *, worst: int = 5) -> list[str]:
    """Sentences that say where the seeds fail, how, and what to try."""
    scenarios = sorted({name for row in rows for name in row["by_scenario"]})
    failures = []
    for name in scenarios:
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
    if collisions >= timeouts:
        lines.append("try more expert.budget.steps, or a heavier env.reward.collision")
    else:
        lines.append("try more expert.budget.steps, or a longer env.horizon")
    return lines
