"""Croissant 1.1, which dataset search engines and loaders read: files, digests, fields, episodes.

Croissant has no way to say how rows are read out of Zarr arrays, so that no record set claims to
hold them. Each field has the set of its files, and the record sets ``fields``, ``scenarios`` and
``episodes`` hold what a loader can use without reading arrays.
"""

import datetime
import hashlib
from typing import Any
from urllib.parse import quote

from trajstore.episode.names import version_number
from trajstore.episode.texts import brief, legible
from trajstore.playback.card import Card
from trajstore.playback.page import json_text
from trajstore.version.layout import arrays_of
from trajstore.version.manifest import MANIFEST

MOST_FILES = 1_000
"""Files that are listed one by one; of more, only those of metadata are."""
MOST_EPISODES = 1_000
"""Rows of the record set ``episodes``."""
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context of the specification, with every key of it."""
ARRAYS = (
    "The rows lie in Zarr 3 arrays, which Croissant cannot describe. The record set 'fields' names "
    "the array of each field; read them with trajstore or any reader of Zarr 3."
)


def croissant(card: Card) -> str:
    """The JSON-LD of a card; texts in it are texts, whatever they look like."""
    manifest = card.dataset.manifest
    counts = f"{manifest.episodes:,} episodes, {manifest.steps:,} steps, status {card.status}."
    record: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": _line(card.name),
        "description": " ".join([*map(_line, card.said("description")), counts, ARRAYS]),
        "identifier": f"sha256:{manifest.content_digest}",
        "distribution": [*_listed(card), *_sets(card)],
        "recordSet": [_fields(card), *_scenarios(card), _episodes(card)],
    }
    licences, cited = (list(map(_line, card.said(it))) for it in ("licence", "citation"))
    record |= {"license": licences if len(licences) > 1 else licences[0]} if licences else {}
    record |= {"citeAs": "; ".join(cited)} if cited else {}
    dates = list(filter(_is_date, card.said("date")))
    record |= {"datePublished": dates[0]} if dates else {}
    creators = [{"@type": "sc:Person", "name": _line(name)} for name in card.said("author")]
    record |= {"creator": creators} if creators else {}
    number = version_number(card.folder)
    record |= {"version": f"{number}.0.0"} if number else {}
    record |= {"url": card.url} if card.url else {}
    if card.made is not None:
        record["isBasedOn"] = [
            {
                "@type": "sc:Dataset",
                "name": _line(it.reference),
                "identifier": _line(it.content_digest),
            }
            for it in card.made.parents
        ]
    return json_text(record) + "\n"


def _listed(card: Card) -> list[dict[str, str]]:
    """A file of the version each, with its digest as it was sealed."""
    manifest = card.dataset.manifest
    content = manifest.to_bytes()
    files = {MANIFEST: (len(content), hashlib.sha256(content).hexdigest())}
    few = len(manifest.files) <= MOST_FILES
    for path, it in manifest.files.items():
        if few or path.endswith(".json"):
            files[path] = (it.size, it.sha256)
    return [
        {
            "@type": "cr:FileObject",
            "@id": path,
            "name": path,
            "contentUrl": f"{card.url or quote(card.folder)}/{quote(path)}",
            "contentSize": f"{size} B",
            "encodingFormat": "application/json"
            if path.endswith(".json")
            else "application/octet-stream",
            "sha256": digest,
        }
        for path, (size, digest) in files.items()
    ]


def _sets(card: Card) -> list[dict[str, Any]]:
    """The files of chunks and shards of each field, in all parts of the version."""
    found = []
    for spec in card.dataset.schema.fields:
        paths = _paths(card, spec.name)
        found.append(
            {
                "@type": "cr:FileSet",
                "@id": f"files-of/{spec.name}",
                "name": f"files of {spec.name}",
                "description": f"Chunks or shards of a Zarr 3 array. {_told(card)}",
                "encodingFormat": "application/octet-stream",
                "includes": [f"{card.folder}/{path}/c.*" for path in paths],
            }
        )
    return found


def _told(card: Card) -> str:
    manifest = card.dataset.manifest
    told = "Each is listed with its SHA-256."
    if len(manifest.files) > MOST_FILES:
        told = f"The SHA-256 of each of {len(manifest.files):,} files stands in {MANIFEST}."
    gaps = any(part.recorded for part in manifest.parts)
    return f"{told} Rows of episodes that were left out lie in them too." if gaps else told


def _paths(card: Card, name: str) -> list[str]:
    """Where the array of a field lies in each part of the version."""
    manifest = card.dataset.manifest
    wanted = f"{manifest.schema.field(name).axis.value}/{name}"
    arrays = [
        it.path for part in manifest.parts for it in arrays_of(manifest.schema, part).values()
    ]
    return [path for path in arrays if path == wanted or path.endswith(f"/{wanted}")]


def _fields(card: Card) -> dict[str, Any]:
    columns = (
        "name",
        "axis",
        "shape",
        "dtype",
        "unit",
        "low",
        "high",
        "description",
        "array",
        "files",
    )
    rows = [
        {
            "name": spec.name,
            "axis": spec.axis.value,
            "shape": "x".join(map(str, spec.shape)),
            "dtype": spec.dtype,
            "unit": _line(spec.unit),
            "low": "" if spec.low is None else brief(spec.low, 200),
            "high": "" if spec.high is None else brief(spec.high, 200),
            "description": _line(spec.description),
            "array": " ".join(_paths(card, spec.name)),
            "files": f"files-of/{spec.name}",
        }
        for spec in card.dataset.schema.fields
    ]
    told = (
        "One row a field: axis (state has T + 1 rows in an episode of T steps, step T, episode 1), "
        "shape of a row, unit, inclusive limits, and the Zarr 3 array that holds it."
    )
    return _set("fields", told, dict.fromkeys(columns, "sc:Text"), rows)


def _scenarios(card: Card) -> list[dict[str, Any]]:
    counts = card.dataset.manifest.scenario_counts
    rows = [{"scenario": _line(word), "episodes": it} for word, it in sorted(counts.items())]
    kinds = {"scenario": "sc:Text", "episodes": "sc:Integer"}
    told = "How many episodes each scenario has."
    return [_set("scenarios", told, kinds, rows)] if rows else []


def _episodes(card: Card) -> dict[str, Any]:
    table = card.dataset.episodes
    rows = [
        {
            "index": index,
            "steps": int(table["length"][index]),
            "digest": str(table["digest"][index]),
        }
        for index in range(min(len(card.dataset), MOST_EPISODES))
    ]
    told = f"Steps and SHA-256 of the first {len(rows):,} of {len(card.dataset):,} episodes."
    kinds = {"index": "sc:Integer", "steps": "sc:Integer", "digest": "sc:Text"}
    return _set("episodes", told, kinds, rows)


def _set(
    name: str, told: str, columns: dict[str, str], rows: list[dict[str, Any]]
) -> dict[str, Any]:
    """A record set that holds its rows."""
    fields = [
        {"@type": "cr:Field", "@id": f"{name}/{it}", "name": it, "dataType": kind}
        for it, kind in columns.items()
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": told,
        "field": fields,
        "data": [{f"{name}/{key}": value for key, value in row.items()} for row in rows],
    }


def _is_date(text: str) -> bool:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _line(value: object) -> str:
    """A text on one line."""
    return legible(brief(value, 4_000))
