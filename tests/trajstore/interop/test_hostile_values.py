"""Values of another kind than belongs there are named in the user's words, not in Python's."""

import copy
import json
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import factories
from tests.trajstore.interop import lerobots
from trajstore.dataset import Dataset
from trajstore.errors import ArgumentError, CorruptionError, TrajStoreError
from trajstore.interop import lerobot

PYTHON = re.compile(
    r"Errno|NoneType|object |argument|has no attribute|iterable|invalid literal|KeyError"
    r"|(int|float)\(\)"
)
GONE = object()
WRONG = (GONE, None, True, -1, 1e300, "", "a\0b", [None], {"a": None})
TOP = lerobots.CAMERA


def refusals(source: Path, kind: str = "lerobot") -> list[str]:
    """What an import says, where it refuses; it may not raise anything else, nor talk Python."""
    try:
        for _ in import_module(f"trajstore.interop.{kind}").import_dataset(source).episodes:
            pass
    except TrajStoreError as error:
        said = str(error).replace(str(source), "")
        assert not PYTHON.search(said), said
        assert len(said.splitlines()) == 1
        return [said]
    return []


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if at:
        yield at
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*at, key))


def put(document: Any, at: tuple[Any, ...], value: object) -> Any:
    changed = copy.deepcopy(document)
    inner = changed
    for key in at[:-1]:
        inner = inner[key]
    if value is GONE:
        del inner[at[-1]]
    else:
        inner[at[-1]] = value
    return changed


def filmed(folder: Path, version: str = "v3.0", **about: object) -> Path:
    lerobots.write(folder, version=version, filmed=True, without=("observation.images.side",))
    info = json.loads((folder / "meta/info.json").read_text())
    info["features"][TOP] |= about
    lerobots.change(folder, features=info["features"])
    return folder


@pytest.mark.parametrize("version", ["v3.0", "v2.1"])
def test_every_value_of_the_metadata_may_be_of_another_kind(tmp_path: Path, version: str) -> None:
    source = lerobots.write(tmp_path / "d", version=version)
    path = source / "meta/info.json"
    info = json.loads(path.read_text())
    found = []
    for at in places(info):
        for value in WRONG:
            path.write_text(json.dumps(put(info, at, value)))
            found += refusals(source)
    assert len(found) > 400


@pytest.mark.parametrize("name", ["episodes", "tasks"])
def test_lines_of_v2_may_hold_other_values(tmp_path: Path, name: str) -> None:
    source = lerobots.write(tmp_path / "d", version="v2.1")
    path = source / f"meta/{name}.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    found = []
    for at in places(lines):
        for value in WRONG:
            path.write_text("\n".join(json.dumps(line) for line in put(lines, at, value)))
            found += refusals(source)
    assert len(found) > 40


STRANGE = [
    pa.nulls(3),
    pa.array(["x", "y", None]),
    pa.array([b"\0"] * 3),
    pa.array([{"a": 1}] * 3),
    pa.array([[1], None, []]),
    pa.array([-1, 2**62, None]),
    pa.array([np.nan, 1.5, 1e300]),
]


@pytest.mark.parametrize(
    "name",
    [
        "data/chunk-000/file-000.parquet",
        "meta/episodes/chunk-000/file-000.parquet",
        "meta/tasks.parquet",
    ],
)
def test_columns_may_hold_other_values(tmp_path: Path, name: str) -> None:
    pytest.importorskip("av")
    source = lerobots.write(tmp_path / "d", filmed=True)
    table = pq.read_table(source / name)
    found = []
    for place, key in enumerate(table.column_names):
        for values in STRANGE:
            rows = values.take(pa.array(np.arange(len(table)) % 3))
            pq.write_table(table.set_column(place, key, rows), source / name)
            found += refusals(source)
        pq.write_table(table.drop_columns(key), source / name)
        found += refusals(source)
    assert len(found) > 10


def broken(path: Path, how: str) -> None:
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how != "gone":
        path.write_bytes({"empty": b"", "null": b"null", "text": b"x\0\n"}[how])


