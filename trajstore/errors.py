"""Every error this package raises on purpose.

A message says where, what is wrong in the user's terms, and what to do next: ``<where>: <what is
wrong>; <next step>``. "expected X, got Y" is for values, where both are worth seeing.
"""


class TrajStoreError(Exception):
    """Something is wrong that a caller or a curator can act on; the root of all our errors."""


class ArgumentError(TrajStoreError, ValueError):
    """A call was given an argument of another type or value than it takes; nothing was done."""


class SchemaError(TrajStoreError):
    """A field, an array or an episode does not fit its schema."""


class NameRefusedError(TrajStoreError):
    """A name or reference is malformed, or would lead out of the store."""


class NotFoundError(TrajStoreError):
    """A dataset, version, episode or file that was asked for does not exist."""


class SealedError(TrajStoreError):
    """The target is a sealed version, and sealed versions are never edited."""


class LockedError(TrajStoreError):
    """Another process is recording or moving this dataset; the message names it."""


class QuotaExceededError(TrajStoreError):
    """Writing this would make a version larger than its quota; nothing of it was written."""


class CorruptionError(TrajStoreError):
    """Stored bytes are not what was sealed: missing, changed, shortened or added to."""


class FormatError(TrajStoreError):
    """The data has a format that this release does not read."""


class StatusError(TrajStoreError):
    """The version's status forbids this use, such as training from a quarantined version."""


class StorageError(TrajStoreError):
    """The operating system refused: disk full, I/O error, permission, too many open files."""


class JournalError(TrajStoreError):
    """A recording cannot be continued or sealed as it was asked for."""


class ReplayError(TrajStoreError):
    """A recorded episode cannot be re-simulated."""


class ArchiveError(TrajStoreError):
    """A pack is not what was archived, or cannot be read."""


class PluginError(TrajStoreError):
    """What another package offers cannot be used, or has failed; the message names the package."""
