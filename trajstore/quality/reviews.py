"""What people decided about versions: one file, kept in git, that wins over every verdict.

A review names the content digest that it is about; so it holds for the same data wherever they lie,
before they are published, in the store and in the archive. Reviews are added, never changed: the
last one on a digest counts, the earlier ones are its history.

The last one is that of the latest time, whatever the order of the lines; lines that stand twice
count once. A file of format 1 becomes lines when a review is added.
"""

import getpass
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from trajstore.disk.json_text import parse_json
from trajstore.episode.texts import check_text, legible, shown
from trajstore.errors import CorruptionError, FormatError, SchemaError, StorageError
from trajstore.quality.decisions import (
    REMEDY,
    REVIEW,
    Decisions,
    changing,
    decisions_beside,
    instant,
    read_decisions,
    write_decisions,
)
from trajstore.quality.records import Clock, Digest, Verdict, read_verdict, utc_now
from trajstore.version.findings import Finding, Severity
from trajstore.version.manifest import Status

DAMAGE = frozenset(
    {
        *("integrity", "manifest", "metadata", "files", "checksums", "links", "strays", "index"),
        *("contents", "archive"),
    }
)
"""Checks whose findings say that the data are not what was sealed; no approval outweighs these."""

UNREADABLE = "unreadable"
"""Shown in place of a status that cannot be told."""


