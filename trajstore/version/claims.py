"""What a manifest claims, compared with what it lists and with its schema.

Whoever reads a version relies on these: counts have files, figures have the shape of their field.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import convert

from trajstore.disk.json_text import MAX_JSON_BYTES, check_json_size
from trajstore.episode.anomalies import Anomaly
from trajstore.episode.schema import EpisodeSchema
from trajstore.episode.texts import check_text, shown
from trajstore.errors import CorruptionError, QuotaExceededError, SchemaError
from trajstore.version.layout import Part, arrays_of
from trajstore.version.quantiles import QUANTILES
from trajstore.version.statistics import CAMERA, CAMERA_FIGURES

Findings = tuple[Mapping[str, Any], ...]
MAX_FINDINGS = 60_000
"""Anomalies that a manifest names at most."""
SCENARIO = "scenario"
"""The field of text whose words are counted."""

_MOMENTS = ("mean", "std", "min", "max")
_FIGURES = {"count", *_MOMENTS, "quantiles"}
_BEYOND = "outside"
_LEVELS = {f"{level:g}" for level in QUANTILES}
_NUMBER = float | int | None
_MARK = {"kind", "first", "last", "message", "score"}


def check_parts(schema: EpisodeSchema, parts: Sequence[Part], files: int) -> None:
    """Refuse parts of other names, of no episodes, or of other rows than ``files`` could hold."""
    claimed = known = 0
    for number, part in enumerate(parts):
        path = f"parts/{number}" if number else ""
        if part.path != path:
            raise SchemaError(f"parts: expected the path {path!r}, got {shown(part.path)}")
        if not (0 < part.episodes <= part.steps < 2**56 and part.fits):
            raise SchemaError(f"expected a part of episodes and their steps, got {shown(part)}")
        arrays = arrays_of(schema, part).values()
        claimed += sum(spec.file_count for spec in arrays)
        known += sum(2 + spec.path.count("/") for spec in arrays)  # metadata, of groups above too
        if claimed > files:
            raise SchemaError(
                f"files: expected at least {claimed:,}, for {part.episodes:,} episodes of "
                f"{part.steps:,} steps, got {files:,}"
            )
    if not parts:
        raise SchemaError("parts: expected at least one, got none")
    if files > claimed + known:
        raise SchemaError(
            f"files: expected at most {claimed + known:,} of its parts, got {files:,}"
        )


def check_figures(schema: EpisodeSchema, statistics: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse statistics that `trajstore.version.statistics` could not have made of the schema."""
    for name, figures in statistics.items():
        spec = schema.field(name)
        shape = spec.shape if spec.is_narrow else ()
        levels = figures.get("quantiles", {})
        known = _FIGURES if spec.strict else {*_FIGURES, _BEYOND}
        known = known if spec.codec is None else {*known, CAMERA}
        named = figures.keys() <= known and isinstance(levels, dict) and levels.keys() <= _LEVELS
        several = [figures[moment] for moment in _MOMENTS if moment in figures]
        if (
            spec.is_text
            or not named
            or not _has_shape(figures.get(_BEYOND, 0), (), int)
            or not _is_camera(figures.get(CAMERA))
            or not _has_shape(figures.get("count", 0), shape if "count" in figures else (), int)
            or not all(_has_shape(it, shape, _NUMBER) for it in [*several, *levels.values()])
        ):
            raise SchemaError(
                f"statistics of {name!r}: expected numbers of shape {shape} for "
                f"{', '.join(sorted(known))}, got {shown(figures)}"
            )


def _is_camera(figures: object) -> bool:
    """Whether figures of what a codec made are whole numbers, or not there."""
    if figures is None:
        return True
    named = isinstance(figures, dict) and figures.keys() == {*CAMERA_FIGURES}
    return named and all(type(it) is int and 0 <= it < 2**63 for it in figures.values())  # type: ignore[attr-defined]


def _has_shape(values: object, shape: tuple[int, ...], kind: Any) -> bool:  # noqa: ANN401 - a type
    """Whether nested lists have a shape, and hold nothing but numbers that a field can have."""
    level: list[Any] = [values]
    for size in shape:
        if not all(isinstance(row, list) and len(row) == size for row in level):
            return False
        level = [item for row in level for item in row]
    return all(
        isinstance(item, kind)
        and not isinstance(item, bool)
        and abs(item or 0) <= sys.float_info.max
        for item in level
    )


def check_words(
    schema: EpisodeSchema,
    vocabularies: Mapping[str, Sequence[str]],
    scenarios: Mapping[str, int],
    parts: Sequence[Part],
) -> None:
    """Refuse words of other fields, and counts of scenarios that the episodes cannot have."""
    episodes = sum(part.episodes for part in parts)
    for name, words in vocabularies.items():
        spec = schema.field(name)
        rows = sum(part.rows(spec.axis) for part in parts) * math.prod(spec.shape)
        if not spec.is_text or len(words) > rows:
            raise SchemaError(
                f"vocabulary of {name!r}: expected a field of text and at most {rows:,} words, "
                f"got {len(words):,}"
            )
        for word in words:
            check_text(f"vocabulary of {name!r}", word)
    known = set(vocabularies.get(SCENARIO, ()))
    for word, count in scenarios.items():
        if word not in known or not 0 <= count <= episodes:
            raise SchemaError(
                f"scenario_counts: expected words of the field {SCENARIO!r} and at most "
                f"{episodes:,} episodes, got {shown(word)}: {shown(count)}"
            )


def check_anomalies(anomalies: Mapping[int, Sequence[Mapping[str, Any]]], episodes: int) -> None:
    """Refuse findings of episodes that there are not, or that no detector could have made."""
    for index, found in anomalies.items():
        if not 0 <= index < episodes or not found:
            raise SchemaError(
                f"anomalies: expected some of episodes 0 to {episodes - 1}, got {shown(index)}"
            )
        for record in found:
            mark = convert(record, Anomaly)
            fits = 0 <= mark.first <= mark.last < 2**56 and math.isfinite(mark.score)
            if record.keys() != _MARK or not fits:
                raise SchemaError(
                    f"anomalies of episode {index}: expected steps and a score, got {shown(record)}"
                )


def check_readable(content: bytes) -> None:
    """Refuse to seal a manifest that is larger than what is read back."""
    try:
        check_json_size(content, "manifest")
        wrong = f"{len(content):,} bytes" if len(content) > MAX_JSON_BYTES else ""
    except CorruptionError as error:
        wrong = str(error)
    if wrong:
        raise QuotaExceededError(
            f"manifest: would be larger than {MAX_JSON_BYTES:,} bytes ({wrong}); record fewer "
            "episodes into a version, or fewer different texts"
        )


def worst(found: Mapping[int, Findings]) -> dict[int, Findings]:
    """Findings of the episodes with the highest scores: as many as a manifest has room for.

    The scores of all episodes stand in ``index/anomaly``.
    """
    kept: dict[int, Findings] = {}
    room = MAX_FINDINGS
    for index, marks in sorted(found.items(), key=lambda it: -max(m["score"] for m in it[1])):
        room -= len(marks)
        if room < 0:
            break
        kept[index] = marks
    return dict(sorted(kept.items()))
