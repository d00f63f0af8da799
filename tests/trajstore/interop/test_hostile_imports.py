"""What a file of another format claims is compared with the file; what leads out of it is named."""

import io
import json
import os
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pytest

from tests import factories
from trajstore.cli import run
from trajstore.dataset import Dataset
from trajstore.errors import CorruptionError
from trajstore.interop import imitation, imitation_files, minari, minari_files, npz

MEASURED = """
import resource, sys, time
from importlib import import_module
from pathlib import Path
from trajstore.errors import TrajStoreError
module = import_module(sys.argv[1])
before, at = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
try:
    for _ in module.import_dataset(Path(sys.argv[2])).episodes:
        pass
    print("read")
except TrajStoreError as error:
    print(error)
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
print(time.process_time() - at, grown)
"""


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports")
    factories.dataset(folder / "v1", count=4)
    dataset = Dataset.open(folder / "v1")
    npz.export_dataset(dataset, folder / "npz")
    minari.export_dataset(dataset, folder / "minari")
    imitation.export_dataset(dataset, folder / "imitation")
    return folder


def copied(exports: Path, kind: str, target: Path) -> Path:
    subprocess.run(["cp", "-r", exports / kind, target], check=True)
    return target


def refused_at_once(module: str, source: Path) -> str:
    """What is said, once time and memory were found to be small."""
    command = [sys.executable, "-W", "ignore", "-c", MEASURED, f"trajstore.interop.{module}"]
    done = subprocess.run([*command, source], capture_output=True, text=True, check=True)
    said, measured = done.stdout.splitlines()
    seconds, megabytes = map(float, measured.split())
    assert seconds < 2
    assert megabytes < 256
    assert said != "read"
    return said


# NPZ


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewritten(path: Path, entries: list[tuple[str, bytes]], method: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return path


def header(descr: str, shape: tuple[int, ...]) -> bytes:
    out = io.BytesIO()
    record = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(out, record)
    return out.getvalue()


def test_entries_that_inflate_are_refused_before_they_do(exports: Path, tmp_path: Path) -> None:
    entries = members(exports / "npz")
    entries["state/observation.npy"] = header("<f4", (10**7, 4)) + bytes(16 * 10**7)
    path = rewritten(tmp_path / "bomb.npz", list(entries.items()), zipfile.ZIP_DEFLATED)
    assert "stored as it is" in refused_at_once("npz", path)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("length.npy", header("<i8", (10**10,))),
        ("length.npy", header("<i8", (10**17, 10**17))),
        ("schema.npy", header("<U9999999999", ())),
        ("state/observation.npy", header("<f4", (10**10, 4))),
        ("episode/seed.npy", header("<i8", (10**10,))),
        ("length.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff{"),
        ("length.npy", header("|O", (3,)) + b"cos\nsystem\n"),
        ("length.npy", np.lib.format.magic(1, 0) + b"\x40\x00" + b"(" * 64),
    ],
)
def test_headers_that_claim_more_than_the_file_has_are_refused(
    exports: Path, tmp_path: Path, name: str, data: bytes
) -> None:
    path = rewritten(tmp_path / "x.npz", list((members(exports / "npz") | {name: data}).items()))
    said = refused_at_once("npz", path)
    assert repr(name.removesuffix(".npy")) in said


def test_lengths_must_add_up_either_way(exports: Path, tmp_path: Path) -> None:
    entries = members(exports / "npz")
    lengths = np.load(io.BytesIO(entries["length.npy"]))
    for wrong in (
        lengths[:2],
        np.append(lengths, 3),
        lengths + 1,
        lengths * 0,
        -lengths,
        lengths[:0],
        lengths.astype("f8"),
        lengths * 2**55,
    ):
        out = io.BytesIO()
        np.save(out, wrong)
        pairs = (entries | {"length.npy": out.getvalue()}).items()
        path = rewritten(tmp_path / "x.npz", list(pairs))
        with pytest.raises(CorruptionError, match="expected"):
            npz.import_dataset(path)


def test_arrays_of_other_rows_than_the_rest_are_refused_by_name(
    exports: Path, tmp_path: Path
) -> None:
    for name, data in members(exports / "npz").items():
        if "/" not in name:
            continue
        array = np.load(io.BytesIO(data))
        for wrong in (array[:-1], np.concatenate([array, array[:1]]), array[..., None]):
            out = io.BytesIO()
            np.save(out, wrong)
            entries = members(exports / "npz") | {name: out.getvalue()}
            path = rewritten(tmp_path / "x.npz", list(entries.items()))
            with pytest.raises(CorruptionError, match=name.removesuffix(".npy")):
                npz.import_dataset(path)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize(
    "strange",
    ["../../outside.npy", "/etc/passwd.npy", "length.npy", "more.npy", "a\\b.npy", "x.txt", "npy"],
)
def test_strange_entries_are_refused_by_name(exports: Path, tmp_path: Path, strange: str) -> None:
    entries = [*members(exports / "npz").items(), (strange, header("<i8", (1,)) + bytes(8))]
    path = rewritten(tmp_path / "x.npz", entries)
    with pytest.raises(CorruptionError, match="expected"):
        npz.import_dataset(path)
    assert not (tmp_path.parent / "outside.npy").exists()


