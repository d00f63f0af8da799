"""Checks that what an environment told is plausible: observations that move, limits, true ends."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from trajstore.dataset import Dataset
from trajstore.episode.fields import Axis, FieldSpec, limits, outside
from trajstore.episode.nesting import ACTION, OBSERVATION, REWARD, below
from trajstore.episode.texts import brief
from trajstore.quality.contract import Contract
from trajstore.version.findings import Finding, Severity

LONG = 10
"""Steps from which one episode of numbers with a fraction that stand still is enough."""
LEAST = 3
"""Episodes from which an end that all have in common tells something."""


def frozen(dataset: Dataset, contract: Contract) -> Iterator[Finding]:
    """Observations do not stay the same through whole episodes while actions or rewards move.

    A recorder that keeps a reference to an array which the environment reuses makes such a dataset.
    One long episode is enough where observations have a fraction; else it takes most episodes,
    since an agent in a grid may push against a wall all the time.
    """
    names = [it.name for it in dataset.schema.on(Axis.STATE) if below(it.name, OBSERVATION)]
    if not names or all(_has_one_value(dataset.schema.field(name)) for name in names):
        return
    actions = [it.name for it in dataset.schema.on(Axis.STEP) if below(it.name, ACTION)]
    rewards = [REWARD] if REWARD in dataset.schema.names else []
    floats = any(dataset.schema.field(name).dtype.startswith("float") for name in names)
    still, long, moving = [], [], 0
    for index, episode in enumerate(dataset):
        acted = any(_moves(episode[name]) for name in actions)
        if not acted and not any(_moves(episode[name]) for name in rewards):
            continue
        moving += 1
        if not any(_moves(episode[name]) for name in names):
            still.append(index)
            if acted and floats and len(episode) >= LONG:
                long.append(index)
    if long or (still and 2 * len(still) > moving):
        index = (long or still)[0]
        message = (
            f"observations: the same at every step of {len(still)} of {moving} episodes in "
            "which actions or rewards change; the recorder kept an array that is reused: "
            "record again, and copy what the environment returns"
        )
        yield Finding(Severity.BLOCKING, "frozen", message, episode=index)


def bounds(dataset: Dataset, contract: Contract) -> Iterator[Finding]:
    """Values are finite and within the range of their field, where it keeps those that are not."""
    yield from _not_finite(dataset)
    for spec in dataset.schema.fields:
        figures = dataset.manifest.statistics.get(spec.name, {})
        count = 0 if spec.strict else figures.get("outside", 0)
        if not count:
            continue
        index, row = _first(dataset, spec, partial(outside, spec))
        message = (
            f"field {spec.name!r}: expected values in [{brief(spec.low)}, {brief(spec.high)}], got "
            f"{count} rows with others, from {brief(figures['min'])} to {brief(figures['max'])}; "
            "the environment exceeds its own space"
        )
        step = None if spec.axis is Axis.EPISODE else row
        yield Finding(Severity.WARNING, "bounds", message, episode=index, step=step)


def _not_finite(dataset: Dataset) -> Iterator[Finding]:
    """What a training reads, and has ``nan`` or infinities, once a field."""
    steps, episodes = dataset.steps, len(dataset)
    rows = {Axis.STEP: steps, Axis.STATE: steps + episodes, Axis.EPISODE: episodes}
    for spec in dataset.schema.fields:
        read = any(below(spec.name, root) for root in (OBSERVATION, ACTION, REWARD))
        counts = np.asarray(dataset.manifest.statistics.get(spec.name, {}).get("count"))
        if spec.finite or not read or counts.dtype.kind != "i" or counts.shape != spec.shape:
            continue
        least = int(counts.min())
        if least >= rows[spec.axis]:
            continue
        index, row = _first(dataset, spec, lambda rows: ~np.isfinite(rows))
        message = (
            f"field {spec.name!r}: nan or infinite in {rows[spec.axis] - least:,} of "
            f"{rows[spec.axis]:,} rows of a component; what is trained on them is nan as well: "
            "leave such episodes out"
        )
        yield Finding(Severity.WARNING, "bounds", message, episode=index, step=row)


def ends(dataset: Dataset, contract: Contract) -> Iterator[Finding]:
    """Episodes that end by ``terminated`` do not do so at the time limit."""
    lengths = dataset.lengths
    by_itself = dataset.column("terminated")[np.cumsum(lengths) - 1]
    limit = _time_limit(dataset.manifest.provenance) or int(lengths.max())
    at = np.flatnonzero(by_itself & (lengths == limit))
    if len(at) < LEAST or limit == 1 or not _crowded(lengths, by_itself, limit):
        return
    message = (
        f"ends: {len(at)} of {by_itself.sum()} episodes end by 'terminated' after {limit} "
        "steps, and none is longer; if that is a time limit, have the environment end them "
        "by 'truncated', since training takes 'terminated' for a true end"
    )
    yield Finding(Severity.WARNING, "ends", message, episode=int(at[0]), step=limit - 1)


def _crowded(lengths: np.ndarray, by_itself: np.ndarray, limit: int) -> bool:
    """Whether the episodes that end by themselves do so at the limit: all, or far too many."""
    if lengths.max() > limit:
        return False
    count, others = np.count_nonzero(lengths[by_itself] == limit), lengths[lengths != limit]
    if count == np.count_nonzero(by_itself):
        return True
    most = int(np.bincount(others).max()) if len(others) else 0
    return bool(by_itself.all() and count >= max(0.1 * len(lengths), 3 * most))


def _time_limit(provenance: Mapping[str, Any]) -> int:
    """The time limit that the recorded environment had; 0 if it is not told."""
    made = provenance.get("environment")
    made = made if isinstance(made, Mapping) else {}
    wrappers = made.get("wrappers", ())
    told = [made, *(wrappers if isinstance(wrappers, list | tuple) else ())]
    kwargs = [it.get("kwargs") for it in told if isinstance(it, Mapping)]
    limits = [it.get("max_episode_steps") for it in kwargs if isinstance(it, Mapping)]
    return min((it for it in limits if type(it) is int and it > 0), default=0)


def _has_one_value(spec: FieldSpec) -> bool:
    """Whether the field can have but one value, such as the state of a bandit."""
    low, high = limits(spec)
    return not spec.is_text and bool(np.all(low == high))


def _first(
    dataset: Dataset, spec: FieldSpec, faulty: Callable[[np.ndarray], np.ndarray]
) -> tuple[int, int]:
    """Episode and row of a field's first value that is faulty."""
    for index, rows in enumerate(dataset.rows(spec.name)):
        found = faulty(rows).reshape(len(rows) if rows.ndim > len(spec.shape) else 1, -1)
        if found.any():
            return index, int(np.flatnonzero(found.any(axis=1))[0])
    return 0, 0


def _moves(rows: np.ndarray) -> bool:
    """Whether any row differs from the first; rows of ``nan`` are the same."""
    if len(rows) > 1 and not _same(rows[1], rows[0]):
        return True
    return any(not _same(row, rows[0]) for row in rows[2:])


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
