"""Records that carry a check value, so that one changed bit is either harmless or named."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trajstore.disk.files import read_json, write_json
from trajstore.disk.json_text import canonical_json, parse_json
from trajstore.errors import CorruptionError

CHECK = "check"
"""Key of the check value in a record."""


def check_value(record: Mapping[str, object]) -> str:
    """Sixteen hexadecimal digits over the canonical JSON of a record without its check value.

    Example:
        >>> check_value({"status": "draft"})
        'b4bcf6615087d4f7'
    """
    bare = {key: value for key, value in record.items() if key != CHECK}
    return hashlib.sha256(canonical_json(bare)).hexdigest()[:16]


def with_check(record: Mapping[str, object]) -> dict[str, object]:
    """The record with its check value."""
    return {**record, CHECK: check_value(record)}


def without_check(record: object, where: object) -> dict[str, Any]:
    """A record that agrees with the check value that it carries, bare.

    Raises:
        CorruptionError: if it is no mapping, carries no check value, or one of something else.
    """
    if not isinstance(record, dict):
        raise CorruptionError(f"{where}: expected a JSON object, got {type(record).__name__}")
    try:
        told, right = record.get(CHECK), check_value(record)
    except (ValueError, RecursionError) as error:
        raise CorruptionError(f"{where}: expected text of UTF-8, got {error!r}") from error
    if told != right:
        raise CorruptionError(
            f"{where}: was changed after it was written: it carries the check value {told!r}, "
            f"its content has {right!r}"
        )
    return {key: value for key, value in record.items() if key != CHECK}


def write_checked(path: Path, record: Mapping[str, object]) -> None:
    """Put a record with its check value in place of a file, in one durable step."""
    write_json(path, with_check(record))


def read_checked(path: Path) -> dict[str, Any]:
    """Read a record that `write_checked` wrote; raises as `read_json` and `without_check` do."""
    return without_check(read_json(path), path)


def checked_line(record: Mapping[str, object]) -> bytes:
    """A record with its check value as one line of canonical JSON, with its end."""
    return canonical_json(with_check(record)) + b"\n"


def read_line(line: bytes, where: object) -> dict[str, Any]:
    """The bare record of a line that `checked_line` made; any other is a `CorruptionError`."""
    record = without_check(parse_json(line, where), where)
    if checked_line(record) != line.rstrip(b"\n") + b"\n":
        raise CorruptionError(f"{where}: this line was changed after it was written")
    return record
