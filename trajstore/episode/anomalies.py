"""Steps of an episode that a curator should look at.

A detector is a generator function over one episode, listed in ``DETECTORS``; one that needs a field
or a role which the schema lacks finds nothing. They run once, when a version is sealed.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from trajstore.episode.episode import Episode
from trajstore.episode.nesting import below
from trajstore.episode.roles import CONTACT
from trajstore.episode.schema import Axis, EpisodeSchema, limits
from trajstore.episode.signals import changes, median, robust_scores, runs, same_as_before, thinned

Rows = np.ndarray

FACTS = frozenset({"collisions", "recorded_totals"})
"""Detectors that state what is the case, in however many episodes."""
FEW = 10
"""Episodes below which no detector is judged by how many it flags."""
SATURATED_SLACK = 1e-6
STUCK_METRES = 0.05


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Steps ``first`` to ``last`` of an episode, both included, and why they stand out.

    ``score`` lies in (0, 1]: 1 is what a curator must see, 0.1 what is worth a glance.
    """

    kind: str
    first: int
    last: int
    message: str
    score: float

    def to_json(self) -> dict[str, object]:
        """Return the anomaly as it stands in a manifest."""
        return asdict(self)


Detector = Callable[[Episode], Iterator[Anomaly]]
"""Yields the anomalies of one kind, in step order."""


def frozen_actions(episode: Episode, *, least: int = 20) -> Iterator[Anomaly]:
    """Runs of at least ``least`` identical actions of numbers with a fraction."""
    for actions in _floats(episode, "action"):
        for first, last in runs(same_as_before(actions), least - 1):
            steps = last - first + 2
            share = min(1.0, 0.3 + 0.7 * steps / len(episode))
            message = f"same action for {steps} steps"
            yield Anomaly("frozen_actions", first, last + 1, message, share)


def saturated_actions(episode: Episode, *, least: int = 30) -> Iterator[Anomaly]:
    """Runs of at least ``least`` steps with every component of the action at its limit."""
    if "action" not in episode.arrays:
        return
    field, actions = episode.schema.field("action"), episode["action"]
    if actions.dtype.kind != "f" or field.low is None or field.high is None:
        return
    low, high = limits(field)
    at_limit = (actions <= low + SATURATED_SLACK) | (actions >= high - SATURATED_SLACK)
    for first, last in runs(np.all(at_limit.reshape(len(at_limit), -1), axis=1), least):
        steps = last - first + 1
        message = f"every component of the action at its limit for {steps} steps"
        yield Anomaly("saturated_actions", first, last, message, 0.4)


def observation_jumps(episode: Episode, *, threshold: float = 25.0) -> Iterator[Anomaly]:
    """Steps over which an observation changes far more than it does elsewhere in the episode.

    The size of a change is the sum over components of ``|o[t+1] - o[t]|``, each divided by that
    component's mean change. Its score is the distance to the median in robust standard deviations
    (1.4826 x median absolute deviation; Iglewicz and Hoaglin 1993), at least a tenth of the median.
    """
    for rows in _floats(episode, "observation"):
        size = changes(thinned(rows))
        if len(size) < 8 or no_jump(size, threshold, mean=float(size.mean())):
            continue
        middle = median(size)
        floor = 0.1 * middle + 1e-12
        if float(size.max()) <= middle + threshold * floor:
            continue
        scores = robust_scores(size, floor=floor)
        for step in np.flatnonzero(scores > threshold).tolist():
            message = f"observation changes {scores[step]:.0f} robust deviations over one step"
            yield Anomaly("observation_jumps", step, step, message, 0.5)


def no_jump(size: Rows, threshold: float, *, mean: float) -> bool:
    """Whether the greatest of `changes` tells that none stands out; more are in order.

    For their median is at least twice their mean less the greatest.
    """
    most = 1 + 0.1 * threshold
    return float(size.max()) < 0.97 * 2 * mean * most / (1 + most)


