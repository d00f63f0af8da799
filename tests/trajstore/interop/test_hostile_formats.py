"""LeRobot, robomimic and D4RL files that lie, lead elsewhere or are damaged: one line, no trace."""

import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.trajstore.interop import lerobots, test_d4rl
from tests.trajstore.interop.test_robomimic import write as write_robomimic
from trajstore.cli import run
from trajstore.interop import d4rl_files, lerobot_files, robomimic_files

Fault = Callable[[Path], object]
DATA = "data/chunk-000/file-000.parquet"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
FILM = f"videos/{lerobots.CAMERA}/chunk-000/file-000.mp4"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAJSTORE", "store")
    return tmp_path


def refused(kind: str, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """What is said of the source ``d``; one line, and nothing was recorded."""
    assert run(["import", "d", "--from", kind, "--as", "copy", *options]) in (1, 2)
    told = capsys.readouterr()
    assert len(told.err.splitlines()) == 1 and not told.out
    assert not Path("store").exists()
    return told.err


def column(source: Path, name: str, values: list[object], path: str = DATA) -> None:
    """Put another column in a table."""
    read = pq.read_table(source / path)
    place = read.schema.get_field_index(name)
    field = read.schema.field(place)
    pq.write_table(read.set_column(place, field, pa.array(values, field.type)), source / path)


def told(source: Path, key: str, value: object) -> None:
    lerobots.change(source, **{key: value})


def feature(source: Path, key: str, **changes: object) -> None:
    path = source / "meta/info.json"
    info = json.loads(path.read_text())
    info["features"][key] |= changes
    path.write_text(json.dumps(info))


def bomb(source: Path) -> None:
    """Rows that take few bytes and claim many."""
    rows = 2**25
    zeros = pa.array(np.zeros(rows, np.int64))
    pq.write_table(pa.table({"episode_index": zeros, "frame_index": zeros}), source / DATA)


SMALL = lerobots.png(np.zeros((2, 2, 3), np.uint8))
HEAD = SMALL[12:16] + (2**15).to_bytes(4) * 2 + SMALL[24:29]
HUGE = SMALL[:12] + HEAD + zlib.crc32(HEAD).to_bytes(4) + SMALL[33:]
"""A picture that claims a billion points."""

LEROBOT: dict[str, tuple[Fault, str]] = {
    "no table": (lambda it: (it / DATA).unlink(), "file-000.parquet"),
    "cut table": (lambda it: os.truncate(it / DATA, 300), "expected a Parquet file"),
    "no metadata": (lambda it: (it / "meta/info.json").unlink(), "info.json"),
    "no episodes": (lambda it: (it / EPISODES).unlink(), "expected total_episodes 3"),
    "no tasks": (lambda it: (it / "meta/tasks.parquet").unlink(), "expected a task"),
    "other total": (lambda it: told(it, "total_frames", 15), "expected total_frames 15"),
    "other length": (
        lambda it: column(it, "length", [5, 3, 5], EPISODES),
        "expected episode 2 and its frames",
    ),
    "length of nothing": (lambda it: column(it, "length", [0, 3, 6], EPISODES), "episode 0"),
    "more rows": (
        lambda it: pq.write_table(
            pa.concat_tables([pq.read_table(it / DATA)] * 2), it / DATA, row_group_size=14
        ),
        "got more of them",
    ),
    "rows of others": (
        lambda it: column(it, "episode_index", [*[0] * 4, *[1] * 4, *[2] * 6]),
        "got rows of others",
    ),
    "wrong rate": (lambda it: told(it, "fps", 30), "expected 30 frames a second"),
    "no rate": (lambda it: told(it, "fps", 0), "fps: expected frames a second"),
    "rate of text": (lambda it: told(it, "fps", "fast"), "fps: expected frames a second"),
    "times that stand": (
        lambda it: column(it, "timestamp", [0.0] * 14),
        "expected times that rise",
    ),
    "other version": (lambda it: told(it, "codebase_version", "v9.0"), "v9.0"),
    "path out": (
        lambda it: told(it, "data_path", "../secret-{chunk_index:03d}.parquet"),
        "'../secret-000.parquet' leads out of it",
    ),
    "absolute path": (
        lambda it: told(it, "data_path", "/etc/passwd"),
        "'/etc/passwd' leads out of it, to '/etc/passwd'",
    ),
    "code in a path": (
        lambda it: told(it, "data_path", "{chunk_index.__class__}"),
        "expected the path of a file",
    ),
    "unknown place": (lambda it: told(it, "data_path", "{secret}"), "in a path"),
    "link out": (
        lambda it: (it / DATA).rename(it.parent / "x") and (it / DATA).symlink_to(it.parent / "x"),
        "'data/chunk-000/file-000.parquet' leads out of it",
    ),
    "pipe": (lambda it: (it / DATA).unlink() or os.mkfifo(it / DATA), "is no file"),
    "missing column": (
        lambda it: pq.write_table(pq.read_table(it / DATA).drop_columns("action"), it / DATA),
        "expected the column 'action'",
    ),
    "other shape": (lambda it: feature(it, "action", shape=[3]), "rows of shape (3,)"),
    "unknown dtype": (lambda it: feature(it, "action", dtype="object"), "got 'object'"),
    "shape of nothing": (lambda it: feature(it, "action", shape=[0]), "sizes of 1 or more"),
    "large shape": (lambda it: feature(it, "action", shape=[2**40]), "sizes of 1 or more"),
    "other picture": (
        lambda it: feature(it, "observation.images.side", shape=[17, 24, 3]),
        "expected (17, 24, 3)",
    ),
    "picture of text": (
        lambda it: column(it, "observation.images.side", [{"bytes": b"GIF89a", "path": None}] * 14),
        "expected PNG or JPEG",
    ),
    "picture that claims": (
        lambda it: column(it, "observation.images.side", [{"bytes": HUGE, "path": None}] * 14),
        "got a larger picture",
    ),
    "rows that claim": (bomb, "that its"),
    "lists that claim": (lambda it: told(it, "features", []), "features: expected a record"),
    "twice": (
        lambda it: (it / "meta/info.json").write_text('{"fps": 1, "fps": 2}'),
        "stands twice",
    ),
}


@pytest.mark.parametrize("name", LEROBOT)
def test_a_lerobot_dataset_that_lies_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    fault, said = LEROBOT[name]
    fault(lerobots.write(here / "d"))
    assert said in refused("lerobot", capsys)


FILMED: dict[str, tuple[Fault, str]] = {
    "no video": (lambda it: (it / FILM).unlink(), "file-000.mp4"),
    "cut video": (
        lambda it: os.truncate(it / FILM, (it / FILM).stat().st_size // 2),
        "expected a video that can be decoded",
    ),
    "short video": (
        lambda it: lerobots.encode(it / FILM, lerobots.film(0, 7)),
        "as the video ends early",
    ),
    "slow video": (
        lambda it: lerobots.encode(it / FILM, lerobots.film(0, 14), fps=10),
        "expected frame",
    ),
    "small video": (
        lambda it: lerobots.encode(it / FILM, lerobots.film(0, 14)[:, :64, :64]),
        "expected frames of (96, 128)",
    ),
    "a playlist": (
        lambda it: (it / FILM).write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"),
        "expected a video that can be decoded",
    ),
    "video out": (
        lambda it: told(it, "video_path", "../{video_key}.mp4"),
        "'../observation.images.top.mp4' leads out of it",
    ),
    "late video": (
        lambda it: column(
            it, f"videos/{lerobots.CAMERA}/from_timestamp", [0.0, 0.25, 9e9], EPISODES
        ),
        "as the video ends early",
    ),
    "video of never": (
        lambda it: column(
            it, f"videos/{lerobots.CAMERA}/from_timestamp", [0.0, 0.25, np.nan], EPISODES
        ),
        "expected a time",
    ),
}


@pytest.mark.parametrize("name", FILMED)
def test_a_video_that_is_not_what_it_should_be_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    pytest.importorskip("av")
    fault, said = FILMED[name]
    fault(lerobots.write(here / "d", filmed=True))
    assert said in refused("lerobot", capsys)


def test_a_codec_that_nobody_knows_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("av")
    lerobots.write(here / "d", filmed=True)
    data = (here / "d" / FILM).read_bytes()
    assert b"avc1" in data
    (here / "d" / FILM).write_bytes(data.replace(b"avc1", b"zzz9"))
    assert "expected a video that can be decoded" in refused("lerobot", capsys)


def test_a_missing_decoder_is_named(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    pytest.importorskip("av")
    lerobots.write(here / "d", filmed=True)
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.delitem(sys.modules, "trajstore.interop.video", raising=False)
    assert run(["import", "d", "--from", "lerobot", "--as", "copy"]) == 2
    assert "pip install 'trajstore[lerobot]'" in capsys.readouterr().err
    assert not Path("store").exists()


def test_lines_of_v2_that_are_no_records_are_refused(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lerobots.write(here / "d", version="v2.1")
    (here / "d/meta/episodes.jsonl").write_text('{"episode_index": 0}\n[1]\n')
    assert "d" in refused("lerobot", capsys)


def link(file: h5py.File) -> None:
    file["data/demo_0/obs/far"] = h5py.ExternalLink("/etc/passwd", "/x")


def soft(file: h5py.File) -> None:
    file["data/demo_0/obs/near"] = h5py.SoftLink("/data/demo_1")


def claims(file: h5py.File) -> None:
    del file["data/demo_0/actions"]
    file.create_dataset("data/demo_0/actions", (10**12,), "f4", chunks=(10**6,))


def replaced(path: str, values: object) -> Callable[[h5py.File], None]:
    def put(file: h5py.File) -> None:
        del file[path]
        file[path] = values

    return put


ROBOMIMIC: dict[str, tuple[Callable[[h5py.File], object], str]] = {
    "link out": (link, "a link to '/x' of the file"),
    "link in": (soft, "a link to"),
    "claims": (claims, "bytes that it claims"),
    "no actions": (lambda it: it.pop("data/demo_0/actions"), "is not a robomimic file"),
    "fewer rewards": (replaced("data/demo_0/rewards", np.zeros(2)), "rows as it has actions"),
    "other samples": (lambda it: it["data/demo_0"].attrs.modify("num_samples", 99), "99"),
    "other total": (lambda it: it["data"].attrs.modify("total", 99), "99 samples as 'total' says"),
    "other group": (lambda it: it.move("data/demo_0", "data/other"), "expected groups demo_0"),
    "unlike": (replaced("data/demo_1/actions", np.zeros((4, 9), "f4")), "expected it as in demo_0"),
    "no demos": (lambda it: it.pop("data"), "has none of its groups"),
    "unknown filter": (
        replaced("mask/train", np.array([b"demo_7"])),
        "expected demonstrations of the file",
    ),
    "texts as numbers": (replaced("data/demo_1/dones", np.array([b"a"] * 4)), "demo_"),
    "jumps": (
        replaced("data/demo_0/next_obs/eef", np.ones((3, 2), "f4")),
        "--final-state drop",
    ),
}


@pytest.mark.parametrize("name", ROBOMIMIC)
def test_a_robomimic_file_that_lies_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    fault, said = ROBOMIMIC[name]
    write_robomimic(here / "d")
    with h5py.File(here / "d", "a") as file:
        fault(file)
    assert said in refused("robomimic", capsys)


def write_d4rl(path: Path, **changes: object) -> None:
    steps = 12
    arrays: dict[str, object] = {
        "observations": np.arange(steps * 2, dtype="f4").reshape(steps, 2),
        "actions": np.ones((steps, 1), "f4"),
        "rewards": np.arange(steps, dtype="f4"),
        "terminals": np.arange(steps) == 4,
        "timeouts": np.arange(steps) == 11,
    } | changes
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            if values is not None:
                file[name] = values


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"terminals": None}, "is not a D4RL file: it has no terminals"),
        ({"timeouts": np.zeros(3, bool)}, "timeouts: expected 12 rows"),
        ({"rewards": np.zeros(3)}, "rewards: expected 12 rows"),
        ({"timeouts": np.zeros(12, bool)}, "--mark-truncated"),
        ({"observations": h5py.ExternalLink("/etc/passwd", "/x")}, "a link to"),
        ({"terminals": np.array([b"x"] * 12)}, "expected an array of numbers"),
        ({"next_observations": np.ones((12, 2), "f4")}, "--final-state drop"),
    ],
)
def test_a_d4rl_file_that_lies_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, object], said: str
) -> None:
    write_d4rl(here / "d", **changes)
    options = [] if "next_observations" in changes else ["--final-state", "repeat"]
    assert said in refused("d4rl", capsys, *options)


