"""What is written is what any Zarr reader reads; the same episodes give the same bytes."""

import gc
import tracemalloc
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import factories
from trajstore.disk.files import digest, size_bytes
from trajstore.episode.episode import Episode
from trajstore.episode.fields import NUMBERS
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec
from trajstore.errors import (
    CorruptionError,
    JournalError,
    QuotaExceededError,
    SchemaError,
    SealedError,
)
from trajstore.recording.bulk import write_dataset
from trajstore.version import layout
from trajstore.version.files import LocalFiles
from trajstore.version.layout import array_spec, arrays_of
from trajstore.version.manifest import Manifest
from trajstore.version.reading import Assembly

WIDE = factories.WIDE_SCHEMA


def contents(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def assembly(folder: Path) -> Assembly:
    return Assembly.of(LocalFiles(folder))


def joined(episodes: list[Episode], field: FieldSpec) -> np.ndarray:
    arrays = [episode.arrays[field.name] for episode in episodes]
    return np.stack(arrays) if field.axis is Axis.EPISODE else np.concatenate(arrays)


def check_with_zarr(folder: Path, episodes: list[Episode], schema: EpisodeSchema) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        root = zarr.open_group(str(folder), mode="r")
        for field in schema.fields:
            array = root[f"{field.axis.value}/{field.name}"]
            assert isinstance(array, zarr.Array)
            rows = np.asarray(array[:])
            expected = joined(episodes, field)
            if field.is_text:
                words = Manifest.read(folder).vocabularies[field.name]
                assert [words[code] for code in rows] == expected.tolist()
            else:
                assert rows.dtype == expected.dtype
                np.testing.assert_array_equal(rows, expected)
        lengths = np.asarray(root["index/length"][:])  # type: ignore[index]
    assert lengths.tolist() == [len(episode) for episode in episodes]


@pytest.mark.parametrize("schema", [factories.SCHEMA, WIDE], ids=["narrow", "wide"])
def test_zarr_python_reads_the_same_values_without_a_warning(
    tmp_path: Path, schema: EpisodeSchema
) -> None:
    episodes = factories.episodes(12, schema=schema)
    write_dataset(tmp_path / "v1", episodes, schema=schema, provenance={})
    check_with_zarr(tmp_path / "v1", episodes, schema)


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("shape", [(), (3,), (2, 600)], ids=str)
def test_every_dtype_narrow_and_wide_is_kept(
    tmp_path: Path, dtype: str, shape: tuple[int, ...]
) -> None:
    ends = factories.SCHEMA.fields[3:5]
    schema = EpisodeSchema((*ends, FieldSpec("x", Axis.STATE, shape, dtype)))
    rng = np.random.default_rng(0)
    episodes = []
    for steps in (1, 5, 9):
        rows = rng.integers(0, 2**8, (steps + 1, *shape)).astype(dtype)
        end = np.arange(steps) == steps - 1
        episodes.append(Episode(schema, {"x": rows, "terminated": end, "truncated": ~end & False}))
    write_dataset(tmp_path / "v1", episodes, schema=schema, provenance={})
    check_with_zarr(tmp_path / "v1", episodes, schema)


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(st.integers(1, 3), st.integers(0, 99), st.integers(7, 40), st.integers(1, 4))
def test_any_cut_into_chunks_and_shards_reads_the_same(
    tmp_path_factory: pytest.TempPathFactory, count: int, seed: int, chunk: int, inner: int
) -> None:
    tmp_path = tmp_path_factory.mktemp("cut")
    episodes = factories.episodes(count, seed=seed, schema=WIDE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "CHUNK_ROWS", chunk)
        patch.setattr(layout, "SHARD_ROWS", 4 * inner)
        write_dataset(tmp_path / "v1", episodes, schema=WIDE, provenance={})
        check_with_zarr(tmp_path / "v1", episodes, WIDE)
        for field in WIDE.fields:
            if not field.is_text:
                found = np.concatenate(list(assembly(tmp_path / "v1").blocks(field)))
                np.testing.assert_array_equal(found, joined(episodes, field))


def test_the_same_episodes_give_the_same_bytes(tmp_path: Path) -> None:
    episodes = factories.episodes(9, schema=WIDE)
    for place, source in (("a/v1", episodes), ("b/other", iter(episodes)), ("c", tuple(episodes))):
        write_dataset(tmp_path / place, source, schema=WIDE, provenance={"policy": "p"})
    assert contents(tmp_path / "a/v1") == contents(tmp_path / "b/other") == contents(tmp_path / "c")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_the_manifest_lists_every_file(tmp_path: Path) -> None:
    manifest = factories.dataset(tmp_path / "v1", schema=WIDE)
    found = contents(tmp_path / "v1")
    del found["manifest.json"]
    assert set(manifest.files) == set(found)
    for path, record in manifest.files.items():
        assert (record.size, record.sha256) == (len(found[path]), digest(tmp_path / "v1" / path))
    assert manifest == Manifest.read(tmp_path / "v1")


def test_the_content_digest_sees_order_and_values(tmp_path: Path) -> None:
    episodes = factories.episodes(3)
    digests = [
        write_dataset(
            tmp_path / name, chosen, schema=factories.SCHEMA, provenance={}
        ).content_digest
        for name, chosen in (("a", episodes), ("b", episodes[::-1]), ("c", episodes[:2]))
    ]
    assert len(set(digests)) == 3


def test_a_sealed_version_is_not_written_again(tmp_path: Path) -> None:
    factories.dataset(tmp_path / "v1")
    before = contents(tmp_path / "v1")
    with pytest.raises(SealedError, match="is sealed already"):
        write_dataset(tmp_path / "v1", iter([]), schema=factories.SCHEMA, provenance={})
    assert contents(tmp_path / "v1") == before


@pytest.mark.parametrize("kind", [list, iter])
def test_no_episode_is_no_version(tmp_path: Path, kind: type) -> None:
    with pytest.raises(JournalError, match="holds no episode"):
        write_dataset(tmp_path / "v1", kind([]), schema=factories.SCHEMA, provenance={})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", [list, iter])
def test_an_episode_of_another_schema_is_refused(tmp_path: Path, kind: type) -> None:
    episodes = [factories.episode(), factories.episode(schema=WIDE)]
    with pytest.raises(SchemaError, match="its schema is not that of the dataset"):
        write_dataset(tmp_path / "v1", kind(episodes), schema=factories.SCHEMA, provenance={})
    assert list(tmp_path.iterdir()) == []


def test_past_the_quota_nothing_is_left(tmp_path: Path) -> None:
    episodes = factories.episodes(5)
    with pytest.raises(
        QuotaExceededError, match=r"version v1: would take .* bytes, and its quota is 9,000"
    ):
        write_dataset(
            tmp_path / "v1", episodes, schema=factories.SCHEMA, provenance={}, quota_bytes=9_000
        )
    assert list(tmp_path.iterdir()) == []


def test_any_quota_is_kept_to_the_byte(tmp_path: Path) -> None:
    episodes = factories.episodes(3)
    factories.dataset(tmp_path / "v0", count=3)
    size = size_bytes(tmp_path / "v0")
    for number, quota in enumerate((size - 1, size)):
        try:
            write_dataset(
                tmp_path / f"v{number + 1}", episodes, schema=factories.SCHEMA,
                provenance={"made_by": "factories"}, quota_bytes=quota,
            )  # fmt: skip
        except QuotaExceededError:
            continue
        assert quota >= size_bytes(tmp_path / f"v{number + 1}")
    assert not (tmp_path / "v1").exists()


def test_memory_does_not_grow_with_the_dataset(tmp_path: Path) -> None:
    def many(count: int) -> Iterator[Episode]:
        return (factories.episode(seed, steps=99, schema=WIDE) for seed in range(count))

    def peak(count: int) -> int:
        gc.collect()
        tracemalloc.start()
        write_dataset(tmp_path / f"v{count}", many(count), schema=WIDE, provenance={})
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    small, large = peak(20), peak(60)
    assert large < 1.3 * small < 64 * 2**20


def test_a_damaged_chunk_is_an_error_when_read_back(tmp_path: Path) -> None:
    manifest = factories.dataset(tmp_path / "v1", schema=WIDE)
    for name in ("observation", "camera/grid"):
        spec = arrays_of(WIDE, manifest.parts[0])[name]
        path = tmp_path / "v1" / spec.file_path(0)
        data = bytearray(path.read_bytes())
        data[3] ^= 1
        for damage, complaint in (
            (lambda path=path, data=data: path.write_bytes(data), "expected bytes with crc32c"),
            (lambda path=path: path.write_bytes(b""), "bytes, got 0"),
            (path.unlink, "is missing"),
        ):
            damage()
            with pytest.raises(CorruptionError, match=complaint):
                list(assembly(tmp_path / "v1").blocks(WIDE.field(name)))


@given(st.integers(1, 2**22), st.integers(1, 4096))
def test_a_narrow_array_wastes_less_than_its_number_of_chunks(rows: int, row: int) -> None:
    spec = array_spec(FieldSpec("x", Axis.STEP, (row,), "uint8"), "x", rows)
    if spec.shard_rows:
        assert row > 1024
        assert spec.shard_rows % spec.chunk_rows == 0
        assert 1 <= spec.chunk_rows <= 16
    else:
        assert spec.chunk_rows <= 65_536 and spec.chunk_bytes <= 16 * 2**20
        assert 0 <= spec.file_count * spec.chunk_rows - rows < spec.file_count
    assert (spec.file_count - 1) * spec.file_rows < rows <= spec.file_count * spec.file_rows
