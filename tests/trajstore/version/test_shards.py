"""Compressed rows come back whole or not at all; only what was sealed is mapped."""

from pathlib import Path

import google_crc32c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs.zstd import compress

from trajstore.disk.mapping import map_sealed, open_sealed
from trajstore.disk.system import FileRecord
from trajstore.episode.schema import Axis, FieldSpec
from trajstore.errors import CorruptionError
from trajstore.version.chunks import check_frame
from trajstore.version.layout import ArraySpec
from trajstore.version.mapped import ChunkGrid, MappedRows
from trajstore.version.shards import ShardedRows
from trajstore.version.wide import check_file

ROWS = np.random.default_rng(0).integers(0, 9, (20, 16, 16)).astype("uint8")
"""Rows of five shards of two blocks of two."""


def sealed(data: bytes) -> bytes:
    return data + google_crc32c.value(data).to_bytes(4, "little")


def shard(blocks: list[bytes], *, index: np.ndarray | None = None) -> bytes:
    body = b"".join(blocks)
    ends = np.cumsum([len(block) for block in blocks])
    if index is None:
        index = np.array(
            [(end - len(it), len(it)) for end, it in zip(ends, blocks, strict=True)], "<u8"
        )
    return body + sealed(index.tobytes())


class Folder:
    """Files of which only the size is recorded."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.where = folder, str(folder)

    def record(self, path: str) -> FileRecord:
        return FileRecord((self.folder / path).stat().st_size, "")

    def file(self, path: str) -> Path:
        return self.folder / path


def stored(folder: Path, contents: list[bytes], rows: int = 20) -> ArraySpec:
    spec = ArraySpec(folder.name, FieldSpec("x", Axis.STEP, (16, 16), "uint8"), rows, 2, 4)
    for number, content in enumerate(contents):
        (folder.parent / spec.file_path(number)).write_bytes(content)
    return spec


def good_blocks(number: int) -> list[bytes]:
    rows = ROWS[4 * number : 4 * number + 4]
    return [sealed(compress(rows[at : at + 2].tobytes(), 3)) for at in (0, 2)]


@settings(deadline=None)
@given(st.lists(st.integers(0, 19), max_size=40), st.integers(1, 2000))
def test_rows_in_any_order_are_those_rows(tmp_path_factory, wanted, kept):
    folder = tmp_path_factory.mktemp("shards")
    rows = ShardedRows(
        [stored(folder, [shard(good_blocks(number)) for number in range(5)])],
        Folder(folder.parent),
        kept_bytes=kept,
    )
    np.testing.assert_array_equal(rows.at(np.array(wanted, int)), ROWS[wanted])
    low, high = min(wanted, default=0), max(wanted, default=0)
    np.testing.assert_array_equal(rows.span(low, high), ROWS[low:high])


def test_parts_follow_each_other(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = stored(tmp_path / "a", [shard(good_blocks(n)) for n in (0, 1)], rows=7)
    other = stored(tmp_path / "b", [shard(good_blocks(n)) for n in (2, 3)], rows=8)
    rows = ShardedRows([one, other], Folder(tmp_path))
    expected = np.concatenate([ROWS[:7], ROWS[8:16]])
    wanted = np.array([[14, 0, 7], [6, 8, 6]])
    np.testing.assert_array_equal(rows.at(wanted), expected[wanted])
    np.testing.assert_array_equal(rows.span(5, 12), expected[5:12])


SHORT = sealed(compress(ROWS[:1].tobytes(), 3))
LONG = sealed(compress(ROWS[:9].tobytes(), 3))
BLOCK = good_blocks(0)[0]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (shard([SHORT, BLOCK]), "expected 512 bytes when decoded, got 256"),
        (shard([LONG, BLOCK]), "expected 512 bytes when decoded, got 2,304"),
        (shard([sealed(b"not zstd, but long enough"), BLOCK]), "expected 512 bytes when decoded"),
        (shard([BLOCK], index=np.array([(0, len(BLOCK)), (2**64 - 1,) * 2], "<u8")), "got none"),
        (shard([BLOCK], index=np.array([(0, len(BLOCK)), (9, 2**62)], "<u8")), "within the file"),
        (
            shard([BLOCK], index=np.array([(0, len(BLOCK)), (2**63, 2**63)], "<u8")),
            "within the file",
        ),
        (shard([BLOCK, BLOCK])[:-1], "crc32c"),
        (b"short", "expected an index of 36 bytes"),
        (
            shard([BLOCK, BLOCK[:-1] + bytes([BLOCK[-1] ^ 1])]),
            "block 1: expected bytes with crc32c",
        ),
    ],
    ids=["short", "long", "no zstd", "absent", "too long", "overflow", "cut", "tiny", "crc"],
)
def test_a_shard_that_is_none_is_refused(tmp_path, content, complaint):
    array = stored(tmp_path, [content], rows=4)
    with pytest.raises(CorruptionError, match=complaint):
        ShardedRows([array], Folder(tmp_path.parent)).at(np.arange(4))
    with pytest.raises(CorruptionError, match=complaint):
        check_file(array, 0, Folder(tmp_path.parent))


@settings(deadline=None)
@given(st.integers(0, 70_000), st.integers(-5, 19))
def test_the_size_in_a_frame_is_read_as_the_decoder_reads_it(size, level):
    frame = compress(bytes(size), level)
    check_frame(frame, size)
    with pytest.raises(CorruptionError, match=f"expected {size + 1:,} bytes when decoded, got"):
        check_frame(frame, size + 1)


def test_only_a_plain_file_of_the_recorded_size_is_opened(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "folder").mkdir()
    assert map_sealed(tmp_path / "file", 5).tolist() == [49, 50, 51, 52, 53]
    for name, size, complaint in [
        ("file", 4, "expected 4 bytes, got 5"),
        ("link", 5, "got a symbolic link"),
        ("folder", 5, "expected a plain file, got something else"),
        ("absent", 5, "absent: is missing, 5 bytes"),
    ]:
        with pytest.raises(CorruptionError, match=complaint):
            open_sealed(tmp_path / name, size)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(1, 9)), min_size=1, max_size=3),
    st.data(),
)
def test_mapped_rows_are_the_rows_of_their_files(tmp_path_factory, parts, data):
    folder = tmp_path_factory.mktemp("mapped")
    values = np.arange(sum(rows for rows, _ in parts) * 3, dtype="float32").reshape(-1, 3)
    arrays, first = [], 0
    for number, (rows, per_file) in enumerate(parts):
        field = FieldSpec("x", Axis.STEP, (3,), "float32")
        spec = ArraySpec(f"{folder.name}/{number}", field, rows, per_file, 0)
        (folder / str(number)).mkdir()
        for index, start in enumerate(range(0, rows, per_file)):
            padded = np.zeros((per_file, 3), "float32")
            chunk = values[first + start : first + min(start + per_file, rows)]
            padded[: len(chunk)] = chunk
            (folder.parent / spec.file_path(index)).write_bytes(sealed(padded.tobytes()))
        first += rows
        arrays.append(spec)
    mapped = MappedRows(arrays, Folder(folder.parent))
    wanted = np.array(data.draw(st.lists(st.integers(0, len(values) - 1), max_size=20)), int)
    np.testing.assert_array_equal(mapped.at(wanted), values[wanted])
    low = data.draw(st.integers(0, len(values)))
    high = data.draw(st.integers(low, len(values)))
    np.testing.assert_array_equal(mapped.span(low, high), values[low:high])


def test_rows_of_all_sizes_lie_at_whole_pages():
    grid = ChunkGrid(((100_000, 65_000),))
    assert grid.distance % 4096 == 0 and grid.distance >= 65_004
