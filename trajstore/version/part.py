"""One part of a version: the arrays of what was recorded at once."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """One set of arrays of a version: what was recorded at once.

    Attributes:
        path: relative to the version's folder; empty for the first part, then ``parts/1``, ...
        episodes: number of episodes in this part.
        steps: sum of their lengths.
    """

    path: str
    episodes: int
    steps: int

    def to_json(self) -> dict[str, object]:
        """A mapping of plain values."""
        return {"episodes": self.episodes, "path": self.path, "steps": self.steps}
