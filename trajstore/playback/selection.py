"""Which episodes a page shows when it cannot show all, and which belong side by side."""

from collections.abc import Sequence

import numpy as np

LIMIT = 400
"""Episodes of a page, unless more are asked for."""


def choose(scores: np.ndarray, scenarios: Sequence[str], *, limit: int = LIMIT) -> list[int]:
    """Return the indices of at most ``limit`` episodes, in order.

    Half of them are those with the highest anomaly scores, the other half is spread evenly over
    the scenarios and, within a scenario, over the order of recording.

    Args:
        scores: ``[N]``, anomaly score of each episode.
        scenarios: scenario of each episode.
        limit: at least 1.

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


def match(
    first: Sequence[tuple[str, int]], second: Sequence[tuple[str, int]]
) -> list[tuple[int, int]]:
    """Return positions of episodes that belong side by side: same scenario and seed, once each.

    Example:
        >>> match([("a", 1), ("a", 2), ("b", 1)], [("b", 1), ("a", 1), ("c", 9)])
        [(0, 1), (2, 0)]
    """
    places: dict[tuple[str, int], int] = {}
    for position, key in enumerate(second):
        places.setdefault(key, position)
    return [(position, places.pop(key)) for position, key in enumerate(first) if key in places]


def _spread(indices: list[int]) -> list[int]:
    """The same indices, to be taken from the end, so that any number of them lies far apart."""
    bits = max(1, (len(indices) - 1).bit_length())
    order = sorted(range(len(indices)), key=lambda place: format(place, f"0{bits}b")[::-1])
    return [indices[place] for place in reversed(order)]
