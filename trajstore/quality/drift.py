"""How two versions differ: episodes, fields, coverage, distributions, provenance; not bytes.

Distributions are compared per component of a field. Steps of one episode resemble each other, so
the significance of a distance is judged with the number of episodes, not of steps, as the size.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from trajstore.dataset import Dataset
from trajstore.episode.fields import FieldSpec
from trajstore.episode.provenance import leaves
from trajstore.version.statistics import GREAT, SHRUNK

SAMPLE_ROWS = 20_000
COMPONENTS = 256
MODERATE_PSI, MAJOR_PSI = 0.1, 0.25
SIGNIFICANCE = 0.01
LEAST_DISTANCE = 0.1


@dataclass(frozen=True, slots=True)
class FieldDrift:
    """How the distribution of one field moved; figures of the component that moved most.

    Attributes:
        component: its index in the row, flattened.
        distance: Kolmogorov-Smirnov, 0 to 1.
        psi: population stability index; from 0.1 moderate, from 0.25 major.
        means: before and after, as ``deviations`` are.
        verdict: ``same``, ``moderate`` or ``major``.
    """

    field: str
    component: int
    distance: float
    psi: float
    means: tuple[float, float]
    deviations: tuple[float, float]
    verdict: str


@dataclass(frozen=True, slots=True)
class VersionDiff:
    """What changed from one version to another.

    Attributes:
        added: indices in the second of episodes whose scenario and seed the first has not.
        removed: indices in the first of episodes whose scenario and seed the second has not.
        changed: pairs of indices of episodes with one scenario and seed, but other content.
        kept: number of episodes with the same content.
        coverage: episodes of each scenario in both, where the numbers differ.
        drift: of every field of numbers that both have, those that moved most first.
        provenance: keys whose value differs, with both values.
    """

    same_content: bool
    added: tuple[int, ...]
    removed: tuple[int, ...]
    changed: tuple[tuple[int, int], ...]
    kept: int
    schema: tuple[str, ...]
    coverage: Mapping[str, tuple[int, int]]
    drift: tuple[FieldDrift, ...]
    provenance: Mapping[str, tuple[Any, Any]]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def diff(before: Dataset, after: Dataset) -> VersionDiff:
    """Compare two versions, of one dataset or of two.

    Episodes are matched by content first, then what is left by scenario and seed.
    """
    old, new = before.episodes["digest"].tolist(), after.episodes["digest"].tolist()
    common = Counter(old) & Counter(new)
    old_left, new_left = _left(old, common), _left(new, common)
    places: dict[tuple[str, int], list[int]] = {}
    for index, key in _keys(before, old_left):
        places.setdefault(key, []).append(index)
    changed = [
        (places[key].pop(0), index) for index, key in _keys(after, new_left) if places.get(key)
    ]
    gone, come = {it for it, _ in changed}, {it for _, it in changed}
    one, other = before.manifest, after.manifest
    coverage = _differing(one.scenario_counts, other.scenario_counts, missing=0)
    provenance = _differing(dict(leaves(one.provenance)), dict(leaves(other.provenance)))
    return VersionDiff(
        same_content=one.content_digest == other.content_digest,
        added=tuple(index for index in new_left if index not in come),
        removed=tuple(index for index in old_left if index not in gone),
        changed=tuple(changed),
        kept=sum(common.values()),
        schema=tuple(_schema(before, after)),
        coverage=dict(sorted(coverage.items())),
        drift=_drift(before, after),
        provenance=dict(sorted(provenance.items())),
    )


def ks_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Largest distance between the empirical distributions of two samples, 0 to 1.

    Example:
        >>> ks_distance(np.arange(10.0), np.arange(5.0, 15.0))
        0.5
    """
    one, other = np.sort(one), np.sort(other)
    points = np.concatenate([one, other])
    below_one = np.searchsorted(one, points, side="right") / len(one)
    below_other = np.searchsorted(other, points, side="right") / len(other)
    return float(np.abs(below_one - below_other).max())


def ks_threshold(one: int, other: int, *, significance: float = SIGNIFICANCE) -> float:
    """Distance that samples of these sizes exceed by chance with that probability.

    The asymptotic form, ``sqrt(-ln(p / 2) / 2) * sqrt((n + m) / (n m))`` (Smirnov 1948).

    Example:
        >>> round(ks_threshold(200, 200), 3)
        0.163
    """
    return float(np.sqrt(-np.log(significance / 2) / 2) * np.sqrt((one + other) / (one * other)))


