"""Which version the next recorder of a dataset records."""

from collections.abc import Callable
from pathlib import Path

from trajstore.disk import system
from trajstore.disk.files import remove_tree, storing, sync_directory
from trajstore.recording.recorder import drop_if_sealed
from trajstore.recording.unfinished import (
    Recording,
    is_begun,
    open_recording,
    recording_folder,
    recording_targets,
)


def next_target(folder: Path, next_version: Callable[[], int]) -> Path:
    """The version that the next recorder of a dataset records: an unfinished one, or a new one.

    Args:
        folder: of the dataset; what a crash left of removed recordings is cleared away.
        next_version: gives the number of a new version.

    Raises:
        LockedError: if another process is at a recording whose version is sealed.
        CorruptionError: if an unfinished recording is damaged.
        JournalError: if a journal is damaged whose version is sealed.
        StorageError: if the operating system refuses.
    """
    for litter in folder.glob(".v*.dropped"):
        with storing(litter):
            remove_tree(litter)
    for target in recording_targets(folder):
        found = open_recording(target) if is_begun(target) else None
        if not target.exists():
            return target
        if found is not None and not drop_if_sealed(found):
            return _renumbered(found, folder / f"v{next_version()}")
    return folder / f"v{next_version()}"


def _renumbered(recording: Recording, target: Path) -> Path:
    """Move a recording whose number was taken meanwhile."""
    with storing(recording.folder):
        system.OPS.rename(recording.folder, recording_folder(target))
        sync_directory(target.parent)
    return target
