"""What playing recorded episodes again has shown, in a file beside the version.

The file of ``v4`` is ``v4.replay.json``. The report names the content digest that it is about, so
that it cannot be taken for one on other data.
"""

from dataclasses import dataclass

import msgspec

from trajstore.quality.records import FORMAT_VERSION, Kind


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
        """The report as it stands in its file: with what a reader would else work out."""
        record: dict[str, object] = msgspec.to_builtins(self)
        first = self.first_difference
        return {
            "format_version": FORMAT_VERSION,
            **record,
            "checked": self.checked,
            "words": self.words,
            "sentence": str(self),
            "first_difference": None if first is None else msgspec.to_builtins(first),
        }


REPORT = Kind(ReplayReport, "a replay report", "verify the version again with --replay", "replay")
report_path, read_report, write_report = REPORT.beside, REPORT.read_beside, REPORT.write_beside