def stability_index(one: np.ndarray, other: np.ndarray, *, bins: int = 10) -> float:
    """Population stability index over the quantiles of the first sample.

    ``sum((p - q) ln(p / q))`` over bins, empty ones counted as half an observation.

    Example:
        >>> stability_index(np.arange(100.0), np.arange(100.0))
        0.0
    """
    edges = np.unique(np.quantile(one, np.linspace(0, 1, bins + 1)[1:-1]))
    counts = [
        np.bincount(np.searchsorted(edges, rows, side="right"), minlength=len(edges) + 1)
        for rows in (one, other)
    ]
    p, q = (np.maximum(count, 0.5) / count.sum() for count in counts)
    return float(((p - q) * np.log(p / q)).sum())


def _left(digests: Sequence[str], common: Counter[str]) -> list[int]:
    """Indices of what is not among the common, each of those counted as often as it is common."""
    spare = Counter(common)
    left = []
    for index, digest in enumerate(digests):
        spare[digest] -= 1
        if spare[digest] < 0:
            left.append(index)
    return left


def _keys(dataset: Dataset, indices: Sequence[int]) -> Iterator[tuple[int, tuple[str, int]]]:
    table = dataset.episodes
    names = table.get("scenario", np.full(len(dataset), ""))
    for index in indices if "seed" in table else ():
        yield index, (str(names[index]), int(table["seed"][index]))


def _schema(before: Dataset, after: Dataset) -> Iterator[str]:
    old = {field.name: field.to_json() for field in before.schema.fields}
    new = {field.name: field.to_json() for field in after.schema.fields}
    for name in dict.fromkeys([*old, *new]):
        if name not in new:
            yield f"field {name!r} removed"
        elif name not in old:
            yield f"field {name!r} added"
        else:
            for key, (one, other) in _differing(old[name], new[name], missing="").items():
                yield f"field {name!r}: {key} {one!r} became {other!r}"


def _differing(
    old: Mapping[str, Any], new: Mapping[str, Any], missing: object = None
) -> dict[str, tuple[Any, Any]]:
    """Both values of each key that has another one in the second."""
    pairs = {it: (old.get(it, missing), new.get(it, missing)) for it in [*old, *new]}
    return {it: (one, other) for it, (one, other) in pairs.items() if one != other}


def _drift(before: Dataset, after: Dataset) -> tuple[FieldDrift, ...]:
    threshold = max(LEAST_DISTANCE, ks_threshold(len(before), len(after)))
    found = [
        max(moved, key=lambda it: (it.psi, it.distance))
        for field in before.schema.fields
        if _comparable(field, after)
        and (moved := list(_components(field, before, after, threshold)))
    ]
    return tuple(sorted(found, key=lambda it: (-it.psi, it.field)))


def _comparable(field: FieldSpec, after: Dataset) -> bool:
    if field.is_text or field.name not in after.schema.names or field.name == "seed":
        return False
    other = after.schema.field(field.name)
    same = (other.shape, other.axis, other.is_text) == (field.shape, field.axis, False)
    return same and field.is_narrow


def _components(
    field: FieldSpec, before: Dataset, after: Dataset, threshold: float
) -> Iterator[FieldDrift]:
    columns = zip(_sample(before, field).T, _sample(after, field).T, strict=True)
    for component, pair in enumerate(columns):
        one, other = (values[np.isfinite(values)] for values in pair)
        if len(one) and len(other):
            great = max(np.abs(one).max(), np.abs(other).max()) > GREAT
            scale = SHRUNK if great else 1.0  # so that no sum overflows
            one, other = one * scale, other * scale
            distance, psi = ks_distance(one, other), stability_index(one, other)
            verdict = "major" if psi >= MAJOR_PSI else "moderate"
            if distance <= threshold or psi < MODERATE_PSI:
                verdict = "same"
            means = float(one.mean() / scale), float(other.mean() / scale)
            deviations = float(one.std() / scale), float(other.std() / scale)
            yield FieldDrift(field.name, component, distance, psi, means, deviations, verdict)


def _sample(dataset: Dataset, field: FieldSpec) -> np.ndarray:
    """At most 20,000 evenly spaced rows of at most 256 components, as float64."""
    rows = dataset.column(field.name)
    rows = rows[:: -(-len(rows) // SAMPLE_ROWS)]
    flat = rows.reshape(len(rows), -1)
    return np.asarray(flat[:, :: -(-flat.shape[1] // COMPONENTS)], dtype=np.float64)
