"""Random steps and windows of flat rows: the same draw for every peer that draws itself."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from benchmarks.peers import Batch


class Rows:
    """Row arithmetic over episodes that lie end to end."""

    def __init__(self, lengths: np.ndarray) -> None:
        self.lengths = np.asarray(lengths, np.int64)
        self.ends = np.cumsum(self.lengths)
        self.starts = self.ends - self.lengths
        self.steps = int(self.ends[-1])
        self._windows: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def draw(self, rng: np.random.Generator, size: int) -> np.ndarray:
        return rng.integers(self.steps, size=size)

    def draw_windows(self, rng: np.random.Generator, size: int, length: int) -> np.ndarray:
        """First rows of ``size`` windows, uniform over all windows that fit an episode."""
        if length not in self._windows:
            starts = np.maximum(self.lengths - length + 1, 0)
            ends = np.cumsum(starts)
            self._windows[length] = self.starts - (ends - starts), ends
        skipped, ends = self._windows[length]
        pick = rng.integers(ends[-1], size=size)
        return pick + skipped[np.searchsorted(ends, pick, side="right")]

    def locate(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Episode and step of each row."""
        episode = np.searchsorted(self.ends, rows, side="right")
        return episode, rows - self.starts[episode]


def gather_by_episode(
    rows: Rows, flat: np.ndarray, read: Callable[[int, np.ndarray], Batch]
) -> Batch:
    """Random steps of a store that reads an episode at a time; every episode is read once.

    Args:
        rows: where the episodes lie.
        flat: rows wanted, any order.
        read: ``(episode, steps) -> [len(steps), ...]``.
    """
    episode, step = rows.locate(flat)
    order = np.argsort(episode, kind="stable")
    batch: Batch = {}
    for group in np.split(order, np.flatnonzero(np.diff(episode[order])) + 1):
        for name, values in read(int(episode[group[0]]), step[group]).items():
            if name not in batch:
                batch[name] = np.empty((len(flat), *values.shape[1:]), values.dtype)
            batch[name][group] = values
    return batch


def block_of(fields: Mapping[str, Any]) -> int:
    """How many steps to read at once: many, or those of an episode where they have frames."""
    return 16_384 if all(rows.ndim < 4 for rows in fields.values()) else 1


def split_blocks(
    rows: Rows, read: Callable[[int, int], Batch], *, block: int = 16_384
) -> Iterator[Batch]:
    """Episodes in order, cut from runs of whole episodes: ``read(first row, row after)``."""
    first = 0
    while first < len(rows.lengths):
        start = int(rows.starts[first])
        last = max(first + 1, int(np.searchsorted(rows.ends, start + block, side="right")))
        arrays = read(start, int(rows.ends[last - 1]))
        for index in range(first, last):
            span = slice(int(rows.starts[index]) - start, int(rows.ends[index]) - start)
            yield {name: values[span] for name, values in arrays.items()}
        first = last


def gather_windows(
    rows: Rows, first: np.ndarray, length: int, read: Callable[[int, int, int], Batch]
) -> Batch:
    """Windows of a store that reads slices: ``read(episode, first step, last step + 1)``."""
    episode, step = rows.locate(first)
    parts = [
        read(which, start, start + length)
        for which, start in zip(episode.tolist(), step.tolist(), strict=True)
    ]
    return {name: np.stack([part[name] for part in parts]) for name in parts[0]}
