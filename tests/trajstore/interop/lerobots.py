"""Small LeRobot datasets of v3.0 and v2.1 as their documents describe them, written by hand."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

FPS = 20
PLACES = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}
JOINTS = ["shoulder", "elbow", "grip"]
FEATURES: dict[str, dict[str, Any]] = {
    "observation.state": {"dtype": "float32", "shape": [3], "names": {"motors": JOINTS}},
    "observation.images.side": {
        "dtype": "image",
        "shape": [16, 24, 3],
        "names": ["height", "width", "channels"],
    },
    "action": {"dtype": "float32", "shape": [2], "names": ["x", "y"]},
    "next.reward": {"dtype": "float32", "shape": [1], "names": None},
    "next.done": {"dtype": "bool", "shape": [1], "names": None},
    "next.success": {"dtype": "bool", "shape": [1], "names": None},
    **{name: {"dtype": it, "shape": [1], "names": None} for name, it in PLACES.items()},
}
CAMERA = "observation.images.top"
FILM = {"dtype": "video", "shape": [96, 128, 3], "names": ["height", "width", "channels"]}
LENGTHS = (5, 3, 6)
TASKS = ("lift", "stack")


def rows(index: int, length: int, first: int, keys: set[str]) -> dict[str, np.ndarray]:
    """The rows of one episode, made from its number."""
    rng = np.random.default_rng(index)
    last = np.arange(length) == length - 1
    made = {
        "observation.state": rng.normal(size=(length, 3)).astype("f4"),
        "observation.images.side": rng.integers(0, 256, (length, 16, 24, 3)).astype("u1"),
        "action": rng.normal(size=(length, 2)).astype("f4"),
        "next.reward": rng.normal(size=length).astype("f4"),
        "next.done": last,
        "next.success": last & (index % 2 == 0),
        "timestamp": (np.arange(length) / FPS).astype("f4"),
        "frame_index": np.arange(length),
        "episode_index": np.full(length, index),
        "index": first + np.arange(length),
        "task_index": np.full(length, index % 2),
    }
    return {key: made[key] for key in keys if key in made}


def film(index: int, length: int) -> np.ndarray:
    """Smooth frames that a codec keeps well, ``uint8[T, 96, 128, 3]``."""
    y, x = np.mgrid[0:96, 0:128]
    frames = [np.stack([x + 2 * t, y + 9 * index, x // 2 + y // 2], -1) for t in range(length)]
    return np.stack(frames).astype("u1")


def column(rows_: np.ndarray) -> pa.Array:
    """Rows as the package ``datasets`` lays them out."""
    if rows_.ndim == 1:
        return pa.array(rows_)
    if rows_.ndim == 2:
        return pa.FixedSizeListArray.from_arrays(pa.array(rows_.reshape(-1)), rows_.shape[1])
    return pa.array([{"bytes": png(it), "path": None} for it in rows_])


def png(picture: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()


def table(found: dict[str, np.ndarray]) -> pa.Table:
    return pa.table({key: column(it) for key, it in found.items()})


def info(features: dict[str, Any], version: str, **changes: Any) -> dict[str, Any]:
    three = version == "v3.0"
    at = "chunk-{chunk_index:03d}/file-{file_index:03d}"
    two = "chunk-{episode_chunk:03d}"
    return {
        "codebase_version": version,
        "robot_type": "so100",
        "total_episodes": len(LENGTHS),
        "total_frames": sum(LENGTHS),
        "chunks_size": 1000,
        "fps": FPS,
        "splits": {"train": f"0:{len(LENGTHS)}"},
        "data_path": f"data/{at}.parquet"
        if three
        else f"data/{two}/episode_{{episode_index:06d}}.parquet",
        "video_path": f"videos/{{video_key}}/{at}.mp4"
        if three
        else f"videos/{two}/{{video_key}}/episode_{{episode_index:06d}}.mp4",
        "features": features,
    } | changes


def write(
    folder: Path,
    *,
    version: str = "v3.0",
    without: tuple[str, ...] = (),
    filmed: bool = False,
    group_rows: int | None = None,
    **changes: Any,
) -> Path:
    """A dataset of three episodes; ``changes`` are keys of ``info.json``."""
    features = {key: it for key, it in FEATURES.items() if key not in without}
    features |= {CAMERA: FILM} if filmed else {}
    told = info(features, version, **changes)
    (folder / "meta").mkdir(parents=True)
    (folder / "meta/info.json").write_text(json.dumps(told))
    tables, first = [], 0
    for index, length in enumerate(LENGTHS):
        tables.append(table(rows(index, length, first, set(features))))
        first += length
    (_write_v3 if version == "v3.0" else _write_v2)(folder, tables, filmed, group_rows)
    return folder


def _write_v3(folder: Path, tables: list[pa.Table], filmed: bool, group_rows: int | None) -> None:
    data = folder / "data/chunk-000/file-000.parquet"
    data.parent.mkdir(parents=True)
    if group_rows is None:
        with pq.ParquetWriter(data, tables[0].schema) as writer:
            for one in tables:
                writer.write_table(one)
    else:
        pq.write_table(pa.concat_tables(tables), data, row_group_size=group_rows)
    first = 0
    episodes = []
    for index, length in enumerate(LENGTHS):
        row = {
            "episode_index": index,
            "tasks": [TASKS[index % 2]],
            "length": length,
            "data/chunk_index": 0,
            "data/file_index": 0,
            "dataset_from_index": first,
            "dataset_to_index": first + length,
            "stats/action/mean": [0.0, 0.0],
            "operator": "bo",
        }
        if filmed:
            row |= {
                f"videos/{CAMERA}/chunk_index": 0,
                f"videos/{CAMERA}/file_index": 0,
                f"videos/{CAMERA}/from_timestamp": first / FPS,
                f"videos/{CAMERA}/to_timestamp": (first + length) / FPS,
            }
        episodes.append(row)
        first += length
    place = folder / "meta/episodes/chunk-000/file-000.parquet"
    place.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(episodes), place)
    pq.write_table(
        pa.table({"task_index": [0, 1], "task": list(TASKS)}), folder / "meta/tasks.parquet"
    )
    if filmed:
        frames = [film(index, length) for index, length in enumerate(LENGTHS)]
        encode(folder / f"videos/{CAMERA}/chunk-000/file-000.mp4", np.concatenate(frames))


def _write_v2(folder: Path, tables: list[pa.Table], filmed: bool, group_rows: int | None) -> None:
    (folder / "data/chunk-000").mkdir(parents=True)
    episodes = []
    for index, one in enumerate(tables):
        pq.write_table(one, folder / f"data/chunk-000/episode_{index:06d}.parquet")
        episodes.append({"episode_index": index, "tasks": [TASKS[index % 2]], "length": len(one)})
        if filmed:
            path = folder / f"videos/chunk-000/{CAMERA}/episode_{index:06d}.mp4"
            encode(path, film(index, len(one)))
    tasks = [{"task_index": place, "task": it} for place, it in enumerate(TASKS)]
    for name, lines in {"episodes": episodes, "tasks": tasks}.items():
        text = "\n".join(json.dumps(line) for line in lines) + "\n"
        (folder / f"meta/{name}.jsonl").write_text(text)


def encode(path: Path, frames: np.ndarray, *, fps: int = FPS, codec: str = "libx264") -> None:
    """A video of these frames."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="mp4") as file:
        stream: Any = file.add_stream(codec, rate=fps, options={"crf": "10", "g": "2"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode())


def change(folder: Path, **changes: Any) -> None:
    """Change keys of ``info.json``."""
    path = folder / "meta/info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
