"""An unfinished recording: what it was begun with, and its journals.

It is a folder beside the version to be, named ``.<version>.recording``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any

from trajstore.disk.files import (
    canonical_json,
    make_directories,
    parse_json,
    read_json,
    storing,
    write_json,
)
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
from trajstore.recording.journal import Frame, read_episodes, scan
from trajstore.version.quota import DEFAULT_QUOTA_BYTES, check_limit

RECORD = "recording.json"
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Recording:
    """What a recording was begun with.

    Attributes:
        target: folder of the version to be.
        schema: of every episode.
        provenance: of the version.
        quota_bytes: most that journals and version together may take on disk.
        extends: folder of the version that is continued, if any.
    """

    target: Path
    schema: EpisodeSchema
    provenance: Mapping[str, Any]
    quota_bytes: int = DEFAULT_QUOTA_BYTES
    extends: Path | None = None

    @property
    def folder(self) -> Path:
        """Where the journals lie."""
        return recording_folder(self.target)

    @property
    def journal_bytes(self) -> int:
        """Size of all journals, bytes."""
        return journal_bytes(self.target)

    def journal(self, segment: str) -> Path:
        """Where the journal of a segment lies.

        Raises:
            NameRefusedError: if the segment's name is none.
        """
        return self.folder / f"journal-{check_name(segment)}.log"

    def begin(self) -> None:
        """Make the folder, and note durably what the recording was begun with.

        Raises:
            StorageError: if the operating system refuses.
        """
        record = {
            "extends": None if self.extends is None else str(self.extends),
            "provenance": dict(self.provenance),
            "quota_bytes": self.quota_bytes,
            "schema": self.schema.to_json(),
        }
        with storing(self.folder):
            make_directories(self.folder)
        write_json(self.folder / RECORD, record)

    def journals(self) -> dict[str, Path]:
        """The journal of each segment, by name."""
        paths = _journals(self.target)
        return {path.stem.removeprefix("journal-"): path for path in paths}

    def frames(self) -> list[tuple[Path, Frame]]:
        """All durable episodes in their order, each with its journal.

        Raises:
            JournalError: if a journal is damaged, or two episodes have one place.
        """
        found = [
            (path, frame)
            for path in self.journals().values()
            for frame in scan(path, self.schema).frames
        ]
        return in_order(self.target.name, found)

    def episodes(self, frames: list[tuple[Path, Frame]]) -> Iterator[Episode]:
        """The episodes of frames in their order, one in memory at a time."""
        for path, items in groupby(frames, key=itemgetter(0)):
            yield from read_episodes(path, self.schema, [frame for _, frame in items])


def in_order(name: str, frames: list[tuple[Path, Frame]]) -> list[tuple[Path, Frame]]:
    """The frames of a recording's journals by their place.

    Raises:
        JournalError: if two have one place.
    """
    found = sorted(frames, key=lambda item: item[1].order)
    for (one, before), (other, after) in pairwise(found):
        if before.order == after.order:
            raise JournalError(
                f"recording {name}: expected one episode of order {after.order}, "
                f"got two, in {one.name} and {other.name}; discard one of the journals"
            )
    return found


def recording_folder(target: Path) -> Path:
    """Where the recording of a version to be lies."""
    return target.with_name(f".{target.name}.recording")


def dropped_folder(target: Path) -> Path:
    """What the folder of a recording is called while it is removed."""
    return recording_folder(target).with_suffix(".dropped")


def segments_lock(target: Path) -> Path:
    """The lock that workers share, and that sealing needs for itself."""
    return recording_folder(target) / "segments.lock"


def journal_bytes(target: Path) -> int:
    """Size of all journals of a recording, sound or damaged, bytes; 0 if it ends meanwhile."""
    try:
        return sum(path.stat().st_size for path in _journals(target))
    except FileNotFoundError:
        return 0


def _journals(target: Path) -> list[Path]:
    return sorted(recording_folder(target).glob("journal-*.log"))


def open_recording(target: Path) -> Recording:
    """What an unfinished recording was begun with.

    Raises:
        NotFoundError: if there is none.
        CorruptionError: if its record is damaged, or gone while its journals are there.
    """
    target = Path(target)
    path = recording_folder(target) / RECORD
    check_begun(target)
    try:
        record = read_json(path)
        check_limit(record["quota_bytes"])
        return Recording(
            target,
            EpisodeSchema.from_json(record["schema"]),
            dict(record["provenance"]),
            record["quota_bytes"],
            None if record["extends"] is None else Path(record["extends"]),
        )
    except (NotFoundError, CorruptionError, SchemaError, KeyError, TypeError, ValueError) as error:
        check_begun(target)
        raise CorruptionError(
            f"{path}: expected the record of a recording, got {_fault(error)}; put the file back "
            f"from a copy, or remove the recording with its episodes: {_removal(target)}"
        ) from error


def _fault(error: Exception) -> str:
    if isinstance(error, NotFoundError):
        return "nothing there"
    if isinstance(error, KeyError):
        return f"one without {error}"
    if isinstance(error, CorruptionError):
        return f"what is no JSON ({error.__cause__ or error})"
    return f"one that is refused ({error})" if isinstance(error, TrajStoreError) else "other values"


def _removal(target: Path) -> str:
    if version_number(target.name) is None:
        return f"delete {recording_folder(target)}"
    return f"trajstore recover {target.parent.name} --discard"


def check_begun(target: Path) -> None:
    """Refuse a target that nobody has begun to record.

    Raises:
        NotFoundError: if there is no recording, not even a damaged one.
    """
    if not is_begun(target):
        raise NotFoundError(f"{target}: expected an unfinished recording, got none")


def is_begun(target: Path) -> bool:
    """Whether a version is being recorded, or was: a record or a journal lies there."""
    return (recording_folder(target) / RECORD).exists() or bool(_journals(target))


def check_episodes(target: Path, count: int) -> None:
    """Refuse to seal a recording that holds no episode.

    Raises:
        JournalError: if it does not.
    """
    if count < 1:
        raise JournalError(
            f"recording {target.name}: expected at least one episode, got none; record some, "
            f"or remove it: {_removal(target)}"
        )


def recording_targets(folder: Path) -> list[Path]:
    """The versions to be in a folder that have a place for a recording, begun or not, by name."""
    names = sorted(path.name for path in folder.glob(".*.recording") if path.is_dir())
    return [folder / name[1:].removesuffix(".recording") for name in names]


def unfinished(folder: Path) -> list[Path]:
    """The versions to be in a folder whose recordings were begun, damaged ones too, by name."""
    return [target for target in recording_targets(folder) if is_begun(target)]


def recordings(folder: Path) -> list[Recording]:
    """The unfinished recordings of versions in a folder, by name.

    Raises:
        CorruptionError: if one of them is damaged.
    """
    return [open_recording(target) for target in unfinished(folder)]


def check_schema(recording: Recording, schema: EpisodeSchema) -> None:
    """Refuse to go on with other fields.

    Raises:
        SchemaError: if the schemas differ.
    """
    if recording.schema != schema:
        raise SchemaError(
            f"recording {recording.target.name}: expected the schema it was begun with, got "
            "another one; seal or discard that recording first"
        )


def check_origin(recording: Recording, provenance: Mapping[str, Any]) -> None:
    """Refuse to go on with another origin: a version has one, which tells of all its episodes.

    Raises:
        JournalError: if the provenances differ as JSON; it names the first key that does.
    """
    begun, wanted = canonical_json(dict(recording.provenance)), canonical_json(dict(provenance))
    if begun == wanted:
        return
    name = recording.target.name
    key, one, other = _difference(parse_json(begun, name), parse_json(wanted, name))
    raise JournalError(
        f"recording {name}: expected the provenance it was begun with ({key}: {one}), "
        f"got {key}: {other}; record with the same provenance, or end that recording first: "
        f"trajstore recover {recording.target.parent.name} --seal, or --discard"
    )


def _difference(one: Any, other: Any, key: str = "") -> tuple[str, str, str]:  # noqa: ANN401 - JSON
    """The first key whose values differ, dotted, and both values in short."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted(one.keys() | other.keys()):
            values = one.get(name, _ABSENT), other.get(name, _ABSENT)
            if _shown(values[0]) != _shown(values[1]):
                return _difference(*values, f"{key}.{name}" if key else name)
    return key, _shown(one)[:80], _shown(other)[:80]


def _shown(value: Any) -> str:  # noqa: ANN401 - JSON
    return "nothing" if value is _ABSENT else canonical_json(value).decode()