def repeated_observations(episode: Episode, *, least: int = 5) -> Iterator[Anomaly]:
    """Runs of at least ``least`` identical observations: repeated steps, or a frozen sensor."""
    names = _named(episode, "observation")
    kinds = {episode.arrays[name].dtype.kind for name in names}
    if "f" not in kinds or not kinds <= {"f", "U"}:
        return
    same = same_as_before(episode[names[0]])
    for name in names[1:]:
        same &= same_as_before(episode[name])
    for first, last in runs(same, least - 1):
        states = last - first + 2
        message = f"{states} identical observations in a row"
        yield Anomaly("repeated_observations", first, last, message, 0.8)


def reward_spikes(episode: Episode, *, threshold: float = 25.0) -> Iterator[Anomaly]:
    """Rewards far from the episode's median; the last step, which often pays out, is exempt."""
    if "reward" not in episode.arrays or len(episode) < 8:
        return
    rewards = episode["reward"][:-1].astype(np.float64)
    distance = rewards - rewards.sum() / len(rewards)
    deviation = float(np.sqrt(distance @ distance / len(rewards)))
    if float(np.abs(distance).max()) <= (0.25 * threshold - 1) * deviation:
        return  # mean and median are at most one deviation apart
    scores = robust_scores(rewards, floor=0.25 * deviation + 1e-9)
    for step in np.flatnonzero(np.abs(scores) > threshold).tolist():
        message = (
            f"reward {rewards[step]:.4g}, {scores[step]:.0f} robust deviations from the median"
        )
        yield Anomaly("reward_spikes", step, step, message, 0.5)


def stuck(episode: Episode, *, least: int = 50) -> Iterator[Anomaly]:
    """At least ``least`` steps within which the agent stays inside ``STUCK_METRES``."""
    pose = _role(episode, "pose")
    if pose is None or len(episode) < least:
        return
    position = pose[:, :2]
    moved = np.abs(position[least:] - position[:-least]).max(axis=1)
    still = np.flatnonzero(moved < STUCK_METRES)
    rests = np.zeros(len(episode), bool)
    for first in still.tolist():
        if np.ptp(position[first : first + least + 1], axis=0).max() < STUCK_METRES:
            rests[first : first + least] = True
    for first, last in runs(rests, least):
        message = f"the agent stays within {STUCK_METRES} m for {last - first + 1} steps"
        yield Anomaly("stuck", first, last, message, 0.6)


def near_misses(episode: Episode, *, metres: float = 0.10) -> Iterator[Anomaly]:
    """Runs of steps with a clearance below ``metres`` but without contact."""
    clearance = _role(episode, "clearance")
    if clearance is None:
        return
    for first, last in runs((clearance > 0) & (clearance < metres), 1):
        least = float(clearance[first : last + 1].min())
        yield Anomaly("near_misses", first, last, f"clearance down to {least:.3f} m", 0.2)


def collisions(episode: Episode) -> Iterator[Anomaly]:
    """Contact by the clearance, or an outcome that says collision."""
    clearance, outcome = _role(episode, "clearance"), str(_role(episode, "outcome"))
    contacts = [] if clearance is None else list(runs(clearance <= 0, 1))
    for first, last in contacts:
        yield Anomaly("collisions", first, last, "the agent touches something", 1.0)
    if outcome.startswith(CONTACT) and not contacts:
        last = len(episode) - 1
        yield Anomaly("collisions", last, last, f"outcome {outcome}", 1.0)


def too_short(episode: Episode, *, least: int = 5) -> Iterator[Anomaly]:
    """An episode of fewer than ``least`` steps."""
    steps = len(episode)
    if steps < least:
        yield Anomaly("too_short", 0, steps - 1, f"only {steps} steps", 0.5)


def too_long(episode: Episode, *, most: int = 2_000) -> Iterator[Anomaly]:
    """An episode of more than ``most`` steps."""
    steps = len(episode)
    if steps > most:
        yield Anomaly("too_long", most, steps - 1, f"{steps} steps", 0.5)


