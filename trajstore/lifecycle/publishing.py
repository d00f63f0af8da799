"""Bring a validated version into the store, once, under the next number."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trajstore.disk.files import (
    copy_file,
    make_directories,
    size_bytes,
    storing,
    whole_directory,
    write_file,
)
from trajstore.errors import CorruptionError, QuotaExceededError, StatusError
from trajstore.lifecycle.ledger import Deed, Entry, add_entry, numbers, version_of
from trajstore.lifecycle.moving import finish
from trajstore.lifecycle.place import Place
from trajstore.lifecycle.rotating import DEFAULT_RETENTION, rotate_locked
from trajstore.lifecycle.rotation import Decision, Retention, decide
from trajstore.quality.reviews import status_of
from trajstore.quality.verdict import Verdict, read_verdict, write_verdict
from trajstore.version.integrity import verify
from trajstore.version.manifest import MANIFEST, Manifest, Status


@dataclass(frozen=True, slots=True)
class Published:
    """What publishing did.

    Attributes:
        version: number that the content has in the store.
        new: whether it got that number now.
        decisions: of the rotation that followed.
    """

    version: int
    new: bool
    decisions: tuple[Decision, ...]

    def to_json(self) -> Mapping[str, object]:
        """Return plain values."""
        decisions = [decision.to_json() for decision in self.decisions]
        return {"version": self.version, "new": self.new, "decisions": decisions}


def publish(
    place: Place,
    source: Path,
    *,
    verdict: Verdict | None = None,
    retention: Retention = DEFAULT_RETENTION,
    budget_bytes: int | None = None,
) -> Published:
    """Copy a validated version into the store, then rotate.

    The content digest is the key: publishing the same content again changes nothing, whatever
    folder it comes from. Interrupted at any instant, the next call finishes.

    Args:
        place: the dataset.
        source: folder of a sealed version.
        verdict: on the source; the one that lies beside it unless given.
        retention: how many versions of each status stay live.
        budget_bytes: most that all datasets of the store may take live; no limit unless given.

    Raises:
        StatusError: if the source is not validated.
        CorruptionError: if the source is damaged, or changes while it is copied.
        QuotaExceededError: if the store would outgrow its budget; nothing was written.
        LockedError: if someone else publishes, rotates or restores this dataset.
        StorageError: if the operating system refuses.
    """
    manifest = Manifest.read(source)
    verdict = verdict or read_verdict(source)
    check_validated(place, source, manifest, verdict)
    with place.locked("publishing"):
        finish(place)
        _adopt(place)
        known = version_of(place.ledger(), manifest.content_digest)
        version = known or place.next_version()
        if known is None:
            check_budget(place, incoming=size_bytes(source), budget_bytes=budget_bytes)
            _copy(source, place.path(version), manifest)
        if place.path(version).is_dir() and verdict is not None:
            write_verdict(place.path(version), verdict)
        if known is None:
            _note(place, version, manifest, f"published from {source.name}")
        decisions = rotate_locked(place, retention=retention)
    return Published(version, known is None, tuple(decisions))


def preview(
    place: Place,
    source: Path,
    *,
    verdict: Verdict | None = None,
    retention: Retention = DEFAULT_RETENTION,
    budget_bytes: int | None = None,
) -> Published:
    """Return what publishing would do; changes nothing, and refuses what it would refuse.

    Raises:
        StatusError: if the source is not validated.
        QuotaExceededError: if the store would outgrow its budget.
    """
    manifest = Manifest.read(source)
    check_validated(place, source, manifest, verdict or read_verdict(source))
    known = version_of(place.ledger(), manifest.content_digest) or _found_live(place, manifest)
    statuses = [(version, place.status(version).value) for version in place.live()]
    version = known or place.next_version()
    if known is None:
        check_budget(place, incoming=size_bytes(source), budget_bytes=budget_bytes)
        statuses.append((version, Status.VALIDATED.value))
    return Published(version, known is None, tuple(decide(statuses, retention)))


def check_validated(
    place: Place, source: Path, manifest: Manifest, verdict: Verdict | None
) -> None:
    """Refuse a source that neither its verdict nor a review calls validated.

    Raises:
        StatusError: saying what its status is.
    """
    digest = manifest.content_digest
    judged = verdict.on(digest) if verdict else None
    status = status_of(source, place.reviews, digest, verdict=verdict)
    if status is not Status.VALIDATED:
        raise StatusError(
            f"{source}: expected a validated version to publish, got {status.value}"
            f"{'' if judged else ', never judged'}; validate it, and mend what is found"
        )


def check_budget(place: Place, *, incoming: int, budget_bytes: int | None) -> None:
    """Refuse what would make the store larger than its budget.

    What rotation frees is not counted on: an old version stays until its pack is verified.

    Raises:
        QuotaExceededError: saying what is there and what to do.
    """
    if budget_bytes is None:
        return
    used = size_bytes(place.folder.parent)
    if used + incoming > budget_bytes:
        raise QuotaExceededError(
            f"{place.folder.parent}: expected at most {budget_bytes:,} bytes live, got "
            f"{used:,} and {incoming:,} to come; archive older versions "
            f"(trajstore rotate {place.name} --keep 2), or raise the budget"
        )


def _adopt(place: Place) -> None:
    """Note live versions that the ledger does not know: publishing or recording was cut off."""
    known = numbers(place.ledger())
    for version in place.live():
        if version not in known and version not in place.in_work("recording"):
            manifest = Manifest.read(place.path(version))
            _note(place, version, manifest, "found live")


def _found_live(place: Place, manifest: Manifest) -> int | None:
    """The live version of that content which the ledger does not know yet."""
    known = numbers(place.ledger())
    for version in place.live():
        if version not in known and place.digest(version) == manifest.content_digest:
            return version
    return None


def _copy(source: Path, target: Path, manifest: Manifest) -> None:
    findings = verify(source)
    if findings:
        raise CorruptionError(
            f"{source}: expected a sound version to publish, got {len(findings)} findings, "
            f"first: {findings[0].message}"
        )
    with storing(target), whole_directory(target) as folder:
        for path, record in manifest.files.items():
            make_directories((folder / path).parent)
            if copy_file(source / path, folder / path) != record:
                raise CorruptionError(f"{source / path}: expected what was verified, got a change")
        write_file(folder / MANIFEST, manifest.to_bytes())


def _note(place: Place, version: int, manifest: Manifest, why: str) -> None:
    entry = Entry(
        Deed.PUBLISH,
        version,
        manifest.content_digest,
        place.clock(),
        why,
        episodes=manifest.episodes,
        steps=manifest.steps,
    )
    add_entry(place.folder, entry)
