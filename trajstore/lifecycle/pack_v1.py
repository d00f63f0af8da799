"""Packs of format 1, for reading: all episodes in one part, in long chunks, compressed harder.

Numbers of several bytes were shuffled and packed by Blosc with Zstandard, numbers of one byte by
Zstandard at level 9.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numcodecs import blosc, zstd

from trajstore.disk.json_text import MAX_JSON_BYTES, canonical_json
from trajstore.episode.episode import Episode
from trajstore.episode.fields import FieldSpec
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import ArchiveError, CorruptionError, TrajStoreError
from trajstore.lifecycle.zipped import ZipReader
from trajstore.version.layout import ArraySpec, Part, arrays_of, groups_of
from trajstore.version.manifest import MANIFEST, Manifest, content_digest
from trajstore.version.reading import Assembly
from trajstore.version.writer import Plan, fill

CHUNK_BYTES = 4 * 2**20
MAX_EPISODES = 10_000_000
MAX_ROW_BYTES = 64 * 2**20
_BLOSC_HEADER = 16


def manifest_of(entries: ZipReader) -> Manifest:
    """The manifest in a pack; raises `ArchiveError` if it is none."""
    try:
        content = entries.read(MANIFEST, most=MAX_JSON_BYTES)
        return Manifest.from_bytes(content, f"{entries.where}: {MANIFEST}")
    except CorruptionError as error:
        raise ArchiveError(str(error)) from error


class OldPack:
    """A pack of format 1: its episodes, in order, each chunk decoded once."""

    def __init__(self, entries: ZipReader) -> None:
        self.where = entries.where
        self.manifest = manifest_of(entries)
        if self.manifest.episodes > MAX_EPISODES:
            raise ArchiveError(
                f"{self.where}: expected at most {MAX_EPISODES:,} episodes, got more"
            )
        part = Part("", self.manifest.episodes, self.manifest.steps)
        arrays = packed_arrays(self.manifest.schema, part)
        if sum(spec.file_count for spec in arrays.values()) > len(entries.records):
            raise ArchiveError(f"{self.where}: expected every chunk, got fewer entries")
        described = metadata(self.manifest.schema, arrays)
        chunks = {path for spec in arrays.values() for path in spec.file_paths()}
        odd = {MANIFEST, *described, *chunks} ^ entries.records.keys()
        if odd:
            raise ArchiveError(
                f"{self.where}: expected the entries of a version, not so {min(odd)!r}"
            )
        for name, content in described.items():
            if entries.records[name].sha256 != hashlib.sha256(content).hexdigest():
                raise ArchiveError(f"{self.where}: expected {name} as the manifest has it")
        rows: dict[str, Any] = {name: _Rows(spec, entries) for name, spec in arrays.items()}
        self._assembly = Assembly(self.where, self.manifest, rows)

    def __iter__(self) -> Iterator[Episode]:
        for index in range(self.manifest.episodes):
            try:
                episode = Episode(self.manifest.schema, self._assembly.arrays(index))
            except TrajStoreError as error:
                raise ArchiveError(f"{self.where}: episode {index}: {error}") from error
            yield episode

    def check(self) -> None:
        """Compare the content with the content digest, every episode of it."""
        digests = [bytes.fromhex(episode.digest) for episode in self]
        self._assembly.index("anomaly")
        if self._assembly.index("digest").tobytes() != b"".join(digests):
            raise ArchiveError(f"{self.where}: expected episodes of the digests listed, got others")
        found, told = content_digest(self.manifest.schema, digests), self.manifest.content_digest
        if found != told:
            raise ArchiveError(
                f"{self.where}: expected content {told[:12]}, got {found[:12]}; "
                "restore from another copy"
            )

    def fill(self, folder: Path) -> Manifest:
        """Write the version into an empty folder, in one part."""
        self.check()
        packed = self.manifest
        plan = Plan(packed.schema, packed.episodes, packed.steps, packed.provenance)
        return fill(folder, self, plan)


class _Rows:
    """The rows of one array; the chunk that was read last is kept."""

    def __init__(self, spec: ArraySpec, entries: ZipReader) -> None:
        self._spec, self._entries = spec, entries
        self._number, self._chunk = -1, np.empty(0)

    def span(self, first: int, stop: int) -> np.ndarray:
        """Rows ``first`` to ``stop``."""
        size = self._spec.chunk_rows
        pieces = []
        for number in range(first // size, -(-stop // size)):
            if number != self._number:
                most = self._spec.chunk_bytes + self._spec.chunk_bytes // 128 + 1024
                data = self._entries.read(self._spec.file_path(number), most=most)
                self._number, self._chunk = number, decode(self._spec, data)
            pieces.append(self._chunk[max(first - number * size, 0) : stop - number * size])
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def packed_arrays(schema: EpisodeSchema, part: Part) -> dict[str, ArraySpec]:
    """Return the arrays of a pack by field name."""
    return {name: _long(spec) for name, spec in arrays_of(schema, part).items()}


def _long(spec: ArraySpec) -> ArraySpec:
    if spec.field.row_bytes > MAX_ROW_BYTES:
        raise ArchiveError(
            f"field {spec.field.name!r}: expected rows of at most {MAX_ROW_BYTES:,} bytes in a "
            f"pack, got {spec.field.row_bytes:,}"
        )
    chunks = -(-spec.rows // max(1, CHUNK_BYTES // spec.field.row_bytes))
    return ArraySpec(spec.path, spec.field, spec.rows, -(-spec.rows // chunks), 0)


def metadata(schema: EpisodeSchema, arrays: dict[str, ArraySpec]) -> dict[str, bytes]:
    """Return every ``zarr.json`` of a pack by its path."""
    group = canonical_json({"attributes": {}, "node_type": "group", "zarr_format": 3})
    found = {f"{it}/zarr.json".removeprefix("/"): group for it in groups_of(schema, Part("", 1, 1))}
    for spec in arrays.values():
        record = spec.metadata() | {"codecs": _codecs(spec.field)}
        found[f"{spec.path}/zarr.json"] = canonical_json(record)
    return found


def _codecs(field: FieldSpec) -> list[dict[str, Any]]:
    size = field.numpy_dtype.itemsize
    if size == 1:
        return [{"name": "bytes"}, _codec("zstd", level=9, checksum=False)]
    shuffled = _codec(
        "blosc", typesize=size, cname="zstd", clevel=7, shuffle="shuffle", blocksize=0
    )
    return [_codec("bytes", endian="little"), shuffled]


def _codec(name: str, **configuration: object) -> dict[str, Any]:
    return {"name": name, "configuration": configuration}


def decode(spec: ArraySpec, data: bytes) -> np.ndarray:
    """The rows of one chunk, ``[chunk_rows, *row shape]``, in no more memory than it must have."""
    flat = np.empty(spec.chunk_bytes, np.uint8)
    try:
        if spec.field.numpy_dtype.itemsize == 1:
            zstd.decompress(data, flat)
        else:
            _check_blosc(data, spec.chunk_bytes)
            blosc.decompress(data, flat)
    except (RuntimeError, ValueError) as error:
        raise ArchiveError(
            f"{spec.path}: expected a chunk of {spec.chunk_bytes} bytes, got {error}; "
            "restore from another copy"
        ) from error
    return flat.view(spec.field.numpy_dtype).reshape(spec.chunk_rows, *spec.field.shape)


def _check_blosc(data: bytes, size: int) -> None:
    """Refuse a Blosc buffer that says it holds, or is, another number of bytes than it is."""
    if len(data) < _BLOSC_HEADER:
        raise ValueError(f"{len(data)} bytes")
    claimed = int.from_bytes(data[4:8], "little"), int.from_bytes(data[12:16], "little")
    if claimed != (size, len(data)):
        raise ValueError(f"a header that says {claimed[0]} bytes out of {claimed[1]}")
