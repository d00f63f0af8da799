"""LeRobot v3.0: versions as its datasets of Parquet and video, written without LeRobot."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trajstore.dataset import Dataset
from trajstore.disk.files import write_file
from trajstore.disk.json_text import canonical_json
from trajstore.episode.episode import Episode
from trajstore.episode.fields import FieldSpec
from trajstore.errors import ArgumentError
from trajstore.interop.imported import Progress, unwatched, whole_export
from trajstore.interop.lerobot_cameras import Camera, is_filmed
from trajstore.interop.lerobot_fields import (
    DONE,
    SUCCESS,
    TASK,
    feature_name,
    is_picture,
)
from trajstore.interop.lerobot_files import import_dataset
from trajstore.interop.lerobot_info import noted_shape
from trajstore.interop.lerobot_ours import RestWriter, Whole
from trajstore.interop.lerobot_stats import Statistics
from trajstore.interop.lerobot_tables import (
    DATA_MB,
    FILES_A_CHUNK,
    PATH,
    Tables,
    arrow,
    arrow_type,
    tasks_table,
)

__all__ = ["export_dataset", "import_dataset"]

VIDEO_MB, DEFAULT_FPS = 200, 30
_PLACES = {
    "timestamp": "float32",
    **dict.fromkeys(("frame_index", "episode_index", "index", "task_index"), "int64"),
}


def export_dataset(
    dataset: Dataset,
    target: Path,
    *,
    lossless: bool = False,
    codec: str = "av1",
    fps: int | None = None,
    progress: Progress = unwatched,
) -> tuple[str, ...]:
    """Write a version as a LeRobot dataset of v3.0 in a new folder.

    A frame is a state with the action taken in it. The states after the last actions, and what
    LeRobot has no place for, lie beside its files, for whoever imports them here.

    Args:
        dataset: the version.
        target: the new folder.
        lossless: whether pictures stand as PNG in the rows, not in videos, which lose detail.
        codec: of the videos, ``av1`` or ``h264``.
        fps: frames a second; else what the provenance says by ``dt``, else 30.
        progress: is told when an episode is written.

    Returns:
        What LeRobot's own readers will miss, one line each; how much video lost in the first
        episode.

    Raises:
        ArgumentError: if the codec is none of those, fps none, or PyAV missing for videos.
        SealedError: if the target exists.
        StorageError: if the operating system refuses.
    """
    writer = _Writer(dataset, lossless=lossless, codec=codec, fps=fps)
    with whole_export(target) as whole:
        whole.mkdir(parents=True)
        writer.write(whole, progress)
    return writer.lost


def _rate(dataset: Dataset, fps: int | None) -> tuple[int, tuple[str, ...]]:
    """Frames a second, and what to say if nothing tells them."""
    dt = dataset.manifest.provenance.get("dt")
    if fps is None and isinstance(dt, int | float) and dt > 0 and round(1 / dt) >= 1:
        return round(1 / dt), ()
    if fps is None:
        lost = f"times of the frames: nothing tells them, {DEFAULT_FPS} a second were taken; --fps"
        return DEFAULT_FPS, (f"{lost} tells others",)
    if isinstance(fps, bool) or not 1 <= fps <= 100_000:
        raise ArgumentError(f"fps: expected frames a second, 1 or more, got {fps}")
    return int(fps), ()


class _Writer:
    """One export: what becomes of each field, then the files."""

    def __init__(self, dataset: Dataset, *, lossless: bool, codec: str, fps: int | None) -> None:
        self._dataset, schema = dataset, dataset.schema
        self._fps, said = _rate(dataset, fps)
        keys: dict[str, str] = {}
        for spec in schema.fields:
            name = feature_name(spec, keys.values())
            if name is not None:
                keys[spec.name] = name
        self._whole = Whole(schema, keys)
        self._kept = [spec for spec in schema.fields if spec.name in keys]
        filmed = [] if lossless else [spec for spec in self._kept if is_filmed(spec)]
        self._cameras = {
            spec.name: Camera(keys[spec.name], spec.shape, self._fps, codec) for spec in filmed
        }
        self._success = "success" in schema.names and schema.field("success").dtype == "bool"
        self._tasks: dict[str, int] = {}
        rest = [it.name for it in schema.fields if it.name not in (*keys, TASK, "success")]
        self._said = (
            *said,
            "the state after the last action of an episode: it lies in meta/trajstore",
            *(f"field {name!r}: it lies in meta/trajstore" for name in rest),
        )

    @property
    def lost(self) -> tuple[str, ...]:
        """What LeRobot's readers miss, and what video lost."""
        return (*self._said, *(camera.loss() for camera in self._cameras.values()))

    def write(self, folder: Path, progress: Progress) -> None:
        """Write all files."""
        data = Tables(folder, self._table_schema())
        rest = RestWriter(folder, self._dataset, self._whole)
        statistics = {spec.name: Statistics(spec, self._dataset) for spec in self._kept}
        episodes: list[dict[str, Any]] = []
        first = 0
        with ExitStack() as stack:
            stack.callback(rest.close)
            stack.callback(data.close)
            for camera in self._cameras.values():
                stack.callback(camera.close)
            for index, episode in enumerate(self._dataset):
                task = self._task(episode)
                table = self._table(episode, index, first, self._tasks[task])
                entry: dict[str, Any] = {
                    "episode_index": index,
                    "tasks": [task],
                    "length": len(episode),
                    **data.add(table),
                    "dataset_from_index": first,
                    "dataset_to_index": first + len(episode),
                }
                for name, camera in self._cameras.items():
                    entry |= camera.add(folder, episode.arrays[name][: len(episode)])
                for spec in self._kept:
                    statistics[spec.name].add(episode.arrays[spec.name][: len(episode)])
                rest.add(episode)
                episodes.append(
                    entry | {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0}
                )
                first += len(episode)
                progress(1)
        self._write_metadata(folder, episodes, first)
        figures = {self._whole.keys[name]: it.result() for name, it in statistics.items()}
        write_file(folder / "meta/stats.json", canonical_json(figures))

    def _task(self, episode: Episode) -> str:
        """What the episode was about: its task or scenario, or the environment."""
        for name in (TASK, "scenario"):
            if name in episode.arrays and isinstance(episode[name], str):
                return self._numbered(str(episode[name]))
        environment = self._dataset.manifest.provenance.get("environment")
        told = environment.get("id") if isinstance(environment, dict) else environment
        return self._numbered(told if isinstance(told, str) and told else "unknown")

    def _numbered(self, task: str) -> str:
        self._tasks.setdefault(task, len(self._tasks))
        return task

    def _in_table(self) -> list[FieldSpec]:
        return [spec for spec in self._kept if spec.name not in self._cameras]

    def _table_schema(self) -> pa.Schema:
        columns = [(self._whole.keys[it.name], arrow_type(it)) for it in self._in_table()]
        columns.append((DONE, pa.bool_()))
        columns += [(SUCCESS, pa.bool_())] if self._success else []
        columns += [(name, pa.type_for_alias(dtype)) for name, dtype in _PLACES.items()]
        return pa.schema(columns)

    def _table(self, episode: Episode, index: int, first: int, task: int) -> pa.Table:
        steps = len(episode)
        columns = [arrow(it, episode.arrays[it.name][:steps]) for it in self._in_table()]
        columns.append(pa.array(episode["terminated"] | episode["truncated"]))
        if self._success:
            success = np.broadcast_to(episode["success"], steps).copy()
            success[:-1] &= episode["success"].ndim > 0
            columns.append(pa.array(success))
        frames = np.arange(steps)
        columns += [
            pa.array((frames / self._fps).astype("float32")),
            pa.array(frames),
            pa.array(np.full(steps, index)),
            pa.array(first + frames),
            pa.array(np.full(steps, task)),
        ]
        return pa.Table.from_arrays(columns, schema=self._table_schema())

    def _features(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for spec in self._kept:
            told: dict[str, Any] = {
                "dtype": spec.dtype,
                "shape": noted_shape(spec.shape),
                "names": list(spec.names) or None,
            }
            if is_picture(spec):
                told |= {"dtype": "image", "names": ["height", "width", "channels"]}
            if spec.name in self._cameras:
                told |= {"dtype": "video", "info": self._cameras[spec.name].info}
            found[self._whole.keys[spec.name]] = told
        plain = {DONE: "bool", **({SUCCESS: "bool"} if self._success else {}), **_PLACES}
        return found | {
            name: {"dtype": dtype, "shape": [1], "names": None} for name, dtype in plain.items()
        }

    def _write_metadata(self, folder: Path, episodes: list[dict[str, Any]], frames: int) -> None:
        video = f"videos/{{video_key}}/{PATH}.mp4" if self._cameras else None
        info = {
            "codebase_version": "v3.0",
            "robot_type": self._robot_type(),
            "total_episodes": len(episodes),
            "total_frames": frames,
            "total_tasks": len(self._tasks),
            "chunks_size": FILES_A_CHUNK,
            "data_files_size_in_mb": DATA_MB,
            "video_files_size_in_mb": VIDEO_MB,
            "fps": self._fps,
            "splits": {"train": f"0:{len(episodes)}"},
            "data_path": f"data/{PATH}.parquet",
            "video_path": video,
            "features": self._features(),
        }
        write_file(folder / "meta/info.json", json.dumps(info, indent=4).encode())
        place = folder / "meta/episodes" / f"{PATH.format(chunk_index=0, file_index=0)}.parquet"
        place.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(episodes), place)
        pq.write_table(tasks_table(self._tasks), folder / "meta/tasks.parquet")

    def _robot_type(self) -> str | None:
        theirs = self._dataset.manifest.provenance.get("lerobot")
        kind = theirs.get("robot_type") if isinstance(theirs, dict) else None
        return kind if isinstance(kind, str) else None