@pytest.mark.parametrize("how", ["folder", "gone", "empty", "null", "text"])
@pytest.mark.parametrize("kind", ["lerobot", "ours", "minari", "imitation"])
def test_something_else_may_lie_in_the_place_of_a_file(tmp_path: Path, kind: str, how: str) -> None:
    pytest.importorskip("av")
    makers: dict[str, Callable[[Path], object]] = {"lerobot": filmed}
    factories.dataset(tmp_path / "v1", count=2)
    dataset = Dataset.open(tmp_path / "v1")
    theirs = "lerobot" if kind == "ours" else kind
    if kind != "lerobot":
        format_ = import_module(f"trajstore.interop.{theirs}")
        makers[kind] = lambda path: format_.export_dataset(dataset, path)
    makers[kind](tmp_path / "d0")
    names = [it.relative_to(tmp_path / "d0") for it in (tmp_path / "d0").rglob("*.*")]
    found = []
    for place, name in enumerate(it for it in names if (tmp_path / "d0" / it).is_file()):
        source = tmp_path / f"d{place + 1}"
        makers[kind](source)
        broken(source / name, how)
        found += refusals(source, theirs)
    assert len(found) >= 1


@pytest.mark.parametrize("kind", ["npz", "lerobot", "robomimic", "minari", "imitation"])
def test_a_path_that_no_system_has_is_one_line(tmp_path: Path, kind: str) -> None:
    factories.dataset(tmp_path / "v1", count=2)
    format_ = import_module(f"trajstore.interop.{kind}")
    with pytest.raises(ArgumentError, match="expected a path without NUL"):
        format_.export_dataset(Dataset.open(tmp_path / "v1"), tmp_path / "a\0b")


RATES = {
    "video.fps in info of feature": {"info": {"video.fps": 30}},
    "video.fps in video_info of feature": {"video_info": {"video.fps": 30.0}},
    "fps of feature": {"fps": 30},
}


@pytest.mark.parametrize("version", ["v3.0", "v2.1"])
@pytest.mark.parametrize("said", RATES)
def test_a_camera_of_another_rate_is_refused(tmp_path: Path, version: str, said: str) -> None:
    pytest.importorskip("av")
    source = filmed(tmp_path / "d", version, **RATES[said])
    with pytest.raises(CorruptionError, match=rf"expected 20 frames.*got 30 in {said} '{TOP}'"):
        lerobot.import_dataset(source)
    left = lerobot.import_dataset(source, leave_out=[TOP])
    assert len(list(left.episodes)) == 3


@pytest.mark.parametrize("rate", ["30", True, -1, [20]])
def test_a_rate_that_is_none_is_refused(tmp_path: Path, rate: object) -> None:
    pytest.importorskip("av")
    source = filmed(tmp_path / "d", info={"video.fps": rate})
    with pytest.raises(CorruptionError, match="expected frames a second, got"):
        lerobot.import_dataset(source)


@pytest.mark.parametrize("version", ["v3.0", "v2.1"])
@pytest.mark.parametrize("about", [{"info": None}, {"info": {"video.fps": 20.0}}, {"fps": 20}])
def test_the_same_rate_said_twice_is_fine(tmp_path: Path, version: str, about: dict) -> None:
    pytest.importorskip("av")
    source = filmed(tmp_path / "d", version, **about)
    assert len(list(lerobot.import_dataset(source).episodes)) == 3


@pytest.mark.parametrize("fps", [10, 15, 22, 25, 30])
@pytest.mark.parametrize("version", ["v3.0", "v2.1"])
def test_few_frames_tell_that_a_video_has_another_rate(
    tmp_path: Path, version: str, fps: int
) -> None:
    pytest.importorskip("av")
    source = filmed(tmp_path / "d", version)
    path = next(source.rglob("*.mp4"))
    frames = lerobots.film(0, 14 if version == "v3.0" else lerobots.LENGTHS[0])
    lerobots.encode(path, frames, fps=fps)
    with pytest.raises(CorruptionError, match=r"expected frame [12] at .* as fps says"):
        list(lerobot.import_dataset(source).episodes)
