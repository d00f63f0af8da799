"""Datasets as what a page holds: one JSON record, and the packed numbers of each episode."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec
import numpy as np

from trajstore.episode.schema import Axis, EpisodeSchema
from trajstore.playback import evidence
from trajstore.playback.channels import Channel, channels_of, charts_of, pack
from trajstore.playback.view import finite_rows
from trajstore.playback.viewed import Seen, Viewed
from trajstore.quality.records import ReplayReport
from trajstore.version.statistics import FieldStatistics

BUDGET_BYTES = 13_000_000
"""Packed numbers and frames of a page; what goes beyond it is left out, and the page says so."""
MARKS = 200
"""Anomalies of one episode that a page lists."""

Progress = Callable[[Iterable[int]], Iterable[int]]
"""Passes indices through and shows how far it is."""


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a version beyond what lies in its folder.

    Attributes:
        name: of the dataset.
        version: such as ``v3``; empty for a folder outside a store.
        status: draft, validated or quarantined; empty if it was never judged.
        reasons: why it has that status.
        replay: the report of a replay verification; ``None`` if there was none.
        reviews: what people decided and why, newest first.
    """

    name: str
    version: str = ""
    status: str = ""
    reasons: tuple[str, ...] = ()
    replay: ReplayReport | None = None
    reviews: tuple[str, ...] = ()


@dataclass(slots=True)
class Side:
    """One dataset of a page.

    Attributes:
        record: what the page knows of it, plain JSON values.
        numbers: packed channels by index of the episode.
        frames: pictures by index of the episode, as data URLs.
    """

    record: dict[str, Any]
    numbers: dict[int, str] = field(default_factory=dict)
    frames: dict[int, list[str]] = field(default_factory=dict)


def build(
    viewed: Viewed, about: About, chosen: Sequence[int], *, progress: Progress = iter
) -> Side:
    """Return the chosen episodes of a dataset, ready for a page.

    Args:
        viewed: the version.
        about: names, status and replay report.
        chosen: indices of episodes, ascending.
        progress: told about every episode.
    """
    manifest, replay = viewed.manifest, about.replay
    if replay is not None and replay.content_digest != manifest.content_digest:
        replay = None
    channels = channels_of(manifest.schema, manifest.statistics)
    measured: dict[str, FieldStatistics] = {}
    side = Side({})
    rows = []
    for index in progress(chosen):
        seen = viewed.see(index)
        row = _episode(viewed, index, seen) | {"replay": _replay_of(index, replay)}
        _measure(measured, manifest.schema, seen.arrays)
        if any(channel.name in seen.arrays for channel in channels):
            side.numbers[index] = pack(seen.arrays, channels, row["steps"])
        rows.append(row)
    _fit(side, rows)
    whole = len(chosen) == len(viewed) and not viewed.faults
    side.record = _dataset(viewed, about, channels) | {
        "replay": None if replay is None else _replay(replay),
        "episodes": rows,
        "whole": whole,
        "left_out": _left_out(len(viewed), len(chosen)),
        "statistics": evidence.compare_statistics(
            manifest.statistics,
            {name: one.to_json() for name, one in measured.items()},
            whole=whole,
        ),
    }
    return side


