"""What was recorded beside what is found again: totals, anomaly scores, digests, statistics."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from trajstore.episode.anomalies import TOTALS, Anomaly, score
from trajstore.episode.episode import Episode

MOMENTS = ("count", "mean", "std", "min", "max")
COMPONENTS = 12
"""Components of a vector field that are listed, besides those that differ."""
CLOSE = 1e-4


def facts(
    arrays: Mapping[str, np.ndarray], row: Mapping[str, Any], steps: int
) -> list[dict[str, object]]:
    """Totals that an episode carries, beside the same totals of its own steps.

    Args:
        arrays: fields of the episode that could be read.
        row: its row of the dataset's table.
        steps: rows of its step fields.
    """
    rows = [_fact("length", int(row["length"]), steps)]
    for name, (source, total) in TOTALS.items():
        if name in arrays and source in arrays:
            rows.append(_fact(name, float(np.asarray(arrays[name])), total(arrays[source])))
    return rows


def integrity_facts(
    episode: Episode, row: Mapping[str, Any], found: Sequence[Anomaly]
) -> list[dict[str, object]]:
    """Digest and anomaly score as sealed, beside those of the episode as it is read now."""
    rows = []
    if "anomaly" in row:
        rows.append(_fact("anomaly score", float(row["anomaly"]), score(found)))
    if "digest" in row:
        sealed, found_now = str(row["digest"]), episode.digest
        short = 8 if sealed[:8] != found_now[:8] or sealed == found_now else len(sealed)
        rows.append(_fact("digest", sealed[:short], found_now[:short]))
    return rows


def unreadable(row: Mapping[str, Any]) -> dict[str, object]:
    """The digest of an episode that is not whole any more: whatever was sealed, it is not there."""
    sealed = str(row.get("digest", ""))[:8]
    return _fact("digest", sealed or "unreadable", "cannot be read")


def compare_statistics(
    recorded: Mapping[str, Mapping[str, Any]],
    recomputed: Mapping[str, Mapping[str, Any]],
    *,
    whole: bool,
) -> list[dict[str, object]]:
    """Rows of the statistics table, one a component.

    Args:
        recorded: of the manifest, by field.
        recomputed: over the episodes that were read.
        whole: whether those are all episodes; of a part only the range can be judged.
    """
    rows: list[dict[str, object]] = []
    for field in recorded:
        rows += _field_rows(field, recorded[field], recomputed.get(field, {}), whole)
    return rows


def _field_rows(
    field: str, recorded: Mapping[str, Any], recomputed: Mapping[str, Any], whole: bool
) -> list[dict[str, object]]:
    rows = [
        _row(name, one, other, whole)
        for name, one, other in _components(field, recorded, recomputed)
    ]
    return [row for place, row in enumerate(rows) if place < COMPONENTS or row["differs"]]


def _components(
    field: str, recorded: Mapping[str, Any], recomputed: Mapping[str, Any]
) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    one = {key: np.asarray(recorded[key], object).ravel() for key in MOMENTS if key in recorded}
    other = {
        key: np.asarray(recomputed[key], object).ravel() for key in MOMENTS if key in recomputed
    }
    count = max((len(values) for values in one.values()), default=0)
    for place in range(count):
        name = f"{field}[{place}]" if count > 1 else field
        yield name, _at(one, place), _at(other, place)


def _at(columns: Mapping[str, np.ndarray], place: int) -> dict[str, Any]:
    return {
        key: values[place] if len(values) > 1 else values[0]
        for key, values in columns.items()
        if len(values) and (place < len(values) or len(values) == 1)
    }


def _row(
    name: str, recorded: Mapping[str, Any], recomputed: Mapping[str, Any], whole: bool
) -> dict[str, object]:
    keys = [key for key in MOMENTS if key in recorded and key in recomputed]
    if whole:
        differs = [key for key in keys if not _same(recorded[key], recomputed[key])]
    else:
        differs = [
            key for key in ("min", "max") if key in keys and _outside(key, recorded, recomputed)
        ]
    return {"field": name, "recorded": recorded, "recomputed": recomputed, "differs": differs}


def _outside(key: str, recorded: Mapping[str, Any], recomputed: Mapping[str, Any]) -> bool:
    limit, value = recorded[key], recomputed[key]
    if limit is None or value is None:
        return limit is None and value is not None
    return bool(value < limit if key == "min" else value > limit)


def _same(one: object, other: object) -> bool:
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return bool(np.isclose(one, other, rtol=1e-9, atol=1e-12))
    return one == other


def _fact(name: str, recorded: float | str, recomputed: float | str) -> dict[str, object]:
    if isinstance(recorded, str) or isinstance(recomputed, str):
        differs = recorded != recomputed
    else:
        differs = not np.isclose(recorded, recomputed, rtol=CLOSE, atol=CLOSE)
    return {"name": name, "recorded": recorded, "recomputed": recomputed, "differs": bool(differs)}
