"""Checks that observations stand where they belong: before their action, once, in order.

A recorder that stores the observation *after* an action beside it makes a dataset from which a
policy learns to act one step late. Two traces of it need no policy: the state that is missing at
one end was filled in, and other state fields show the same motion a step earlier or later.
"""

from collections.abc import Iterator

import numpy as np

from trajstore.dataset import Dataset
from trajstore.episode.nesting import OBSERVATION, below
from trajstore.episode.schema import Axis
from trajstore.quality.contract import Contract
from trajstore.quality.replay import spread
from trajstore.version.findings import Finding, Severity

SAMPLE_EPISODES = 64
EXACT = 0.999
"""A correlation from which one column is taken for a copy of the other, up to scale."""


def alignment(dataset: Dataset, contract: Contract) -> Iterator[Finding]:
    """Observations are neither padded at one end nor late or early against other states."""
    narrow = [
        field.name
        for field in dataset.schema.on(Axis.STATE)
        if field.dtype.startswith("float") and field.is_narrow
    ]
    names = [it for it in narrow if below(it, OBSERVATION)]
    others = [it for it in narrow if it not in names]
    if names:
        states = _sampled(dataset, names)
        yield from _padded(states)
        if others:
            yield from _late(states, _sampled(dataset, others))


def step_order(dataset: Dataset, contract: Contract) -> Iterator[Finding]:
    """No step is repeated or missing."""
    for index, found in sorted(dataset.manifest.anomalies.items()):
        repeated = [it for it in found if it["kind"] == "repeated_observations"]
        if repeated:
            message = (
                f"steps: {repeated[0]['message']}: steps were repeated, or a sensor stopped; "
                "look at the episode with 'trajstore play'"
            )
            first = int(repeated[0]["first"])
            yield Finding(Severity.WARNING, "steps", message, episode=index, step=first)
            break
    for name in ("time", "t"):
        if name in dataset.schema.names and dataset.schema.field(name).axis is not Axis.EPISODE:
            yield from _uneven(dataset, name)
    if "pose" in dataset.schema.roles:
        yield from _leaps(dataset, dataset.schema.roles["pose"])


def _padded(states: list[np.ndarray]) -> Iterator[Finding]:
    """Ends of episodes that were filled in: a copy of the neighbour, or zeros."""
    long_enough = [rows for rows in states if len(rows) >= 4]
    if not long_enough:
        return
    repeats = [(rows[1:] == rows[:-1]).all(axis=1) for rows in long_enough]
    inner = np.concatenate([same[1:-1] for same in repeats]).mean()
    first = np.array([same[0] for same in repeats])
    last = np.array([same[-1] for same in repeats])
    zero = np.array([not rows[-1].any() and bool(rows[:-1].any()) for rows in long_enough])
    faults = {
        "the first two observations are the same": first,
        "the last two observations are the same": last,
        "the last observation is all zeros": zero,
    }
    for fault, episodes in faults.items():
        if episodes.mean() >= 0.5 and inner < 0.1:
            message = (
                f"observations: {fault} in {int(episodes.sum())} of {len(episodes)} episodes: "
                "they look shifted by one step and padded; record again with the observation "
                "of reset first and the true last one"
            )
            yield Finding(Severity.BLOCKING, "alignment", message)


def _late(states: list[np.ndarray], scene: list[np.ndarray]) -> Iterator[Finding]:
    """Observations that copy other state fields, but of the step before or after."""
    exact = {lag: _copies(states, scene, lag) for lag in (-1, 0, 1)}
    for lag, when in ((1, "later"), (-1, "earlier")):
        if exact[lag] and not exact[0]:
            message = (
                f"observations: they show the state of one step {when} ({exact[lag]} columns "
                "agree exactly there, none in place); record again"
            )
            yield Finding(Severity.BLOCKING, "alignment", message)


def _copies(states: list[np.ndarray], scene: list[np.ndarray], lag: int) -> int:
    """Number of observation columns that equal, up to scale, a scene column ``lag`` steps on."""
    pairs = [
        (rows[1:-1], other[1 + lag : len(other) - 1 + lag])
        for rows, other in zip(states, scene, strict=True)
        if len(rows) >= 4
    ]
    if not pairs:
        return 0
    left = _standardised(np.concatenate([rows for rows, _ in pairs]))
    right = _standardised(np.concatenate([other for _, other in pairs]))
    correlation = np.abs(left.T @ right) / len(left)
    return int((correlation > EXACT).any(axis=1).sum())


def _uneven(dataset: Dataset, name: str) -> Iterator[Finding]:
    for index, episode in enumerate(dataset):
        steps = np.diff(episode[name].astype(np.float64).reshape(len(episode[name]), -1)[:, 0])
        if not len(steps):
            continue
        wrong = np.flatnonzero(~np.isclose(steps, np.median(steps), rtol=1e-3) | (steps <= 0))
        if len(wrong):
            step = int(wrong[0])
            message = (
                f"field {name!r}: expected steps of {np.median(steps):.6g}, got {steps[step]:.6g}: "
                "a step is missing or repeated"
            )
            yield Finding(Severity.BLOCKING, "steps", message, episode=index, step=step)
            return


def _leaps(dataset: Dataset, pose: str) -> Iterator[Finding]:
    """Moves of the agent that are longer than any usual one: steps were left out."""
    poses = dataset.column(pose)[:, :2]
    moves = np.hypot(*np.diff(poses, axis=0).T)
    ends = np.cumsum(dataset.lengths + 1)[:-1] - 1
    moves[ends] = 0.0
    usual = float(np.quantile(moves, 0.99))
    wrong = np.flatnonzero(moves > 1.6 * usual + 1e-6)
    if not len(wrong) or usual == 0.0:
        return
    row = int(wrong[0])
    episode = int(np.searchsorted(ends, row))
    step = row - (int(ends[episode - 1]) + 1 if episode else 0)
    message = (
        f"agent: moves {moves[row]:.3g} m in one step, where about {usual:.3g} m is usual, and "
        f"{len(wrong) - 1} more: steps may be missing"
    )
    yield Finding(Severity.WARNING, "steps", message, episode=episode, step=step)


def _sampled(dataset: Dataset, names: list[str]) -> list[np.ndarray]:
    """Rows of those fields side by side, of evenly spread episodes."""
    return [
        np.concatenate(
            [episode[name].reshape(len(episode) + 1, -1).astype(np.float64) for name in names],
            axis=1,
        )
        for episode in map(dataset.__getitem__, spread(len(dataset), SAMPLE_EPISODES))
    ]


def _standardised(rows: np.ndarray) -> np.ndarray:
    rows = np.where(np.isfinite(rows).all(axis=0), rows, 0.0)
    deviation = rows.std(axis=0)
    scaled = np.zeros_like(rows)
    np.divide(rows - rows.mean(axis=0), deviation, out=scaled, where=deviation > 1e-9)
    return scaled