def plain(value: Any) -> Any:  # noqa: ANN401 - JSON is what it is
    """The value with NumPy's numbers made plain, and numbers that JSON lacks made ``None``."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _episode(viewed: Viewed, index: int, seen: Seen) -> dict[str, Any]:
    table = {name: column[index] for name, column in viewed.table.items()}
    arrays, steps, (scenario, outcome) = seen.arrays, int(table["length"]), viewed.words(index)
    clearance, goal = seen.scene.get("clearance"), finite_rows(seen.scene, "goal", 2)
    return {
        "index": index,
        "steps": steps,
        "scenario": scenario,
        "seed": int(table["seed"]) if "seed" in table else None,
        "outcome": outcome or _ending(arrays),
        "score": float(table.get("anomaly", 0.0)),
        "return": _total(arrays),
        "min_clearance": None if clearance is None else float(clearance.min()),
        "anomalies": seen.marks[:MARKS],
        "goal": goal.round(3).tolist()[0] if len(goal) else None,
        "walls": finite_rows(seen.scene, "walls", 4).round(3).tolist(),
        "facts": evidence.facts(seen, viewed.manifest.schema, table),
        "digest": str(table.get("digest", "")),
        "error": None if arrays else "The fields of this episode cannot be read.",
        "frames": None,
    }


def _dataset(viewed: Viewed, about: About, channels: Sequence[Channel]) -> dict[str, Any]:
    manifest = viewed.manifest
    return asdict(about) | {
        "episodes_total": manifest.episodes,
        "steps_total": manifest.steps,
        "scenarios": dict(manifest.scenario_counts),
        "provenance": dict(manifest.provenance) | {"content_digest": manifest.content_digest},
        "channels": msgspec.to_builtins(channels),
        "charts": charts_of(channels, {spec.name: spec.unit for spec in manifest.schema.fields}),
        "scene": "pose" in manifest.schema.roles,
        "dt": viewed.dt,
        "radius": dict(zip(("agent", "others"), viewed.radii, strict=True)),
        "notices": [["bad", text] for text in _notices(viewed, about)],
    }


def _notices(viewed: Viewed, about: About) -> list[str]:
    found = [
        f"{'episodes' if not name else f'field {name}'}: {message}"
        for name, message in viewed.faults.items()
        if name or list(viewed.faults.values()).count(message) == 1
    ]
    if about.status == "quarantined":
        why = "; ".join(about.reviews[:1] or about.reasons) or "no reason given"
        found.append(f"Quarantined, not for training: {why}")
    digest = viewed.manifest.content_digest
    if about.replay is not None and about.replay.content_digest != digest:
        found.append("The replay report beside this version is about other content; replay again.")
    return found


def _replay(report: ReplayReport) -> dict[str, Any]:
    record = report.to_json()
    keys = ("checked", "equal", "words", "sentence", "first_difference")
    return {key: record[key] for key in keys} | {"ok": report.ok}


def _replay_of(index: int, report: ReplayReport | None) -> dict[str, Any] | None:
    if report is None or index not in report.episodes:
        return None
    for difference in report.differences:
        if difference.episode == index:
            return {"equal": False, **asdict(difference)}
    return {"equal": True, "words": report.words}


def _left_out(total: int, chosen: int) -> str | None:
    if total == chosen:
        return None
    return (
        f"{total - chosen:,} of {total:,} episodes are not in this page: it holds those with the "
        "highest anomaly scores and others spread evenly over the scenarios; --limit sets how "
        "many, --episode opens a certain one."
    )


def _fit(side: Side, rows: list[dict[str, Any]]) -> None:
    """Leave out the numbers of the plainest episodes until the rest fits a page."""
    room = BUDGET_BYTES
    for row in sorted(rows, key=lambda row: -row["score"]):
        room -= len(side.numbers.get(row["index"], ""))
        if room < 0:
            side.numbers.pop(row["index"], None)
            row["error"] = "Left out so that the page stays small; open it with --episode."


def _measure(
    measured: dict[str, FieldStatistics], schema: EpisodeSchema, arrays: Mapping[str, np.ndarray]
) -> None:
    for spec in schema.fields:
        if spec.name in arrays and not spec.is_text:
            rows = arrays[spec.name]
            figures = measured.setdefault(spec.name, FieldStatistics(spec))
            figures.add(rows[None] if spec.axis is Axis.EPISODE else rows)


def _total(arrays: Mapping[str, np.ndarray]) -> float | None:
    return round(float(arrays["reward"].sum(dtype=np.float64)), 6) if "reward" in arrays else None


def _ending(arrays: Mapping[str, np.ndarray]) -> str:
    ended = arrays.get("terminated")
    return "" if ended is None else "terminated" if bool(ended[-1]) else "truncated"
