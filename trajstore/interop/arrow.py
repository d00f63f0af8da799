"""Arrow and Parquet files of numbers and text, read without believing what they claim.

Only the plain part of Arrow's format is read: uncompressed batches of one file each, lists that
are whole. Types that name files or code are not there for whoever reads these.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trajstore.disk.files import open_file
from trajstore.episode.texts import shown
from trajstore.errors import CorruptionError

COMPRESSED = 3
"""Place of the field of a batch's metadata that says how it is compressed."""
_USUAL = {b"ARROW:schema", b"huggingface", b"pandas"}
MAX_RATIO, FREE_BYTES = 100, 64 * 2**20
"""How much larger than in the file the rows may become that are larger than the free bytes."""


def batches(path: Path) -> Iterator[pa.RecordBatch]:
    """The batches of a file of Arrow's stream or file format, each checked.

    Raises:
        CorruptionError: if it is none, or its batches are compressed.
    """
    open_file(path).close()
    try:
        with pa.memory_map(str(path)) as file:
            start = 8 if file.read(6) == b"ARROW1" else 0
            file.seek(start)
            _check_plain(file, path)
            file.seek(start)
            for batch in pa.ipc.open_stream(file):
                batch.validate(full=True)
                yield batch
    except pa.ArrowException as error:
        raise CorruptionError(f"{path}: expected an Arrow stream, got {error}") from error


def parquet(path: Path) -> pq.ParquetFile:
    """A Parquet file, once the rows that it claims were compared with its size.

    Raises:
        CorruptionError: if it is none, or claims more than it can hold.
    """
    with open_file(path) as plain:
        size = plain.seek(0, 2)
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowException as error:
        raise CorruptionError(f"{path}: expected a Parquet file, got {error}") from error
    whole = file.metadata
    claimed = values = 0
    for place in range(whole.num_row_groups):
        group = whole.row_group(place)
        claimed += group.total_byte_size
        values += sum(group.column(it).num_values for it in range(group.num_columns))
    claimed = max(claimed, 4 * values)  # few bytes can stand for many equal values
    if claimed > max(FREE_BYTES, MAX_RATIO * size):
        raise CorruptionError(
            f"{path}: expected rows that its {size:,} bytes hold, got {claimed:,} bytes of them; "
            "export it again"
        )
    return file


def unplaced(metadata: Mapping[bytes, bytes] | None) -> Iterator[str]:
    """What the metadata of a schema say beside what Arrow, pandas and ``datasets`` do, in words."""
    for key in sorted((metadata or {}).keys() - _USUAL):
        yield f"metadata {shown(key.decode(errors='replace'))} of a table: no place"


def _check_plain(file: pa.MemoryMappedFile, path: Path) -> None:
    """Refuse compressed batches, whose buffers could become larger than memory."""
    reader = pa.ipc.MessageReader.open_stream(file)
    while True:
        try:
            message = reader.read_next_message()
        except StopIteration:
            return
        if message.type != "schema" and _is_compressed(message.metadata.to_pybytes()):
            raise CorruptionError(f"{path}: expected plain batches, got compressed ones")


def _is_compressed(metadata: bytes) -> bool:
    """Whether the flatbuffer of a message describes a batch with a compression."""
    message = _offset(metadata, 0)
    header = _field(metadata, message, 2)
    return header is None or _field(metadata, _offset(metadata, header), COMPRESSED) is not None


def _field(data: bytes, table: int, place: int) -> int | None:
    """Where the field of a flatbuffer's table lies; ``None`` if it is not given."""
    entry = table - int.from_bytes(data[table : table + 4], "little", signed=True)
    size = int.from_bytes(data[entry : entry + 2], "little")
    at = 4 + 2 * place
    found = int.from_bytes(data[entry + at : entry + at + 2], "little") if at < size else 0
    return table + found if found else None


def _offset(data: bytes, at: int) -> int:
    return at + int.from_bytes(data[at : at + 4], "little")


def array_of(values: Any, where: str) -> np.ndarray:  # noqa: ANN401 - an Arrow array
    """An array of nested lists as NumPy's, all lists of one level equally long.

    Raises:
        CorruptionError: if some are not, or a value is missing or no number.
    """
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values.type, pa.ExtensionType):
        values = values.storage
    shape = [len(values)]
    while pa.types.is_nested(values.type) and not pa.types.is_struct(values.type):
        lengths = values.value_lengths()
        if values.null_count or len(lengths.unique()) > 1:
            raise CorruptionError(f"{where}: expected rows of one shape, got others")
        shape.append(lengths[0].as_py() if len(lengths) else 0)
        values = values.flatten()
    kind = values.type
    plain = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    if values.null_count or not plain:
        raise CorruptionError(f"{where}: expected numbers, got {kind}")
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(shape)
