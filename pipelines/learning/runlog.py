"""What one training leaves behind: its record, its evaluations, its final episodes.

``run.json`` says what the run is and how it ended, ``evaluations.jsonl`` holds a line an
evaluation, ``episodes.jsonl`` a line an episode of the final evaluation, each line checked
against a JSON schema. Wall-clock times are none of their business.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from pipelines.tasks.social_nav.metrics import METRICS_VERSION, measure
from pipelines.tasks.social_nav.snqi import Baseline, snqi
from trajstore.disk.files import digest, read_file, read_json, replace_file, write_json
from trajstore.episode.episode import Episode
from trajstore.errors import TrajStoreError

RECORD, EVALUATIONS, EPISODES = "run.json", "evaluations.jsonl", "episodes.jsonl"


class RunError(TrajStoreError):
    """A run folder, or a line of one, is not what it should be."""


class RunStatus(StrEnum):
    """How a run ended; only a completed one is evidence."""

    COMPLETED = "completed"
    FAILED = "failed"
    PARTIAL = "partial"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What a run is: enough to tell whether two runs may be compared.

    Attributes:
        arm: of the comparison, such as ``baseline``.
        seed: of everything random in the training.
        status: how it ended.
        steps: online environment steps taken.
        inputs: digest of each input by name (dataset, start policy, ...).
        parameters: that the run depended on.
        notes: sentences for the reader, such as why a run failed.
    """

    arm: str
    seed: int
    status: RunStatus
    steps: int
    inputs: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """As ``run.json`` holds it."""
        return {
            "arm": self.arm,
            "seed": self.seed,
            "status": str(self.status),
            "steps": self.steps,
            "inputs": dict(self.inputs),
            "parameters": dict(self.parameters),
            "notes": list(self.notes),
        }


def write_run(folder: Path, record: RunRecord) -> None:
    """Write ``run.json`` in one step.

    Raises:
        RunError: the record does not fit its schema.
    """
    check(record.to_json(), "run", where=str(folder / RECORD))
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / RECORD, record.to_json())


def read_run(folder: Path) -> RunRecord:
    """Read ``run.json``.

    Raises:
        RunError: it does not fit its schema.
        NotFoundError: there is none.
    """
    document = read_json(folder / RECORD)
    check(document, "run", where=str(folder / RECORD))
    return RunRecord(**(document | {"status": RunStatus(document["status"])}))


def write_evaluations(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write ``evaluations.jsonl``, oldest first, in one step.

    Raises:
        RunError: a row does not fit its schema, or the steps do not rise.
    """
    path = folder / EVALUATIONS
    _check_evaluations(path, rows)
    _write_lines(path, rows)


def read_evaluations(folder: Path) -> list[dict[str, Any]]:
    """The evaluations of a run, oldest first.

    Raises:
        RunError: naming the first line at fault.
        NotFoundError: there is no such file.
    """
    path = folder / EVALUATIONS
    rows = _read_lines(path)
    _check_evaluations(path, rows)
    return rows


def episode_row(episode: Episode, baseline: Baseline | None = None) -> dict[str, Any]:
    """One episode as a line of the log, with every metric.

    Args:
        episode: with the scene fields.
        baseline: by which SNQI normalises; without it SNQI is null.
    """
    metrics = measure(episode)
    return {
        "version": METRICS_VERSION,
        "scenario": str(episode["scenario"]),
        "seed": int(episode["seed"]),
        "outcome": str(episode["outcome"]),
        "success": metrics["success"] == 1.0,
        "collision": metrics["collision"] == 1.0,
        "return": float(episode["reward"].astype(float).sum()),
        "steps": len(episode),
        "metrics": metrics | {"snqi": snqi(metrics, len(episode), baseline) if baseline else None},
    }


def write_episodes(folder: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write ``episodes.jsonl`` in one step; every row is checked first.

    Raises:
        RunError: a row does not fit its schema, contradicts itself, or repeats an episode.
    """
    path, kept = folder / EPISODES, list(rows)
    _check_episodes(path, kept)
    _write_lines(path, kept)


def read_episodes(folder: Path) -> list[dict[str, Any]]:
    """The final evaluation of a run, a row an episode.

    Raises:
        RunError: naming the first line at fault.
        NotFoundError: there is no such file.
    """
    path = folder / EPISODES
    rows = _read_lines(path)
    _check_episodes(path, rows)
    return rows


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of what a comparison reads of a run."""
    return {
        name: digest(folder / name)
        for name in (RECORD, EVALUATIONS, EPISODES)
        if (folder / name).is_file()
    }


def check(document: object, schema: str, *, where: str) -> None:
    """Hold a document against one of the schemas of ``pipelines/schemas``.

    Raises:
        RunError: naming the place inside the document.
    """
    error = next(_validator(schema).iter_errors(document), None)
    if error is not None:
        raise RunError(
            f"{where}: expected {error.json_path} to fit {schema}.schema.json, got {error.message}"
        )


@cache
def _validator(schema: str) -> Draft202012Validator:
    path = resources("pipelines.learning") / "schemas" / f"{schema}.schema.json"
    return Draft202012Validator(json.loads(path.read_text(encoding="utf-8")))


def _check_evaluations(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    last = -1
    for number, row in enumerate(rows, start=1):
        check(row, "evaluation", where=f"{path}:{number}")
        _check_parts(row, rows[0], where=f"{path}:{number}")
        if row["steps"] <= last:
            raise RunError(
                f"{path}:{number}: expected more than {last} steps, got {row['steps']}; "
                "evaluations stand in the order of training"
            )
        last = row["steps"]


def _check_parts(row: Mapping[str, Any], first: Mapping[str, Any], *, where: str) -> None:
    """The rates of an evaluation are those of its scenarios, which all evaluations play."""
    parts = row["by_scenario"]
    if set(parts) != set(first["by_scenario"]):
        odd = sorted(set(parts) ^ set(first["by_scenario"]))[0]
        raise RunError(
            f"{where}: expected the scenarios of the first line, got {odd!r} in one of the two; "
            "restore the file or train again"
        )
    count = sum(part["episodes"] for part in parts.values())
    for rate in ("success", "collision"):
        mean = sum(part["episodes"] * part[rate] for part in parts.values()) / max(count, 1)
        if parts and abs(mean - row[rate]) > 1e-6:
            raise RunError(
                f"{where}: expected a {rate} of {mean:.6f}, the mean over its scenarios, got "
                f"{row[rate]:.6f}; restore the file or train again"
            )


def _check_episodes(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    seen: set[tuple[str, int]] = set()
    for number, row in enumerate(rows, start=1):
        check(row, "episode", where=f"{path}:{number}")
        key = (row["scenario"], row["seed"])
        if key in seen:
            raise RunError(f"{path}:{number}: expected each episode once, got {key} again")
        seen.add(key)


def _write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    lines = [json.dumps(row, sort_keys=True, allow_nan=False) + "\n" for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, "".join(lines).encode())


def _read_lines(path: Path) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(read_file(path).decode().splitlines(), start=1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise RunError(f"{path}:{number}: expected a JSON object, got {line[:60]!r}") from error
    return rows
