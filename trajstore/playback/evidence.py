"""What was recorded beside what is found again: totals, anomaly scores, digests, statistics."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from trajstore.episode.anomalies import DETECTORS, Anomaly, score, totals
from trajstore.episode.schema import EpisodeSchema
from trajstore.playback.viewed import Seen

ENDS = ("min", "max")
MOMENTS = ("count", "mean", "std", *ENDS)
COMPONENTS = 12
"""Components of a vector field that are listed, besides those that differ."""
CLOSE = 1e-4

Figures = Mapping[str, Any]
"""Moments of a field, or of one component, by name."""


def facts(
    seen: Seen, schema: EpisodeSchema, row: Mapping[str, Any], unfit: Iterable[str] = ()
) -> list[dict[str, object]]:
    """What an episode's row of the table holds beside what the episode comes to now.

    Detectors that are ``unfit``, or of other packages, do not score.
    """
    length, sealed = int(row["length"]), str(row.get("digest", ""))
    rows = [_fact("length", length, len(seen.arrays.get("terminated", range(length))))]
    rows += [_fact(*total) for total in totals(schema, seen.arrays)]
    if seen.episode is None:
        return [*rows, _fact("digest", sealed[:8] or "unreadable", "cannot be read")]
    if "anomaly" in row:
        scoring = DETECTORS.keys() - set(unfit)
        found = score([Anomaly(**mark) for mark in seen.marks if mark["kind"] in scoring])
        rows.append(_fact("anomaly score", float(row["anomaly"]), found))
    if "digest" in row:
        now = seen.episode.digest
        short = 8 if sealed[:8] != now[:8] or sealed == now else len(sealed)
        rows.append(_fact("digest", sealed[:short], now[:short]))
    return rows


def compare_statistics(
    recorded: Mapping[str, Figures], recomputed: Mapping[str, Figures], *, whole: bool
) -> list[dict[str, object]]:
    """Rows of the statistics table, one a component, of figures by field.

    Of a part of the episodes, which is not the ``whole``, only the range can be judged.
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
    count = max(map(len, one.values()), default=0)
    for place in range(count):
        left, right = _at(one, place), _at(other, place)
        judged = [key for key in (MOMENTS if whole else ENDS) if key in left and key in right]
        yield {
            "field": f"{field}[{place}]" if count > 1 else field,
            "recorded": left,
            "recomputed": right,
            "differs": [it for it in judged if not _fits(it, left[it], right[it], whole)],
        }


def _at(columns: Mapping[str, np.ndarray], place: int) -> dict[str, Any]:
    return {
        key: values[place if len(values) > 1 else 0]
        for key, values in columns.items()
        if place < len(values) or len(values) == 1
    }


def _fits(key: str, recorded: object, recomputed: object, whole: bool) -> bool:
    """Whether a moment of all episodes is as recorded, or an end of a part within the range."""
    if not (isinstance(recorded, (int, float)) and isinstance(recomputed, (int, float))):
        return recorded == recomputed or (recomputed is None and not whole)
    if whole:
        return bool(np.isclose(recorded, recomputed, rtol=1e-9, atol=1e-12))
    return recomputed >= recorded if key == "min" else recomputed <= recorded


def _fact(name: str, recorded: float | str, recomputed: float | str) -> dict[str, object]:
    if isinstance(recorded, str) or isinstance(recomputed, str):
        differs = recorded != recomputed
    else:
        differs = not np.isclose(recorded, recomputed, rtol=CLOSE, atol=CLOSE)
    return {"name": name, "recorded": recorded, "recomputed": recomputed, "differs": bool(differs)}
