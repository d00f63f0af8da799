"""The rows of a LeRobot dataset, episode by episode; tables and videos are read once, in order."""

import io
import warnings
from collections.abc import Collection, Iterator
from itertools import groupby, islice
from math import prod
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from trajstore.errors import CorruptionError
from trajstore.interop.arrow import array_of, parquet
from trajstore.interop.foreign import inside
from trajstore.interop.imported import leaving_out
from trajstore.interop.lerobot_info import Feature, check_rate
from trajstore.interop.lerobot_layout import PLACED, Entry, Layout

AT_ONCE = 8 * 2**20
"""Bytes of rows that are decoded together."""
MAX_PICTURES = 4 * 2**30
"""Bytes of one episode's decoded frames of one camera."""

Columns = dict[str, Any]


def episodes(found: Layout, wanted: Collection[str]) -> Iterator[tuple[Entry, Columns]]:
    """Each episode with the rows of the features that are wanted, and of those that place a row.

    Numbers come as ``[T, ...]``, text as a list, pictures as ``uint8[T, height, width, 3]``;
    ``task_index`` where there is one. Memory is that of one episode and of the rows decoded
    together.

    Raises:
        CorruptionError: if files are missing, lie elsewhere, are damaged or contradict the
            metadata.
    """
    kinds = {key: found.features[key] for key in wanted}
    cameras = {key: it for key, it in kinds.items() if it.kind == "video"}
    videos = {key: _Reel(found, feature) for key, feature in cameras.items()}
    plain = [key for key in kinds if key not in cameras]
    for table, entries in groupby(found.entries, key=lambda entry: entry.table):
        rows = _Rows(found, table, plain)
        for entry in entries:
            columns = rows.take(entry.length)
            _check_places(found, entry, columns)
            for key in plain:
                if kinds[key].kind == "image":
                    columns[key] = _pictures(found, entry, kinds[key], columns[key])
            for key, reel in videos.items():
                columns[key] = reel.take(entry)
            yield entry, columns
        rows.check_end()


class _Rows:
    """The rows of one table, in order."""

    def __init__(self, found: Layout, name: str, keys: list[str]) -> None:
        self._where = f"{found.source}: {name}"
        self._kinds = {key: found.features[key] for key in keys}
        path = inside(found.source, name)
        self._file = parquet(path)
        there = set(self._file.schema_arrow.names)
        self._names = [*keys, *(it for it in PLACED if it in there and it not in keys)]
        missing = {*keys, "episode_index", "frame_index"} - there
        if missing:
            key = min(missing, key=lambda it: (it in PLACED, it))
            remedy = "export it again" if key in PLACED else leaving_out(key)
            raise CorruptionError(
                f"{self._where}: expected the column {key!r} as the metadata say, got none; "
                f"{remedy}"
            )
        self._bunches = _bunches(self._file.metadata)
        self._held: Columns = {}
        self._count = 0

    def take(self, length: int) -> Columns:
        """The next rows."""
        while self._count < length:
            bunch = next(self._bunches, None)
            if bunch is None:
                raise CorruptionError(
                    f"{self._where}: expected {length:,} more rows as the metadata say, got "
                    f"{self._count:,}; download or export it again"
                )
            read = self._file.read_row_groups(bunch, columns=self._names, use_threads=False)
            self._hold({name: self._column(name, read[name]) for name in self._names})
            self._count += read.num_rows
        taken = {name: rows[:length] for name, rows in self._held.items()}
        self._held = {name: rows[length:] for name, rows in self._held.items()}
        self._count -= length
        return taken

    def check_end(self) -> None:
        """Refuse rows that no episode has."""
        left = self._count or next(self._bunches, None)
        if left:
            raise CorruptionError(
                f"{self._where}: expected the rows of its episodes, got more of them; download or "
                "export it again"
            )

    def _hold(self, read: Columns) -> None:
        if not self._count:
            self._held = read
            return
        for name, rows in read.items():
            held = self._held[name]
            if isinstance(rows, np.ndarray):
                self._held[name] = _frozen(np.concatenate([held, rows]))
            elif isinstance(rows, list):
                self._held[name] = held + rows
            else:
                self._held[name] = pa.concat_arrays([held, rows])

    def _column(self, name: str, values: pa.ChunkedArray) -> Any:  # noqa: ANN401 - rows
        values = values.combine_chunks()
        kind = self._kinds.get(name)
        if kind is not None and kind.kind == "image":
            return values
        if kind is not None and kind.dtype == "str":
            if values.null_count or not pa.types.is_string(values.type):
                raise CorruptionError(f"{self._where}: {name}: expected texts, got {values.type}")
            return values.to_pylist()
        array = array_of(values, f"{self._where}: {name}")
        shape = (len(array), *(() if kind is None else kind.shape))
        if prod(array.shape) != prod(shape):
            raise CorruptionError(
                f"{self._where}: {name}: expected rows of shape {shape[1:]} as the metadata say, "
                f"got {array.shape[1:]}"
            )
        return _frozen(array.reshape(shape))


