"""A version as zarr-python sees it, which is the authority for what is on disk.

Imported by those who write a version, or ask for it as a group: a look at a store needs no Zarr.
"""

import json
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import zarr
from zarr.core.buffer import Buffer
from zarr.core.buffer.cpu import Buffer as Bytes
from zarr.core.group import GroupMetadata
from zarr.core.metadata.v3 import ArrayV3Metadata
from zarr.storage import MemoryStore

from trajstore.disk.mapping import map_sealed
from trajstore.version.files import LocalFiles
from trajstore.version.layout import arrays_of, metadata_files
from trajstore.version.zarr_codecs import register

register()


def check_metadata(content: bytes) -> None:
    """Refuse a ``zarr.json`` that zarr-python does not take."""
    record = json.loads(content)
    node = ArrayV3Metadata if record["node_type"] == "array" else GroupMetadata
    node.from_dict(record)


def open_group(files: LocalFiles) -> zarr.Group:
    """The arrays of a version as a group that cannot be written, whatever its files lie in.

    Dimensions without a name are named after the field, so that xarray opens the groups.
    """
    store = MemoryStore(_Keys(files), read_only=True)  # type: ignore[arg-type]
    return zarr.open_group(store, mode="r")


class _Keys(Mapping[str, Buffer]):
    """Zarr's own keys of a version; the files behind them are opened when they are asked for."""

    def __init__(self, files: LocalFiles) -> None:
        self._files = files
        self._metadata: dict[str, bytes] = {}
        for part in files.manifest.parts:
            self._metadata |= metadata_files(files.manifest.schema, part)
            for name, spec in arrays_of(files.manifest.schema, part).items():
                record = spec.metadata()
                first, *rest = record["dimension_names"]
                named = [f"{name.replace('/', '.')}_{axis}" for axis in range(len(rest))]
                content = json.dumps(record | {"dimension_names": [first, *named]})
                self._metadata[f"{spec.path}/zarr.json"] = content.encode()
        self._keys = {**self._metadata, **files.manifest.files}.keys()

    def __reduce__(self) -> tuple[Callable[..., "_Keys"], tuple[Callable[..., LocalFiles]]]:
        return _reopened, (self._files.again,)

    def __getitem__(self, key: str) -> Buffer:
        if key in self._metadata:
            return Bytes.from_bytes(self._metadata[key])
        size = self._files.manifest.files[key].size
        data: np.ndarray = map_sealed(self._files.file(key), size)
        return Bytes.from_array_like(data)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def _reopened(again: Callable[..., LocalFiles]) -> _Keys:
    return _Keys(again())
