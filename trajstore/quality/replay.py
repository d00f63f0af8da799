"""Replay verification: an episode is its scenario, seed and actions, so it can be played again.

A simulator, which the caller brings, builds the environment that a dataset's provenance describes.
Equal means equal bit for bit on the machine and library versions that recorded; on other processors
give a ``tolerance``: rounding explains about 1e-9 in float64.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from trajstore.dataset import Dataset
from trajstore.episode.episode import Episode
from trajstore.episode.nesting import ACTION, OBSERVATION, REWARD, below, flatten, nest
from trajstore.episode.schema import Axis
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
) -> ReplayReport:
    """Play recorded episodes again and compare every step.

    Args:
        dataset: with provenance ``environment`` and the field ``seed`` (and ``scenario``).
        simulator: builds the environment.
        indices: of the episodes to play; all by default. An iterable that shows its progress
            as it is consumed will do.
        tolerance: largest absolute difference of numbers that counts as equal.

    Raises:
        ReplayError: if the dataset lacks what replaying needs, or the environment cannot be
            built or refuses an episode.
        CorruptionError: if a stored episode cannot be read.
    """
    provenance = dataset.manifest.provenance
    recorded = provenance.get("environment")
    recorded = recorded if isinstance(recorded, Mapping) else {}
    name, version = str(recorded.get("id", "")), str(recorded.get("version", ""))
    differences = []
    with refused("replay: expected the recorded environment"):
        environment = simulator(provenance)
    try:
        running = getattr(getattr(environment, "unwrapped", environment), "version", None)
        if version and running is not None and version != str(running):
            differences = [Difference(None, None, "environment version", version, str(running))]
        checked, equal = [], 0
        for index in range(len(dataset)) if indices is None else indices:
            found = compare(dataset[index], environment, index=index, tolerance=tolerance)
            checked.append(index)
            equal += found is None
            differences += [] if found is None else [found]
    finally:
        environment.close()
    return ReplayReport(
        content_digest=dataset.manifest.content_digest,
        episodes=tuple(checked),
        equal=equal,
        differences=tuple(differences),
        tolerance=tolerance,
        environment=f"{name} {version}".strip(),
    )


def compare(
    episode: Episode, environment: Environment, *, index: int = 0, tolerance: float = 0.0
) -> Difference | None:
    """The first difference between an episode and its replay; raises as `play` does."""
    moving = [spec for spec in episode.schema.fields if spec.axis is not Axis.EPISODE]
    for row, reported in enumerate(play(episode, environment)):
        for spec in moving:
            at = row if spec.axis is Axis.STATE else row - 1
            if at < 0 or spec.name not in reported:
                continue
            place = _difference(episode[spec.name][at], reported[spec.name], tolerance)
            if place is not None:
                name, expected, got = place
                return Difference(index, max(row - 1, 0), f"{spec.name}{name}", expected, got)
    return None


def play(episode: Episode, environment: Environment) -> Iterator[dict[str, Any]]:
    """Yield what the environment reports after reset and after each recorded action.

    Each report maps field names to values: observations, and from the first step on rewards and
    ends, and whatever ``info`` carries. An early end of the environment is the last report.

    Raises:
        ReplayError: if the episode has no seed or action, or the environment refuses it.
    """
    if "seed" not in episode.arrays:
        raise ReplayError(
            "replay: expected a field 'seed' on the episode axis, got none; record it"
        )
    options = {"scenario": str(episode["scenario"])} if "scenario" in episode.arrays else None
    with refused("replay: expected the environment to play the episode"):
        observation, info = environment.reset(seed=int(episode["seed"]), options=options)
        yield {**info, **flatten(OBSERVATION, observation)}
        for step in range(len(episode)):
            result = environment.step(_action(episode, step))
            observation, reward, terminated, truncated, info = result
            ends = {"terminated": terminated, "truncated": truncated}
            yield {**info, **flatten(OBSERVATION, observation), REWARD: reward, **ends}
            if terminated or truncated:
                return


def first_step(
    environment: Environment, *, tolerance: float = 0.0
) -> Callable[[Episode], int | None]:
    """Return a function from an episode to the first step that differs when it is played again."""

    def replay(episode: Episode) -> int | None:
        found = compare(episode, environment, tolerance=tolerance)
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
    except Exception as error:
        raise ReplayError(f"{expected}, got {type(error).__name__}: {error}{remedy}") from error


def _action(episode: Episode, step: int) -> Any:  # noqa: ANN401 - any action
    """The recorded action, nested as its fields are; the environment may keep and change it."""
    leaves = {}
    for name, values in episode.arrays.items():
        if below(name, ACTION):
            truth = values.dtype.kind == "b" and values.ndim == 1
            leaves[name] = values[step].item() if truth else values[step].copy()
    if not leaves:
        raise ReplayError("replay: expected a field 'action', got none; record the actions")
    return nest(episode.schema, ACTION, leaves)


def _difference(recorded: Any, simulated: Any, tolerance: float) -> tuple[str, str, str] | None:  # noqa: ANN401
    """Where two values first differ, and how: component, expected, got."""
    expected = np.asarray(recorded)
    got = np.asarray(simulated)
    if got.shape != expected.shape:
        return "", f"shape {expected.shape}", f"shape {got.shape}"
    got = got.astype(expected.dtype, copy=False)
    equal = expected == got
    if expected.dtype.kind == "f":
        equal |= np.isnan(expected) & np.isnan(got)
        if tolerance:
            equal |= np.abs(expected.astype(np.float64) - got.astype(np.float64)) <= tolerance
    if np.all(equal):
        return None
    place = tuple(int(axis[0]) for axis in np.nonzero(~np.atleast_1d(equal)))
    name = "" if not expected.ndim else f"[{', '.join(map(str, place))}]"
    return name, _text(np.atleast_1d(expected)[place]), _text(np.atleast_1d(got)[place])


def _text(value: np.generic) -> str:
    return f"{value:.9g}" if value.dtype.kind == "f" else str(value)
