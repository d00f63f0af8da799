"""The record that a sealed version carries, and the statuses that a version may have."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from msgspec import ValidationError, convert

from trajstore.disk.files import is_there, read_file
from trajstore.disk.json_text import canonical_json, parse_json
from trajstore.disk.system import FileRecord
from trajstore.episode.provenance import check_size
from trajstore.episode.schema import EpisodeSchema
from trajstore.episode.texts import brief, shown
from trajstore.errors import (
    CorruptionError,
    FormatError,
    NotFoundError,
    SchemaError,
    TrajStoreError,
)
from trajstore.version.claims import check_anomalies, check_figures, check_parts, check_words
from trajstore.version.layout import Part

FORMATS = (1, 2)
MANIFEST = "manifest.json"
_MALFORMED = (
    *(TrajStoreError, ValidationError, RecursionError),
    *(ArithmeticError, AttributeError, LookupError, TypeError, ValueError),
)
_CRC32C = re.compile(r"[0-9a-f]{8}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Status(StrEnum):
    """How fit a version is for training; the verdict lies beside the version, never in it."""

    DRAFT = "draft"
    VALIDATED = "validated"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a sealed version holds.

    Attributes:
        schema: the fields of every episode.
        content_digest: SHA-256 over the schema's digest and the episodes' digests in order; the
            same episodes have the same, whenever, wherever and in how many parts they were
            recorded.
        parts: where the arrays lie, in the order of the episodes.
        files: size, SHA-256 and, where it holds rows, closing checksum of every file but the
            manifest, by path relative to the version.
        vocabularies: of each text field, the words that its codes stand for.
        statistics: of each field of numbers, as `trajstore.version.statistics` measures them.
        scenario_counts: episodes of each word of the field ``scenario``, if there is one.
        provenance: what made the version: plain JSON values, without times.
        anomalies: findings of the detectors by index of the episode; plain episodes have none.
    """

    schema: EpisodeSchema
    content_digest: str
    parts: tuple[Part, ...]
    files: Mapping[str, FileRecord]
    vocabularies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    statistics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    scenario_counts: Mapping[str, int] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    anomalies: Mapping[int, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)

    @property
    def format_version(self) -> int:
        """1, or 2 if a part has gaps."""
        return FORMATS[any(part.recorded for part in self.parts)]

    @property
    def episodes(self) -> int:
        """Number of episodes."""
        return sum(part.episodes for part in self.parts)

    @property
    def steps(self) -> int:
        """Sum of the episodes' lengths."""
        return sum(part.steps for part in self.parts)

    @property
    def size_bytes(self) -> int:
        """Size of all files but the manifest, bytes."""
        return sum(record.size for record in self.files.values())

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of all the above, hexadecimal."""
        return str(self.to_json()["manifest_digest"])

    def to_json(self) -> dict[str, Any]:
        """A mapping of plain JSON values, the digest of the manifest included."""
        body = {
            "anomalies": {str(index): list(found) for index, found in self.anomalies.items()},
            "content_digest": self.content_digest,
            "episodes": self.episodes,
            "files": {path: record.to_json() for path, record in self.files.items()},
            "format_version": self.format_version,
            "parts": [part.to_json() for part in self.parts],
            "provenance": dict(self.provenance),
            "scenario_counts": dict(self.scenario_counts),
            "schema": self.schema.to_json(),
            "schema_digest": self.schema.digest,
            "statistics": dict(self.statistics),
            "steps": self.steps,
            "vocabularies": {name: list(words) for name, words in self.vocabularies.items()},
        }
        digest = hashlib.sha256(canonical_json(body)).hexdigest()
        return body | {"manifest_digest": digest}

    def to_bytes(self) -> bytes:
        """The content of ``manifest.json``: canonical JSON and a line end."""
        return canonical_json(self.to_json()) + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes, where: object = MANIFEST) -> "Manifest":
        """Read the content of ``manifest.json``; every byte of it is checked.

        Raises:
            FormatError: if it is of a newer format.
            CorruptionError: if it is not, byte for byte, what was sealed.
        """
        record = parse_json(data, where)
        if not isinstance(record, dict) or type(record.get("format_version")) is not int:
            raise CorruptionError(f"{where}: expected a manifest, got other JSON")
        if record["format_version"] not in FORMATS:
            raise FormatError(
                f"{where}: expected format 1 to {FORMATS[-1]}, got {record['format_version']}; "
                "read it with the release that wrote it"
            )
        try:
            if len(record["schema"]) > max(len(record["files"]), 1000):
                raise SchemaError("files: expected one or more a field, got fewer")
            check_size(record["provenance"])
            schema = EpisodeSchema.from_json(record["schema"])
            parts = convert(record["parts"], tuple[Part, ...], str_keys=True)
            check_parts(schema, parts, len(record["files"]))
            values = {name: convert(record[name], kind, str_keys=True) for name, kind in _PLAIN}
            manifest = cls(schema, **values)
            _check(manifest)
            unchanged = manifest.to_bytes() == data
        except _MALFORMED as error:
            said = str(error) if isinstance(error, TrajStoreError) else repr(error)
            raise CorruptionError(
                f"{where}: expected a manifest, got other content ({brief(said, 300)})"
            ) from error
        if not unchanged:
            raise CorruptionError(f"{where}: the manifest was changed after it was sealed")
        return manifest

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read the manifest of the version in a folder.

        Raises:
            NotFoundError: if there is no version.
            FormatError: if it is of a newer format.
            CorruptionError: if it is not, byte for byte, what was sealed, or gone.
            StorageError: if it cannot be read.
        """
        path = Path(folder) / MANIFEST
        try:
            data = read_file(path)
        except NotFoundError:
            if is_bereft(Path(folder)):
                raise CorruptionError(
                    f"{folder}: {MANIFEST} is missing beside the arrays; bring it back with "
                    "'dvc checkout --force' or 'dvc pull', or from a copy"
                ) from None
            raise NotFoundError(
                f"{folder}: no version there, it has no {MANIFEST}; 'trajstore list' shows what "
                "there is"
            ) from None
        return cls.from_bytes(data, path)


