"""What the directory of a zip claims is counted before anything is made of it."""

import hashlib
import io
import json
import struct
import tracemalloc
import zipfile
from collections.abc import Callable

import pytest

from trajstore.errors import ArchiveError
from trajstore.lifecycle.zipped import MAX_ENTRIES, ZipReader, ZipWriter

MOST_BYTES = 64 * 2**20


def made(count: int = 3) -> bytes:
    out = io.BytesIO()
    writer = ZipWriter(out.write)
    for number in range(count):
        writer.add_bytes(f"e{number}", b"x" * number)
    writer.close()
    return out.getvalue()


def record(number: int) -> bytes:
    """An entry of a zip's directory."""
    name = b"%x" % number
    return struct.pack("<4s6H3L5H2L", b"PK\x01\x02", *[0] * 9, len(name), *[0] * 6) + name


def directory(count: int, told: int) -> bytes:
    listed = b"".join(map(record, range(count)))
    return listed + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, told, told, len(listed), 0, 0)


def wide_directory(count: int, told: int) -> bytes:
    """A directory of the wide format; its end points to another end, which tells a small size."""
    listed = b"".join(map(record, range(count)))

    def end(entries: int, size: int) -> bytes:
        return struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, entries, entries, size, 0)

    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
    last = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, *[2**16 - 1] * 2, *[2**32 - 1] * 2, 0)
    return end(told, 1) + listed + end(count, len(listed)) + locator + last


def with_record(change: Callable[[dict[str, object]], object]) -> bytes:
    """A pack with another record of its entries."""
    good = made()
    with zipfile.ZipFile(io.BytesIO(good)) as file:
        content = {name: file.read(name) for name in file.namelist()}
    listed = json.loads(content["pack.json"])
    change(listed)
    content["pack.json"] = json.dumps(listed).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, data in content.items():
            file.writestr(name, data)
    return out.getvalue()


def million(listed: dict[str, object]) -> None:
    entry = {"sha256": "", "size": 0}
    listed["entries"] = {f"{number:x}": entry for number in range(500_000)}


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (lambda: directory(500_000, 5), "expected 5 entries as its end says, got 500,000"),
        (lambda: directory(5, 500), "expected 500 entries as its end says, got 5"),
        (lambda: wide_directory(500_000, 1), f"expected at most {MAX_ENTRIES:,} entries"),
        (lambda: wide_directory(50_000, 1), "expected an entry pack.json|expected a pack"),
        (lambda: with_record(million), "more entries than it has"),
        (lambda: with_record(lambda it: it.update(entries={})), "expected the entries and sizes"),
    ],
)
def test_a_directory_that_claims_something_else_is_refused_in_little_memory(
    data: Callable[[], bytes], told: str
) -> None:
    content = data()
    tracemalloc.start()
    with pytest.raises(ArchiveError, match=told):
        ZipReader(io.BytesIO(content), "pack")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - len(content) < MOST_BYTES, f"{peak / 2**20:.0f} MiB"


def test_what_is_written_is_read() -> None:
    reader = ZipReader(io.BytesIO(made()), "pack")
    assert reader.read("e2", most=10) == b"xx"
    assert reader.records["e2"].sha256 == hashlib.sha256(b"xx").hexdigest()
