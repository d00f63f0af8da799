"""The file of what people decided: a line a decision, so that git can merge two branches.

Each line is canonical JSON with a check value and a ``kind``. Git keeps the lines of both sides
(``merge=union``); it may repeat one, put them in any order, and leave a file of format 1, which was
one JSON object, among them.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from glob import escape
from pathlib import Path
from typing import Any

from trajstore.disk.checked import checked_line, read_line
from trajstore.disk.files import make_directories, read_file, remove_tree, replace_file
from trajstore.disk.locks import lock
from trajstore.disk.system import storing
from trajstore.episode.names import version_number
from trajstore.episode.texts import shown
from trajstore.errors import CorruptionError, FormatError, NotFoundError

FORMAT_VERSION = 2
REVIEW, MARK = "review", "mark"
"""Kinds of lines: what is decided on a version, and on an episode."""
REMEDY = "keep what both sides of a merge decided, or take the last good one from git"
_MARKS = (b"<<<<<<<", b"|||||||", b"=======", b">>>>>>>")
_KEEP_BOTH = (
    "keep the lines of both sides: delete only those that begin with <<<<<<<, |||||||, ======= or "
    ">>>>>>>"
)
_KEEP_BOTH_FORMER = "keep the reviews of both sides, each with its braces, a comma between them"

REVIEWS = "reviews.json"
"""Usual name of the file of decisions; it lies beside its store."""
_ABOVE = 2
"""Folders between a version and what its store lies in: the dataset's and the store's."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """What the file holds.

    Attributes:
        records: of each line, in their order, by the place that a message names.
        former: place and content of a file of format 1, if there is one or nothing else.
    """

    records: Mapping[str, dict[str, Any]]
    former: tuple[str, bytes] | None = None

    def all(self) -> list[dict[str, Any]]:
        """All lines, in their order."""
        return list(self.records.values())

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """Those of one kind, without it."""
        return {
            where: {key: value for key, value in record.items() if key != "kind"}
            for where, record in self.records.items()
            if record.get("kind") == kind
        }


def read_decisions(path: Path) -> Decisions:
    """Read the file; there need not be one.

    Raises:
        CorruptionError: naming the line that was changed, or that git left of a merge.
        FormatError: if a newer release wrote a line.
    """
    try:
        data = read_file(path)
    except NotFoundError:
        return Decisions({})
    places = {f"{path}, line {it}": line for it, line in enumerate(data.splitlines(), 1)}
    places = {where: line for where, line in places.items() if line.strip()}
    lines = {it: line for it, line in places.items() if line[:2] == b'{"' and b'"kind":' in line}
    for where, line in places.items():
        if line[:7] in _MARKS:
            raise CorruptionError(
                f"{where}: git left a merge conflict here; "
                f"{_KEEP_BOTH if lines else _KEEP_BOTH_FORMER}"
            )
    records = {where: _record(line, where) for where, line in lines.items()}
    for where, record in records.items():
        if record.get("kind") not in (REVIEW, MARK):
            raise FormatError(
                f"{where}: expected a review or a mark, got {shown(record.get('kind'))}; read it "
                "with the release that wrote it"
            )
    rest = {where: line for where, line in places.items() if where not in lines}
    if lines and not rest:
        return Decisions(records)
    return Decisions(records, (next(iter(rest), str(path)), b"\n".join(rest.values())))


def _record(line: bytes, where: str) -> dict[str, Any]:
    try:
        record = read_line(line, where)
    except CorruptionError as error:
        raise CorruptionError(f"{error}; {REMEDY}") from error
    version = record.pop("format_version", None)
    if version != FORMAT_VERSION:
        raise FormatError(
            f"{where}: expected format {FORMAT_VERSION}, got {version!r}; read it with the "
            "release that wrote it"
        )
    return record


def write_decisions(path: Path, records: Iterable[Mapping[str, object]]) -> None:
    """Put the lines of records, each with its ``kind``, in place of the file, in one step."""
    lines = (checked_line({"format_version": FORMAT_VERSION, **record}) for record in records)
    replace_file(path, b"".join(lines))


@contextmanager
def changing(path: Path, purpose: str) -> Iterator[Path]:
    """Hold the file against other writers; yields where it lies, for a link to it stays one.

    Raises:
        LockedError: if another process changes it at this moment.
        StorageError: if the operating system refuses.
    """
    with storing(path):
        path = Path(os.path.realpath(path))
        make_directories(path.parent)
    with lock(path.with_name(f".{path.name}.lock"), purpose=purpose):
        for litter in path.parent.glob(f".{escape(path.name)}.*.partial"):  # of a killed writer
            remove_tree(litter)
        yield path


def after(time: str, others: Iterable[str]) -> str:
    """The time, or a microsecond after the last of the others if it is not later than that.

    Example:
        >>> after("2027-01-01T00:00:00+00:00", ["2027-01-01T00:00:00+00:00"])
        '2027-01-01T00:00:00.000001+00:00'
    """
    latest = max(map(instant, others), default="")
    if instant(time) > latest:
        return time
    try:
        return instant((datetime.fromisoformat(latest) + timedelta(microseconds=1)).isoformat())
    except (ValueError, OverflowError):
        return time


def instant(time: str) -> str:
    """A time as text that sorts, whatever its zone; text that is no time stays as it is.

    Example:
        >>> instant("2027-01-01T01:00:00+01:00")
        '2027-01-01T00:00:00.000000+00:00'
    """
    try:
        moment = datetime.fromisoformat(time)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC).isoformat(timespec="microseconds")
    except (ValueError, OverflowError):
        return time


def decisions_beside(version: Path, reviews: Path | None, *, root: Path | None) -> list[Path]:
    """The file of decisions that counts besides ``reviews``, if there is one."""
    home = _home(version)
    if home is None or home == reviews or version.parents[1] == root:
        return []
    return [home]


def _home(version: Path) -> Path | None:
    """The file of decisions beside the store that a version's folder is in, if it is in one."""
    if version_number(version.name) is None or len(version.parents) <= _ABOVE:
        return None
    return version.parents[_ABOVE] / REVIEWS