def _frozen(rows: np.ndarray) -> np.ndarray:
    """Rows that an episode takes as they are, without a copy."""
    rows.flags.writeable = False
    return rows


def _bunches(metadata: pq.FileMetaData) -> Iterator[list[int]]:
    """Row groups that are read together."""
    bunch: list[int] = []
    size = 0
    for place in range(metadata.num_row_groups):
        own = metadata.row_group(place).total_byte_size
        if bunch and size + own > AT_ONCE:
            yield bunch
            bunch, size = [], 0
        bunch.append(place)
        size += own
    if bunch:
        yield bunch


def _check_places(found: Layout, entry: Entry, columns: Columns) -> None:
    """Refuse rows that say another place, or a time that contradicts the frame rate."""
    where = f"{found.source}: episode {entry.index}"
    frames = columns["frame_index"]
    if (columns["episode_index"] != entry.index).any() or (frames != np.arange(entry.length)).any():
        raise CorruptionError(
            f"{where}: expected its {entry.length:,} frames in order in {entry.table}, got rows of "
            "others; download or export it again"
        )
    times = columns.get("timestamp")
    if times is not None and entry.length > 1:
        times = np.asarray(times, np.float64).reshape(-1)
        span = times[-1] - times[0]
        if not span > 0:
            raise CorruptionError(f"{where}: expected times that rise, got a span of {span:g} s")
        check_rate(found.source, found.fps, (entry.length - 1) / span, f"episode {entry.index}")


def _check_size(found: Layout, entry: Entry, feature: Feature) -> None:
    size = entry.length * prod(feature.shape)
    if size > MAX_PICTURES:
        raise CorruptionError(
            f"{found.source}: episode {entry.index}: {feature.key}: expected at most "
            f"{MAX_PICTURES:,} bytes of decoded frames, got {size:,}; "
            f"{leaving_out(feature.key)}"
        )


def _pictures(found: Layout, entry: Entry, feature: Feature, rows: Any) -> np.ndarray:  # noqa: ANN401
    """Pictures that stand as PNG or JPEG in the rows."""
    _check_size(found, entry, feature)
    where = f"{found.source}: episode {entry.index}: {feature.key}"
    encoded = rows.field("bytes") if pa.types.is_struct(rows.type) else rows
    if encoded.null_count or not (
        pa.types.is_binary(encoded.type) or pa.types.is_large_binary(encoded.type)
    ):
        raise CorruptionError(f"{where}: expected pictures in the rows, got {encoded.type}")
    if pc.max(pc.binary_length(encoded)).as_py() > 4 * prod(feature.shape) + 2**20:
        raise CorruptionError(f"{where}: expected pictures of {feature.shape}, got larger ones")
    pictures: np.ndarray = np.empty((entry.length, *feature.shape), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        for place, data in enumerate(encoded):
            pictures[place] = _picture(data.as_py(), feature.shape, where)
    return _frozen(pictures)


def _picture(data: bytes, shape: tuple[int, ...], where: str) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(data), formats=["PNG", "JPEG"]) as image:
            if image.size != (shape[1], shape[0]):
                raise CorruptionError(f"{where}: expected {shape}, got {image.size}")
            return np.asarray(image.convert("RGB"))
    except Image.DecompressionBombError as error:
        raise CorruptionError(f"{where}: expected {shape}, got a larger picture") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise CorruptionError(
            f"{where}: expected PNG or JPEG, got other or damaged bytes"
        ) from error


class _Reel:
    """One camera: the frames of its videos, in order."""

    def __init__(self, found: Layout, feature: Feature) -> None:
        self._found, self._feature = found, feature
        self._name = ""
        self._next = 0
        self._frames: Iterator[np.ndarray] = iter(())

    def take(self, entry: Entry) -> np.ndarray:
        """The frames of an episode, ``uint8[T, height, width, 3]``."""
        from trajstore.interop import video  # noqa: PLC0415 - a dataset without video needs no PyAV

        _check_size(self._found, entry, self._feature)
        name, first = entry.videos[self._feature.key]
        if name != self._name or first < self._next:
            try:
                path = inside(self._found.source, name)
            except FileNotFoundError as error:
                raise CorruptionError(
                    f"{self._found.source}: {name} is missing; download or export it again, or "
                    f"{leaving_out(self._feature.key)}"
                ) from error
            self._frames = video.frames(path, self._feature.shape, self._found.fps)
            self._name, self._next = name, 0
        skipped = first - self._next
        taken = list(islice(self._frames, skipped, skipped + entry.length))
        self._next = first + entry.length
        if len(taken) < entry.length:
            raise CorruptionError(
                f"{self._found.source}: episode {entry.index}: expected {entry.length:,} frames in "
                f"{name}, got {len(taken):,}, as the video ends early; download or export it again"
            )
        return _frozen(np.stack(taken))