_PLAIN = [(it.name, it.type) for it in fields(Manifest) if it.name != "schema"]
"""What `msgspec` reads of a manifest."""


def is_bereft(folder: Path) -> bool:
    """Whether a folder holds the arrays of a version, but its manifest is gone."""
    groups = (folder / group / "zarr.json" for group in ("index", "state", "step"))
    inside = folder.parent.parent / MANIFEST
    return not any(map(is_there, (folder / MANIFEST, inside))) and any(map(is_there, groups))


def content_digest(schema: EpisodeSchema, digests: Iterable[bytes]) -> str:
    """SHA-256 over the schema's digest and the 32 raw bytes of each episode's digest, in order."""
    sha = hashlib.sha256(bytes.fromhex(schema.digest))
    for digest in digests:
        sha.update(digest)
    return sha.hexdigest()


def _check(manifest: Manifest) -> None:
    """Refuse what no version can have: paths that lead out of it, no digests, claims without files.

    What is counted is compared with what is listed before anything is made of either.
    """
    if not _SHA256.fullmatch(manifest.content_digest):
        raise SchemaError("content_digest: expected 64 hexadecimal digits")
    for path, entry in manifest.files.items():
        inside = all(segment not in ("", ".", "..") for segment in path.split("/"))
        if not inside or "\\" in path or not path.isprintable():
            raise SchemaError(f"file {shown(path)}: expected a path inside the version")
        crc = "0" * 8 if entry.crc32c is None else entry.crc32c
        whole = 0 <= entry.size < 2**63
        if not (whole and _SHA256.fullmatch(entry.sha256) and _CRC32C.fullmatch(crc)):
            raise SchemaError(
                f"file {shown(path)}: expected a size and checksums, got {shown(entry)}"
            )
    check_figures(manifest.schema, manifest.statistics)
    check_words(manifest.schema, manifest.vocabularies, manifest.scenario_counts, manifest.parts)
    check_anomalies(manifest.anomalies, manifest.episodes)
