"""Where each array lies inside a version; the only module that knows.

A version is one Zarr 3 group. A *narrow* field (a row of at most 1 KiB) is stored as it is, in few
large chunks that can be memory-mapped; a *wide* one in shards of small compressed chunks.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from trajstore.disk.json_text import canonical_json
from trajstore.disk.mapping import CRC_BYTES
from trajstore.disk.system import FileRecord
from trajstore.episode.codec import Codec
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec

CHUNK_ROWS = 65_536
CHUNK_BYTES = 16 * 2**20
INNER_BYTES = 32 * 2**10
SHARD_ROWS = 4096
SHARD_BYTES = 64 * 2**20
FRAMES_BYTES = 16 * SHARD_BYTES
"""Of decoded frames in a shard; encoded they take a twentieth of that, or less."""
JPEG, H264 = "imagecodecs_jpeg", "trajstore.h264"
"""Codecs of cameras in Zarr's metadata; the first is also that of the package imagecodecs."""
ZSTD_LEVEL = 3
RAW: list[dict[str, Any]] = [{"name": "crc32c"}]
PACKED: list[dict[str, Any]] = [
    {"name": "zstd", "configuration": {"level": ZSTD_LEVEL, "checksum": False}},
    *RAW,
]
"""Codecs of a narrow and of a wide field, as Zarr 3 names them, after the ``bytes`` codec."""
INDEX = {
    "length": FieldSpec("index/length", Axis.EPISODE, (), "int64"),
    "digest": FieldSpec("index/digest", Axis.EPISODE, (32,), "uint8"),
    "anomaly": FieldSpec("index/anomaly", Axis.EPISODE, (), "float32"),
}
"""Arrays that every part has beside its fields, one row an episode."""
FIRST = FieldSpec("index/first", Axis.EPISODE, (2,), "int64")
"""Of a part with gaps: the first row of each episode on the step axis, and on the state axis."""


@dataclass(frozen=True, slots=True)
class Part:
    """One set of arrays of a version: what was recorded at once.

    Attributes:
        path: relative to the version's folder; empty for the first part, then ``parts/1``, ...
        steps: sum of the lengths of its episodes.
        recorded: episodes and steps whose rows lie there, if some of them are no longer episodes
            of the version: the part has gaps, at most as many steps as its episodes have.
    """

    path: str
    episodes: int
    steps: int
    recorded: tuple[int, int] | None = None

    @property
    def fits(self) -> bool:
        """Whether what was recorded can hold the episodes, which are at least half of it."""
        episodes, steps = self.recorded or (self.episodes, self.steps)
        return self.episodes <= episodes <= steps and self.steps <= steps <= 2 * self.steps

    def rows(self, axis: Axis) -> int:
        """How many rows lie there of a field of that axis."""
        episodes, steps = self.recorded or (self.episodes, self.steps)
        if axis is Axis.EPISODE:
            return self.episodes
        return steps if axis is Axis.STEP else steps + episodes

    def to_json(self) -> dict[str, object]:
        """A mapping of plain JSON values."""
        plain = asdict(self)
        return plain if self.recorded else {it: plain[it] for it in ("path", "episodes", "steps")}


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """One array of one part.

    Attributes:
        path: of the array's folder, relative to the version.
        chunk_rows: rows of a chunk file (narrow) or of an inner chunk (wide).
        shard_rows: rows of a shard file; 0 for a narrow array.
    """

    path: str
    field: FieldSpec
    rows: int
    chunk_rows: int
    shard_rows: int

    @property
    def file_rows(self) -> int:
        """Rows of one chunk or shard file."""
        return self.shard_rows or self.chunk_rows

    @property
    def file_count(self) -> int:
        """How many chunk or shard files there are."""
        return -(-self.rows // self.file_rows)

    @property
    def chunks_per_file(self) -> int:
        """Entries of a shard's index; 1 for a narrow array."""
        return self.file_rows // self.chunk_rows

    @property
    def chunk_bytes(self) -> int:
        """Size of the rows of a chunk before it is encoded, bytes."""
        return self.chunk_rows * self.field.row_bytes

    @property
    def index_bytes(self) -> int:
        """Size of a shard's index at the end of its file, checksum included, bytes."""
        return 16 * self.chunks_per_file + CRC_BYTES

    def file_path(self, number: int) -> str:
        """Path of chunk or shard file ``number``, relative to the version."""
        return f"{self.path}/{'.'.join(['c', str(number), *['0'] * len(self.field.shape)])}"

    def file_paths(self) -> list[str]:
        """Paths of all chunk or shard files, in order."""
        return [self.file_path(number) for number in range(self.file_count)]

    def metadata(self) -> dict[str, Any]:
        """The array's ``zarr.json``."""
        row = list(self.field.shape)
        dtype = self.field.numpy_dtype
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [self.rows, *row],
            "data_type": dtype.name,
            "chunk_grid": {
                "name": "regular",
                "configuration": {"chunk_shape": [self.file_rows, *row]},
            },
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
            "fill_value": False if dtype.kind == "b" else 0.0 if dtype.kind == "f" else 0,
            "codecs": self._codecs(),
            "attributes": {"description": self.field.description, "unit": self.field.unit},
            "dimension_names": [_DIMENSION[self.field.axis], *[None] * len(row)],
            "storage_transformers": [],
        }

    def _codecs(self) -> list[dict[str, Any]]:
        little = _LITTLE if self.field.numpy_dtype.itemsize > 1 else {"name": "bytes"}
        if not self.shard_rows:
            return [little, *RAW]
        inner = [little, *PACKED] if self.field.codec is None else _of_frames(self.field.codec)
        configuration = {
            "chunk_shape": [self.chunk_rows, *self.field.shape],
            "codecs": inner,
            "index_codecs": [_LITTLE, *RAW],
            "index_location": "end",
        }
        return [{"name": "sharding_indexed", "configuration": configuration}]


