"""Anomalies of many episodes at once: a detector looks only at those that are not plainly sound."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from inspect import signature
from itertools import pairwise
from math import isfinite

import numpy as np

from trajstore.episode import anomalies
from trajstore.episode.anomalies import DETECTORS, SATURATED_SLACK, TOTALS, Anomaly, no_jump
from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec, limits
from trajstore.episode.nesting import below
from trajstore.episode.signals import thinned

Rows = np.ndarray


class Batch:
    """Episodes of one schema, and their rows of each field end to end."""

    def __init__(self, episodes: Sequence[Episode], columns: Mapping[str, Rows]) -> None:
        self.episodes, self.columns = episodes, columns
        self.schema = episodes[0].schema
        self.lengths = np.array([len(episode) for episode in episodes])
        self.starts = {Axis.STEP: np.cumsum(self.lengths) - self.lengths}
        self.starts[Axis.STATE] = self.starts[Axis.STEP] + np.arange(len(episodes))

    def floats(self, stem: str) -> list[FieldSpec]:
        """The fields of numbers with a fraction below a name, a row a state or step."""
        named = [spec for spec in self.schema.fields if below(spec.name, stem)]
        return [it for it in named if it.dtype.startswith("float") and it.axis in self.starts]

    def count(self, spec: FieldSpec, flags: Rows) -> Rows:
        """How many of a field's rows are flagged in each episode."""
        return np.add.reduceat(flags, self.starts[spec.axis], dtype=np.int64)

    def repeats(self, spec: FieldSpec) -> Rows:
        """At most how many rows of each episode equal the one before: by their first component."""
        first = self.columns[spec.name].reshape(len(self.columns[spec.name]), -1)[:, 0]
        same = np.zeros(len(first), bool)
        np.equal(first[1:], first[:-1], out=same[1:])
        same[self.starts[spec.axis]] = False
        return self.count(spec, same)

    def all(self, sound: bool) -> Rows:
        """The same of every episode."""
        return np.full(len(self.episodes), sound)


def find_all(batch: Batch) -> list[list[Anomaly]]:
    """What `anomalies.find` returns of each episode."""
    found: list[list[Anomaly]] = [[] for _ in batch.episodes]
    for name, detector in DETECTORS.items():
        screen = SCREENS.get(name)
        sound = batch.all(False) if screen is None else screen(batch)
        with np.errstate(over="ignore", invalid="ignore"):
            for index in np.flatnonzero(~sound).tolist():
                found[index] += detector(batch.episodes[index])
    return found


@lru_cache
def _default(detector: Callable[..., object], name: str = "least") -> float:
    return float(signature(detector).parameters[name].default)


def _frozen_actions(batch: Batch) -> Rows:
    sound = batch.all(True)
    for spec in batch.floats("action"):
        sound &= batch.repeats(spec) < _default(anomalies.frozen_actions) - 1
    return sound


def _saturated_actions(batch: Batch) -> Rows:
    spec = next((it for it in batch.schema.fields if it.name == "action"), None)
    if spec is None or not spec.dtype.startswith("float") or None in (spec.low, spec.high):
        return batch.all(True)
    if spec.axis not in batch.starts:
        return batch.all(False)
    (low, high), rows = limits(spec), batch.columns["action"]
    at_limit = (rows <= low + SATURATED_SLACK) | (rows >= high - SATURATED_SLACK)
    whole = at_limit.reshape(len(at_limit), -1).all(axis=1)
    return batch.count(spec, whole) < _default(anomalies.saturated_actions)


def _observation_jumps(batch: Batch) -> Rows:
    threshold = _default(anomalies.observation_jumps, "threshold")
    sound = batch.all(True)
    with np.errstate(all="ignore"):
        for spec in batch.floats("observation"):
            rows = thinned(batch.columns[spec.name])
            ones = np.ones(len(rows), rows.dtype)
            ends = pairwise([*batch.starts[spec.axis].tolist(), len(rows)])
            for index, (first, stop) in enumerate(ends):
                sound[index] &= stop - first < 9 or _steady(rows[first:stop], ones, threshold)
    return sound


def _steady(rows: Rows, ones: Rows, threshold: float) -> bool:
    """Whether the greatest of `signals.changes`, but for rounding, tells that none stands out."""
    if rows.dtype.itemsize < 4:
        return False
    change = rows[1:] - rows[:-1]
    np.abs(change, out=change)
    typical = ones[: len(change)] @ change
    if not (typical.min() > 0 and isfinite(typical.sum())):
        return False
    size = change @ (len(change) / len(typical) / typical)
    return no_jump(size, threshold, mean=1.0)


def _repeated_observations(batch: Batch) -> Rows:
    for spec in batch.floats("observation"):
        return batch.repeats(spec) < _default(anomalies.repeated_observations) - 1
    return batch.all(True)


def _reward_spikes(batch: Batch) -> Rows:
    """By how far a reward is from the mean at most, as the detector itself begins."""
    spec = next((it for it in batch.schema.fields if it.name == "reward"), None)
    if spec is None:
        return batch.all(True)
    if spec.axis is not Axis.STEP or spec.shape:
        return batch.all(False)
    starts, lengths = batch.starts[Axis.STEP], batch.lengths
    rewards = batch.columns["reward"].astype(np.float64)
    used, ends = np.maximum(lengths - 1, 1), starts + lengths - 1
    rewards[ends] = 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        means = np.add.reduceat(rewards, starts) / used
        distance = rewards - np.repeat(means, lengths)
        distance[ends] = 0.0
        deviation = np.sqrt(np.add.reduceat(distance * distance, starts) / used)
        most = 0.25 * _default(anomalies.reward_spikes, "threshold") - 1
        near: Rows = np.maximum.reduceat(np.abs(distance), starts) <= 0.999 * most * deviation
    return near | (lengths < 8)


def _of_role(*roles: str) -> "Screen":
    return lambda batch: batch.all(not any(role in batch.schema.roles for role in roles))


def _recorded_totals(batch: Batch) -> Rows:
    return batch.all(not any(name in batch.schema.names for name in TOTALS))


Screen = Callable[[Batch], Rows]
SCREENS: dict[str, Screen] = {
    "frozen_actions": _frozen_actions,
    "saturated_actions": _saturated_actions,
    "observation_jumps": _observation_jumps,
    "repeated_observations": _repeated_observations,
    "reward_spikes": _reward_spikes,
    "stuck": _of_role("pose"),
    "near_misses": _of_role("clearance"),
    "collisions": _of_role("clearance", "outcome"),
    "too_short": lambda batch: batch.lengths >= _default(anomalies.too_short),
    "too_long": lambda batch: batch.lengths <= _default(anomalies.too_long, "most"),
    "recorded_totals": _recorded_totals,
}
"""Of detectors by name: ``bool[E]``, true only where the detector would find nothing."""
