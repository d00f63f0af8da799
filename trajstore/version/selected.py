"""The episodes of a version, or some of them, told as a whole: their table, their manifest."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.errors import CorruptionError
from trajstore.version.claims import SCENARIO
from trajstore.version.layout import Part
from trajstore.version.manifest import Manifest, content_digest
from trajstore.version.reading import Assembly, Table
from trajstore.version.statistics import CAMERA, Statistics


def table_of(assembly: Assembly) -> Table:
    """One row an episode: its fields, ``length``, ``anomaly``, ``digest``."""
    specs = assembly.manifest.schema.on(Axis.EPISODE)
    table = Table({spec.name: assembly.column(spec.name) for spec in specs})
    table["length"] = assembly.lengths
    table["anomaly"] = assembly.scores
    table["digest"] = np.array([digest.hex() for digest in assembly.digests()])
    return table


def described(assembly: Assembly) -> Manifest:
    """The manifest of a version; of some of its episodes, what it would say of them alone.

    That has neither files nor statistics.
    """
    whole, chosen = assembly.manifest, assembly.chosen
    if chosen is None:
        return whole
    return replace(
        whole,
        content_digest=content_digest(whole.schema, assembly.digests()),
        parts=(Part("", len(chosen), int(assembly.lengths.sum())),),
        files={},
        statistics={},
        scenario_counts=scenario_counts(assembly),
        anomalies=anomalies_of(assembly),
    )


def scenario_counts(assembly: Assembly) -> dict[str, int]:
    """Episodes of each scenario."""
    schema = assembly.manifest.schema
    if SCENARIO not in schema.names or not schema.field(SCENARIO).is_text:
        return {}
    return dict(Counter(assembly.column(SCENARIO).ravel().tolist()))


def anomalies_of(assembly: Assembly) -> dict[int, tuple[Mapping[str, Any], ...]]:
    """What the detectors found, by number of the episode among those chosen."""
    found, chosen = assembly.manifest.anomalies, assembly.chosen
    if chosen is None:
        return dict(found)
    return {place: found[it] for place, it in enumerate(chosen.tolist()) if it in found}


def statistics_of(chosen: Sequence[Assembly]) -> dict[str, dict[str, Any]]:
    """Statistics of the episodes of several versions in order, as recording them would give."""
    schema = chosen[0].manifest.schema
    statistics = Statistics(schema)
    for field in schema.fields:
        if field.is_text:
            continue
        if field.is_narrow or field.axis is Axis.EPISODE or not field.strict:
            for rows in chain(*(it.blocks(field) for it in chosen)):
                statistics.add(field.name, rows)
            continue
        figures, first, sampled = statistics.of(field.name), 0, []
        for assembly in chosen if field.codec is not None else ():
            figures.add_encoded(_camera(assembly, field))
        counts = [it.places.count(field.axis) for it in chosen]
        wanted = figures.sampled(sum(counts))
        for assembly, count in zip(chosen, counts, strict=True):
            items = wanted[(wanted >= first) & (wanted < first + count)] - first
            rows = assembly.fields[field.name].at(assembly.places.at(field.axis, items))
            sampled.append(rows)
            first += count
        blocks = chain(*(it.blocks(field) for it in chosen))
        figures.take(np.concatenate(sampled), blocks, _limits(field.name, chosen))
    return statistics.to_json()


def _camera(assembly: Assembly, field: FieldSpec) -> dict[str, int]:
    """What a codec made of the episodes; what it lost is known of the whole version, and shared."""
    known = dict(assembly.manifest.statistics.get(field.name, {}).get(CAMERA, {}))
    if assembly.whole is None or not known:
        return known
    all_rows, rows = (it.places.count(field.axis) for it in (assembly.whole, assembly))
    sizes = (assembly.encoded(index)[field.name].size for index in range(len(assembly.lengths)))
    shares = {name: figure * rows // all_rows for name, figure in known.items()}
    return {**shares, "bytes": sum(sizes)}


def _limits(name: str, chosen: Sequence[Assembly]) -> tuple[Any, Any]:
    """Least and largest value of a field in the whole versions, as their manifests say."""
    figures: list[Any] = [it.manifest.statistics.get(name, {}) for it in chosen]
    low, high = ([it.get(end) for it in figures] for end in ("min", "max"))
    return (None, None) if None in low or None in high else (min(low), max(high))


def joined_anomalies(chosen: Sequence[Assembly]) -> dict[int, tuple[Mapping[str, Any], ...]]:
    """What the detectors found in episodes of several versions in order, by number."""
    found: dict[int, tuple[Mapping[str, Any], ...]] = {}
    first = 0
    for assembly in chosen:
        found |= {first + index: marks for index, marks in anomalies_of(assembly).items()}
        first += len(assembly.lengths)
    return found


def summed(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Counts by name, added up."""
    names = chain(*counts)
    return {name: sum(it.get(name, 0) for it in counts) for name in dict.fromkeys(names)}


def texts_of(assembly: Assembly, field: FieldSpec) -> Iterator[str]:
    """The words of a field in the order in which they come up, in each block once."""
    for rows in assembly.blocks(field):
        codes, first = np.unique(rows.ravel(), return_index=True)
        yield from assembly.words(field, codes[np.argsort(first)]).tolist()


def checked(assembly: Assembly) -> Iterator[Episode]:
    """The episodes, each read, checked as when it was recorded, and compared with its digest."""
    for index, digest in enumerate(assembly.digests()):
        episode = Episode(assembly.manifest.schema, assembly.arrays(index))
        if episode.digest != digest.hex():
            raise CorruptionError(
                f"{assembly.where}: expected an episode with digest {digest.hex()[:12]}, "
                f"got {episode.digest[:12]}; get the version anew from its remote"
            )
        yield episode


def rows_before(assembly: Assembly, origin: Part, axis: Axis) -> int:
    """Rows of the parts before one."""
    parts = assembly.manifest.parts
    return sum(part.rows(axis) for part in parts[: parts.index(origin)])


def first_rows(assembly: Assembly, origin: Part) -> np.ndarray:
    """First step row and state row of each episode within the part that is taken over."""
    first, axes = assembly.places.first, (Axis.STEP, Axis.STATE)
    return np.stack([first[it] - rows_before(assembly, origin, it) for it in axes], axis=1)
