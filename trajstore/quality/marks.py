"""Marks of episodes in the file of reviews: the last one of an episode counts.

A mark names the digest of the episode that it is about; so it holds in every version that has the
episode. Marks are added, never changed, and git merges them as it merges reviews.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
from loguru import logger

from trajstore.choosing.marks import EpisodeDigest, Mark, MarksFile, counts_of
from trajstore.dataset import Dataset
from trajstore.episode.texts import legible
from trajstore.errors import ArgumentError, CorruptionError, NotFoundError
from trajstore.quality.decisions import (
    MARK,
    REMEDY,
    after,
    decisions_beside,
    instant,
    read_decisions,
)
from trajstore.quality.records import Clock, utc_now
from trajstore.quality.reviews import adding, user


class Marked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of the file: what somebody said of an episode."""

    episode: EpisodeDigest
    mark: Literal["keep", "exclude"] | None
    tags: tuple[str, ...]
    note: str
    by: str
    time: str
    version: str = ""


def reviewed_marks(
    reviews: Path | None, *, version: Path | None = None, root: Path | None = None
) -> Mapping[str, Mark]:
    """The marks that count, by digest of the episode; none without a file.

    Those beside the store that the folder ``version`` is in count too, as in `decisions_on`.

    Raises:
        CorruptionError: naming the line that is no mark.
        FormatError: if a newer release wrote a line.
    """
    return _standing(_lines(reviews, version, root))


def disputed(
    dataset: Dataset, reviews: Path | None, *, root: Path | None = None
) -> dict[int, list[Marked]]:
    """Episodes that one person would keep and another exclude, as after a merge of two branches.

    Returns:
        By number of the episode what each of them said last, in order of time: the last counts.
    """
    said: dict[str, dict[str, Marked]] = {}
    for it in _lines(reviews, dataset.path, root):
        said.setdefault(it.episode, {}).pop(it.by, None)
        said[it.episode][it.by] = it
    split = {
        it: said[it] for it in said if {"keep", "exclude"} <= {m.mark for m in said[it].values()}
    }
    numbers = enumerate(digests_of(dataset)) if split else ()
    return {number: list(split[it].values()) for number, it in numbers if it in split}


def _lines(reviews: Path | None, version: Path | None, root: Path | None) -> list[Marked]:
    """All marks, in order of time."""
    files = [] if version is None else decisions_beside(version, reviews, root=root)
    found = [read_decisions(it).of(MARK) for it in (reviews, *files) if it is not None]
    return _ordered({where: line for one in found for where, line in one.items()})


def _ordered(records: Mapping[str, dict[str, Any]]) -> list[Marked]:
    return sorted((_line(it, where) for where, it in records.items()), key=_moment)


def _standing(lines: Iterable[Marked]) -> dict[str, Mark]:
    found = {it.episode: Mark(it.episode, it.mark or "", it.tags, it.note) for it in lines}
    return {digest: mark for digest, mark in found.items() if not mark.is_plain}


def _line(record: Mapping[str, Any], where: str) -> Marked:
    try:
        return msgspec.convert(record, Marked)
    except msgspec.ValidationError as error:
        raise CorruptionError(f"{where}: expected a mark, got {error}; {REMEDY}") from error


def _moment(line: Marked) -> tuple[str, str]:
    # Of two at one moment, that which is greater counts, in whatever order git left them.
    return instant(line.time), msgspec.json.encode(line).decode()


def mark_episodes(
    reviews: Path, marks: Iterable[Mark], *, name: str = "", clock: Clock = utc_now
) -> int:
    """Write down, in one durable step, what a person says of episodes; returns how many changed.

    Args:
        reviews: the file, kept in git.
        marks: one an episode; a plain one takes back what was said. Others stay as they are.
        name: of the version that was looked at, such as ``expert@v3``.
        clock: tells the time; no mark is dated before those that it is added to.

    Raises:
        CorruptionError: if the file is damaged; it is then left as it is.
        FormatError: if a newer release wrote it.
        LockedError: if another process decides at this moment.
        StorageError: if the operating system refuses.
    """
    with adding(reviews, "marks", clock()) as (found, time, added):
        before = found.of(MARK)
        standing = _standing(_ordered(before))
        time = after(time, (str(it["time"]) for it in before.values()))
        who = {"kind": MARK, "by": user(), "time": time, "version": legible(name)}
        changed = [it for it in marks if standing.get(it.episode, Mark(it.episode)) != it]
        added += [{**who, **it.to_json()} for it in changed]
    return len(changed)


def check_marks(file: MarksFile, dataset: Dataset, *, name: str, where: object) -> None:
    """Refuse marks of another version, or of an episode that this one does not have.

    Raises:
        ArgumentError: if they are of another version.
        NotFoundError: if there is no such episode.
    """
    digest = dataset.manifest.content_digest
    if file.content_digest != digest:
        told = f"{file.dataset or 'content'} ({file.content_digest[:12] or 'not told which'})"
        raise ArgumentError(
            f"{where}: these are marks of {told}, not of {name} ({digest[:12]}); name the "
            "version that was looked at"
        )
    strange = file.marks.keys() - set(digests_of(dataset))
    if strange:
        raise NotFoundError(
            f"{where}: {len(strange):,} of its marks name no episode of {name}, such as "
            f"{min(strange)[:12]}; name the version that was looked at"
        )


def digests_of(dataset: Dataset) -> list[str]:
    """Digest of each episode, hexadecimal."""
    return dataset.columns().digests()


def marks_of(dataset: Dataset, marks: Mapping[str, Mark]) -> dict[str, Mark]:
    """Those of the marks that are of episodes of this version."""
    return {it: marks[it] for it in digests_of(dataset) if it in marks} if marks else {}


def marked(dataset: Dataset, reviews: Path | None, *, root: Path | None = None) -> dict[str, Mark]:
    """The marks of episodes of a version, wherever they lie; no array is read without any."""
    return marks_of(dataset, reviewed_marks(reviews, version=dataset.path, root=root))


def without_excluded(
    dataset: Dataset, reviews: Path | None, *, name: object, root: Path | None = None
) -> Dataset:
    """A view of the episodes that nobody marked ``exclude``; the dataset itself if there are none.

    Raises:
        NotFoundError: if none is left.
    """
    marks = marked(dataset, reviews, root=root)
    out = counts_of(marks.values())["exclude"]
    if not out:
        return dataset
    if out == len(dataset):
        raise NotFoundError(
            f"{name}: no episode is left to train from, all {out:,} are marked exclude in "
            f"{reviews}; take some back in 'trajstore serve', or with 'trajstore review'"
        )
    logger.info(
        "{}: {:,} of {:,} episodes left out, marked exclude in {}", name, out, len(dataset), reviews
    )
    return dataset.select(marks=marks)
