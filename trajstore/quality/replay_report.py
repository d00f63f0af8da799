"""What playing recorded episodes again has shown, in a file beside the version.

The file of ``v4`` is ``v4.replay.json``. The report names the content digest that it is about, so
that it cannot be taken for one on other data.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trajstore.disk.files import read_json, write_json
from trajstore.errors import CorruptionError, NotFoundError

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where an episode played again is not the recorded one.

    Attributes:
        episode: its index; ``None`` for a difference that concerns the whole environment.
        step: of the episode; a state that differs is said to differ at the step that led to it,
            the state of ``reset`` at step 0.
        field: name of the field, with the component where it has several.
        expected: as recorded.
        got: as simulated now.
    """

    episode: int | None
    step: int | None
    field: str
    expected: str
    got: str

    def __str__(self) -> str:
        where = "" if self.episode is None else f"episode {self.episode}, step {self.step}, "
        return f"{where}{self.field}: expected {self.expected}, got {self.got}"


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What playing recorded episodes again has shown.

    Attributes:
        content_digest: of the version that was checked.
        episodes: indices of the episodes that were played again.
        equal: how many of them came out as recorded.
        differences: the first difference of each other episode; one of the whole environment
            (another version than the recorded) comes first.
        tolerance: largest absolute difference that counts as equal; zero is bit for bit.
        environment: id and version as recorded.
    """

    content_digest: str
    episodes: tuple[int, ...]
    equal: int
    differences: tuple[Difference, ...] = ()
    tolerance: float = 0.0
    environment: str = ""

    @property
    def checked(self) -> int:
        """Number of episodes that were played again."""
        return len(self.episodes)

    @property
    def ok(self) -> bool:
        """Whether everything came out as recorded."""
        return not self.differences

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
        return text if self.ok else f"{text}; first difference: {self.first_difference}"

    def to_json(self) -> dict[str, object]:
        """The report as it stands in its file."""
        first = self.first_difference
        return {
            "format_version": FORMAT_VERSION,
            "content_digest": self.content_digest,
            "environment": self.environment,
            "checked": self.checked,
            "equal": self.equal,
            "tolerance": self.tolerance,
            "words": self.words,
            "sentence": str(self),
            "first_difference": None if first is None else asdict(first),
            "differences": [asdict(difference) for difference in self.differences],
            "episodes": list(self.episodes),
        }

    @classmethod
    def from_json(cls, record: Any, where: object = "replay report") -> "ReplayReport":  # noqa: ANN401
        """Build a report from what `to_json` gave.

        Raises:
            CorruptionError: if the record is no report.
        """
        try:
            if record["format_version"] != FORMAT_VERSION:
                raise ValueError(f"format version {record['format_version']!r}")
            return cls(
                str(record["content_digest"]),
                tuple(int(index) for index in record["episodes"]),
                int(record["equal"]),
                tuple(Difference(**entry) for entry in record["differences"]),
                float(record["tolerance"]),
                str(record["environment"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptionError(
                f"{where}: expected a replay report of format {FORMAT_VERSION}, got {error}; "
                "verify the version again with --replay"
            ) from error


def report_path(version: Path) -> Path:
    """Return where the replay report on a version's folder lies.

    Example:
        >>> report_path(Path("store/expert/v4")).as_posix()
        'store/expert/v4.replay.json'
    """
    return version.with_name(f"{version.name}.replay.json")


def write_report(version: Path, report: ReplayReport) -> None:
    """Put the report beside the version, in one durable step.

    Raises:
        StorageError: if the operating system refuses.
    """
    write_json(report_path(version), report.to_json())


def read_report(version: Path) -> ReplayReport | None:
    """Return the report beside a version; ``None`` if it was never replayed.

    Raises:
        CorruptionError: if the file is there but holds no report.
    """
    path = report_path(version)
    try:
        record = read_json(path)
    except NotFoundError:
        return None
    return ReplayReport.from_json(record, path)
