"""What people decided about versions: one file, kept in git, that wins over every verdict.

A review names the content digest that it is about; so it holds for the same data wherever they lie,
before they are published, in the store and in the archive. Reviews are added, never changed: the
last one on a digest counts, the earlier ones are its history.
"""

import getpass
from collections.abc import Iterable
from pathlib import Path

import msgspec

from trajstore.disk.locks import lock
from trajstore.errors import CorruptionError, StorageError
from trajstore.quality.records import Clock, Kind, Record, Verdict, read_verdict, utc_now
from trajstore.version.manifest import Status

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
        ValueError: if there is no reason, or the status is draft.
    """

    digest: str
    status: Status
    reason: str
    by: str
    time: str
    version: str = ""

    def __post_init__(self) -> None:
        if self.status is Status.DRAFT:
            raise ValueError("review: expected validated or quarantined, got draft")
        if not self.reason.strip():
            raise ValueError("review: expected a reason, got none; say why in one sentence")

    def to_json(self) -> dict[str, str]:
        """The review as it stands in the file."""
        return dict(msgspec.to_builtins(self))


class Reviews(Record, frozen=True):
    """What the file holds, oldest first."""

    reviews: tuple[Review, ...]


REVIEWS = Kind(Reviews, "reviews", "take the last good one from git")


def read_reviews(path: Path | None) -> list[Review]:
    """All reviews, oldest first; none without a file; marks of a merge are a `CorruptionError`."""
    found = None if path is None else REVIEWS.read(path)
    return [] if found is None else list(found.reviews)


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
        clock: tells the time.

    Raises:
        ValueError: if there is no reason.
        CorruptionError: if the file is damaged; it is then left as it is.
        LockedError: if another process adds a review at this moment.
        StorageError: if the operating system refuses.
    """
    decided = Review(digest, status, reason, getpass.getuser(), clock(), name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock(path.with_name(f".{path.name}.lock"), purpose="a review"):
        REVIEWS.write(path, Reviews((*read_reviews(path), decided)))
    return decided


def history(reviews: Iterable[Review], digest: str) -> list[Review]:
    """The reviews of one content digest, oldest first."""
    return [review for review in reviews if review.digest == digest]


def effective_status(verdict: Status | None, reviews: Iterable[Review], digest: str) -> Status:
    """The status that counts: the last review of a content digest, else the verdict, else draft.

    Example:
        >>> effective_status(None, [], "ab12")
        <Status.DRAFT: 'draft'>
    """
    decided = history(reviews, digest)
    return decided[-1].status if decided else verdict or Status.DRAFT


def status_of(
    version: Path, reviews: Path | None, digest: str, *, verdict: Verdict | None = None
) -> Status:
    """The status of content, for everybody: by its reviews, else by its verdict.

    Args:
        version: folder that it has or had.
        reviews: the file of people's decisions.
        digest: of the content, hexadecimal.
        verdict: of the checks; the one beside the version unless given.

    Raises:
        CorruptionError: if the verdict or the reviews are damaged.
    """
    verdict = verdict or read_verdict(version)
    judged = verdict.on(digest) if verdict else None
    return effective_status(judged, read_reviews(reviews), digest)


def standing(version: Path, reviews: Path | None, digest: str) -> tuple[str, str]:
    """The status of content for showing it, and what is wrong if that cannot be told.

    Damaged reviews, or a damaged verdict, say nothing about the arrays: the status is then
    ``unreadable``, and the second text says what to do. Nothing may be trained from on its account.
    """
    try:
        return status_of(version, reviews, digest).value, ""
    except (CorruptionError, StorageError) as error:
        return UNREADABLE, str(error)
