"""What one training leaves behind: its record, its evaluations, its final episodes.

``run.json`` says what the run is and how it ended, ``evaluations.jsonl`` holds a line an
evaluation, ``episodes.jsonl`` a line an episode of the final evaluation; all are checked when they
are written or read, and hold no wall-clock times. `msgspec.json.schema` states their types.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypedDict, TypeVar

import msgspec
from msgspec import Meta

from pipelines.learning.rows import (
    Evaluation,
    Row,
    fit_row,
    measures_of,
    rates_of,
)
from pipelines.learning.rows import RunError as RunError
from pipelines.running.params import Amount, Count, Share, fit
from pipelines.tasks.task import METRICS_VERSION, REACHED, SUCCESS
from trajstore.disk.checked import CHECK, without_check, write_checked
from trajstore.disk.files import digest, read_file, read_json, replace_file
from trajstore.disk.json_text import parse_json
from trajstore.errors import CorruptionError

RECORD, EVALUATIONS, EPISODES = "run.json", "evaluations.jsonl", "episodes.jsonl"
LOSSES = "losses.csv"
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Kind = TypeVar("Kind")
REMEDY = "run the stage again, or bring it back with 'dvc checkout --force'"


class RunStatus(StrEnum):
    """How a run ended; only a completed one is evidence."""

    COMPLETED = "completed"
    FAILED = "failed"
    PARTIAL = "partial"


EpisodeRow = TypedDict(
    "EpisodeRow",
    {
        "version": Annotated[int, Meta(ge=METRICS_VERSION, le=METRICS_VERSION)],
        "scenario": Annotated[str, Meta(pattern=r"^[a-z0-9_]+(/[a-z0-9_]+)?$")],
        "seed": Amount,
        "outcome": Annotated[str, Meta(pattern="^[a-z0-9_]+$")],
        "return": float,
        "steps": Count,
        "metrics": dict[str, float | None],
    },
)
"""A line of ``episodes.jsonl``; ``return`` is undiscounted, a metric may not apply.

Beside these keys stand the task's rates by name, each true or false.
"""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What a run is: enough to tell whether two runs may be compared.

    Attributes:
        steps: online environment steps taken.
        inputs: digest of each input by name (dataset, start policy, ...), and versions.
        parameters: that the run depended on.
        notes: sentences for the reader, such as why a run failed.
        files: SHA-256 of what a completed run left, by path below its folder.
        task: what a comparison must know of the task, as `Task.facts` says it.
    """

    arm: Annotated[str, Meta(min_length=1)]
    seed: Amount
    status: RunStatus
    steps: Amount
    inputs: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    files: Mapping[str, Sha256] = field(default_factory=dict)
    task: Mapping[str, Any] = field(default_factory=dict)


def write_run(folder: Path, record: RunRecord) -> None:
    """Write ``run.json`` in one step; a record that does not fit its type is a `RunError`."""
    document = msgspec.to_builtins(record)
    fit(document, RunRecord, f"{folder / RECORD}: $", RunError)
    folder.mkdir(parents=True, exist_ok=True)
    write_checked(folder / RECORD, document)


def read_run(folder: Path) -> RunRecord:
    """Read ``run.json``; raises as `read_record` does."""
    return read_record(folder / RECORD, RunRecord)


def read_record(path: Path, kind: type[Kind]) -> Kind:
    """Read a record with its check value as a type of this package.

    Raises:
        NotFoundError: there is none.
        CorruptionError: it was changed after it was written.
        RunError: it does not fit its type, or an earlier release wrote it, without a check value.
    """
    document = read_json(path)
    bare = document
    if isinstance(document, dict):
        bare = {key: value for key, value in document.items() if key != CHECK}
        if bare == document:
            raise RunError(
                f"{path}: expected a record with a check value, got one without, as earlier "
                "releases wrote it; run the stage again"
            )
    record = fit(bare, kind, f"{path}: $", RunError)
    try:
        without_check(document, path)
    except CorruptionError as error:
        raise CorruptionError(f"{error}; {REMEDY}") from None
    return record


