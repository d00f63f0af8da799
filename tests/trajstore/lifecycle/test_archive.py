"""A pack gives back what was packed, reads as Zarr where it lies, and a hostile one is refused.

Refused means: a named error, before anything of the file is used, in bounded memory; nothing is
ever written outside the folder that was asked for.
"""

import dataclasses
import hashlib
import io
import json
import struct
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numcodecs import blosc, zstd
from zarr.storage import ZipStore

from tests import factories
from trajstore.dataset import Dataset
from trajstore.disk.system import FileRecord
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec
from trajstore.errors import ArchiveError, CorruptionError, FormatError, SealedError
from trajstore.lifecycle import archive
from trajstore.lifecycle.archive import Pack, open_pack, pack, unpack
from trajstore.lifecycle.pack_v1 import OldPack, packed_arrays
from trajstore.recording.recorder import Recorder
from trajstore.version import integrity
from trajstore.version.chunks import checksum
from trajstore.version.files import FetchedFiles
from trajstore.version.integrity import verify
from trajstore.version.layout import Part
from trajstore.version.manifest import Manifest

MEMORY_BYTES = 64 * 2**20
OLD = Path(__file__).parents[2] / "fixtures" / "pack_v1.zip"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A version in two parts."""
    path = tmp_path_factory.mktemp("source") / "v1"
    factories.dataset(path.with_name("base"), count=6, schema=factories.WIDE_SCHEMA)
    with Recorder(
        path, schema=factories.WIDE_SCHEMA, provenance={}, extends=path.with_name("base")
    ) as recorder:
        for episode in factories.episodes(2, seed=70, schema=factories.WIDE_SCHEMA):
            recorder.add(episode)
    return Dataset.open(path)


@pytest.fixture(scope="module")
def packed(source: Dataset) -> bytes:
    return packed_bytes(source)


def packed_bytes(dataset: Dataset) -> bytes:
    file = io.BytesIO()
    pack(dataset, file.write)
    return file.getvalue()


def opened(data: bytes) -> Pack | OldPack:
    return open_pack(io.BytesIO(data))


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_what_is_packed_is_unpacked_byte_for_byte(
    source: Dataset, packed: bytes, tmp_path: Path
) -> None:
    opened(packed).check()
    assert unpack(opened(packed), tmp_path / "v1") == source.manifest
    assert files(tmp_path / "v1") == files(source.path)
    assert verify(tmp_path / "v1", deep=True) == []


def test_a_pack_is_read_back_without_a_copy_of_the_version(
    source: Dataset, packed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The temporary folder holds a few files at a time, and open ones are let go of."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(archive, "KEPT_BYTES", 1)
    monkeypatch.setattr(integrity, "STRETCH_BYTES", 1)
    found: list[int] = []
    fetch = FetchedFiles.file

    def measured(self: FetchedFiles, path: str) -> Path:
        file = fetch(self, path)
        found.append(sum(it.stat().st_size for it in tmp_path.rglob("*") if it.is_file()))
        return file

    monkeypatch.setattr(FetchedFiles, "file", measured)
    opened(packed).check()
    assert max(found) == max(it.size for it in source.manifest.files.values() if it.crc32c)
    assert list(tmp_path.iterdir()) == []


def test_the_same_version_gives_the_same_bytes(source: Dataset, packed: bytes) -> None:
    assert packed_bytes(source) == packed


def test_episodes_are_read_from_the_pack_in_any_order(
    source: Dataset, packed: bytes, tmp_path: Path
) -> None:
    found = opened(packed)
    assert isinstance(found, Pack)
    dataset = Dataset(FetchedFiles(found, Path("v1"), kept=tmp_path))
    for index in (7, 0, 3, -1):
        assert dataset[index].digest == source.episodes["digest"][index]
    with pytest.raises(IndexError, match="no episode 8; they are 0 to 7"):
        dataset[8]


def test_a_damaged_version_is_not_packed(tmp_path: Path) -> None:
    factories.dataset(tmp_path / "v1")
    dataset = Dataset.open(tmp_path / "v1")
    path = tmp_path / "v1" / "step/reward/c.0"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(CorruptionError, match=r"reward/c.0: expected .* get the version anew"):
        packed_bytes(dataset)


@pytest.mark.filterwarnings("ignore:Object at .* is not recognized:zarr.errors.ZarrUserWarning")
def test_any_reader_of_zarr_opens_the_pack_where_it_lies(
    source: Dataset, packed: bytes, tmp_path: Path
) -> None:
    (tmp_path / "pack.zip").write_bytes(packed)
    group = zarr.open_group(ZipStore(tmp_path / "pack.zip", mode="r"), mode="r")
    for name in ("observation", "camera/grid", "action", "reward", "goal"):
        axis = source.schema.field(name).axis.value
        rows = [group[f"{part}{axis}/{name}"][...] for part in ("", "parts/1/")]
        np.testing.assert_array_equal(np.concatenate(rows), source.column(name))


def test_a_folder_that_is_there_is_never_written_over(packed: bytes, tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    with pytest.raises(SealedError):
        unpack(opened(packed), tmp_path / "v1")


def test_a_pack_that_breaks_midway_leaves_nothing(packed: bytes, tmp_path: Path) -> None:
    damaged = bytearray(packed)
    at = packed.index(b"step/reward/c.0") + 40
    damaged[at] ^= 0xFF
    with pytest.raises(ArchiveError):
        unpack(opened(bytes(damaged)), tmp_path / "v1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("old", [False, True], ids=["today", "format 1"])
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_changed_byte_is_found_or_changes_nothing(
    packed: bytes, old: bool, data: st.DataObject
) -> None:
    """Bytes of the zip's own headers may change without consequence; the content never does."""
    good = OLD.read_bytes() if old else packed
    damaged = bytearray(good)
    damaged[data.draw(st.integers(0, len(good) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = opened(bytes(damaged))
        found.check()
    except (ArchiveError, FormatError):
        return
    assert found.manifest == opened(good).manifest


# --- hostile packs ----------------------------------------------------------------------------


def entries(packed: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(packed)) as file:
        return {name: file.read(name) for name in file.namelist()}


def zipped(
    content: dict[str, bytes], *, method: int = zipfile.ZIP_STORED, mode: int = 0o100644
) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        for name, data in content.items():
            info = zipfile.ZipInfo(name)
            info.compress_type, info.external_attr = method, mode << 16
            file.writestr(info, data)
    return out.getvalue()


def recorded(content: dict[str, bytes]) -> dict[str, bytes]:
    """Make the record agree with the content, as a forger would."""
    listed = {
        name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in content.items()
        if name != "pack.json"
    }
    version = json.loads(content["pack.json"])["format_version"]
    record = json.dumps({"entries": listed, "format_version": version})
    return {**content, "pack.json": record.encode()}


def forged(content: dict[str, bytes], **changes: object) -> dict[str, bytes]:
    """Make the manifest agree with the content, too."""
    manifest = Manifest.from_bytes(content["manifest.json"])
    listed = {
        name: FileRecord(len(data), hashlib.sha256(data).hexdigest())
        for name, data in content.items()
        if name not in ("pack.json", "manifest.json")
    }
    told = dataclasses.replace(manifest, **({"files": listed} | changes))  # type: ignore[arg-type]
    return recorded({**content, "manifest.json": told.to_bytes()})


def hostile(packed: bytes) -> Iterator[tuple[str, bytes]]:
    """Every case by name."""
    good = entries(packed)
    names = (
        "../evil", "../../../../tmp/evil", "/etc/evil", "C:\\evil", "..\\evil", "a/../../evil",
        "state/observation/../../evil", "nul\x00byte", "trailing ", "dot.", "new\nline", "x" * 300,
        "COM1", "state/observation/c.9.0", "zarr.json/evil", ".hidden", "~/evil", "\u202eevil",
    )  # fmt: skip
    for name in names:
        yield f"extra entry {name[:20]!r}", zipped(recorded({**good, name: b"evil"}))
        yield f"unlisted entry {name[:20]!r}", zipped({**good, name: b"evil"})
    for name in sorted(good):
        rest = {it: data for it, data in good.items() if it != name}
        yield f"without {name}", zipped(rest)
        if name != "pack.json":
            yield f"without {name}, record forged", zipped(recorded(rest))
            yield f"empty {name}", zipped(recorded({**good, name: b""}))
    for kind, mode in {"symlink": 0o120777, "device": 0o060644, "folder": 0o040755}.items():
        yield kind, zipped(good, mode=mode)
    yield "all compressed", zipped(good, method=zipfile.ZIP_DEFLATED)
    yield "encoded otherwise", zipped(good, method=zipfile.ZIP_BZIP2)
    yield "bomb", zipped({**good, "bomb": b"\0" * 30_000_000}, method=zipfile.ZIP_DEFLATED)
    if json.loads(good["pack.json"])["format_version"] == 1:
        yield from old_chunk_bombs(good)
    else:
        yield from chunk_bombs(good)
    yield from broken_records(good)
    yield from broken_files(packed)


def old_chunk_bombs(good: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    grid = next(name for name in good if name.startswith("state/observation/grid/c."))
    action = next(name for name in good if name.startswith("step/action/c."))
    huge = zstd.compress(np.zeros(500_000_000, np.uint8), 1)
    yield "zstd bomb", zipped(recorded({**good, grid: huge}))
    bomb = blosc.compress(np.zeros(100_000_000, np.uint8), b"zstd", 1, 1, 0)
    yield "blosc bomb", zipped(recorded({**good, action: bomb}))
    lying = bytearray(good[action])
    lying[4:8] = struct.pack("<I", 2**31 - 1)
    yield "blosc header that lies", zipped(recorded({**good, action: bytes(lying)}))
    yield "garbage chunk", zipped(recorded({**good, action: b"\xff" * 500}))
    other = blosc.compress(np.full(len(good), 0.5, np.float32), b"zstd", 1, 1, 0)
    yield "chunk of another size", zipped(recorded({**good, action: other}))
    lengths = np.full(3, 2**40, np.int64)
    yield (
        "lengths that overflow",
        zipped(recorded({**good, "index/length/c.0": blosc.compress(lengths, b"zstd", 1, 1, 0)})),
    )


def chunk_bombs(good: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    grid, action, length = (
        next(name for name in good if name.startswith(f"{path}/c."))
        for path in ("state/camera/grid", "step/action", "index/length")
    )
    changed: dict[str, dict[str, bytes]] = {
        "zstd bomb": {grid: zstd.compress(np.zeros(200_000_000, np.uint8), 1)},
        "garbage shard": {grid: b"\xff" * len(good[grid])},
        "garbage chunk": {action: b"\xff" * len(good[action])},
        "short chunk": {action: b"\xff" * 500},
        "other values": {action: sealed(bytes(len(good[action]) - 4))},
        "lengths that overflow": {length: sealed(np.full(6, 2**40, "<i8").tobytes())},
        "deflate bomb": {action: bytes(300_000_000)},
        "other metadata": {"step/zarr.json": b"{}"},
    }
    for name, change in changed.items():
        content = {**good, **change}
        yield f"{name}, record forged", deflated(recorded(content))
        yield f"{name}, manifest forged", deflated(forged(content))
    without = {name: data for name, data in good.items() if name != action}
    yield "a file less, manifest forged", zipped(forged(without))
    yield "a file more, manifest forged", zipped(forged({**good, "step/more": b"x"}))
    yield "other content", zipped(forged(good, content_digest="0" * 64))
    for steps in (10**6, 2**50):
        parts = (Part("", 6, steps), Part("parts/1", 2, steps))
        yield f"manifest of {steps} steps, forged", zipped(forged(good, parts=parts))
    huge = EpisodeSchema((*factories.WIDE_SCHEMA.fields, FieldSpec("x", Axis.STEP, (2**27,), "f8")))
    yield "huge rows", zipped(forged(good, schema=huge))
    record = json.loads(good["pack.json"]) | {"more": " " * 60_000_000}
    yield (
        "deflated record",
        zipped({**good, "pack.json": json.dumps(record).encode()}, method=zipfile.ZIP_DEFLATED),
    )


def sealed(rows: bytes) -> bytes:
    return rows + checksum(rows)


def deflated(content: dict[str, bytes]) -> bytes:
    """A pack as they are written: all deflated but what is read into memory."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in content.items():
            whole = name in ("pack.json", "manifest.json")
            method = zipfile.ZIP_STORED if whole else zipfile.ZIP_DEFLATED
            file.writestr(name, data, compress_type=method)
    return out.getvalue()


def broken_records(good: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    manifest = json.loads(good["manifest.json"])
    changes: dict[str, object] = {
        "episodes": 10**15, "steps": 10**17, "format_version": 99, "schema": [], "parts": [],
        "files": {"../../evil": {"size": 1, "sha256": "0" * 64}}, "content_digest": "x",
        "vocabularies": {}, "manifest_digest": "0" * 64,
    }  # fmt: skip
    for key, value in changes.items():
        forged = json.dumps(manifest | {key: value}).encode()
        yield f"manifest with {key}", zipped(recorded({**good, "manifest.json": forged}))
    for record in (b"", b"[]", b"{}", b"null", b"{" * 10_000, b'{"entries": 3}', b"\xff\xfe"):
        yield f"record {record[:16]!r}", zipped({**good, "pack.json": record})
    listed = json.loads(recorded(good)["pack.json"])
    for size in (-1, 2**63, "7", None, 1.5, True):
        listed["entries"]["manifest.json"]["size"] = size
        forged = json.dumps(listed).encode()
        yield f"size {size!r}", zipped({**good, "pack.json": forged})


def broken_files(packed: bytes) -> Iterator[tuple[str, bytes]]:
    for keep in (0, 1, 21, 22, 100, len(packed) // 2, len(packed) - 1):
        yield f"cut to {keep}", packed[:keep]
    yield "not a zip", b"MZ" + b"\0" * 5_000
    end = packed.rindex(b"PK\x05\x06")
    for count in (2, 65_535):
        forged = bytearray(packed)
        forged[end + 8 : end + 12] = struct.pack("<HH", count, count)
        yield f"directory of {count} entries", bytes(forged)
    forged = bytearray(packed)
    forged[end + 12 : end + 16] = struct.pack("<L", 2**32 - 2)
    yield "directory of 4 GiB", bytes(forged)
    out = io.BytesIO()
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(out, "w") as file:
        for name, data in entries(packed).items():
            file.writestr(name, data)
        file.writestr("manifest.json", b"{}")
    yield "an entry twice", out.getvalue()


def read_all(data: bytes, target: Path) -> None:
    opened(data).check()


def unpack_all(data: bytes, target: Path) -> None:
    unpack(opened(data), target)


@pytest.mark.parametrize("use", [read_all, unpack_all])
@pytest.mark.parametrize("old", [False, True], ids=["today", "format 1"])
def test_every_hostile_pack_is_refused_by_name_in_bounded_memory(
    packed: bytes, old: bool, use: Callable[[bytes, Path], None], tmp_path: Path
) -> None:
    good = OLD.read_bytes() if old else packed
    use(good, tmp_path / "good")
    cases = dict(hostile(good))
    assert len(cases) >= 50
    accepted, hungry = [], []
    for number, (name, data) in enumerate(cases.items(), start=1):
        tracemalloc.start()
        try:
            use(data, tmp_path / "out" / f"v{number}")
            accepted.append(name)
        except (ArchiveError, FormatError):
            pass
        peak = tracemalloc.get_traced_memory()[1] - len(data)
        tracemalloc.stop()
        if peak > MEMORY_BYTES:
            hungry.append((name, peak))
    assert accepted == []
    assert hungry == []
    assert not [it for it in (tmp_path / "out").rglob("*") if it.is_file()]


def test_rows_that_no_old_pack_may_have_are_refused() -> None:
    schema = EpisodeSchema(
        (*factories.SCHEMA.fields, FieldSpec("big", Axis.STATE, (2**27,), "uint8"))
    )
    with pytest.raises(ArchiveError, match="rows of at most"):
        packed_arrays(schema, Part("", 1, 1))
