"""Where the rows and videos of a LeRobot dataset lie, as its metadata say; v2.0 to v3.0."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trajstore.disk.files import read_file
from trajstore.disk.json_text import parse_json
from trajstore.episode.texts import shown
from trajstore.errors import CorruptionError
from trajstore.interop import arrow
from trajstore.interop.arrow import parquet
from trajstore.interop.foreign import inside
from trajstore.interop.lerobot_info import INFO, Feature, feature_of, read_info

PLACED = ("timestamp", "frame_index", "episode_index", "index", "task_index")
"""Columns that say where a row belongs."""
MAX_FRAMES = 2**40
_PLACEHOLDER = re.compile(r"\{(\w+)(?::0?(\d))?d?\}")
_METADATA = re.compile(
    r"meta/((stats|info)\.json|(tasks|episodes|episodes_stats)\.jsonl|tasks\.parquet"
    r"|episodes/chunk-[^/]*/file-[^/]*\.parquet)|\.git.*|\.cache/.*"
)
MAX_FILES = 20
"""Strange files that are named; more are counted."""
_KNOWN = {
    "episode_index",
    "tasks",
    "length",
    "dataset_from_index",
    "dataset_to_index",
    "task_index",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One episode: its number of frames, its table, and the first frame in each camera's video."""

    index: int
    length: int
    table: str
    videos: Mapping[str, tuple[str, int]]
    tasks: tuple[str, ...]
    notes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Layout:
    """What the metadata of a dataset say."""

    source: Path
    version: str
    fps: float
    features: Mapping[str, Feature]
    entries: tuple[Entry, ...]
    tasks: Mapping[int, str]
    info: Mapping[str, Any]


def layout(source: Path) -> Layout:
    """Read the metadata of a dataset, and compare its counts with each other.

    Raises:
        CorruptionError: if they contradict each other, or name a place outside of the folder.
        FormatError: if they are of another version of the format.
    """
    info = read_info(source)
    version, fps = info["codebase_version"], float(info["fps"])
    features = {key: feature_of(source, key, told) for key, told in info["features"].items()}
    cameras = [key for key, it in features.items() if it.kind == "video"]
    read = _in_tables if version == "v3.0" else _in_lines
    entries = tuple(read(source, info, fps, cameras))
    tasks = dict(_tasks(source, version))
    _check_counts(source, info, entries)
    return Layout(source, version, fps, features, entries, tasks, info)


def filled(source: Path, template: object, places: Mapping[str, Any]) -> str:
    """A path of the metadata with its numbers; never formatted, as that could reach anything."""

    def put(found: re.Match[str]) -> str:
        if found[1] not in places:
            raise CorruptionError(f"{source}: expected {sorted(places)} in a path, got {found[0]}")
        value = places[found[1]]
        return value if isinstance(value, str) else str(int(value)).zfill(int(found[2] or 0))

    name = _PLACEHOLDER.sub(put, str(template))
    if "{" in name or not name or "\0" in name:
        raise CorruptionError(f"{source}: expected the path of a file, got {shown(template)}")
    return name


def _in_tables(
    source: Path, info: Mapping[str, Any], fps: float, cameras: list[str]
) -> Iterator[Entry]:
    """The episodes of v3.0: many lie in one table, and end to end in one video."""
    rows: list[dict[str, Any]] = []
    for path in sorted((source / "meta" / "episodes").glob("chunk-*/file-*.parquet")):
        file = parquet(inside(source, str(path.relative_to(source))))
        named = [it for it in file.schema_arrow.names if not it.startswith("stats/")]
        rows += file.read(columns=named, use_threads=False).to_pylist()
    rows.sort(key=lambda row: _whole(source, row, "episode_index"))
    for place, row in enumerate(rows):
        in_file = f"{source}: episode {place}"
        where = {it: _whole(in_file, row, f"data/{it}") for it in ("chunk_index", "file_index")}
        videos: dict[str, tuple[str, int]] = {}
        for key in cameras:
            told = {it: _whole(in_file, row, f"videos/{key}/{it}") for it in where}
            video = filled(source, info["video_path"], {**told, "video_key": key})
            start = row.get(f"videos/{key}/from_timestamp")
            if not isinstance(start, int | float) or not 0 <= start * fps < MAX_FRAMES:
                raise CorruptionError(f"{in_file}: {key}: expected a time, got {shown(start)}")
            videos[key] = video, round(start * fps)
        first, stop = (_whole(in_file, row, f"dataset_{it}_index") for it in ("from", "to"))
        span = stop - first
        yield _entry(source, place, row, filled(source, info["data_path"], where), videos, span)


