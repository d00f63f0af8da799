"""What becomes of a recording that was interrupted: gone on with, sealed, salvaged, discarded."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from trajstore.disk import system
from trajstore.disk.files import (
    check_removable,
    clear_sealing,
    make_directories,
    remove_tree,
)
from trajstore.disk.system import storing, sync_directory
from trajstore.errors import NotFoundError, SealedError, StorageError
from trajstore.recording.frames import Frame
from trajstore.recording.unfinished import (
    Recording,
    check_begun,
    check_episodes,
    is_begun,
    journal_bytes,
    open_recording,
    recorder_lock,
    recording_folder,
    recording_targets,
    segments_lock,
)
from trajstore.version.claims import SCENARIO
from trajstore.version.files import LocalFiles
from trajstore.version.manifest import MANIFEST, Manifest, content_digest
from trajstore.version.reading import Assembly
from trajstore.version.writer import Plan, seal_version


@dataclass(frozen=True, slots=True)
class Salvage:
    """What was found in the journals of a recording: whole episodes in their order, and losses.

    ``lost`` names the journal of each stretch between them, its first damaged byte and its size.
    """

    frames: list[tuple[Path, Frame]]
    lost: tuple[tuple[str, int, int], ...]

    @property
    def missing(self) -> list[int]:
        """Places before the last found episode that none has; workers may have left gaps too."""
        orders = {frame.order for _, frame in self.frames}
        return [order for order in range(max(orders, default=0)) if order not in orders]


def salvage(recording: Recording, *, damaged: bool = True) -> Salvage:
    """Find the whole episodes before and, unless told, behind the damage; nothing is changed."""
    scans = recording.scans(damaged=damaged)
    lost = [(path.name, *stretch) for path, found in scans.items() for stretch in found.lost]
    return Salvage(recording.frames(scans), tuple(lost))


def seal_recording(target: Path) -> Manifest:
    """Seal an unfinished recording with the episodes that it has.

    Raises:
        LockedError: if it is still being recorded.
        JournalError: if it has no episode, or a journal is damaged; it then stays as it is.
    """
    return seal_salvaged(target, damaged=False)[0]


def seal_salvaged(target: Path, *, damaged: bool = True) -> tuple[Manifest, Salvage]:
    """Seal the whole episodes of a recording whose journals are damaged; what was lost, too.

    Raises:
        JournalError: if no episode is whole; it stays as it is.
    """
    recording = open_recording(target)
    with recorder_lock(recording.target):
        check_target(recording)
        with segments_lock(recording.target, shared=False):
            found = salvage(recording, damaged=damaged)
            check_episodes(recording.target, len(found.frames))
            return _sealed(recording, found.frames), found


def finish(recording: Recording) -> Manifest:
    """Seal as `seal_recording`, under a recorder's lock; without an episode nothing stays."""
    with segments_lock(recording.target, shared=False):
        scans = recording.scans()
        frames = recording.frames(scans)
        for path, found in scans.items():
            if found.torn:
                logger.warning("{}: dropped {:,} bytes never acknowledged", path, found.torn)
        if not frames:
            _drop(recording.target)
        return _sealed(recording, frames)


def seeds_of(recording: Recording, scenario: str | None) -> set[int]:
    """The seeds of all episodes there, of one scenario if told, those of the base included."""
    names = ["seed"] if scenario is None else ["seed", SCENARIO]
    for name in names:
        recording.schema.field(name)
    there = {
        int(episode.arrays["seed"])
        for episode in recording.episodes(recording.frames())
        if scenario is None or episode[SCENARIO] == scenario
    }
    if recording.extends is not None:
        base = Assembly.of(LocalFiles(recording.extends))
        seeds, *words = (base.column(name) for name in names)
        there.update(seeds[words[0] == scenario if words else slice(None)].tolist())
    return there


def _sealed(recording: Recording, frames: list[tuple[Path, Frame]]) -> Manifest:
    check_removable(recording_folder(recording.target))
    plan = Plan(
        recording.schema,
        len(frames),
        sum(frame.steps for _, frame in frames),
        recording.provenance,
        recording.quota_bytes,
        journal_bytes(recording.target),
        recording.extends,
    )
    manifest = seal_version(recording.target, recording.episodes(frames), plan)
    _drop(recording.target)
    return manifest


def discard_recording(target: Path) -> None:
    """Remove an unfinished recording and the episodes in it, damaged or not."""
    target = Path(target)
    check_begun(target)
    with recorder_lock(target), segments_lock(target, shared=False):
        _drop(target)


def check_target(wanted: Recording) -> None:
    """Refuse a target that is sealed, or where another recording was begun.

    What a crash left of a removed one is cleared away. The caller holds the recorder's lock.
    """
    found = open_recording(wanted.target) if is_begun(wanted.target) else None
    with storing(recording_folder(wanted.target)):
        remove_tree(_dropped(wanted.target))
    clear_sealing(wanted.target)
    if os.path.lexists(wanted.target):
        if found is not None:
            _drop_if_sealed(found)
        raise SealedError(f"{wanted.target}: is sealed already; record the next version")
    if found is not None:
        found.check_same(wanted)


def _drop_if_sealed(recording: Recording) -> bool:
    """Remove a recording whose version was sealed before a crash; say whether it was one."""
    if not (recording.target / MANIFEST).exists():
        return False
    digests = [frame.digest for _, frame in recording.frames()]
    if recording.extends is not None:
        digests = Assembly.of(LocalFiles(recording.extends)).digests() + digests
    sealed = Manifest.read(recording.target).content_digest
    if sealed != content_digest(recording.schema, digests):
        return False
    _drop(recording.target)
    return True


def _drop(target: Path) -> None:
    """Remove a recording so that a crash leaves it whole, or gone but for litter."""
    folder, dropped = recording_folder(target), _dropped(target)
    check_removable(folder)
    with storing(folder):
        remove_tree(dropped)
        system.OPS.rename(folder, dropped)
        sync_directory(dropped.parent)
        remove_tree(dropped)


def _dropped(target: Path) -> Path:
    """What the folder of a recording is called while it is removed."""
    return recording_folder(target).with_suffix(".dropped")


def clear_dropped(folder: Path) -> None:
    """Remove what a crash left of recordings of a dataset that were being removed."""
    for litter in folder.glob(".v*.dropped"):
        with suppress(StorageError), storing(litter):
            remove_tree(litter)


def next_target(folder: Path, claimed: Callable[[], AbstractContextManager[int]]) -> Path:
    """The version that the next recorder of a dataset records: an unfinished one, or a new one.

    ``claimed`` holds the number of a new version, also of one whose number was taken, until its
    folder is there; what a crash left of removed recordings is cleared away.
    """
    clear_dropped(folder)
    for target in recording_targets(folder):
        with suppress(NotFoundError):  # of one that was sealed, or discarded, meanwhile
            if is_begun(target):
                open_recording(target)
            found = target if not target.exists() else _renumbered(target, claimed)
            if found is not None:
                return found
    with claimed() as number:
        target = folder / f"v{number}"
        with storing(target):
            make_directories(recording_folder(target))
    return target


def _renumbered(target: Path, claimed: Callable[[], AbstractContextManager[int]]) -> Path | None:
    """Give a recording whose number was taken another one; ``None`` if it is sealed under it."""
    with recorder_lock(target):
        if not is_begun(target) or _drop_if_sealed(open_recording(target)):
            return None
        with claimed() as number:
            renumbered = target.with_name(f"v{number}")
            with storing(recording_folder(target)):
                system.OPS.rename(recording_folder(target), recording_folder(renumbered))
                sync_directory(target.parent)
    return renumbered
