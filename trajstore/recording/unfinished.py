"""An unfinished recording: what it was begun with, its journals and its locks.

It is a folder beside the version to be, named ``.<version>.recording``.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any

from trajstore.disk.checked import without_check, write_checked
from trajstore.disk.files import is_there, make_directories, read_json
from trajstore.disk.json_text import canonical_json
from trajstore.disk.locks import lock
from trajstore.disk.system import storing
from trajstore.episode.episode import Episode
from trajstore.episode.names import check_name, version_number
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import (
    CorruptionError,
    JournalError,
    NotFoundError,
    SchemaError,
    TrajStoreError,
)
from trajstore.recording.frames import Frame
from trajstore.recording.journal import Scan, read_episodes, scan
from trajstore.version.writer import DEFAULT_QUOTA_BYTES, check_recipe

RECORD = "recording.json"
_KEYS = {"extends", "provenance", "quota_bytes", "schema"}
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Recording:
    """What a recording was begun with.

    Attributes:
        target: folder of the version to be.
        quota_bytes: most that journals and version together may take on disk.
        extends: folder of the version that is continued, if any, resolved; in the record of one
            in the same store, its path from there, so that the store may be moved.
    """

    target: Path
    schema: EpisodeSchema
    provenance: Mapping[str, Any]
    quota_bytes: int = DEFAULT_QUOTA_BYTES
    extends: Path | None = None

    def begin(self) -> None:
        """Make the folder, and note durably what the recording was begun with."""
        record = {
            "extends": None if self.extends is None else _noted(self.target, self.extends),
            "provenance": dict(self.provenance),
            "quota_bytes": self.quota_bytes,
            "schema": self.schema.to_json(),
        }
        folder = recording_folder(self.target)
        with storing(folder):
            make_directories(folder)
        write_checked(folder / RECORD, record)

    def journal(self, segment: str) -> Path:
        """Where the journal of a segment lies; a name that is none is refused."""
        return recording_folder(self.target) / f"journal-{check_name(segment)}.log"

    def scans(self, *, damaged: bool = False) -> dict[Path, Scan]:
        """What each journal holds; whole frames behind damage count only when told."""
        return {path: scan(path, self.schema, damaged=damaged) for path in _journals(self.target)}

    def frames(self, scans: Mapping[Path, Scan] | None = None) -> list[tuple[Path, Frame]]:
        """All durable episodes in their order, each with its journal; ``scans`` if known."""
        scans = self.scans() if scans is None else scans
        placed = [(path, frame) for path, found in scans.items() for frame in found.frames]
        placed.sort(key=lambda item: item[1].order)
        for (one, before), (other, after) in pairwise(placed):
            if before.order == after.order:
                raise JournalError(
                    f"recording {self.target.name}: two episodes have the place {after.order}, "
                    f"in {one.name} and {other.name}; remove one of the journals"
                )
        return placed

    def episodes(self, frames: list[tuple[Path, Frame]]) -> Iterator[Episode]:
        """The episodes of frames in their order, one in memory at a time."""
        for path, items in groupby(frames, key=itemgetter(0)):
            yield from read_episodes(path, self.schema, [frame for _, frame in items])

    def check_schema(self, schema: EpisodeSchema) -> None:
        """Refuse to go on with other fields."""
        if self.schema != schema:
            raise SchemaError(
                f"recording {self.target.name}: was begun with another schema; seal or discard "
                "it first: trajstore recover NAME --seal, or --discard"
            )

    def check_same(self, wanted: "Recording") -> None:
        """Refuse to go on with other fields, another base, or another origin.

        A version has one origin, which tells of all its episodes; the first key that differs is
        named.
        """
        self.check_schema(wanted.schema)
        name, dataset = self.target.name, self.target.parent.name
        begun, asked = dict(self.provenance), dict(wanted.provenance)
        if canonical_json(begun) != canonical_json(asked):
            key, one, other = _difference(begun, asked)
            raise JournalError(
                f"recording {name}: was begun with another provenance ({key}: {one}, now "
                f"{other}); record with the same one, or end that recording first: trajstore "
                f"recover {dataset} --seal, or --discard"
            )
        if self.extends != wanted.extends:
            one, other = (str(it.extends or "no version") for it in (self, wanted))
            raise JournalError(
                f"recording {name}: was begun to extend {one}, not {other}; end that recording "
                f"first: trajstore recover {dataset} --seal, or --discard"
            )


def _difference(one: Any, other: Any, key: str = "") -> tuple[str, str, str]:  # noqa: ANN401 - JSON
    """The first key whose values differ, dotted, and both values in short."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted(one.keys() | other.keys()):
            values = one.get(name, _ABSENT), other.get(name, _ABSENT)
            if _json(values[0]) != _json(values[1]):
                return _difference(*values, f"{key}.{name}" if key else name)
    return key, _json(one)[:80], _json(other)[:80]


