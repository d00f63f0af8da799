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
from trajstore.playback.channels import (
    channels_of,
    charts_of,
    drawn_fields,
    more_channels,
    pack,
)
from trajstore.playback.pictures import is_picture
from trajstore.playback.table import fields_of, is_listed
from trajstore.playback.viewed import Seen, Viewed
from trajstore.quality.records import ReplayReport
from trajstore.version.statistics import FieldStatistics

ASKED = "rgb_array"
"""The render mode that gives frames; an environment made in another has none to give."""
BUDGET_BYTES = 13_000_000
"""Packed numbers and frames of a page; what goes beyond it is left out, and the page says so."""
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
        reference: what a user types to open it.
        marks: of episodes, as files of marks have them, which the page begins with.
    """

    name: str
    version: str = ""
    status: str = ""
    reasons: tuple[str, ...] = ()
    replay: ReplayReport | None = None
    reviews: tuple[str, ...] = ()
    reference: str = ""
    marks: tuple[Mapping[str, Any], ...] = ()


@dataclass(slots=True)
class Side:
    """One dataset of a page.

    Attributes:
        record: what the page knows of it, plain JSON values.
        numbers: packed channels by index of the episode.
        more: those that are not shown until they are picked, likewise.
        frames: rendered pictures by index of the episode, as data URLs.
        films: recorded pictures by index of the episode and by camera, as data URLs.
    """

    record: dict[str, Any]
    numbers: dict[int, str] = field(default_factory=dict)
    more: dict[int, str] = field(default_factory=dict)
    frames: dict[int, list[str]] = field(default_factory=dict)
    films: dict[int, dict[str, list[str]]] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """What numbers and pictures take in the page."""
        films = [urls for film in self.films.values() for urls in film.values()]
        pictures = [url for urls in (*self.frames.values(), *films) for url in urls]
        return sum(map(len, (*self.numbers.values(), *self.more.values(), *pictures)))

    def open_one(self, index: object) -> str:
        """The command that opens one episode."""
        return f"trajstore play {self.record['reference'] or 'REF'} --episode {index}"


def build(
    viewed: Viewed,
    about: About,
    chosen: Sequence[int],
    *,
    room: int = BUDGET_BYTES,
    progress: Progress = iter,
) -> Side:
    """The chosen episodes of a dataset, by ascending index, in ``room`` bytes of a page."""
    schema, statistics = viewed.manifest.schema, viewed.manifest.statistics
    channels, more = channels_of(schema, statistics), more_channels(schema, statistics)
    measured: dict[str, FieldStatistics] = {}
    side = Side({})
    rows = []
    for index in progress(chosen):
        seen = viewed.see(index)
        row = episode_record(viewed, about, index, seen)
        _measure(measured, schema, seen.arrays)
        for packed, some in ((side.numbers, channels), (side.more, more)):
            if any(channel.name in seen.arrays for channel in some):
                packed[index] = pack(seen.arrays, some, row["steps"])
        rows.append(row)
    whole = len(chosen) == len(viewed) and not viewed.faults
    found = {name: one.to_json() for name, one in measured.items()}
    side.record = dataset_record(viewed, about) | {
        "episodes": rows,
        "fields": fields_of(viewed, rows),
        "whole": whole,
        "left_out": [*_left_out(len(viewed), len(chosen)), *_not_drawn(schema)],
        "statistics": evidence.compare_statistics(statistics, found, whole=whole),
    }
    _fit(side, rows, room)
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
        "film": None,
    }


def episode_record(viewed: Viewed, about: About, index: int, seen: Seen) -> dict[str, Any]:
    """The row of an episode that was read."""
    replay = _fitting(viewed, about)
    return _episode(viewed, index, seen) | {"replay": replay and _replay_of(index, replay)}


def dataset_record(viewed: Viewed, about: About) -> dict[str, Any]:
    """What a page says of a dataset as a whole, before any episode is read."""
    manifest, replay = viewed.manifest, _fitting(viewed, about)
    schema, statistics = manifest.schema, manifest.statistics
    channels, more = channels_of(schema, statistics), more_channels(schema, statistics)
    return asdict(about) | {
        "notices": [["bad", text] for text in _notices(viewed, about)] + _told(viewed),
        "replay": replay and _replay(replay),
        "left_out": _not_drawn(schema),
        "whole": False,
        "statistics": evidence.compare_statistics(statistics, {}, whole=False),
        "episodes_total": manifest.episodes,
        "steps_total": manifest.steps,
        "scenarios": dict(manifest.scenario_counts),
        "provenance": dict(manifest.provenance) | {"content_digest": manifest.content_digest},
        "channels": msgspec.to_builtins(channels),
        "more": msgspec.to_builtins(more),
        "charts": charts_of(channels, more, {it.name: it.unit for it in manifest.schema.fields}),
        "scene": "pose" in manifest.schema.roles,
        "dt": viewed.dt,
        "radius": dict(zip(("agent", "others"), viewed.radii, strict=True)),
    }


def _fitting(viewed: Viewed, about: About) -> ReplayReport | None:
    """The replay report, if it is of this content."""
    found = about.replay
    return found if found and found.content_digest == viewed.manifest.content_digest else None


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


def _left_out(total: int, chosen: int) -> list[str]:
    if total == chosen:
        return []
    return [
        f"{total - chosen:,} of {total:,} episodes are not in this page: it holds those with the "
        "highest anomaly scores and others spread evenly over the scenarios; --limit sets how "
        "many, --episode opens a certain one."
    ]


def _not_drawn(schema: EpisodeSchema) -> list[str]:
    """Fields of which nothing is shown."""
    shown = {spec.name for spec in drawn_fields(schema)} | set(schema.roles.values())
    rest = [
        f"{spec.name} ({spec.dtype} {'x'.join(map(str, spec.shape)) or 'a row'})"
        for spec in schema.fields
        if spec.name not in shown and not is_picture(spec)
        if spec.axis is not Axis.EPISODE or not is_listed(spec)
    ]
    if not rest:
        return []
    names = f"{', '.join(rest[:12])}{' and others' if len(rest) > 12 else ''}"
    return [f"No chart or list shows {names}; read them with Dataset.open(...).column(name)."]


def _fit(side: Side, rows: Sequence[dict[str, Any]], room: int) -> None:
    """Leave out numbers of the plainest episodes until a page has room for the rest, in bytes."""
    worst = sorted(rows, key=lambda row: -row["score"])
    for row in worst:
        room -= len(side.numbers.get(row["index"], ""))
        if room < 0:
            side.numbers.pop(row["index"], None)
            command = side.open_one(row["index"])
            row["error"] = f"Left out so that the page stays small; open it with {command}."
    room = max(room, 0)
    for row in worst:
        size = len(side.more.get(row["index"], ""))
        if size > room:
            del side.more[row["index"]]
        else:
            room -= size
    without = [row for row in rows if row["index"] not in side.more and side.record["more"]]
    if without:
        fewer = f"Charts that are off at first are not in this page for {len(without):,} of "
        side.record["left_out"].append(
            f"{fewer}{len(rows):,} episodes, so that it stays small; open one with "
            f"{side.open_one('N')}."
        )


def _measure(
    measured: dict[str, FieldStatistics], schema: EpisodeSchema, arrays: Mapping[str, np.ndarray]
) -> None:
    for spec in schema.fields:
        if spec.name in arrays and not spec.is_text:
            rows = arrays[spec.name]
            figures = measured.setdefault(spec.name, FieldStatistics(spec))
            figures.add(rows[None] if spec.axis is Axis.EPISODE else rows)
