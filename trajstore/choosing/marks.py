"""What a curator marked, an episode at a time: keep or exclude, tags, a note."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from trajstore.disk.files import read_json
from trajstore.errors import CorruptionError, NotFoundError

FORMAT_VERSION = 1
REVIEWED = "reviewed"
"""In place of a file of marks: those that lie in the file of reviews."""


class Mark(msgspec.Struct, frozen=True):
    """What is said of one episode; an empty ``mark`` says neither keep nor exclude."""

    episode: str
    mark: Literal["keep", "exclude", ""] = ""
    tags: tuple[str, ...] = ()
    note: str = ""


class _Marks(msgspec.Struct, frozen=True):
    format_version: Literal[1]
    marks: tuple[Mark, ...]


Marks = Mapping[str, Mark]
"""Marks by digest of the episode, hexadecimal."""


def read_marks(path: Path) -> Marks:
    """The marks in a file, by digest of the episode.

    Raises:
        NotFoundError: if there is no file.
        CorruptionError: if it is something else, or marks an episode twice.
    """
    try:
        found = msgspec.convert(read_json(path), _Marks).marks
    except msgspec.ValidationError as error:
        raise CorruptionError(
            f"{path}: expected marks of format {FORMAT_VERSION}, got something else ({error})"
        ) from None
    by_digest = {mark.episode: mark for mark in found}
    if len(by_digest) < len(found):
        twice = next(it.episode for it in found if it is not by_digest[it.episode])
        raise CorruptionError(f"{path}: expected one mark an episode, got two on {twice[:12]}")
    return by_digest


def reviewed_marks(reviews: Path) -> Marks:
    """The marks in the file of reviews, by digest of the episode."""
    raise NotFoundError(
        f"{reviews}: expected marks of episodes there, got none: reviews do not hold marks yet; "
        "name a file of marks"
    )