def _json(value: object) -> str:
    return "nothing" if value is _ABSENT else canonical_json(value).decode()


def recording_folder(target: Path) -> Path:
    """Where the recording of a version to be lies."""
    return target.with_name(f".{target.name}.recording")


def journal_bytes(target: Path) -> int:
    """Size of all journals of a recording, sound or damaged, bytes; 0 if it ends meanwhile."""
    with suppress(FileNotFoundError):
        return sum(path.stat().st_size for path in _journals(target))
    return 0


def _journals(target: Path) -> list[Path]:
    return sorted(recording_folder(target).glob("journal-*.log"))


@contextmanager
def recorder_lock(target: Path) -> Iterator[None]:
    """Hold what one process at a time may hold: who records, seals or discards."""
    with storing(target):
        make_directories(target.parent)
    with lock(target.with_name(f".{target.name}.lock"), purpose=f"recording {target.name}"):
        yield


def segments_lock(target: Path, *, shared: bool) -> AbstractContextManager[None]:
    """The lock that workers share, and that sealing needs for itself."""
    purpose = f"{'recording' if shared else 'sealing'} {target.name}"
    return lock(recording_folder(target) / "segments.lock", purpose=purpose, shared=shared)


def open_recording(target: Path) -> Recording:
    """What an unfinished recording was begun with; a damaged record is refused."""
    target = Path(target)
    path = recording_folder(target) / RECORD
    try:
        record = _record(path)
        quota, base = record["quota_bytes"], record["extends"]
        recipe = EpisodeSchema.from_json(record["schema"]), dict(record["provenance"]), quota
        check_recipe(*recipe)
        base = None if base is None else (_store(target) / base).resolve()
        return Recording(target, *recipe, base)
    except (NotFoundError, CorruptionError, SchemaError, KeyError, TypeError, ValueError) as error:
        check_begun(target)
        raise CorruptionError(
            f"{path}: cannot be read as the record of a recording ({_fault(error)}); put the "
            "file back from a copy, or remove the recording with its episodes: "
            f"{_removal(target)}"
        ) from error


def _record(path: Path) -> dict[str, Any]:
    """What a recording was begun with; the first release wrote no check value."""
    record = read_json(path)
    if isinstance(record, dict) and record.keys() == _KEYS:
        return record
    return without_check(record, "check")


def _store(target: Path) -> Path:
    return target.resolve().parent.parent


def _noted(target: Path, base: Path) -> str:
    store = _store(target)
    return str(base.relative_to(store) if base.is_relative_to(store) else base)


def _fault(error: Exception) -> str:
    if isinstance(error, NotFoundError):
        return "nothing there"
    if isinstance(error, KeyError):
        return f"one without {error}"
    if isinstance(error, CorruptionError):
        return f"what is no JSON ({error.__cause__})" if error.__cause__ else f"another ({error})"
    return f"one that is refused ({error})" if isinstance(error, TrajStoreError) else "other values"


def _removal(target: Path) -> str:
    if version_number(target.name) is None:
        return f"delete {recording_folder(target)}"
    return f"trajstore recover {target.parent.name} --discard"


def is_begun(target: Path) -> bool:
    """Whether a version is being recorded, or was: a record or a journal lies there."""
    return is_there(recording_folder(target) / RECORD) or bool(_journals(target))


def check_begun(target: Path) -> None:
    """Refuse a target that nobody has begun to record."""
    if not is_begun(target):
        raise NotFoundError(f"{target}: no recording is unfinished there")


def check_episodes(target: Path, count: int) -> None:
    """Refuse to seal a recording that holds no episode."""
    if count < 1:
        raise JournalError(
            f"recording {target.name}: holds no episode yet; record some, or remove it: "
            f"{_removal(target)}"
        )


def recording_targets(folder: Path) -> list[Path]:
    """The versions to be in a folder that have a place for a recording, begun or not, by name."""
    found = sorted(path for path in folder.glob(".*.recording") if path.is_dir())
    return [path.with_name(path.stem[1:]) for path in found]


def unfinished(folder: Path) -> list[Path]:
    """The versions to be in a folder whose recordings were begun, damaged ones too, by name."""
    return [target for target in recording_targets(folder) if is_begun(target)]
