"""What a curator marked, an episode at a time: keep or exclude, tags, a note."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from trajstore.disk.files import read_json
from trajstore.episode.texts import MAX_TEXT_BYTES, check_text, shown
from trajstore.errors import CorruptionError, SchemaError

FORMAT_VERSION = 1
REVIEWED = "reviewed"
"""In place of a file of marks: those that lie in the file of reviews."""
EXCLUDE = "exclude"
MAX_TAGS = 100
EpisodeDigest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Mark(msgspec.Struct, frozen=True):
    """What is said of one episode; an empty ``mark`` says neither keep nor exclude."""

    episode: str
    mark: Literal["keep", "exclude", ""] = ""
    tags: tuple[str, ...] = ()
    note: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether nothing is said."""
        return not (self.mark or self.tags or self.note)

    def to_json(self) -> dict[str, Any]:
        """As a file of marks has it: ``null`` for neither keep nor exclude."""
        return {
            "episode": self.episode,
            "mark": self.mark or None,
            "tags": list(self.tags),
            "note": self.note,
        }


Marks = Mapping[str, Mark]
"""Marks by digest of the episode, hexadecimal."""
Known = Marks | Callable[[], Marks]
"""Marks, or what reads them when they are asked for."""


class _Listed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    episode: EpisodeDigest
    mark: Literal["keep", "exclude", ""] | None = None
    tags: tuple[str, ...] = ()
    note: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format_version: Literal[1]
    marks: tuple[_Listed, ...]
    dataset: str = ""
    content_digest: str = ""


class MarksFile(msgspec.Struct, frozen=True):
    """A file of marks.

    Attributes:
        dataset: the version that was looked at, such as ``expert@v3``; empty if it is not told.
        content_digest: of that version, hexadecimal, or empty.
        marks: of its episodes, those taken back among them.
    """

    dataset: str
    content_digest: str
    marks: Marks


def marks_from(record: object, where: object) -> MarksFile:
    """The marks of plain JSON.

    Raises:
        CorruptionError: if it is something else, marks an episode twice, or a text is none.
    """
    try:
        found = msgspec.convert(record, _File)
        marks = [_checked(it) for it in found.marks]
    except (msgspec.ValidationError, SchemaError) as error:
        raise CorruptionError(
            f"{where}: expected marks of format {FORMAT_VERSION}, got something else ({error})"
        ) from None
    by_digest = {mark.episode: mark for mark in marks}
    if len(by_digest) < len(marks):
        twice = next(it.episode for it in marks if it is not by_digest[it.episode])
        raise CorruptionError(f"{where}: two marks on the episode {twice[:12]}; keep one of them")
    return MarksFile(found.dataset, found.content_digest, by_digest)


def read_marks_file(path: Path) -> MarksFile:
    """A file of marks, as a page leaves it.

    Raises:
        NotFoundError: if there is no file.
        CorruptionError: if it is something else, or marks an episode twice.
    """
    return marks_from(read_json(path), path)


def read_marks(path: Path) -> Marks:
    """The marks in a file, by digest of the episode; raises as `read_marks_file`."""
    return read_marks_file(path).marks


def _checked(found: _Listed) -> Mark:
    if len(found.tags) > MAX_TAGS:
        raise SchemaError(f"expected at most {MAX_TAGS} tags an episode, got {len(found.tags)}")
    for tag in found.tags:
        if not tag.strip() or not tag.isprintable():
            raise SchemaError(f"expected tags that print, got {shown(tag)}")
    check_text("tags", "".join(found.tags), most_bytes=MAX_TEXT_BYTES)
    check_text("note", found.note)
    return Mark(found.episode, found.mark or "", tuple(dict.fromkeys(found.tags)), found.note)


def counts_of(marks: Iterable[Mark]) -> dict[str, int]:
    """How many are kept, excluded, tagged, noted; what is not there is zero.

    Example:
        >>> counts_of([Mark("aa", "keep"), Mark("bb", "exclude", ("blurred",))])
        {'keep': 1, 'exclude': 1, 'tagged': 1, 'noted': 0}
    """
    found: Counter[str] = Counter()
    for it in marks:
        found.update({it.mark: 1, "tagged": bool(it.tags), "noted": bool(it.note)})
    return {name: found[name] for name in ("keep", "exclude", "tagged", "noted")}