def test_a_list_of_many_entries_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("length.npy", b"")
        for name in range(120_000):
            archive.filelist.append(zipfile.ZipInfo(f"{name}.npy"))
            archive.filelist[-1].header_offset = archive.filelist[-1].CRC = 0
        archive.comment = b"changed"
    assert "expected a list of arrays" in refused_at_once("npz", tmp_path / "x.npz")


def test_entries_that_lie_over_each_other_are_refused(exports: Path, tmp_path: Path) -> None:
    data = header("<f4", (10**6,)) + bytes(4 * 10**6)
    path = rewritten(tmp_path / "x.npz", [*members(exports / "npz").items(), ("a.npy", data)])
    with zipfile.ZipFile(path, "a") as archive:
        twin = archive.getinfo("a.npy")
        for name in "bcdefgh":
            other = zipfile.ZipInfo(f"{name}.npy")
            for key in ("header_offset", "CRC", "compress_size", "file_size"):
                setattr(other, key, getattr(twin, key))
            archive.filelist.append(other)
        archive.comment = b"changed"
    with pytest.raises(CorruptionError, match="more bytes than the file has"):
        npz.import_dataset(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "m").mkdir()
    os.mkfifo(tmp_path / "m/metadata.json")
    (tmp_path / "i").mkdir()
    os.mkfifo(tmp_path / "i/state.json")
    for module, name in ((npz, "pipe"), (minari_files, "m"), (imitation_files, "i")):
        with pytest.raises(CorruptionError):
            module.import_dataset(tmp_path / name)


# Minari


def hdf5_of(folder: Path) -> Path:
    return folder / "data/main_data.hdf5"


