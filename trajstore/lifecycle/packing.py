"""How the arrays of a version lie in a pack: long chunks, harder compression, plain Zarr 3.

Numbers of several bytes are shuffled and packed by Blosc with Zstandard, numbers of one byte
(pictures, grids, truth values) by Zstandard at level 9. Both are codecs of the Zarr 3
specification, so any Zarr reader opens a pack where it lies.
"""

import threading
from typing import Any

import numpy as np
from numcodecs import blosc, zstd

from trajstore.disk.files import canonical_json
from trajstore.episode.fields import FieldSpec
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import ArchiveError
from trajstore.version.layout import ArraySpec, arrays_of, groups_of
from trajstore.version.part import Part

CHUNK_BYTES = 4 * 2**20
MAX_ROW_BYTES = 64 * 2**20
ZSTD_LEVEL = 9
BLOSC_LEVEL = 7
_BLOSC_HEADER = 16
_ZSTD_SLACK = 1024
_ONE_THREAD = threading.Lock()


def packed_arrays(schema: EpisodeSchema, part: Part) -> dict[str, ArraySpec]:
    """Return the arrays of a pack by field name: all episodes in one part, in long chunks."""
    whole = Part("", part.episodes, part.steps)
    return {name: _long(spec) for name, spec in arrays_of(schema, whole).items()}


def metadata(schema: EpisodeSchema, part: Part) -> dict[str, bytes]:
    """Return every ``zarr.json`` of a pack by its path."""
    whole = Part("", part.episodes, part.steps)
    group = canonical_json({"attributes": {}, "node_type": "group", "zarr_format": 3})
    found = {f"{it}/zarr.json".removeprefix("/"): group for it in groups_of(schema, whole)}
    for spec in packed_arrays(schema, whole).values():
        record = spec.metadata() | {"codecs": _codecs(spec.field)}
        found[f"{spec.path}/zarr.json"] = canonical_json(record)
    return found


def encode(field: FieldSpec, rows: np.ndarray) -> bytes:
    """Return the rows of one chunk as they lie in a pack."""
    little = np.ascontiguousarray(rows, dtype=field.numpy_dtype)
    if field.numpy_dtype.itemsize == 1:
        packed: bytes = zstd.compress(little.reshape(-1).view(np.uint8), ZSTD_LEVEL)
        return packed
    with _ONE_THREAD:
        before, blosc.use_threads = blosc.use_threads, False
        try:
            flat = little.reshape(-1)
            packed = blosc.compress(flat, b"zstd", BLOSC_LEVEL, blosc.SHUFFLE, 0)
        finally:
            blosc.use_threads = before
    return packed


def decode(spec: ArraySpec, data: bytes) -> np.ndarray:
    """Return the rows of one chunk, ``[chunk_rows, *row shape]``.

    No more memory is taken than the chunk must have, whatever the bytes claim.

    Raises:
        ArchiveError: if they are not a chunk of this array.
    """
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


def most_bytes(spec: ArraySpec) -> int:
    """Return the largest size that a chunk of this array can have in a pack, bytes."""
    return spec.chunk_bytes + spec.chunk_bytes // 128 + _ZSTD_SLACK


def _long(spec: ArraySpec) -> ArraySpec:
    if spec.field.row_bytes > MAX_ROW_BYTES:
        raise ArchiveError(
            f"field {spec.field.name!r}: expected rows of at most {MAX_ROW_BYTES:,} bytes in a "
            f"pack, got {spec.field.row_bytes:,}"
        )
    most = max(1, CHUNK_BYTES // spec.field.row_bytes)
    chunks = -(-spec.rows // most)
    return ArraySpec(spec.path, spec.field, spec.rows, -(-spec.rows // chunks), 0)


def _codecs(field: FieldSpec) -> list[dict[str, Any]]:
    size = field.numpy_dtype.itemsize
    if size == 1:
        configuration = {"level": ZSTD_LEVEL, "checksum": False}
        return [{"name": "bytes"}, {"name": "zstd", "configuration": configuration}]
    shuffled = {
        "typesize": size,
        "cname": "zstd",
        "clevel": BLOSC_LEVEL,
        "shuffle": "shuffle",
        "blocksize": 0,
    }
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    return [little, {"name": "blosc", "configuration": shuffled}]


def _check_blosc(data: bytes, size: int) -> None:
    """Refuse a Blosc buffer that says it holds, or is, another number of bytes than it is."""
    if len(data) < _BLOSC_HEADER:
        raise ValueError(f"{len(data)} bytes")
    claimed = int.from_bytes(data[4:8], "little"), int.from_bytes(data[12:16], "little")
    if claimed != (size, len(data)):
        raise ValueError(f"a header that says {claimed[0]} bytes out of {claimed[1]}")
