"""Episodes that come from another format, and what is known of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trajstore.episode import Episode
from trajstore.errors import NotFoundError, SealedError
from trajstore.schema import EpisodeSchema


@dataclass(frozen=True, slots=True)
class Recorded:
    """What an importer gives.

    Attributes:
        schema: of the episodes.
        provenance: that travelled with them; plain JSON values.
        episodes: each is read when it is asked for.
    """

    schema: EpisodeSchema
    provenance: Mapping[str, Any]
    episodes: Iterator[Episode]


def check_new(target: Path) -> Path:
    """Return a path that does not exist yet.

    Raises:
        SealedError: if it does.
    """
    if target.exists() or target.is_symlink():
        raise SealedError(f"{target}: expected a new path to export to, got one that exists")
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def check_there(source: Path) -> Path:
    """Return a path that exists.

    Raises:
        NotFoundError: if it does not.
    """
    if not source.exists():
        raise NotFoundError(f"{source}: expected data to import, got nothing there")
    return source
