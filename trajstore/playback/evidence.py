"""What was recorded beside what is found again: totals, anomaly scores, digests, statistics."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from trajstore.episode.anomalies import Anomaly, score, totals
from trajstore.episode.schema import EpisodeSchema
from trajstore.playback.viewed import Seen

MOMENTS = ("count", "mean", "std", "min", "max")
COMPONENTS = 12
"""Components of a vector field that are listed, besides those that differ."""
CLOSE = 1e-4

Figures = Mapping[str, Any]
"""Moments of a field, or of one component, by name."""


def facts(seen: Seen, schema: EpisodeSchema, row: Mapping[str, Any]) -> list[dict[str, object]]:
    """What an episode carries beside what it comes to now: totals, anomaly score, digest.

    Args:
        seen: the episode, as far as it can be read.
        schema: of the episode.
        row: its row of the dataset's table.
    """
    length, sealed = int(row["length"]), str(row.get("digest", ""))
    rows = [_fact("length", length, len(seen.arrays.get("terminated", range(length))))]
    rows += [_fact(*total) for total in totals(schema, seen.arrays)]
    if seen.episode is None:
        return [*rows, _fact("digest", sealed[:8] or "unreadable", "cannot be read")]
    if "anomaly" in row:
        found = score([Anomaly(**mark) for mark in seen.marks])
        rows.append(_fact("anomaly score", float(row["anomaly"]), found))
    if "digest" in row:
        now = seen.episode.digest
        short = 8 if sealed[:8] != now[:8] or sealed == now else len(sealed)
        rows.append(_fact("digest", sealed[:short], now[:short]))
    return rows


def compare_statistics(
    recorded: Mapping[str, Figures], recomputed: Mapping[str, Figures], *, whole: bool
) -> list[dict[str, object]]:
    """Rows of the statistics table, one a component.

    Args:
        recorded: of the manifest, by field.
        recomputed: over the episodes that were read.
        whole: whether those are all episodes; of a part only the range can be judged.
    """
    return [
        row
        for field, figures in recorded.items()
        for place, row in enumerate(_rows(field, figures, recomputed.get(field, {}), whole))
        if place < COMPONENTS or row["differs"]
    ]


def _rows(
    field: str, recorded: Figures, recomputed: Figures, whole: bool
) -> Iterator[dict[str, object]]:
    one, other = (
        {key: np.asarray(figures[key], object).ravel() for key in MOMENTS if key in figures}
        for figures in (recorded, recomputed)
    )
    count = max((len(values) for values in one.values()), default=0)
    for place in range(count):
        left, right = _at(one, place), _at(other, place)
        keys = [key for key in MOMENTS if key in left and key in right]
        if not whole:
            keys = [key for key in keys if key in ("min", "max")]
        fits = _same if whole else _within
        yield {
            "field": f"{field}[{place}]" if count > 1 else field,
            "recorded": left,
            "recomputed": right,
            "differs": [key for key in keys if not fits(key, left[key], right[key])],
        }


def _at(columns: Mapping[str, np.ndarray], place: int) -> dict[str, Any]:
    return {
        key: values[place if len(values) > 1 else 0]
        for key, values in columns.items()
        if place < len(values) or len(values) == 1
    }


def _within(key: str, limit: Any, value: Any) -> bool:  # noqa: ANN401 - a number or None
    if limit is None or value is None:
        return limit is not None or value is None
    return bool(value >= limit if key == "min" else value <= limit)


def _same(key: str, one: object, other: object) -> bool:
    del key
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return bool(np.isclose(one, other, rtol=1e-9, atol=1e-12))
    return one == other


def _fact(name: str, recorded: float | str, recomputed: float | str) -> dict[str, object]:
    if isinstance(recorded, str) or isinstance(recomputed, str):
        differs = recorded != recomputed
    else:
        differs = not np.isclose(recorded, recomputed, rtol=CLOSE, atol=CLOSE)
    return {"name": name, "recorded": recorded, "recomputed": recomputed, "differs": bool(differs)}
