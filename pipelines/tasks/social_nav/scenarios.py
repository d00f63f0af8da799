"""The named starting situations, read from ``scenarios.yaml``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from pipelines.tasks.social_nav.layouts import LAYOUTS
from pipelines.tasks.social_nav.state import MAX_PEDESTRIANS

DENSITIES = ("low", "medium", "high")

Box = tuple[float, float, float, float]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Stream:
    """Where some of the people come from and go to; see ``scenarios.yaml``."""

    start: Box | None
    via: Box | None
    end: Box | None
    circle: tuple[float, float] | None
    spread: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named distribution of starting situations.

    Attributes:
        name: ``family/density``.
        archetype: the family.
        density: low, medium or high.
        pedestrians: least and greatest number.
        reacting: chance that a pedestrian heeds the robot.
        speed: range of desired speeds, m/s.
        layout: kind of the walls.
        sizes: range of each size of the layout, metres.
        start: box of the robot's start, metres.
        goal: box of the robot's goal, metres.
        streams: of pedestrians, each taken in turn.
        evaluation_only: played at the end of a run and never before: no training draws it, no
            demonstration shows it, no gate counts it.
    """

    name: str
    archetype: str
    density: str
    pedestrians: tuple[int, int]
    reacting: float
    speed: tuple[float, float]
    layout: str
    sizes: Mapping[str, tuple[float, float]]
    start: Box
    goal: Box
    streams: tuple[Stream, ...]
    evaluation_only: bool


def _stream(entry: Mapping[str, Any]) -> Stream:
    circle = entry.get("circle")
    return Stream(
        start=_box(entry["from"]) if "from" in entry else None,
        via=_box(entry["via"]) if "via" in entry else None,
        end=_box(entry["to"]) if "to" in entry else None,
        circle=None if circle is None else (float(circle[0]), float(circle[1])),
        spread=float(entry.get("spread", 0.0)),
    )


def _scenario(family: str, density: str, entry: Mapping[str, Any]) -> Scenario:
    layout = dict(entry["layout"])
    kind = str(layout.pop("kind"))
    if kind not in LAYOUTS:
        raise ValueError(
            f"scenario {family}/{density}: expected a layout of {sorted(LAYOUTS)}, got {kind!r}; "
            "correct scenarios.yaml"
        )
    low, high = map(int, entry["pedestrians"])
    if not 0 <= low <= high <= MAX_PEDESTRIANS:
        raise ValueError(
            f"scenario {family}/{density}: expected 0 to {MAX_PEDESTRIANS} pedestrians, "
            f"got {low} to {high}; correct scenarios.yaml"
        )
    speeds = tuple(map(float, entry["speed"]))
    return Scenario(
        name=f"{family}/{density}",
        archetype=family,
        density=density,
        pedestrians=(low, high),
        reacting=float(entry["reacting"]),
        speed=(speeds[0], speeds[1]),
        layout=kind,
        sizes={key: (float(ends[0]), float(ends[1])) for key, ends in layout.items()},
        start=_box(entry["robot"]["start"]),
        goal=_box(entry["robot"]["goal"]),
        streams=tuple(_stream(stream) for stream in entry["streams"]),
        evaluation_only=bool(entry.get("evaluation_only", False)),
    )


def _box(values: Sequence[float]) -> Box:
    x0, x1, y0, y1 = map(float, values)
    return x0, x1, y0, y1


@cache
def catalogue() -> Mapping[str, Scenario]:
    """Every scenario by name, in the order of the file, those for evaluation only included."""
    families = yaml.safe_load(Path(__file__).with_name("scenarios.yaml").read_text())
    scenarios = (
        _scenario(family, density, {**entry, **entry["densities"][density]})
        for family, entry in families.items()
        for density in DENSITIES
    )
    return {scenario.name: scenario for scenario in scenarios}


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
