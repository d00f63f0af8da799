"""Replay verification: an episode is its scenario, seed and actions, so it can be played again.

A simulator, which the caller brings, builds the environment that a dataset's provenance describes.
Equal means equal bit for bit on the machine and library versions that recorded; on other processors
give a ``tolerance``: rounding explains about 1e-9 in float64. Frames of a codec are not compared.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from trajstore.dataset import Dataset
from trajstore.episode.episode import Episode
from trajstore.episode.fields import FieldSpec
from trajstore.episode.nesting import ACTION, OBSERVATION, REWARD, below, flatten, nest
from trajstore.episode.playing import Layers, advance, begin
from trajstore.episode.schema import Axis, EpisodeSchema
from trajstore.episode.texts import shown
from trajstore.episode.values import as_array, exact
from trajstore.errors import ReplayError
from trajstore.quality.records import Difference, ReplayReport


class Environment(Protocol):
    """What is asked of an environment: Gymnasium's interface."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:  # noqa: ANN401
        """Start the episode of that seed; return observation and info."""

    def step(self, action: Any) -> Any:  # noqa: ANN401 - Gymnasium's
        """Return observation, reward, terminated, truncated, info."""

    def close(self) -> None:
        """Free what the environment holds."""


Simulator = Callable[[Mapping[str, Any]], Environment]
"""Builds the environment that a dataset's provenance describes."""


def verify_replay(
    dataset: Dataset,
    simulator: Simulator,
    *,
    indices: Iterable[int] | None = None,
    tolerance: float = 0.0,
    leave_out: Collection[str] = (),
) -> ReplayReport:
    """Play recorded episodes again and compare every field at every step.

    An episode with a field that the environment does not report is not equal, and neither is one
    that it ends early. Of what holds for the whole episode, what it does not report is named in
    the report, and so is what is left out: nothing is passed over unless it is named.

    Args:
        dataset: with provenance ``environment`` and the field ``seed`` (and ``scenario``).
        simulator: builds the environment.
        indices: of the episodes to play; all by default. An iterable that shows its progress
            as it is consumed will do.
        tolerance: largest absolute difference of numbers that counts as equal.
        leave_out: fields that did not come from the environment, and are not compared.

    Raises:
        SchemaError: if there is no such field to leave out.
        ReplayError: if the dataset lacks what replaying needs, or the environment cannot be
            built or refuses an episode.
        CorruptionError: if a stored episode cannot be read.
    """
    provenance = dataset.manifest.provenance
    told = provenance.get("environment")
    recorded = told if isinstance(told, Mapping) else {}
    name, version = str(recorded.get("id", "")), str(recorded.get("version", ""))
    differences, checked, equal, silent = [], [], 0, set(leave_out)
    compared = [spec.name for spec in demanded(dataset.schema, leave_out)]
    with refused("replay: the environment could not be made"):
        environment = simulator(provenance)
    try:
        running = getattr(getattr(environment, "unwrapped", environment), "version", None)
        if version and running is not None and version != str(running):
            differences = [Difference(None, None, "environment version", version, str(running))]
        for index in range(len(dataset)) if indices is None else indices:
            found, unreported = _compare(
                dataset[index], environment, index, tolerance=tolerance, leave_out=leave_out
            )
            silent |= unreported
            checked.append(index)
            equal += found is None
            differences += [] if found is None else [found]
    finally:
        with refused("replay: the environment failed to close"):
            environment.close()
    return ReplayReport(
        content_digest=dataset.manifest.content_digest,
        episodes=tuple(checked),
        equal=equal,
        differences=tuple(differences),
        tolerance=tolerance,
        environment=f"{name} {version}".strip(),
        fields=tuple(compared),
        not_compared=tuple(f.name for f in dataset.schema.fields if f.codec or f.name in silent),
    )