@pytest.mark.parametrize("kind", ["soft", "external", "storage", "virtual", "hard", "group"])
def test_links_out_of_an_hdf5_file_are_refused_by_name(
    exports: Path, tmp_path: Path, kind: str
) -> None:
    folder = copied(exports, "minari", tmp_path / "m")
    secret = tmp_path / "secret"
    secret.write_bytes(np.arange(1000.0).tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["rewards"] = np.arange(1000.0)
    with h5py.File(hdf5_of(folder), "a") as file:
        group = file["episode_2"]
        steps = group["rewards"].shape
        dtype = group["rewards"].dtype
        if kind == "group":
            del file["episode_3"]
            file["episode_3"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/")
        else:
            del group["rewards"]
        if kind == "soft":
            group["rewards"] = h5py.SoftLink("/episode_0/rewards")
        elif kind == "external":
            group["rewards"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "rewards")
        elif kind == "storage":
            group.create_dataset("rewards", steps, dtype, external=[(str(secret), 0, 10**6)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout(steps, dtype)
            source = h5py.VirtualSource(str(tmp_path / "other.h5"), "rewards", (1000,))
            layout[:] = source[: steps[0]]
            group.create_virtual_dataset("rewards", layout)
        elif kind == "hard":
            group["rewards"] = file["episode_0/rewards"]
    named = "episode_3" if kind == "group" else "episode_[02]/rewards"
    with pytest.raises(CorruptionError, match=named):
        minari.import_dataset(folder)


@pytest.mark.parametrize("name", ["metadata.json", "main_data.hdf5"])
def test_a_file_of_a_folder_that_is_a_link_out_of_it_is_refused(
    exports: Path, tmp_path: Path, name: str
) -> None:
    folder = copied(exports, "minari", tmp_path / "m")
    (folder / "data" / name).rename(tmp_path / "elsewhere")
    (folder / "data" / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CorruptionError, match=f"'{name}' leads out of it, to '.*"):
        minari.import_dataset(folder)


@pytest.mark.parametrize("how", ["chunked", "gzip", "bomb", "contiguous", "partial"])
def test_hdf5_arrays_that_were_never_written_are_refused(
    exports: Path, tmp_path: Path, how: str
) -> None:
    folder = copied(exports, "minari", tmp_path / "m")
    with h5py.File(hdf5_of(folder), "a") as file:
        group = file["episode_1"]
        del group["rewards"]
        if how == "chunked":
            group.create_dataset("rewards", (10**10,), "f4", chunks=(10**6,))
        elif how == "gzip":
            group.create_dataset("rewards", (10**10,), "f4", chunks=(10**6,), compression="gzip")
        elif how == "partial":
            made = group.create_dataset("rewards", (40,), "f4", chunks=(10,))
            made[:10] = 1
        elif how == "contiguous":
            group.create_dataset("rewards", (10**10,), "f4")
        else:
            made = group.create_dataset(
                "rewards", (6 * 10**7,), "f4", chunks=(10**7,), compression="gzip"
            )
            made[:] = 0
    assert "episode_1/rewards" in refused_at_once("minari_files", folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"total_episodes": 10**9}, "expected"),
        ({"total_steps": 10**9}, "expected"),
        ({"total_episodes": 3}, "expected"),
        ({"data_format": "../../x"}, "holds '../../x', neither HDF5 nor Arrow nor Parquet"),
        (
            {"observation_space": '{"type": "Box", "shape": [10000000000], "low": 0, "high": 1}'},
            "is not a Minari dataset (a Box of shape [10000000000]",
        ),
        (
            {"observation_space": '{"type":"Dict","subspaces":{"a":' * 3000},
            "is not a Minari dataset (",
        ),
        ({"action_space": json.dumps({"type": "os.system"})}, "is not a Minari dataset ("),
    ],
)
def test_metadata_that_claim_what_is_not_there_are_refused(
    exports: Path, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    folder = copied(exports, "minari", tmp_path / "m")
    path = folder / "data/metadata.json"
    record = json.loads(path.read_text()) | change
    record["observation_space"] = record["observation_space"].replace('"low"', '"dtype":"f4","low"')
    path.write_text(json.dumps(record))
    assert said in refused_at_once("minari_files", folder)


def test_an_environment_that_the_file_names_is_never_built(exports: Path, tmp_path: Path) -> None:
    folder = copied(exports, "minari", tmp_path / "m")
    path = folder / "data/metadata.json"
    record = json.loads(path.read_text())
    for key in ("observation_space", "action_space", "trajstore"):
        del record[key]
    evil = {"id": "Evil-v0", "entry_point": "os:getcwd", "kwargs": {}, "additional_wrappers": []}
    record["env_spec"] = json.dumps(evil)
    path.write_text(json.dumps(record))
    with pytest.raises(Exception, match="--environment CartPole-v1"):
        minari.import_dataset(folder)


# imitation


@pytest.mark.parametrize("name", ["../npz", "/etc/passwd", "link.arrow"])
def test_files_of_a_folder_that_lie_elsewhere_are_refused(
    exports: Path, tmp_path: Path, name: str
) -> None:
    folder = copied(exports, "imitation", tmp_path / "i")
    (folder / "link.arrow").symlink_to(exports / "npz")
    state = json.loads((folder / "state.json").read_text())
    state["_data_files"] = [{"filename": name}]
    (folder / "state.json").write_text(json.dumps(state))
    with pytest.raises(CorruptionError, match="leads out of it"):
        imitation_files.import_dataset(folder)


def test_compressed_batches_are_refused_before_they_inflate(exports: Path, tmp_path: Path) -> None:
    folder = copied(exports, "imitation", tmp_path / "i")
    rows = pa.array([np.zeros(3 * 10**7)], pa.list_(pa.float64()))
    table = pa.table({"obs": rows, "acts": rows, "terminal": [True]})
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    path = folder / "data-00000-of-00001.arrow"
    with (
        pa.OSFile(str(path), "w") as out,
        pa.ipc.new_stream(out, table.schema, options=options) as w,
    ):
        w.write_table(table)
    assert path.stat().st_size < 10**6
    assert "got compressed ones" in refused_at_once("imitation_files", folder)


def test_the_fields_beside_imitations_files_are_no_bomb_either(
    exports: Path, tmp_path: Path
) -> None:
    folder = copied(exports, "imitation", tmp_path / "i")
    entries = members(folder / "trajstore.npz")
    entries["seed.npy"] = header("<i8", (10**10,))
    rewritten(folder / "trajstore.npz", list(entries.items()))
    assert "'seed'" in refused_at_once("imitation_files", folder)


# every format


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["npz", "minari", "imitation"])
def test_a_damaged_file_is_one_line_and_leaves_nothing(
    exports: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = random.Random(kind)
    refused = 0
    for number in range(60):
        source = copied(exports, kind, tmp_path / f"{number}")
        files = [source] if source.is_file() else [it for it in source.rglob("*") if it.is_file()]
        path = rng.choice(sorted(files))
        data = bytearray(path.read_bytes())
        place = rng.randrange(len(data))
        if number % 3:
            data[place] ^= 1 << rng.randrange(8)
        path.write_bytes(data if number % 3 else data[:place])
        status = run(["--store", "store", "import", str(number), "--from", kind, "--as", "x"])
        told = capsys.readouterr()
        assert status in (0, 1)
        if status:
            refused += 1
            assert len(told.err.splitlines()) == 1
        assert not [it for it in tmp_path.rglob("*") if it.name.startswith(".v")]
    assert refused > 10
