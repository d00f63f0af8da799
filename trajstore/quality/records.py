"""Small records in files of their own: what checks, and replays, made of the version beside them.

The file of ``v4`` is ``v4.status.json`` or ``v4.replay.json``; the sealed folder itself is never
edited. Each names the content digest that it is about, so that it cannot be taken for one on other
data. From format 2 on it carries a check value, without which a file of that format is refused;
files of format 1 have none and still open.
"""

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, TypedDict, TypeVar

import msgspec

from trajstore.disk.checked import without_check, write_checked
from trajstore.disk.files import read_json
from trajstore.errors import CorruptionError, NotFoundError
from trajstore.version.findings import Finding
from trajstore.version.manifest import Status

FORMAT_VERSION = 2

Digest = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
"""SHA-256, hexadecimal."""

Clock = Callable[[], str]
"""The present time, ISO 8601 with zone."""


def utc_now() -> str:
    """The present time, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


class Record(msgspec.Struct, frozen=True):
    """What a file holds."""

    def to_json(self) -> dict[str, Any]:
        """The record as it stands in its file."""
        return {"format_version": FORMAT_VERSION, **msgspec.to_builtins(self)}


Held = TypeVar("Held", bound=Record)


@dataclass(frozen=True, slots=True)
class Kind(Generic[Held]):
    """The files of one type of record.

    Attributes:
        name: as messages call it.
        remedy: what to do about a damaged one.
        suffix: of the file.

    Example:
        >>> VERDICT.path(Path("store/expert/v4")).as_posix()
        'store/expert/v4.status.json'
    """

    type: type[Held]
    name: str
    remedy: str
    suffix: str

    def path(self, owner: Path) -> Path:
        """Where the record lies: beside the version's folder."""
        return owner.with_name(f"{owner.name}.{self.suffix}.json")

    def write(self, owner: Path, record: Held) -> None:
        """Put a record, with its check value, in place of the one before, in one durable step."""
        write_checked(self.path(owner), record.to_json())

    def read(self, owner: Path) -> Held | None:
        """Read the record; ``None`` if there is none, `CorruptionError` if it is something else."""
        path = self.path(owner)
        try:
            record = read_json(path)
            if not (isinstance(record, dict) and record.get("format_version") == 1):
                record = without_check(record, path)
        except NotFoundError:
            return None
        except CorruptionError as error:
            why = error.__cause__
            found = f"no JSON ({why})" if why else "one that was changed after it was written"
            raise self._other(path, found) from error
        return self.parse(record, path)

    def parse(self, record: Any, where: object) -> Held:  # noqa: ANN401 - any JSON
        """Build a record from plain JSON values; other ones are a `CorruptionError`."""
        try:
            if record["format_version"] not in (1, FORMAT_VERSION):
                raise ValueError(f"format version {record['format_version']!r}")
            return msgspec.convert(record, self.type)
        except (KeyError, TypeError, ValueError) as error:
            raise self._other(where, f"{type(error).__name__}: {error}") from error

    def _other(self, where: object, found: str) -> CorruptionError:
        return CorruptionError(
            f"{where}: expected {self.name} of format {FORMAT_VERSION}, got {found}; {self.remedy}"
        )


class Judgement(TypedDict):
    """One line of a verdict's history: when, which status, and why."""

    time: str
    status: str
    why: str


class Verdict(Record, frozen=True):
    """What the checks made of one version.

    Attributes:
        digest: content digest of the version that was judged, hexadecimal.
        history: earlier and present judgements, oldest first.
        contract: the contract that the version was held to, as JSON.
        plugins: package and version of each check that another package brought, by name.
    """

    status: Status
    digest: Digest
    findings: tuple[Finding, ...] = ()
    history: tuple[Judgement, ...] = ()
    contract: Mapping[str, object] | None = None
    plugins: Mapping[str, str] = {}

    def on(self, digest: str) -> Status | None:
        """The status if this verdict is about that content digest, else ``None``."""
        return self.status if self.digest == digest else None

    def to_json(self) -> dict[str, Any]:
        """The verdict as it stands in its file."""
        record = super().to_json() | {"findings": [it.to_json() for it in self.findings]}
        return {key: value for key, value in record.items() if value or key != "plugins"}


VERDICT = Kind(Verdict, "a verdict", "remove it and validate the version again", "status")
status_path, read_verdict, write_verdict = VERDICT.path, VERDICT.read, VERDICT.write


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where an episode played again is not the recorded one.

    Attributes:
        episode: its index; ``None`` for a difference that concerns the whole environment.
        step: of the episode; a state that differs is said to differ at the step that led to it,
            the state of ``reset`` at step 0.
        field: name of the field, with the component where it has several.
    """

    episode: int | None
    step: int | None
    field: str
    expected: str
    got: str

    def __str__(self) -> str:
        where = "" if self.episode is None else f"episode {self.episode}, step {self.step}, "
        return f"{where}{self.field}: expected {self.expected}, got {self.got}"


class ReplayReport(Record, frozen=True):
    """What playing recorded episodes again has shown.

    Attributes:
        episodes: indices of the episodes that were played again.
        equal: how many of them came out as recorded.
        differences: the first difference of each other episode; one of the whole environment
            (another version than the recorded) comes first.
        tolerance: largest absolute difference that counts as equal; zero is bit for bit.
        environment: id and version as recorded.
        fields: that were compared at every step; empty in the reports of older releases.
        not_compared: fields that were left out, and of those that hold for the whole episode what
            the environment did not report.
    """

    content_digest: Digest
    episodes: tuple[int, ...]
    equal: int
    differences: tuple[Difference, ...] = ()
    tolerance: float = 0.0
    environment: str = ""
    fields: tuple[str, ...] = ()
    not_compared: tuple[str, ...] = ()

    @property
    def checked(self) -> int:
        """Number of episodes that were played again."""
        return len(self.episodes)

    @property
    def ok(self) -> bool:
        """Whether everything came out as recorded."""
        return self.checked > 0 and not self.differences

    @property
    def first_difference(self) -> Difference | None:
        """The first difference, if there is any."""
        return self.differences[0] if self.differences else None

    @property
    def words(self) -> str:
        """How equal equal episodes are."""
        return "bit-equal" if self.tolerance == 0.0 else f"equal within {self.tolerance:g}"

    def __str__(self) -> str:
        text = f"{self.equal}/{self.checked} {self.words}"
        text += f" in {len(self.fields)} fields" if self.fields else ""
        text += f", not compared: {', '.join(self.not_compared)}" if self.not_compared else ""
        if self.ok:
            return text
        told = "not reproducible, " if self.equal < self.checked else ""
        return f"{text}; {told}first difference: {self.first_difference}"

    def to_json(self) -> dict[str, Any]:
        """The report as it stands in its file: with what a reader would else work out."""
        return super().to_json() | {
            "checked": self.checked,
            "words": self.words,
            "sentence": str(self),
            "first_difference": msgspec.to_builtins(self.first_difference),
        }


REPORT = Kind(ReplayReport, "a replay report", "verify the version again with --replay", "replay")
report_path, read_report, write_report = REPORT.path, REPORT.read, REPORT.write