def write_evaluations(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write ``evaluations.jsonl``, oldest first, in one step; what does not fit is a `RunError`."""
    _checked_evaluations(folder / EVALUATIONS, rows)
    _write_lines(folder / EVALUATIONS, rows)


def read_evaluations(folder: Path) -> list[dict[str, Any]]:
    """The evaluations of a run, oldest first; a `RunError` names the first line at fault."""
    return _checked_evaluations(folder / EVALUATIONS, _read_lines(folder / EVALUATIONS))


def write_episodes(folder: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write ``episodes.jsonl`` in one step; a `RunError` tells of a row that cannot be true."""
    kept = list(rows)
    _checked_episodes(folder / EPISODES, kept)
    _write_lines(folder / EPISODES, kept)


def read_episodes(folder: Path) -> list[dict[str, Any]]:
    """The final evaluation, a row an episode; a `RunError` names the first line at fault."""
    return _checked_episodes(folder / EPISODES, _read_lines(folder / EPISODES))


def write_losses(
    folder: Path, rows: Sequence[Mapping[str, float]], *, names: Sequence[str]
) -> None:
    """Write ``losses.csv`` in one step, with columns of these names."""
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, names)
    writer.writeheader()
    writer.writerows(rows)
    replace_file(folder / LOSSES, table.getvalue().encode())


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of what a comparison reads of a run."""
    return {
        name: digest(folder / name)
        for name in (RECORD, EVALUATIONS, EPISODES)
        if (folder / name).is_file()
    }


def _checked_evaluations(path: Path, rows: Sequence[Row]) -> list[dict[str, Any]]:
    last = -1
    kept: list[dict[str, Any]] = []
    for number, row in enumerate(rows, start=1):
        where = f"{path}:{number}"
        fit_row(row, Evaluation, f"{where}: $")
        evaluation = dict(row)
        kept.append(evaluation)
        _check_parts(evaluation, kept[0], where=where)
        if evaluation["steps"] <= last:
            raise RunError(
                f"{where}: expected more than {last} steps, got {evaluation['steps']}; "
                "evaluations stand in the order of training"
            )
        last = evaluation["steps"]
    return kept


def _check_parts(row: Row, first: Row, *, where: str) -> None:
    """The measures of an evaluation are those of its scenarios, which all evaluations play."""
    parts, measures = row["by_scenario"], measures_of(first)
    for name, part in parts.items():
        _check_keys(part, {"episodes", *measures}, f"{where}: $.by_scenario.{name}")
        for measure in rates_of(first):
            fit(part[measure], Share, f"{where}: $.by_scenario.{name}.{measure}", RunError)
    _check_keys({it: row[it] for it in measures_of(row)}, set(measures), f"{where}: $")
    if set(parts) != set(first["by_scenario"]):
        odd = sorted(set(parts) ^ set(first["by_scenario"]))[0]
        raise RunError(
            f"{where}: expected the scenarios of the first line, got {odd!r} in one of the two; "
            "restore the file or train again"
        )
    count = sum(part["episodes"] for part in parts.values())
    for rate in measures:
        mean = sum(part["episodes"] * part[rate] for part in parts.values()) / max(count, 1)
        if parts and abs(mean - row[rate]) > 1e-6 * max(1.0, abs(mean)):
            raise RunError(
                f"{where}: expected a {rate} of {mean:.6f}, the mean over its scenarios, got "
                f"{row[rate]:.6f}; restore the file or train again"
            )


def _check_keys(part: Row, wanted: set[str], where: str) -> None:
    for key in sorted(set(part) ^ wanted):
        said = f"{key!r}, got none; add it"
        if key not in wanted:
            said = f"s among {sorted(wanted)}, got {key!r}; remove or rename it"
        raise RunError(f"{where}: expected key {said}".replace("key s", "keys"))


def _checked_episodes(path: Path, rows: Iterable[Row]) -> list[dict[str, Any]]:
    kept: dict[tuple[str, int], dict[str, Any]] = {}
    known: tuple[set[str], set[str]] | None = None
    for number, row in enumerate(rows, start=1):
        where = f"{path}:{number}"
        rates = fit_row(row, EpisodeRow, f"{where}: $", bool)
        episode = dict(row)
        known = known or (set(rates), set(row["metrics"]))
        _check_keys({rate: row[rate] for rate in rates}, known[0], f"{where}: $")
        _check_keys(row["metrics"], known[1], f"{where}: $.metrics")
        _check_outcome(episode, rates, where=f"{where}: $")
        key = episode["scenario"], episode["seed"]
        if key in kept:
            raise RunError(f"{where}: expected each episode once, got {key} again")
        kept[key] = episode
    return list(kept.values())


def _check_outcome(row: Row, rates: Sequence[str], *, where: str) -> None:
    """Success means that the outcome is one, a failure that the outcome names it."""
    metrics, outcome = row["metrics"], row["outcome"]
    for rate in rates:
        holds = outcome in REACHED if rate == SUCCESS else rate in outcome
        for place, got in ((rate, row[rate]), (f"metrics.{rate}", metrics.get(rate))):
            if got != holds:
                raise RunError(
                    f"{where}.{place}: expected {holds:d} for outcome {outcome!r}, got {got}"
                )


def _write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    lines = [json.dumps(row, sort_keys=True, allow_nan=False) + "\n" for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, "".join(lines).encode())


def _read_lines(path: Path) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(read_file(path).splitlines(), start=1):
        try:
            rows.append(parse_json(line, f"{path}:{number}"))
        except CorruptionError as error:
            raise RunError(f"{path}:{number}: expected a JSON object, got {line[:60]!r}") from error
    return rows