def demanded(schema: EpisodeSchema, leave_out: Collection[str] = ()) -> list[FieldSpec]:
    """The fields that an environment has to report again: all that move, but for the actions.

    Raises:
        SchemaError: if there is no such field to leave out.
        ReplayError: if nothing is left to compare.
    """
    passed = {schema.field(name).name for name in leave_out} | {it.name for it in schema.coded}
    found = [
        spec
        for spec in schema.fields
        if (spec.axis is not Axis.EPISODE or below(spec.name, OBSERVATION))
        and not below(spec.name, ACTION)
        and spec.name not in passed
    ]
    if found:
        return found
    raise ReplayError("replay: no field is left to compare; leave out fewer")


def compare(
    episode: Episode,
    environment: Environment,
    *,
    index: int = 0,
    tolerance: float = 0.0,
    leave_out: Collection[str] = (),
) -> Difference | None:
    """The first difference between an episode and its replay; raises as `play` does.

    A field that the environment does not report is one, and so is an early end. Of what holds for
    the whole episode, what it reports at the end is compared.
    """
    return _compare(episode, environment, index, tolerance=tolerance, leave_out=leave_out)[0]


def _compare(
    episode: Episode, environment: Environment, index: int, *,
    tolerance: float, leave_out: Collection[str],
) -> tuple[Difference | None, set[str]]:  # fmt: skip
    """The first difference, and what holds for the whole episode and was not reported."""
    moving = demanded(episode.schema, leave_out)
    states = [spec for spec in moving if spec.axis is not Axis.STEP]
    last: dict[str, Any] = {}
    row, steps = 0, len(episode)
    for row, reported in enumerate(play(episode, environment)):
        found = _first(moving if row else states, episode, row, reported, tolerance)
        if found is not None:
            return Difference(index, max(row - 1, 0), *found), set()
        last |= reported
    if row < steps:
        ended = f"an environment that ended after {row:,}"
        return Difference(index, row - 1, "length", f"{steps:,} steps", ended), set()
    passed = {*(it.name for it in moving), *leave_out}
    whole = [it for it in episode.schema.on(Axis.EPISODE) if it.name not in passed]
    found = _first([it for it in whole if it.name in last], episode, row, last, tolerance)
    silent = {it.name for it in whole} - last.keys() - {"seed", "scenario"}  # given to reset
    return None if found is None else Difference(index, row - 1, *found), silent


def _first(
    specs: Iterable[FieldSpec],
    episode: Episode,
    row: int,
    reported: Mapping[str, Any],
    tolerance: float,
) -> tuple[str, str, str] | None:
    """The first field that differs from what was reported, and how: name, expected, got."""
    for spec in specs:
        if spec.name not in reported:
            return (
                spec.name,
                "the environment to report this field",
                f"{sorted(map(str, reported))}",
            )
        at: Any = {Axis.STATE: row, Axis.STEP: row - 1, Axis.EPISODE: ()}[spec.axis]
        place = _difference(episode.arrays[spec.name][at], reported[spec.name], tolerance)
        if place is not None:
            return f"{spec.name}{place[0]}", *place[1:]
    return None


def play(episode: Episode, environment: Environment) -> Iterator[dict[str, Any]]:
    """Yield what the environment reports after reset and after each recorded action.

    Each maps field names to values: observations, after a step also reward and ends, and whatever
    ``info`` carries. An early end of the environment is the last report.

    Raises:
        ReplayError: if the episode has no seed or action, or the environment refuses it.
    """
    if "seed" not in episode.arrays:
        raise ReplayError(
            "replay: episodes have no field 'seed', so they cannot be played again; record it"
        )
    options = {"scenario": str(episode["scenario"])} if "scenario" in episode.arrays else None
    known = set(episode.schema.names)
    with refused("replay: the environment failed to play the episode"):
        observation, info = begin(environment, int(episode["seed"]), options)
        yield {**info, **flatten(OBSERVATION, observation, known)}
        layers = Layers(environment)
        for number in range(len(episode)):
            step = advance(environment, _action(episode, number), layers)
            seen = flatten(OBSERVATION, step.observation, known)
            ends = {"terminated": step.terminated, "truncated": step.truncated}
            yield {**step.info, **seen, REWARD: step.reward, **ends}
            if step.terminated or step.truncated:
                return


