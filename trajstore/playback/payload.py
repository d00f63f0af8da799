"""What a page holds of a dataset: one JSON record, and the packed numbers of chosen episodes."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec
import numpy as np

from trajstore.episode.schema import Axis, EpisodeSchema
from trajstore.playback import evidence
from trajstore.playback.camera import finite_rows
from trajstore.playback.channels import Channel, channels_of, charts_of, pack
from trajstore.playback.viewed import Seen, Viewed
from trajstore.quality.records import ReplayReport
from trajstore.version.statistics import FieldStatistics

BUDGET_BYTES = 13_000_000
"""Packed numbers and frames of a page; what goes beyond it is left out, and the page says so."""
LIMIT = 400
"""Episodes of a page, unless more are asked for."""
MARKS = 200
"""Anomalies of one episode that a page lists."""

Progress = Callable[[Iterable[Any]], Iterable[Any]]
"""Passes items through and shows how far it is."""


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a version beyond what lies in its folder.

    Attributes:
        version: such as ``v3``; empty for a folder outside a store.
        status: draft, validated or quarantined; empty if it was never judged.
        reasons: why it has that status.
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
    """The chosen episodes of a dataset, by ascending index, ready for a page."""
    manifest, replay = viewed.manifest, about.replay
    if replay is not None and replay.content_digest != manifest.content_digest:
        replay = None
    channels = channels_of(manifest.schema, manifest.statistics)
    measured: dict[str, FieldStatistics] = {}
    side = Side({})
    rows = []
    for index in progress(chosen):
        seen = viewed.see(index)
        row = _episode(viewed, index, seen) | {"replay": replay and _replay_of(index, replay)}
        _measure(measured, manifest.schema, seen.arrays)
        if any(channel.name in seen.arrays for channel in channels):
            side.numbers[index] = pack(seen.arrays, channels, row["steps"])
        rows.append(row)
    _fit(side, rows)
    whole = len(chosen) == len(viewed) and not viewed.faults
    found = {name: one.to_json() for name, one in measured.items()}
    side.record = _dataset(viewed, about, channels) | {
        "replay": replay and _replay(replay),
        "episodes": rows,
        "whole": whole,
        "left_out": _left_out(len(viewed), len(chosen)),
        "statistics": evidence.compare_statistics(manifest.statistics, found, whole=whole),
    }
    return side


def plain(value: Any) -> Any:  # noqa: ANN401 - JSON is what it is
    """The value with NumPy's numbers made plain, and numbers that JSON lacks made ``None``."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _episode(viewed: Viewed, index: int, seen: Seen) -> dict[str, Any]:
    table = {name: column[index] for name, column in viewed.table.items()}
    arrays, (scenario, outcome) = seen.arrays, viewed.words(index)
    clearance, goal = seen.scene.get("clearance"), finite_rows(seen.scene.get("goal", ()), 2)
    reward, ended = arrays.get("reward"), arrays.get("terminated")
    if not outcome and ended is not None:
        outcome = "terminated" if ended[-1] else "truncated"
    return {
        "index": index,
        "steps": int(table["length"]),
        "scenario": scenario,
        "seed": int(table["seed"]) if "seed" in table else None,
        "outcome": outcome,
        "score": float(table.get("anomaly", 0.0)),
        "return": None if reward is None else round(float(reward.sum(dtype=np.float64)), 6),
        "min_clearance": None if clearance is None else float(clearance.min()),
        "anomalies": seen.marks[:MARKS],
        "goal": goal.round(3).tolist()[0] if len(goal) else None,
        "walls": finite_rows(seen.scene.get("walls", ()), 4).round(3).tolist(),
        "facts": evidence.facts(seen, viewed.manifest.schema, table, viewed.unfit),
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
        "notices": [["bad", text] for text in _notices(viewed, about)] + _told(viewed),
    }


def _told(viewed: Viewed) -> list[list[str]]:
    return [["", text] for text in viewed.left_aside] + [
        ["", f"{kind} flags {count} of {len(viewed)} episodes: unfit for it, does not score."]
        for kind, count in viewed.unfit.items()
    ]


def _notices(viewed: Viewed, about: About) -> list[str]:
    found = [
        f"{'episodes' if not name else f'field {name}'}: {message}"
        for name, message in viewed.faults.items()
        if name or list(viewed.faults.values()).count(message) == 1
    ]
    if about.status == "quarantined":
        forbidden = [it for it in about.reviews[:1] if it.startswith(about.status)]
        why = "; ".join(forbidden or about.reasons) or "no reason given"
        found.append(f"Quarantined, not for training: {why}")
    digest = viewed.manifest.content_digest
    if about.replay is not None and about.replay.content_digest != digest:
        found.append("The replay report beside this version is about other content; replay again.")
    return found


def _replay(report: ReplayReport) -> dict[str, Any]:
    record = report.to_json()
    keys = ("checked", "equal", "words", "sentence", "first_difference")
    return {key: record[key] for key in keys} | {"ok": report.ok}


def _replay_of(index: int, report: ReplayReport) -> dict[str, Any] | None:
    if index not in report.episodes:
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


def choose(scores: np.ndarray, scenarios: Sequence[str], *, limit: int) -> list[int]:
    """Indices of at most ``limit`` episodes (at least 1), in order, by their anomaly scores.

    Half of them are those with the highest scores, the other half is spread evenly over the
    scenarios and, within a scenario, over the order of recording.

    Example:
        >>> choose(np.array([0.0, 3.0, 0.0, 0.0, 1.0, 0.0]), list("aaaabb"), limit=4)
        [0, 1, 4, 5]
    """
    count = len(scores)
    if count <= limit:
        return list(range(count))
    worst = [int(index) for index in np.argsort(-scores, kind="stable") if scores[index] > 0]
    chosen = set(worst[: (limit + 1) // 2])
    rest: dict[str, list[int]] = {}
    for index in range(count):
        if index not in chosen:
            rest.setdefault(str(scenarios[index]), []).append(index)
    queues = [_spread(indices) for _, indices in sorted(rest.items())]
    while len(chosen) < limit:
        for queue in queues:
            if queue and len(chosen) < limit:
                chosen.add(queue.pop())
    return sorted(chosen)


def match(
    first: Sequence[tuple[str, int]], second: Sequence[tuple[str, int]]
) -> list[tuple[int, int]]:
    """Positions of episodes that belong side by side: same scenario and seed, once each.

    Example:
        >>> match([("a", 1), ("a", 2), ("b", 1)], [("b", 1), ("a", 1), ("c", 9)])
        [(0, 1), (2, 0)]
    """
    places: dict[tuple[str, int], int] = {}
    for position, key in enumerate(second):
        places.setdefault(key, position)
    return [(position, places.pop(key)) for position, key in enumerate(first) if key in places]


def _spread(indices: list[int]) -> list[int]:
    """The same indices, to be taken from the end, so that any number of them lies far apart."""
    bits = max(1, (len(indices) - 1).bit_length())
    order = sorted(range(len(indices)), key=lambda place: format(place, f"0{bits}b")[::-1])
    return [indices[place] for place in reversed(order)]
