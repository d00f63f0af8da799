"""Which episodes of a version stand in a page: the worst, and others of every kind."""

from collections.abc import Sequence

import numpy as np

LIMIT = 400
"""Episodes of a page, unless more are asked for."""


def choose(scores: np.ndarray, scenarios: Sequence[str], *, limit: int) -> list[int]:
    """Indices of at most ``limit`` episodes (at least 1), in order, by their anomaly scores.

    Half of them are those with the highest scores, the other half is spread evenly over the
    scenarios and, within a scenario, over the order of recording.

    Example:
        >>> choose(np.array([0.0, 3.0, 0.0, 0.0, 1.0, 0.0]), list("aaaabb"), limit=4)
        [0, 1, 4, 5]
    """
    count = len(scores)
    if count <= limit:
        return list(range(count))
    worst = [int(index) for index in np.argsort(-scores, kind="stable") if scores[index] > 0]
    chosen = set(worst[: (limit + 1) // 2])
    rest: dict[str, list[int]] = {}
    for index in range(count):
        if index not in chosen:
            rest.setdefault(str(scenarios[index]), []).append(index)
    queues = [_spread(indices) for _, indices in sorted(rest.items())]
    while len(chosen) < limit:
        for queue in queues:
            if queue and len(chosen) < limit:
                chosen.add(queue.pop())
    return sorted(chosen)


def _spread(indices: list[int]) -> list[int]:
    """The same indices, to be taken from the end, so that any number of them lies far apart."""
    bits = max(1, (len(indices) - 1).bit_length())
    order = sorted(range(len(indices)), key=lambda place: format(place, f"0{bits}b")[::-1])
    return [indices[place] for place in reversed(order)]