def first_step(
    environment: Environment, *, tolerance: float = 0.0, leave_out: Collection[str] = ()
) -> Callable[[Episode], int | None]:
    """Return a function from an episode to the first step that differs when it is played again."""

    def replay(episode: Episode) -> int | None:
        found = compare(episode, environment, tolerance=tolerance, leave_out=leave_out)
        return None if found is None else found.step

    return replay


def spread(count: int, wanted: int) -> list[int]:
    """Return ``wanted`` indices out of ``count``, evenly spaced, the first and last among them.

    Example:
        >>> spread(10, 4), spread(3, 9)
        ([0, 3, 6, 9], [0, 1, 2])
    """
    return sorted(set(np.linspace(0, count - 1, min(count, wanted)).round().astype(int).tolist()))


@contextmanager
def refused(expected: str, remedy: str = "") -> Iterator[None]:
    """Whatever fails in the block is a `ReplayError` that says what was expected."""
    try:
        yield
    except ReplayError:
        raise
    except (Exception, SystemExit) as error:  # one that ends the process has verified nothing
        raise ReplayError(f"{expected}: {type(error).__name__}: {error}{remedy}") from error


def _action(episode: Episode, step: int) -> Any:  # noqa: ANN401 - any action
    """The recorded action, nested as its fields are; the environment may keep and change it."""
    leaves = {}
    for name, values in episode.arrays.items():
        if below(name, ACTION):
            truth = values.dtype.kind == "b" and values.ndim == 1
            leaves[name] = values[step].item() if truth else values[step].copy()
    if not leaves:
        raise ReplayError("replay: there is no field 'action' to play; record the actions")
    return nest(episode.schema, ACTION, leaves)


def _difference(recorded: Any, simulated: Any, tolerance: float) -> tuple[str, str, str] | None:  # noqa: ANN401
    """Where two values first differ, and how: component, expected, got."""
    expected, got = np.asarray(recorded), as_array(simulated)
    if got is None or got.shape != expected.shape:
        seen = type(simulated).__name__ if got is None else f"shape {got.shape}"
        return "", f"shape {expected.shape}", seen
    equal = np.atleast_1d(_equal(expected, got, tolerance))
    if np.all(equal):
        return None
    place = tuple(int(axis[0]) for axis in np.nonzero(~equal))
    name = "" if not expected.ndim else f"[{', '.join(map(str, place))}]"
    one, other = (np.atleast_1d(it)[place] for it in (expected, got))
    most = 9 if _text(one, 9) != _text(other, 9) else 17
    return name, _text(one, most), _text(other, most)


def _equal(expected: np.ndarray, got: np.ndarray, tolerance: float) -> np.ndarray:
    """Which values are the same; floats are compared as they were recorded, others never cast."""
    kinds = expected.dtype.kind, got.dtype.kind
    if kinds == ("f", "f"):
        with np.errstate(over="ignore"):
            cast: np.ndarray | None = got.astype(expected.dtype, copy=False)
    else:
        cast = got if kinds == ("U", "U") else exact(got, expected.dtype)
    if cast is None:
        comparable = {*kinds} <= {*"biuf"}
        same = np.asarray(expected == got) if comparable else np.zeros(expected.shape, bool)
        return same & ~np.all(same)  # numbers that only rounding makes equal are not
    equal = np.asarray(expected == cast)
    if kinds[0] == "f":
        equal = equal | (np.isnan(expected) & np.isnan(cast))
        if tolerance:
            near = np.abs(expected.astype(np.float64) - cast.astype(np.float64)) <= tolerance
            equal = equal | near
    return equal


def _text(value: Any, digits: int) -> str:  # noqa: ANN401 - what an environment tells
    kind = getattr(getattr(value, "dtype", None), "kind", "O")
    return f"{value:.{digits}g}" if kind == "f" else str(value) if kind in "biuU" else shown(value)
