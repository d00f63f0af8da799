"""LeRobot v3.0: Parquet and a video a camera, written and read with PyAV as LeRobot 0.6 does.

The package itself wants Python 3.12 and 5 GB. Written are its files with its defaults: frames as
PNG first, then AV1 (g 2, crf 30, preset 12), episodes end to end. Reading keeps files open and
seeks to the key frame before a run of frames, as torchcodec does; its tensors are not made.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.data import Source
from benchmarks.peers import Batch
from benchmarks.peers.drawing import Rows, gather_windows

FPS = 30
_OPTIONS = {"g": "2", "crf": "30", "preset": "12"}
_DATA = "data/chunk-000/file-000.parquet"


def _video(camera: str) -> str:
    return f"videos/observation.images.{camera}/chunk-000/file-000.mp4"


def write(path: Path, source: Source) -> None:
    plain = {name: rows for name, rows in source.fields.items() if rows.ndim < 4}
    for camera in source.fields.keys() - plain.keys():
        _write_video(path / _video(camera), source, camera)
    columns = {name: _column(rows) for name, rows in plain.items()}
    steps = np.concatenate([np.arange(length) for length in source.lengths])
    columns["timestamp"] = pa.array((steps / FPS).astype(np.float32))
    columns["frame_index"] = pa.array(steps)
    columns["episode_index"] = pa.array(np.repeat(np.arange(len(source.lengths)), source.lengths))
    columns["index"] = pa.array(np.arange(source.steps))
    columns["task_index"] = pa.array(np.zeros(source.steps, np.int64))
    table = pa.table(columns)
    (path / _DATA).parent.mkdir(parents=True)
    with pq.ParquetWriter(path / _DATA, table.schema, compression="snappy") as file:
        for start, length in zip(source.starts.tolist(), source.lengths.tolist(), strict=True):
            file.write_table(table.slice(start, length))
    (path / "meta").mkdir()
    info = {"codebase_version": "v3.0", "fps": FPS, "total_episodes": len(source.lengths)}
    (path / "meta/info.json").write_text(json.dumps(info))
    np.save(path / "meta/lengths.npy", source.lengths)


def _column(rows: np.ndarray) -> pa.Array:
    if rows.ndim == 1:
        return pa.array(np.array(rows))
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])


def _write_video(path: Path, source: Source, camera: str) -> None:
    path.parent.mkdir(parents=True)
    rows = source.fields[camera]
    with av.open(str(path), "w") as output, tempfile.TemporaryDirectory() as folder:
        stream = output.add_stream("libsvtav1", FPS, options=_OPTIONS)
        stream.height, stream.width, stream.pix_fmt = *rows.shape[1:3], "yuv420p"
        for start, length in zip(source.starts.tolist(), source.lengths.tolist(), strict=True):
            pictures = [Path(folder) / f"frame-{step:06d}.png" for step in range(length)]
            for step, picture in enumerate(pictures):
                Image.fromarray(rows[start + step]).save(picture, compress_level=1)
            for picture in pictures:
                with Image.open(picture) as image:
                    output.mux(stream.encode(av.VideoFrame.from_image(image.convert("RGB"))))
        output.mux(stream.encode())


class _Video:
    def __init__(self, path: Path) -> None:
        self._file = av.open(str(path))
        self._stream = self._file.streams.video[0]
        self._stream.codec_context.thread_count = 1
        self._tick = int(1 / FPS / self._stream.time_base)
        self.shape = (self._stream.height, self._stream.width, 3)

    def run(self, first: int, count: int) -> np.ndarray:
        """``uint8[count, ...]`` frames that follow each other."""
        self._file.seek(first * self._tick, stream=self._stream)
        frames = []
        for frame in self._file.decode(self._stream):
            if frame.pts >= first * self._tick:
                frames.append(frame.to_ndarray(format="rgb24"))
            if len(frames) == count:
                break
        return np.stack(frames)


class VideoReader:
    def __init__(self, path: Path) -> None:
        self.rows = Rows(np.load(path / "meta/lengths.npy"))
        table = pq.read_table(path / _DATA)
        self.fields = {
            name: _values(table[name])
            for name in ("observation", "action", "reward", "terminated", "truncated")
        }
        found = sorted((path / "videos").glob("*/chunk-000/file-000.mp4"))
        self.videos = {it.parts[-3].rpartition(".")[2]: _Video(it) for it in found}

    def transitions(self, rng: np.random.Generator, size: int) -> Batch:
        flat = self.rows.draw(rng, size)
        batch = {name: rows[flat] for name, rows in self.fields.items()}
        for name, video in self.videos.items():
            frames = np.empty((size, *video.shape), np.uint8)
            for place in np.argsort(flat).tolist():
                frames[place] = video.run(int(flat[place]), 1)[0]
            batch[name] = frames
        return batch

    def windows(self, rng: np.random.Generator, size: int, length: int) -> Batch:
        first = np.sort(self.rows.draw_windows(rng, size, length))
        return gather_windows(self.rows, first, length, self._slice)

    def episode(self, index: int) -> Batch:
        return self._slice(index, 0, int(self.rows.lengths[index]))

    def sequential(self) -> Iterator[Batch]:
        for index in range(len(self.rows.lengths)):
            yield self.episode(index)

    def _slice(self, index: int, first: int, last: int) -> Batch:
        start, stop = (int(self.rows.starts[index]) + it for it in (first, last))
        batch = {name: rows[start:stop] for name, rows in self.fields.items()}
        frames = {name: video.run(start, stop - start) for name, video in self.videos.items()}
        return batch | frames


def _values(column: pa.ChunkedArray) -> np.ndarray:
    array = column.combine_chunks()
    if not pa.types.is_fixed_size_list(array.type):
        return array.to_numpy(zero_copy_only=False)
    return array.flatten().to_numpy().reshape(len(array), -1)


def open_store(path: Path) -> VideoReader:
    return VideoReader(path)
