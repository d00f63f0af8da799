"""When a training may stop, and whether its policy is an expert; the expert that was approved."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypedDict

from msgspec import Meta

from pipelines.learning.conditions import Conditions, met
from pipelines.learning.policy import SavedPolicy, load_policy
from pipelines.learning.rows import fit_row, measures_of
from pipelines.learning.runlog import EPISODES, RunError, Sha256, read_record
from pipelines.learning.sealing import ARM, check_files, read_arm, read_member
from pipelines.running.params import Amount, Count
from pipelines.tasks.task import RETURN, SUCCESS, Task
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
        "return": float,
        "by_scenario": dict[str, dict[str, float]],
    },
)
"""One seed of an expert at the gate; beside these keys stand the task's rates."""
Tracked = TypedDict(
    "Tracked",
    {
        "episodes": Count,
        "return": float,
        "by_scenario": dict[str, dict[str, float]],
    },
)
"""The expert on the episodes of every evaluation, with the task's rates."""


class ExpertManifest(TypedDict):
    """What is decided about an expert; ``files`` are SHA-256 of the arm and the episodes."""

    id: str
    policy: Sha256
    state: str
    promotable: bool
    reasons: tuple[str, ...]
    best_seed: Amount
    best: str
    tracking: dict[str, Any]
    seeds: tuple[dict[str, Any], ...]
    pooled: dict[str, float]
    environment: str
    diagnosis: tuple[str, ...]
    history: tuple[dict[str, Any], ...]
    files: dict[str, Sha256]


@dataclass(frozen=True, slots=True)
class Criterion:
    """Conditions that ``hold`` evaluations in a row must keep, for a training to end."""

    conditions: Annotated[Conditions, Meta(min_length=1)]
    hold: Count


@dataclass(frozen=True, slots=True)
class Convergence(Criterion):
    """Or: no better score in ``plateau_window`` evaluations; 0 never."""

    plateau_window: Amount


@dataclass(frozen=True, slots=True)
class Gate:
    """What an expert must show on held-out episodes, each seed alone and all together.

    The seeds are those trained, the episodes those judged a seed.
    """

    conditions: Conditions
    seeds: Count
    episodes: Count


def has_arrived(rows: Sequence[Row], *, criterion: Criterion) -> str | None:
    """Why to stop now, or ``None``: the target held for enough evaluations in a row."""
    tail = rows[-criterion.hold :]
    if len(tail) == criterion.hold and all(met(row, criterion.conditions) for row in tail):
        return f"arrived: the target held for {criterion.hold} evaluations"
    return None


def has_converged(
    rows: Sequence[Row], *, convergence: Convergence, rank: Callable[[Row], float]
) -> str | None:
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
    asked = [it.metric for it in gate.conditions]
    keys = dict.fromkeys([*(measures_of(rows[0]) if rows else ()), *asked])
    weighed = {key: sum(row[key] * row["episodes"] for row in rows) for key in keys}
    pooled = {key: share / total for key, share in weighed.items()} | {"episodes": total}
    for name, row in [*((f"seed {row['seed']}", row) for row in rows), ("pooled", pooled)]:
        if row["episodes"] < gate.episodes:
            reasons.append(
                f"{name}: expected at least {gate.episodes} episodes, got {row['episodes']}"
            )
        reasons += [
            f"{name}: expected {it.metric} {it.sign} {it.limit}, got {row[it.metric]:.3f}"
            for it in gate.conditions
            if not it.holds(row[it.metric])
        ]
    best = max(range(len(rows)), key=lambda i: rows[i]["selection"])
    return Promotion(not reasons, tuple(reasons), best, pooled)


def superseded(former: Row, manifest: Row) -> list[dict[str, Any]]:
    """The manifests of experts that were approved before, oldest first; ``former`` may be empty."""
    history = [dict(entry) for entry in former.get("history", [])]
    if former.get("state") == "approved" and former["id"] != manifest["id"]:
        entry = {key: value for key, value in former.items() if key != "history"}
        history.append(entry | {"state": "superseded"})
    return history


def diagnose(rows: Sequence[Row], task: Task, *, worst: int = 5) -> list[str]:
    """Sentences that say where the seeds fail, how, and what to try."""
    parts = {
        name: {it: _mean([row["by_scenario"][name][it] for row in rows]) for it in task.measures}
        for name in sorted({name for row in rows for name in row["by_scenario"]})
    }
    failures = task.rates[1:]
    order = sorted(parts, key=lambda name: (*parts[name].values(), name))
    lines = [_failing(name, parts[name], failures) for name in order[:worst]]
    timeouts = sum(_late(part, failures) for part in parts.values())
    totals = {it: sum(part[it] for part in parts.values()) for it in failures}
    most = max(totals, key=totals.__getitem__) if totals else ""
    advice = task.advice(failing=most if most and totals[most] >= timeouts else "")
    return [*lines, f"try more expert.budget.steps, or a {advice}"]


def _mean(values: Sequence[float]) -> float:
    return float(sum(values) / len(values))


def _late(part: Row, failures: Sequence[str]) -> float:
    return max(0.0, float(1.0 - part.get(SUCCESS, 0.0) - sum(part[it] for it in failures)))


def _failing(name: str, part: Row, failures: Sequence[str]) -> str:
    """How the episodes of one scenario end."""
    if SUCCESS not in part:
        return f"{name}: return {part[RETURN]:.4g}"
    late = _late(part, failures)
    shown = "".join(f", {it} {part[it]:.2f}" for it in failures)
    text = f"{name}: success {part[SUCCESS]:.2f}{shown}, out of time {late:.2f}"
    most = max(failures, key=part.__getitem__, default="")
    how = f"by {most}" if most and part[most] >= late else "by running out of time"
    return f"{text}; fails mostly {how}"


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
    where = f"{folder / MANIFEST}: $"
    fit_row(manifest["tracking"], Tracked, f"{where}.tracking")
    for place, row in enumerate(manifest["seeds"]):
        fit_row(row, JudgedSeed, f"{where}.seeds[{place}]")
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
            f"expert {folder}: did not pass its gate, its state is {manifest['state']!r}; "
            "train it until it does"
        )
    policy = load_policy(folder / manifest["best"])
    if policy.digest != manifest["policy"]:
        raise CorruptionError(
            f"expert {folder}: expected the approved policy {manifest['policy']}, got "
            f"{policy.digest}; run the expert stage again"
        )
    return manifest, policy
