"""The Parquet files of a LeRobot dataset, as the package ``datasets`` expects their columns."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from trajstore.episode.fields import FieldSpec
from trajstore.interop.lerobot_fields import is_picture
from trajstore.interop.lerobot_info import row_shape

PATH = "chunk-{chunk_index:03d}/file-{file_index:03d}"
DATA_MB, FILES_A_CHUNK = 100, 1000


class Tables:
    """The data files: a row group an episode, a new file when one is large."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder, self._schema = folder / "data", schema
        self._number = -1
        self._file: pq.ParquetWriter | None = None
        self._sink: Any = None

    def add(self, table: pa.Table) -> dict[str, int]:
        """Write an episode; where it lies."""
        if self._file is None or self._sink.tell() > DATA_MB * 2**20:
            self.close()
            self._number += 1
            path = self._folder / f"{PATH.format(**self._place())}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            self._sink = path.open("xb")
            self._file = pq.ParquetWriter(self._sink, self._schema)
        self._file.write_table(table, row_group_size=max(1, len(table)))
        return {f"data/{name}": value for name, value in self._place().items()}

    def close(self) -> None:
        """Finish the file that is being written."""
        if self._file is not None:
            with self._sink:
                self._file.close()
            self._file = None

    def _place(self) -> dict[str, int]:
        chunk, file = divmod(max(self._number, 0), FILES_A_CHUNK)
        return {"chunk_index": chunk, "file_index": file}


def arrow_type(spec: FieldSpec) -> pa.DataType:
    """The type of a feature's column, as the package ``datasets`` has it."""
    if is_picture(spec):
        return pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    found, shape = pa.from_numpy_dtype(np.dtype(spec.dtype)), row_shape(spec.shape)
    if len(shape) == 1:
        return pa.list_(found, shape[0])
    for _ in shape:
        found = pa.list_(found)
    return found


def arrow(spec: FieldSpec, rows: np.ndarray) -> pa.Array:
    """The rows of an episode as a column; pictures as PNG."""
    if is_picture(spec):
        return pa.array([{"bytes": _png(it), "path": None} for it in rows], arrow_type(spec))
    values, shape = pa.array(np.ascontiguousarray(rows).reshape(-1)), row_shape(spec.shape)
    if len(shape) == 1:
        return pa.FixedSizeListArray.from_arrays(values, shape[0])
    for size in shape[::-1]:
        offsets = np.arange(0, len(values) + 1, size, dtype=np.int32)
        values = pa.ListArray.from_arrays(pa.array(offsets), values)
    return values


def _png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def tasks_table(tasks: dict[str, int]) -> pa.Table:
    """The tasks, with the text as pandas' index, as LeRobot looks them up there."""
    table = pa.table({"task_index": pa.array(tasks.values(), pa.int64()), "task": list(tasks)})
    kinds = (("task_index", "int64", "int64"), ("task", "unicode", "object"))
    columns = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": dtype}
        for name, kind, dtype in kinds
    ]
    told = {"index_columns": ["task"], "column_indexes": [], "columns": columns}
    return table.replace_schema_metadata({"pandas": json.dumps(told | {"pandas_version": "2.0.0"})})
