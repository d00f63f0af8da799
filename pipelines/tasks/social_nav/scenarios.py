"""The named starting situations, read from ``scenarios.yaml``, and the layouts of their walls."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import yaml
from msgspec import Struct, ValidationError, convert

from pipelines.tasks.social_nav.state import MAX_PEDESTRIANS

DENSITIES = ("low", "medium", "high")

Box = tuple[float, float, float, float]
"""x0, x1, y0, y1 in metres."""
Point = tuple[float, float]
Range = tuple[float, float]
Wall = tuple[float, float, float, float]
"""x0, y0, x1, y1 in metres."""


class Layout(NamedTuple):
    """Walls, and the point through which the robot must go where the goal is out of sight."""

    walls: tuple[Wall, ...] = ()
    waypoint: tuple[float, float] | None = None


def _along(*points: tuple[float, float]) -> tuple[Wall, ...]:
    """Walls from point to point."""
    return tuple((*one, *other) for one, other in pairwise(points))


def _corridor(width: float) -> Layout:
    half = width / 2
    return Layout((*_along((-20.0, -half), (20.0, -half)), *_along((-20.0, half), (20.0, half))))


def _room(width: float) -> Layout:
    half = width / 2
    return Layout(
        _along((-half, -half), (half, -half), (half, half), (-half, half), (-half, -half))
    )


def _crossing(width: float) -> Layout:
    half, far = width / 2, 12.0
    quarters = [(x, y) for x in (-1.0, 1.0) for y in (-1.0, 1.0)]
    corners = [
        _along((x * far, y * half), (x * half, y * half), (x * half, y * far)) for x, y in quarters
    ]
    return Layout(sum(corners, ()))


def _corner(width: float) -> Layout:
    half, far = width / 2, 14.0
    outer = _along((-far, -half), (half, -half), (half, far))
    inner = _along((-far, half), (-half, half), (-half, far))
    return Layout(outer + inner, waypoint=(0.0, 0.0))


def _doorway(width: float) -> Layout:
    half, side, far = width / 2, 4.5, 12.0
    posts = ((0.0, -side, 0.0, -half), (0.0, half, 0.0, side))
    sides = ((-far, -side, far, -side), (-far, side, far, side))
    return Layout(posts + sides, waypoint=(0.0, 0.0))


LAYOUTS: dict[str, Callable[[float], Layout]] = {
    "open": lambda _: Layout(),
    "corridor": _corridor,
    "room": _room,
    "crossing": _crossing,
    "corner": _corner,
    "doorway": _doorway,
}
"""Every layout that a scenario may name, made from its width in metres; add yours here."""


class Stream(
    Struct, frozen=True, forbid_unknown_fields=True, rename={"start": "from", "end": "to"}
):
    """Where some of the people come from and go to: boxes, or through a circle's centre."""

    start: Box | None = None
    via: Box | None = None
    end: Box | None = None
    circle: Range | None = None
    spread: float = 0.0

    def __post_init__(self) -> None:
        if self.circle is None and (self.start is None or self.end is None):
            raise ValueError("expected a stream with `from` and `to`, or `circle`, got neither")


class Walls(Struct, frozen=True, forbid_unknown_fields=True):
    """The kind of a layout, and the range of its width, metres."""

    kind: str
    width: Range | None = None

    def __post_init__(self) -> None:
        if self.kind not in LAYOUTS:
            raise ValueError(f"expected a layout of {sorted(LAYOUTS)}, got {self.kind!r}")


class Way(Struct, frozen=True, forbid_unknown_fields=True):
    """Boxes of the robot's start and goal, metres."""

    start: Box
    goal: Box


class Scenario(Struct, frozen=True, forbid_unknown_fields=True):
    """A named distribution of starting situations.

    Attributes:
        name: ``archetype/density``; the archetype is its family.
        pedestrians: least and greatest number.
        reacting: chance that a pedestrian heeds the robot.
        speed: range of desired speeds, m/s.
        streams: of pedestrians, each taken in turn.
        evaluation_only: played at the end of a run and never before: no training draws it, no
            demonstration shows it, no gate counts it.
    """

    name: str
    archetype: str
    density: str
    pedestrians: tuple[int, int]
    reacting: float
    speed: Range
    layout: Walls
    robot: Way
    streams: tuple[Stream, ...]
    evaluation_only: bool = False

    def __post_init__(self) -> None:
        low, high = self.pedestrians
        if not 0 <= low <= high <= MAX_PEDESTRIANS:
            raise ValueError(f"expected 0 to {MAX_PEDESTRIANS} pedestrians, got {low} to {high}")


@cache
def catalogue() -> Mapping[str, Scenario]:
    """Every scenario by name, in the order of the file, those for evaluation only included."""
    return read_scenarios(Path(__file__).with_name("scenarios.yaml").read_text())


def read_scenarios(text: str) -> dict[str, Scenario]:
    """Every scenario of a file such as ``scenarios.yaml``, by name.

    Raises:
        ValueError: naming the first that makes no sense.
    """
    found = {}
    for family, entry in yaml.safe_load(text).items():
        densities = entry.pop("densities")
        for density in DENSITIES:
            name = f"{family}/{density}"
            names = {"name": name, "archetype": family, "density": density}
            try:
                found[name] = convert(entry | densities.get(density, {}) | names, Scenario)
            except ValidationError as error:
                raise ValueError(f"scenario {name}: {error}; correct scenarios.yaml") from error
    return found


def scenario_names(
    families: Sequence[str] = (), densities: Sequence[str] = DENSITIES
) -> tuple[str, ...]:
    """Names of the scenarios of some families (all if none is given) and densities.

    Those for evaluation only are left out, whoever asks; ``held_out_names`` has them.
    """
    return tuple(
        name
        for name, scenario in catalogue().items()
        if not scenario.evaluation_only
        and (not families or scenario.archetype in families)
        and scenario.density in densities
    )


def held_out_names() -> tuple[str, ...]:
    """Names of the scenarios for evaluation only."""
    return tuple(name for name, scenario in catalogue().items() if scenario.evaluation_only)


def families() -> tuple[str, ...]:
    """All families, those for evaluation only included, each once."""
    return tuple(dict.fromkeys(scenario.archetype for scenario in catalogue().values()))


def held_out_families() -> tuple[str, ...]:
    """The families of the scenarios for evaluation only, each once."""
    return tuple(dict.fromkeys(catalogue()[name].archetype for name in held_out_names()))


def find_scenario(name: str) -> Scenario:
    """The scenario of that name.

    Raises:
        ValueError: there is none.
    """
    scenario = catalogue().get(name)
    if scenario is None:
        raise ValueError(
            f"scenario: expected one of {', '.join(catalogue())}, got {name!r}; correct the name"
        )
    return scenario