class Review(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One decision of one person.

    Attributes:
        digest: content digest of the version, hexadecimal.
        status: validated or quarantined; a person does not make a draft.
        time: when, ISO 8601 with zone.
        version: how the person named it, such as ``expert@v3``.

    Raises:
        ValueError: if there is no reason, the status is draft, or UTF-8 cannot hold a text.
    """

    digest: Digest
    status: Status
    reason: str
    by: str
    time: str
    version: str = ""

    def __post_init__(self) -> None:
        if self.status is Status.DRAFT:
            raise ValueError("review: decide validated or quarantined; draft is no decision")
        if not self.reason.strip():
            raise ValueError("review: say why in one sentence")
        "".join((self.reason, self.by, self.time, self.version)).encode()

    def to_json(self) -> dict[str, str]:
        """The review as plain JSON values."""
        return dict(msgspec.to_builtins(self))


class _Former(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file of format 1 holds, oldest first."""

    format_version: Literal[1]
    reviews: tuple[Review, ...]


def read_reviews(path: Path | None) -> list[Review]:
    """All reviews, oldest first; none without a file.

    Raises:
        CorruptionError: naming the line that is no review, such as what git leaves of a merge.
        FormatError: if a newer release wrote a line.
    """
    held = [] if path is None else _held(read_decisions(path))
    found = sorted(held, key=lambda it: instant(it.time))
    return list(dict.fromkeys(found[::-1]))[::-1]


def review(
    path: Path,
    digest: str,
    status: Status,
    *,
    reason: str,
    name: str = "",
    clock: Clock = utc_now,
) -> Review:
    """Write down, in one durable step, what a person decides about a version.

    Args:
        path: of the reviews, kept in git.
        digest: content digest of the version; `Shelf.digest` knows those of archived ones too.
        status: validated or quarantined.
        reason: one sentence.
        name: how the person called the version, such as ``expert@v3``.
        clock: tells the time; no review is dated before those that it is added to.

    Raises:
        ValueError: if there is no reason.
        SchemaError: if the reason is too long or no text, or the digest is none.
        CorruptionError: if the file is damaged; it is then left as it is.
        FormatError: if a newer release wrote it.
        LockedError: if another process adds a review at this moment.
        StorageError: if the operating system refuses.
    """
    check_text("review: reason", reason)
    decided = Review(digest, status, reason, user(), clock(), legible(name))
    try:
        msgspec.convert(decided.to_json(), Review)
    except msgspec.ValidationError as error:
        raise SchemaError(f"review: expected a content digest, got {shown(digest)}") from error
    with adding(path, "a review", decided.time) as (_, time, added):
        decided = replace(decided, time=time)
        added.append({"kind": REVIEW, **decided.to_json()})
    return decided


@contextmanager
def adding(
    path: Path, purpose: str, time: str
) -> Iterator[tuple[Decisions, str, list[dict[str, object]]]]:
    """Hold the file; what is put into the list, each with its ``kind``, goes behind what is there.

    Yields what is there, the time that what is added may carry (``time``, but not before any line
    that is there), and the list. If that stays empty, nothing is written.
    """
    with changing(path, purpose) as file:
        found = read_decisions(file)
        held = _held(found)
        times = [*(it.time for it in held), *(str(it.get("time", "")) for it in found.all())]
        latest = max([*times, time], key=instant)
        added: list[dict[str, object]] = []
        yield found, time if instant(latest) == instant(time) else latest, added
        if added:
            former = [
                {"kind": REVIEW, **it.to_json()} for it in held[: len(held) - len(found.of(REVIEW))]
            ]
            write_decisions(file, [*former, *found.all(), *added])


def user() -> str:
    """Who decides: the name of the user, or its number."""
    try:
        return legible(getpass.getuser())
    except (KeyError, OSError):  # a container's user without a name
        return f"user {os.getuid()}"


def _held(found: Decisions) -> list[Review]:
    """The reviews that a file holds, in its order."""
    held = _former(*found.former) if found.former else []
    return held + [_review(record, where) for where, record in found.of(REVIEW).items()]


def _review(record: dict[str, Any], where: str) -> Review:
    try:
        return msgspec.convert(record, Review)
    except msgspec.ValidationError as error:
        raise CorruptionError(f"{where}: expected a review, got {error}; {REMEDY}") from error


def _former(where: str, data: bytes) -> list[Review]:
    """The reviews of a file of format 1; where its times went back, its order counts."""
    try:
        found = msgspec.convert(parse_json(data, where), _Former).reviews
    except (CorruptionError, msgspec.ValidationError) as error:
        why = error.__cause__ or error
        raise CorruptionError(f"{where}: expected reviews, got {why}; {REMEDY}") from error
    held: list[Review] = []
    for it in found:
        held.append(_not_before(held[-1:], it))
    return held


def _not_before(held: Iterable[Review], added: Review) -> Review:
    """A review that is added to others, not dated before any of them."""
    latest = max([*(it.time for it in held), added.time], key=instant)
    return added if instant(latest) == instant(added.time) else replace(added, time=latest)


def history(reviews: Iterable[Review], digest: str) -> list[Review]:
    """The reviews of one content digest, oldest first."""
    return [review for review in reviews if review.digest == digest]


def decisions_on(
    version: Path, reviews: Path | None, digest: str, *, root: Path | None = None
) -> list[Review]:
    """The reviews of content that lies, or lay, in a folder, oldest first.

    Those beside another store than the one asked count as well, if the folder is in that; so a
    quarantine cannot be walked around by a path.

    Args:
        version: the folder.
        reviews: the file of decisions of the store that is asked.
        digest: of the content, hexadecimal.
        root: of the store that is asked.
    """
    decided = history(read_reviews(reviews), digest)
    others = decisions_beside(version, reviews, root=root)
    beside = [it for file in others for it in history(read_reviews(file), digest)]
    return sorted({*decided, *beside}, key=lambda it: instant(it.time)) if beside else decided


def effective_status(
    verdict: Status | None,
    reviews: Iterable[Review],
    digest: str,
    *,
    findings: Iterable[Finding] = (),
) -> Status:
    """The status that counts: the last review of a content digest, else the verdict, else draft.

    ``findings`` are the verdict's. Data that are not what was sealed stay quarantined whoever
    approves them: a review judges the content, and that is no longer there.

    Example:
        >>> effective_status(None, [], "ab12")
        <Status.DRAFT: 'draft'>
    """
    decided = history(reviews, digest)
    status = decided[-1].status if decided else verdict or Status.DRAFT
    return Status.QUARANTINED if tells_of_damage(findings) else status


def tells_of_damage(findings: Iterable[Finding]) -> bool:
    """Whether findings say that the data are not what was sealed."""
    return any(it.severity is Severity.BLOCKING and it.check in DAMAGE for it in findings)


def status_of(
    version: Path,
    reviews: Path | None,
    digest: str,
    *,
    verdict: Verdict | None = None,
    root: Path | None = None,
) -> Status:
    """The status of content, for everybody: by its reviews, else by its verdict.

    Args:
        version: folder that it has or had.
        reviews: the file of people's decisions; see `decisions_on`.
        digest: of the content, hexadecimal.
        verdict: of the checks; the one beside the version unless given.
        root: of the store that is asked; see `decisions_on`.

    Raises:
        CorruptionError: if the verdict or the reviews are damaged.
        FormatError: if a newer release wrote the reviews.
    """
    verdict = verdict or read_verdict(version)
    decided = decisions_on(version, reviews, digest, root=root)
    if verdict is None or verdict.digest != digest:
        return effective_status(None, decided, digest)
    return effective_status(verdict.status, decided, digest, findings=verdict.findings)


def standing(
    version: Path, reviews: Path | None, digest: str, *, root: Path | None = None
) -> tuple[str, str]:
    """The status of content for showing it, and what is wrong if that cannot be told.

    Damaged reviews, or a damaged verdict, say nothing about the arrays: the status is then
    ``unreadable``, and the second text says what to do. Nothing may be trained from on its account.
    """
    try:
        return status_of(version, reviews, digest, root=root).value, ""
    except (CorruptionError, FormatError, StorageError) as error:
        return UNREADABLE, str(error)