@pytest.mark.parametrize("kind", ["robomimic", "d4rl"])
def test_a_file_that_is_cut_off_or_none_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    write_robomimic(here / "d") if kind == "robomimic" else write_d4rl(here / "d")
    os.truncate(here / "d", (here / "d").stat().st_size // 2)
    refused(kind, capsys)
    (here / "d").write_bytes(b"no file of any kind")
    refused(kind, capsys)
    (here / "d").unlink()
    assert "there is nothing to import" in refused(kind, capsys)


@pytest.mark.parametrize(
    "options",
    [
        ["--from", "d4rl", "--environment", "CartPole-v1"],
        ["--from", "npz", "--final-state", "repeat"],
        ["--from", "lerobot", "--mark-truncated"],
        ["--from", "lerobot", "--final-state", "guess"],
        ["--from", "rerun"],
    ],
)
def test_options_that_a_format_does_not_know_are_wrong_use(
    here: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    lerobots.write(here / "d")
    assert run(["import", "d", "--as", "copy", *options]) == 2
    assert not (here / "store").exists()


def test_what_is_beside_the_arrays_of_hdf5_is_listed(tmp_path: Path) -> None:
    test_d4rl.write(tmp_path / "d4rl")
    write_robomimic(tmp_path / "robomimic")
    with h5py.File(tmp_path / "d4rl", "a") as file:
        file["observations"].attrs["unit"] = "m"
        file["infos"].attrs["by"] = h5py.Empty("f4")
        file.attrs["nothing"] = h5py.Empty("f4")
        file.create_group("later")
    with h5py.File(tmp_path / "robomimic", "a") as file:
        file.attrs["licence"] = "mine"
        file["mask"].attrs["why"] = "chance"
        file["more"] = [1, 2]
        for demo in file["data"].values():
            demo.attrs["operator"] = "bo"
            demo["obs/eef"].attrs["unit"] = "m"
            demo.create_group("later")
    assert d4rl_files.import_dataset(tmp_path / "d4rl").left_out[-4:] == (
        "array 'nothing': neither a row a step, nor text or one number",
        "attribute 'by' of 'infos': no place",
        "group 'later': nothing in it",
        "attribute 'unit' of 'observations': no place",
    )
    assert robomimic_files.import_dataset(tmp_path / "robomimic").left_out == (
        "group 'later': nothing that robomimic knows",
        "attribute 'operator' of a demo: no place",
        "group 'demo/later': nothing in it",
        "attribute 'unit' of 'demo/obs/eef': no place",
        "attribute 'licence' of the file: no place",
        "group 'more': nothing that robomimic knows",
        "attribute 'why' of 'mask': no place",
    )


@pytest.mark.parametrize("version", ["v3.0", "v2.1"])
def test_what_lerobot_does_not_know_is_kept_or_listed(tmp_path: Path, version: str) -> None:
    source = lerobots.write(tmp_path / "d", version=version)
    plain = lerobot_files.import_dataset(source).left_out
    told(source, "licence", "mine")
    told(source, "mine", {"deep": [1, 2]})
    feature(source, "action", unit="m")
    table = min((source / "data").rglob("*.parquet"))
    read = pq.read_table(table)
    read = read.append_column("pulse", pa.array(range(read.num_rows)))
    pq.write_table(read.replace_schema_metadata({"by": "bo", "huggingface": "{}"}), table)
    for number in range(23):
        (source / f"notes{number:02}.txt").touch()
    (source / ".gitattributes").touch()
    found = lerobot_files.import_dataset(source)
    told_of = [it for it in found.left_out if it not in plain]
    assert told_of[:3] == [
        "'unit' of feature 'action': no place",
        f"column 'pulse' of {table.relative_to(source)}: no place",
        "metadata 'by' of a table: no place",
    ]
    assert told_of[3:5] == [
        "file 'notes00.txt': no part of the format", "file 'notes01.txt': no part of the format"
    ]  # fmt: skip
    assert told_of[-1] == "3 other files: no part of the format"
    theirs = found.provenance["lerobot"]
    assert (theirs["licence"], theirs["mine"]) == ("mine", {"deep": [1, 2]})
