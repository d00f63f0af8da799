"""A versioned store of expert trajectories.

The names below are all that a user needs; they are loaded on first use, so that importing the
package costs next to nothing.
"""

import os
import sys

if sys.argv[0].endswith("/trajstore") or (sys.argv[0], *sys.orig_argv[1:3]) == (
    *("-m", "-m", "trajstore"),
):
    # This process is the command, which begins: Ctrl-C ends it here, for nothing is under way. When
    # all is loaded, the command puts the usual handler back: `trajstore.cli.process.begin`.
    try:
        import signal

        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, lambda *_: (os.write(2, b"interrupted\n"), os._exit(130)))
    except KeyboardInterrupt:
        os._exit(130)

from importlib import import_module
from typing import TYPE_CHECKING

from loguru import logger

if TYPE_CHECKING:
    from trajstore.dataset import Dataset
    from trajstore.episode.episode import Episode
    from trajstore.episode.fields import Axis, FieldSpec
    from trajstore.episode.schema import EpisodeSchema
    from trajstore.errors import (
        ArchiveError,
        ArgumentError,
        CorruptionError,
        FormatError,
        JournalError,
        LockedError,
        NameRefusedError,
        NotFoundError,
        PluginError,
        QuotaExceededError,
        ReplayError,
        SchemaError,
        SealedError,
        StatusError,
        StorageError,
        TrajStoreError,
    )
    from trajstore.recording.bulk import write_dataset
    from trajstore.recording.recorder import Recorder
    from trajstore.store import Store
    from trajstore.version.findings import Finding, Severity
    from trajstore.version.manifest import Manifest, Status

__all__ = [
    "ArchiveError",
    "ArgumentError",
    "Axis",
    "CorruptionError",
    "Dataset",
    "Episode",
    "EpisodeSchema",
    "FieldSpec",
    "Finding",
    "FormatError",
    "JournalError",
    "LockedError",
    "Manifest",
    "NameRefusedError",
    "NotFoundError",
    "PluginError",
    "QuotaExceededError",
    "Recorder",
    "ReplayError",
    "SchemaError",
    "SealedError",
    "Severity",
    "Status",
    "StatusError",
    "StorageError",
    "Store",
    "TrajStoreError",
    "write_dataset",
]

_HOMES = {
    "Axis": "episode.fields",
    "Dataset": "dataset",
    "Episode": "episode.episode",
    "EpisodeSchema": "episode.schema",
    "FieldSpec": "episode.fields",
    "Finding": "version.findings",
    "Manifest": "version.manifest",
    "Recorder": "recording.recorder",
    "Severity": "version.findings",
    "Status": "version.manifest",
    "Store": "store",
    "write_dataset": "recording.bulk",
}

logger.disable("trajstore")


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'trajstore' has no attribute {name!r}")
    return getattr(import_module(f"trajstore.{_HOMES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