def recorded_totals(episode: Episode) -> Iterator[Anomaly]:
    """Totals that the episode carries and that its own steps contradict."""
    for name, recorded, found in totals(episode.schema, episode.arrays):
        if not np.isclose(recorded, found, rtol=1e-4, atol=1e-4):
            message = f"{name} recorded as {recorded:.6g}, recomputed as {found:.6g}"
            yield Anomaly("recorded_totals", 0, len(episode) - 1, message, 1.0)


def totals(schema: EpisodeSchema, arrays: Mapping[str, Rows]) -> Iterator[tuple[str, float, float]]:
    """Yield name, recorded and recomputed value of each total that can be recomputed."""
    for name, (source, total) in TOTALS.items():
        rows = arrays.get(schema.roles.get(source, source))
        if rows is not None and name in arrays and not arrays[name].shape:
            yield name, float(arrays[name]), total(rows)


TOTALS: dict[str, tuple[str, Callable[[Rows], float]]] = {
    "return": ("reward", lambda rows: float(rows.sum(dtype=np.float64))),
    "steps": ("terminated", lambda rows: float(len(rows))),
    "min_clearance": ("clearance", lambda rows: float(rows.min())),
}
"""Episode fields that can be recomputed: the role or step field they come from, and how."""

DETECTORS: dict[str, Detector] = {
    "frozen_actions": frozen_actions,
    "saturated_actions": saturated_actions,
    "observation_jumps": observation_jumps,
    "repeated_observations": repeated_observations,
    "reward_spikes": reward_spikes,
    "stuck": stuck,
    "near_misses": near_misses,
    "collisions": collisions,
    "too_short": too_short,
    "too_long": too_long,
    "recorded_totals": recorded_totals,
}
"""Every detector that sealing, validation, ``inspect`` and ``play`` use; add yours here."""


def find(episode: Episode) -> list[Anomaly]:
    """Return what every detector finds in the episode, in the order of ``DETECTORS``."""
    with np.errstate(over="ignore", invalid="ignore"):  # values near the largest float
        return [anomaly for detector in DETECTORS.values() for anomaly in detector(episode)]


def unfit(found: Mapping[int, Sequence[Mapping[str, Any]]], episodes: int) -> dict[str, int]:
    """Detectors that flag most episodes of a version, and how many; they say nothing of any.

    Args:
        found: anomalies as JSON by index of the episode, as a manifest holds them.
        episodes: of the version; of few, nothing is said.

    Example:
        >>> unfit({index: [{"kind": "too_short"}] for index in range(12)}, 12)
        {'too_short': 12}
    """
    counts = Counter(kind for marks in found.values() for kind in {it["kind"] for it in marks})
    return {
        kind: count
        for kind, count in sorted(counts.items())
        if kind not in FACTS and 2 * count > episodes >= FEW
    }


def score(anomalies: Sequence[Anomaly]) -> float:
    """Return one number for an episode: 0 is plain; each kind counts once, by its worst.

    Example:
        >>> near = Anomaly("near_misses", 3, 4, "clearance down to 0.050 m", 0.2)
        >>> touch = Anomaly("collisions", 5, 5, "the agent touches something", 1.0)
        >>> score([]), score([near, near, touch])
        (0.0, 1.2)
    """
    worst: dict[str, float] = {}
    for anomaly in anomalies:
        worst[anomaly.kind] = max(worst.get(anomaly.kind, 0.0), anomaly.score)
    return sum(worst.values(), 0.0)


def _role(episode: Episode, role: str) -> Rows | None:
    return episode.arrays.get(episode.schema.roles.get(role, ""))


def _named(episode: Episode, stem: str) -> list[str]:
    """Fields with a row a state or step."""
    axes = {spec.name: spec.axis for spec in episode.schema.fields}
    return [it for it in episode.arrays if below(it, stem) and axes[it] is not Axis.EPISODE]


def _floats(episode: Episode, stem: str) -> list[Rows]:
    rows = [episode[name] for name in _named(episode, stem)]
    return [values for values in rows if values.dtype.kind == "f"]