class Files(Protocol):
    """The files that the rows of arrays lie in; errors call the place ``where``."""

    where: str

    def record(self, path: str) -> FileRecord:
        """What is recorded of a file; raises `CorruptionError` if nothing is."""

    def file(self, path: str) -> Path:
        """The file on this machine; it is brought here if it has to be."""


_LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
_DIMENSION = {Axis.STATE: "state", Axis.STEP: "step", Axis.EPISODE: "episode"}


def _of_frames(codec: Codec) -> list[dict[str, Any]]:
    """The codecs of one frame of a camera, as Zarr 3 names them.

    An H.264 group lies in a file once and its frames' places overlap, so that its checksum is
    inside of what the codec reads.
    """
    if codec.name == "jpeg":
        level = {"level": codec.quality, "subsampling": "420"}
        return [{"name": JPEG, "configuration": level}, *RAW]
    return [{"name": H264, "configuration": {"qp": codec.quality, "group": codec.group}}]


def array_spec(field: FieldSpec, path: str, rows: int) -> ArraySpec:
    """Place ``rows`` rows of a field: the same rows always lie the same way."""
    if field.is_narrow:
        most = min(CHUNK_ROWS, CHUNK_BYTES // field.row_bytes)
        chunks = -(-rows // most)
        return ArraySpec(path, field, rows, -(-rows // chunks), 0)
    inner, most = inner_rows(field.row_bytes), SHARD_BYTES
    if field.codec is not None:
        inner, most = 1, FRAMES_BYTES
    shard = max(inner, min(SHARD_ROWS, _power_of_two(most // field.row_bytes)))
    whole = shard // inner * inner
    return ArraySpec(path, field, rows, inner, min(whole, -(-rows // inner) * inner))


def inner_rows(row_bytes: int) -> int:
    """Rows of an inner chunk of a wide field: 1 to 16, a power of two, 16 to 64 KiB if it can be.

    Example:
        >>> inner_rows(1_025), inner_rows(4_096), inner_rows(40_000), inner_rows(10**6)
        (16, 8, 1, 1)
    """
    most = max(INNER_BYTES // row_bytes, min(4, 2 * INNER_BYTES // row_bytes))
    return _power_of_two(min(16, most))


def _power_of_two(number: int) -> int:
    return 1 << (max(number, 1).bit_length() - 1)


def arrays_of(schema: EpisodeSchema, part: Part) -> dict[str, ArraySpec]:
    """The arrays of a part by field name; those of its index as ``index/length`` and so on."""
    paths = {field: f"{field.axis.value}/{field.name}" for field in schema.fields}
    index = [*INDEX.values(), FIRST] if part.recorded else INDEX.values()
    paths |= {field: field.name for field in index}
    return {
        field.name: array_spec(field, f"{part.path}/{path}".lstrip("/"), part.rows(field.axis))
        for field, path in paths.items()
    }


def groups_of(schema: EpisodeSchema, part: Part) -> list[str]:
    """Folders above the arrays of a part, which are Zarr groups; parents first, the root empty."""
    arrays = arrays_of(schema, part).values()
    return sorted({folder for spec in arrays for folder in parents(spec.path)})


def parents(path: str) -> Iterator[str]:
    """Every folder above a path inside a version, the version itself first, as empty text."""
    segments = path.split("/")
    return ("/".join(segments[:count]) for count in range(len(segments)))


def metadata_files(schema: EpisodeSchema, part: Part) -> Iterator[tuple[str, bytes]]:
    """Path and content of every ``zarr.json`` of a part."""
    group = canonical_json({"attributes": {}, "node_type": "group", "zarr_format": 3})
    for folder in groups_of(schema, part):
        yield f"{folder}/zarr.json".removeprefix("/"), group
    for spec in arrays_of(schema, part).values():
        yield f"{spec.path}/zarr.json", _metadata_bytes(spec)


@lru_cache(maxsize=256)
def _metadata_bytes(spec: ArraySpec) -> bytes:
    return json.dumps(spec.metadata(), indent=2).encode()


def projected_bytes(schema: EpisodeSchema, part: Part) -> int:
    """Most that the files of a part can take on disk, bytes.

    The manifest and what a codec makes of frames of cameras are not counted.
    """
    total = 0
    for spec in arrays_of(schema, part).values():
        if spec.field.codec is None:
            rows = spec.file_count * spec.file_rows if not spec.shard_rows else spec.rows
            chunks = -(-rows // spec.chunk_rows)
            slack = spec.chunk_bytes // 256 + 64 if spec.shard_rows else 0
            total += chunks * (spec.chunk_bytes + CRC_BYTES + slack)
        total += spec.file_count * spec.index_bytes if spec.shard_rows else 0
    return total + sum(len(content) for _, content in metadata_files(schema, part))


def frames_bytes(schema: EpisodeSchema, part: Part) -> int:
    """Most that frames of cameras can take when encoded: noise takes more than it did before."""
    rows = [(spec.field, spec.rows) for spec in arrays_of(schema, part).values()]
    return sum(count * (2 * it.row_bytes + 2**16) for it, count in rows if it.codec is not None)
