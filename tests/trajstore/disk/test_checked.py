"""Records with a check value: every bit of the file counts."""

import os
from pathlib import Path

import pytest

from trajstore.disk.checked import checked_line, read_checked, read_line, write_checked
from trajstore.disk.files import open_file, read_file
from trajstore.errors import CorruptionError

RECORD = {"reason": "a pedestrian jumps é", "status": "quarantined", "steps": 12, "f": [0.5, None]}


def flips(data: bytes) -> list[bytes]:
    return [
        data[:i] + bytes([data[i] ^ 1 << bit]) + data[i + 1 :]
        for i in range(len(data))
        for bit in range(8)
    ]


def test_every_flipped_bit_of_a_record_is_harmless_or_named(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_checked(path, RECORD)
    assert read_checked(path) == RECORD
    harmless = 0
    for data in flips(path.read_bytes()):
        path.write_bytes(data)
        try:
            assert read_checked(path) == RECORD
            harmless += 1
        except CorruptionError as error:
            assert "record.json" in str(error)
    assert harmless < 200  # blanks between values


def test_every_flipped_bit_of_a_line_is_named() -> None:
    line = checked_line(RECORD)
    assert read_line(line, "x") == RECORD
    assert read_line(line.rstrip(b"\n"), "x") == RECORD
    for data in flips(line[:-1]):
        with pytest.raises(CorruptionError, match=r"^x, line 1: "):
            read_line(data + b"\n", "x, line 1")


@pytest.mark.parametrize("record", [b"[]\n", b'{"a":1}\n', b'{"a":1,"a":1,"check":""}\n'])
def test_what_carries_no_check_value_is_refused(record: bytes) -> None:
    with pytest.raises(CorruptionError, match=r"^x: "):
        read_line(record, "x")


def test_a_pipe_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for read in (open_file, read_file):
        with pytest.raises(CorruptionError, match="is a pipe, a device or a socket"):
            read(tmp_path / "pipe")
