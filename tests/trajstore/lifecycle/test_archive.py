"""A pack gives back what was packed, reads as Zarr where it lies, and a hostile one is refused.

Refused means: a named error, before anything of the file is used, in bounded memory; nothing is
ever written outside the folder that was asked for.
"""

import io
import json
import struct
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zarr.storage import ZipStore

from tests import factories
from trajstore.dataset import Dataset
from trajstore.errors import ArchiveError, FormatError, SealedError
from trajstore.lifecycle.archive import Pack, pack, unpack
from trajstore.lifecycle.packing import packed_arrays
from trajstore.version.integrity import verify
from trajstore.version.part import Part

MEMORY_BYTES = 64 * 2**20


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("source") / "v1"
    factories.dataset(path, count=8, schema=factories.WIDE_SCHEMA)
    return Dataset.open(path)


@pytest.fixture(scope="module")
def packed(source: Dataset) -> bytes:
    return packed_bytes(source)


def packed_bytes(dataset: Dataset) -> bytes:
    file = io.BytesIO()
    pack(dataset, file.write)
    return file.getvalue()


def test_what_is_packed_is_what_is_unpacked(source: Dataset, packed: bytes, tmp_path: Path) -> None:
    unpacked = unpack(Pack(io.BytesIO(packed)), tmp_path / "v1")
    assert unpacked.content_digest == source.manifest.content_digest
    assert unpacked.digest == source.manifest.digest
    assert verify(tmp_path / "v1", deep=True) == []


def test_the_same_version_gives_the_same_bytes(source: Dataset, packed: bytes) -> None:
    assert packed_bytes(source) == packed


def test_episodes_are_read_from_the_pack_in_any_order(source: Dataset, packed: bytes) -> None:
    found = Pack(io.BytesIO(packed))
    for index in (7, 0, 3, -1):
        assert found[index].digest == source.episodes["digest"][index]
    assert [it.digest for it in found[2:4]] == source.episodes["digest"][2:4].tolist()
    with pytest.raises(IndexError, match="expected 0 to 7"):
        found[8]


@pytest.mark.filterwarnings("ignore:Object at .* is not recognized:UserWarning")
def test_any_reader_of_zarr_opens_the_pack_where_it_lies(
    source: Dataset, packed: bytes, tmp_path: Path
) -> None:
    (tmp_path / "pack.zip").write_bytes(packed)
    group = zarr.open_group(ZipStore(tmp_path / "pack.zip", mode="r"), mode="r")
    for name in ("observation", "camera/grid", "action", "reward", "goal"):
        axis = source.schema.field(name).axis.value
        rows = group[f"{axis}/{name}"][...]
        np.testing.assert_array_equal(rows, source.column(name))


def test_a_folder_that_is_there_is_never_written_over(packed: bytes, tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    with pytest.raises(SealedError):
        unpack(Pack(io.BytesIO(packed)), tmp_path / "v1")


def test_a_pack_that_breaks_midway_leaves_nothing(packed: bytes, tmp_path: Path) -> None:
    damaged = bytearray(packed)
    at = packed.index(b"step/reward/c.0") + 200
    damaged[at] ^= 0xFF
    with pytest.raises(ArchiveError):
        unpack(Pack(io.BytesIO(bytes(damaged))), tmp_path / "v1")
    assert list(tmp_path.iterdir()) == []


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_a_changed_byte_is_found_or_changes_nothing(packed: bytes, data: st.DataObject) -> None:
    """Bytes of the zip's own headers may change without consequence; the content never does."""
    at = data.draw(st.integers(0, len(packed) - 1))
    damaged = bytearray(packed)
    damaged[at] ^= data.draw(st.integers(1, 255))
    try:
        found = Pack(io.BytesIO(bytes(damaged)))
        found.check()
    except ArchiveError:
        return
    assert [it.digest for it in found] == [it.digest for it in Pack(io.BytesIO(packed))]


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
    import hashlib

    listed = {
        name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in content.items()
        if name != "pack.json"
    }
    record = json.dumps({"entries": listed, "format_version": 1})
    return {**content, "pack.json": record.encode()}


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
    yield "compressed", zipped(good, method=zipfile.ZIP_DEFLATED)
    yield "bomb", zipped({**good, "bomb": b"\0" * 30_000_000}, method=zipfile.ZIP_DEFLATED)
    yield from chunk_bombs(good)
    yield from broken_records(good)
    yield from broken_files(packed)


def chunk_bombs(good: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    from numcodecs import blosc, zstd

    grid = next(name for name in good if name.startswith("state/camera/grid/c."))
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
    lengths = np.full(8, 2**40, np.int64)
    yield (
        "lengths that overflow",
        zipped(recorded({**good, "index/length/c.0": blosc.compress(lengths, b"zstd", 1, 1, 0)})),
    )


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
    found = Pack(io.BytesIO(data))
    found.check()
    unpack(found, target)


def test_every_hostile_pack_is_refused_by_name_in_bounded_memory(
    packed: bytes, tmp_path: Path
) -> None:
    cases = dict(hostile(packed))
    assert len(cases) >= 50
    accepted, hungry = [], []
    for number, (name, data) in enumerate(cases.items(), start=1):
        tracemalloc.start()
        try:
            read_all(data, tmp_path / "out" / f"v{number}")
            accepted.append(name)
        except (ArchiveError, FormatError):
            pass
        peak = tracemalloc.get_traced_memory()[1] - len(data)
        tracemalloc.stop()
        if peak > MEMORY_BYTES:
            hungry.append((name, peak))
    assert accepted == []
    assert hungry == []
    assert not [it for it in tmp_path.rglob("*") if it.is_file()]


def test_rows_that_no_pack_may_have_are_refused_before_packing() -> None:
    from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec

    schema = EpisodeSchema(
        (*factories.SCHEMA.fields, FieldSpec("big", Axis.STATE, (2**27,), "uint8"))
    )
    with pytest.raises(ArchiveError, match="rows of at most"):
        packed_arrays(schema, Part("", 1, 1))