def _in_lines(
    source: Path, info: Mapping[str, Any], fps: float, cameras: list[str]
) -> Iterator[Entry]:
    """The episodes of v2: a table and a video each."""
    chunk = max(1, int(info.get("chunks_size") or 1000))
    for place, row in enumerate(_lines(source, "meta/episodes.jsonl")):
        where = {"episode_chunk": place // chunk, "episode_index": place}
        videos = {
            key: (filled(source, info["video_path"], {**where, "video_key": key}), 0)
            for key in cameras
        }
        yield _entry(source, place, row, filled(source, info["data_path"], where), videos, None)


def _entry(
    source: Path,
    place: int,
    row: Mapping[str, Any],
    table: str,
    videos: Mapping[str, tuple[str, int]],
    span: int | None,
) -> Entry:
    said: list[Any] = [row.get(it) for it in ("episode_index", "length", "tasks")]
    index, length, texts = said
    whole = all(type(it) is int for it in (index, length))
    if not whole or index != place or not 0 < length < MAX_FRAMES or span not in (None, length):
        raise CorruptionError(
            f"{source}: expected episode {place} and its frames in the metadata, got "
            f"episode {shown(index)} of {shown(length)} frames"
            + ("" if span is None else f" in a table of {span:,}")
        )
    notes = {
        key: it
        for key, it in row.items()
        if key not in _KNOWN and not key.startswith(("data/", "meta/", "stats/", "videos/"))
    }
    if not isinstance(texts, list | None):
        raise CorruptionError(
            f"{source}: episode {place}: expected a list of tasks, got {shown(texts)}"
        )
    tasks = tuple(map(str, texts or ()))
    return Entry(index, length, table, videos, tasks, notes)


def _whole(where: object, row: Mapping[str, Any], name: str) -> int:
    value = row.get(name)
    if type(value) is not int or not 0 <= value < MAX_FRAMES:
        raise CorruptionError(f"{where}: {name}: expected a whole number, got {shown(value)}")
    return value


def _lines(source: Path, name: str) -> Iterator[dict[str, Any]]:
    path = inside(source, name)
    for number, line in enumerate(read_file(path).splitlines()):
        if line.strip():
            row = parse_json(line, f"{path}: line {number + 1}")
            if not isinstance(row, dict):
                raise CorruptionError(f"{path}: line {number + 1}: expected a record")
            yield row


def _tasks(source: Path, version: str) -> Iterator[tuple[int, str]]:
    name, key = "meta/tasks.jsonl", "task"
    rows: Iterable[dict[str, Any]] = ()
    if version != "v3.0":
        rows = _lines(source, name)
    elif (source / (name := "meta/tasks.parquet")).exists():
        table = parquet(inside(source, name)).read(use_threads=False)
        key = next((it for it in table.schema.names if it != "task_index"), key)
        rows = table.to_pylist()
    for row in rows:
        number, text = _whole(f"{source}: {name}", row, "task_index"), row.get(key)
        if not isinstance(text, str):
            raise CorruptionError(
                f"{source}: {name}: expected the text of task {number}, got {shown(text)}"
            )
        yield number, text


def unplaced(found: Layout) -> Iterator[str]:
    """What lies in the folder and becomes nothing, in words; of the rows, in their first table."""
    for key, told in found.info["features"].items():
        for more in sorted(told.keys() - {"dtype", "shape", "names", "info", "video_info", "fps"}):
            yield f"{shown(more)} of feature {shown(key)}: no place"
    tables = ["meta/tasks.parquet"] if (found.source / "meta" / "tasks.parquet").exists() else []
    listed = sorted((found.source / "meta" / "episodes").glob("chunk-*/file-*.parquet"))
    for path in listed[:1]:
        yield from arrow.unplaced(parquet(path).schema_arrow.metadata)
    for name in (*tables, *(it.table for it in found.entries[:1])):
        schema = parquet(inside(found.source, name)).schema_arrow
        known = {*found.features, *PLACED} if name not in tables else {"task_index"}
        strange = [it for it in schema.names if it not in known]
        strange = strange[1:] if name in tables else strange  # the first is the text
        yield from (f"column {shown(it)} of {name}: no place" for it in strange)
        yield from arrow.unplaced(schema.metadata)
    yield from _files(found)


def _files(found: Layout) -> Iterator[str]:
    known = {INFO, *(it.table for it in found.entries)}
    known |= {video for it in found.entries for video, _ in it.videos.values()}
    strange = []
    for path in sorted(found.source.rglob("*")):
        name = path.relative_to(found.source).as_posix()
        if name not in known and not _METADATA.fullmatch(name) and not path.is_dir():
            strange.append(name)
    yield from (f"file {shown(name)}: no part of the format" for name in strange[:MAX_FILES])
    if len(strange) > MAX_FILES:
        yield f"{len(strange) - MAX_FILES:,} other files: no part of the format"


def _check_counts(source: Path, info: Mapping[str, Any], entries: tuple[Entry, ...]) -> None:
    found = {"total_episodes": len(entries), "total_frames": sum(it.length for it in entries)}
    for key, count in found.items():
        if info.get(key, count) != count:
            raise CorruptionError(
                f"{source}: expected {key} {shown(info[key])} as {INFO} says, got {count:,}; "
                "the dataset is not whole: download or export it again"
            )
