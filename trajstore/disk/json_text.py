"""JSON as this package writes it, and as it reads it from anybody: strict, and of bounded size."""

import json
import math
from collections import Counter
from typing import Any

from trajstore.errors import CorruptionError

MAX_JSON_BYTES = 32 * 2**20
MAX_JSON_MEMORY = 160 * 2**20
"""What a document may come to when it is read, bytes; see `json_memory`."""
MAX_JSON_TEXT = 48 * 2**20
"""What its text may come to: Python keeps 1 to 4 bytes a letter."""
MAX_JSON_DEPTH = 100
_MARKS = {b",": 64, b"[": 64, b"{": 64, b":": 180}
"""Bytes of memory that a value takes at least, by the mark that brings it."""


def canonical_json(value: object) -> bytes:
    """The one way in which this package writes a value as JSON: sorted, compact, finite, UTF-8."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False
    )
    return text.encode()


def parse_json(data: bytes, where: object) -> Any:  # noqa: ANN401 - JSON is what it is
    """Parse JSON of finite numbers, whole letters and bounded depth, each key once.

    Raises:
        CorruptionError: for anything else, and for what would take more memory than any record.
    """
    check_json_size(data, where)
    try:
        value = json.loads(
            data.decode(),
            parse_constant=_finite,
            parse_float=_finite,
            object_pairs_hook=_once,
        )
        if b"\\u" in data:
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no letter
        if json_depth(value) > MAX_JSON_DEPTH:
            raise ValueError(f"nested deeper than {MAX_JSON_DEPTH}")
    except (ValueError, RecursionError) as error:
        raise CorruptionError(f"{where}: expected JSON, got something else ({error})") from error
    return value


def check_json_size(data: bytes, where: object) -> None:
    """Refuse JSON that takes too much to read; raises `CorruptionError`."""
    if len(data) * _letter_bytes(data) > MAX_JSON_TEXT or json_memory(data) > MAX_JSON_MEMORY:
        raise CorruptionError(
            f"{where}: expected JSON of at most {MAX_JSON_MEMORY // 2**20} MiB once it is read, "
            f"got {data.count(b','):,} values in {len(data):,} bytes"
        )


def json_memory(data: bytes) -> int:
    """What JSON takes once it is read, at most, bytes: by counting its marks.

    Example:
        >>> json_memory(b"[0,0]")
        133
    """
    marks = sum(data.count(mark) * size for mark, size in _MARKS.items())
    return marks + len(data) * _letter_bytes(data)


def _letter_bytes(data: bytes) -> int:
    """Most bytes that Python keeps for a letter of this text."""
    if data.count(b"\\u") > data.count(b"\\u00"):
        return 4
    highest = 0 if data.isascii() else max(data)
    return 1 if highest < 0xC4 else 2 if highest < 0xF0 else 4


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number


def json_depth(value: object) -> int:
    """How deep lists and mappings are nested, counted without recursion; stops beyond the most.

    Example:
        >>> json_depth(1), json_depth([{"a": []}])
        (0, 3)
    """
    depth, level = 0, [value] if isinstance(value, list | tuple | dict) else []
    while level and depth <= MAX_JSON_DEPTH:
        depth += 1
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, list | tuple | dict)
        ]
    return depth


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        key, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {key[:80]!r} stands twice")
    return record
