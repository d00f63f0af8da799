"""An episode in a terminal: the scene in braille dots, numbers as lines of blocks."""

from collections.abc import Iterable, Mapping

import numpy as np

from trajstore.playback.camera import finite_rows, view_box

DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
BLOCKS = "▁▂▃▄▅▆▇█"
ARROWS = "→↗↑↖←↙↓↘"
COLOURS = {"agent": "94", "other": "33", "goal": "32"}

Size = tuple[int, int]


class Sheet:
    """A drawing of braille dots, two across and four down in a character, with letters on it."""

    def __init__(self, size: Size, *, colour: bool = True) -> None:
        """Start with an empty sheet of that many characters across and down."""
        self._dots = np.zeros((size[1], size[0]), np.int64)
        self._letters: dict[tuple[int, int], str] = {}
        self._colour = colour

    @property
    def size(self) -> Size:
        """Dots across and down."""
        return self._dots.shape[1] * 2, self._dots.shape[0] * 4

    def dot(self, x: float, y: float) -> None:
        """Set one dot; outside the sheet nothing happens."""
        u, v = int(x), int(y)
        if 0 <= u < self.size[0] and 0 <= v < self.size[1]:
            self._dots[v // 4, u // 2] |= DOTS[v % 4, u % 2]

    def line(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Set the dots of a line."""
        count = int(max(abs(end[0] - start[0]), abs(end[1] - start[1]))) + 1
        for share in np.linspace(0.0, 1.0, min(count, 4096) + 1):
            self.dot(start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1]))

    def letter(self, at: tuple[float, float], text: str, kind: str) -> None:
        """Put a letter over the dots; outside the sheet nothing happens."""
        if 0 <= at[0] < self.size[0] and 0 <= at[1] < self.size[1]:
            shown = f"\x1b[{COLOURS[kind]}m{text}\x1b[0m" if self._colour else text
            self._letters[int(at[1]) // 4, int(at[0]) // 2] = shown

    def text(self) -> str:
        """The sheet as lines of text."""
        shown = [[chr(0x2800 + int(dots)) if dots else " " for dots in row] for row in self._dots]
        for (row, column), letter in self._letters.items():
            shown[row][column] = letter
        return "\n".join("".join(row).rstrip() for row in shown)


def draw(
    scene: Mapping[str, np.ndarray], step: int, *, size: Size = (76, 22), colour: bool = True
) -> str:
    """Draw the state before a step: the agent as an arrow, others as ``o``, the goal as ``X``.

    The scene is the fields of an episode by role, ``pose`` among them; ``size`` is characters
    across and lines down.
    """
    sheet = Sheet(size, colour=colour)
    box = view_box(scene, sheet.size)
    for wall in finite_rows(scene.get("walls", ()), 4):
        sheet.line(box.at(*wall[:2]), box.at(*wall[2:]))
    pose = scene["pose"]
    for place in finite_rows(pose[: step + 1, :2], 2):
        sheet.dot(*box.at(*place))
    for goal in finite_rows(scene.get("goal", ()), 2):
        sheet.letter(box.at(*goal), "X", "goal")
    for place in finite_rows(scene["others"][step], 2) if "others" in scene else ():
        sheet.letter(box.at(*place), "o", "other")
    heading = pose[step][2:3] / (np.pi / 4)
    turned = len(heading) and np.isfinite(heading[0])
    arrow = ARROWS[round(float(heading[0])) % len(ARROWS)] if turned else "●"
    for place in finite_rows(pose[step][:2], 2):
        sheet.letter(box.at(*place), arrow, "agent")
    return sheet.text()


def sparkline(values: np.ndarray, *, width: int = 60) -> str:
    """Numbers as blocks, each the mean of its share of them.

    Example:
        >>> sparkline(np.array([0.0, 1.0, 2.0, 3.0]), width=4)
        '▁▃▆█'
    """
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
        return ""
    parts = [float(part.mean()) for part in np.array_split(known, min(width, len(known)))]
    low, high = min(parts), max(parts)
    levels = [(part - low) / ((high - low) or 1.0) * (len(BLOCKS) - 1) for part in parts]
    return "".join(BLOCKS[round(level)] for level in levels)


def marks(spans: Iterable[tuple[int, int]], steps: int, *, width: int = 60) -> str:
    """A time line with the steps of anomalies marked.

    Example:
        >>> marks([(0, 1), (9, 9)], 10, width=10)
        '▲▲───────▲'
    """
    line = ["─"] * width
    for first, last in spans:
        for place in range(first * width // steps, last * width // steps + 1):
            line[min(place, width - 1)] = "▲"
    return "".join(line)
