"""What a check found: the record that verification, validation and playback share."""

from dataclasses import asdict, dataclass
from enum import StrEnum

from trajstore.episode.texts import legible


class Severity(StrEnum):
    """How much a finding weighs."""

    BLOCKING = "blocking"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found, with the first place where it shows.

    Attributes:
        severity: a blocking finding makes a version unfit for training.
        check: name of the check that found it.
        message: one sentence in the form of our errors.
        episode: index of the first episode concerned, if there is one.
        step: first step of that episode concerned, if there is one.
        file: path relative to the version's folder, if a file is concerned.
        plugin: package and version of the check, if another package brought it.

    Names of files come from outside: what does not print is escaped in message and file.
    """

    severity: Severity
    check: str
    message: str
    episode: int | None = None
    step: int | None = None
    file: str | None = None
    plugin: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", legible(self.message))
        if self.file is not None:
            object.__setattr__(self, "file", legible(self.file))

    def to_json(self) -> dict[str, object]:
        """A mapping of plain values, without the places that do not apply."""
        record = asdict(self) | {"severity": self.severity.value}
        return {key: value for key, value in record.items() if value is not None}


def finding(
    check: str, message: str, file: str | None = None, episode: int | None = None
) -> Finding:
    """A blocking finding."""
    return Finding(Severity.BLOCKING, check, message, file=file, episode=episode)
