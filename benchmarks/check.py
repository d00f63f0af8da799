"""Values that come back, beside the values that went in."""

from collections.abc import Iterator

import numpy as np

from benchmarks.data import Source
from benchmarks.peers import Batch, Reader

_EXACT = "exact"


class Locator:
    """Finds the row of a step by its observation, whose first two numbers are a key."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.keys = self._key(source.fields["observation"])
        self.order = np.argsort(self.keys)
        self.sorted = self.keys[self.order]

    def rows(self, observation: np.ndarray) -> np.ndarray:
        """Row of each observation, -1 where no row of the source has its key."""
        key = self._key(observation)
        place = np.minimum(np.searchsorted(self.sorted, key), len(self.sorted) - 1)
        return np.where(self.sorted[place] == key, self.order[place], -1)

    @staticmethod
    def _key(observation: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(observation[:, :2], np.float32).view(np.uint64)[:, 0]


def _differences(got: Batch, want: Batch) -> Iterator[tuple[str, str]]:
    for name, values in want.items():
        if name not in got:
            continue
        have = np.asarray(got[name])
        if have.shape != values.shape:
            yield name, f"shape {have.shape} instead of {values.shape}"
        elif np.array_equal(have, values):
            if have.dtype != values.dtype:
                yield name, f"{have.dtype} instead of {values.dtype}"
        else:
            gap = np.abs(have.astype(np.float64) - values.astype(np.float64))
            share = 100 * np.count_nonzero(gap) / gap.size
            yield name, f"largest error {gap.max():g}, {share:.0f} % of values in a block"


def _check_order(reader: Reader, source: Source, found: dict[str, str]) -> None:
    position = 0
    for block in reader.sequential():
        length = len(block["reward"])
        want = {name: rows[position : position + length] for name, rows in source.fields.items()}
        for name in want.keys() - block.keys():
            found.setdefault(name, "not stored")
        for name, text in _differences(block, want):
            found.setdefault(name, text)
        position += length
    if position != source.steps:
        found["steps"] = f"{position} instead of {source.steps}"


def _check_draws(
    reader: Reader, source: Source, found: dict[str, str], sizes: tuple[int, int, int]
) -> None:
    rng, locator = np.random.default_rng(0), Locator(source)
    size, windows, length = sizes
    batch = reader.transitions(rng, size)
    window = reader.windows(rng, windows, length)
    first = locator.rows(window["observation"][:, 0])
    inside = window.get("mask", np.ones((windows, length), bool))
    run = first[:, None] + np.arange(length)
    episode = np.searchsorted(np.cumsum(source.lengths), run, side="right")
    if (episode != episode[:, :1])[inside].any():
        found["windows"] = "not runs of steps of one episode"
    steps = {name: values[inside] for name, values in window.items() if name in source.fields}
    for label, arrays, rows in (
        ("random steps", batch, locator.rows(batch["observation"])),
        ("windows", steps, run[inside]),
    ):
        if (rows < 0).any():
            found[label] = "observations that were never written"
            continue
        want = {name: values[rows] for name, values in source.fields.items()}
        for name, text in _differences(arrays, want):
            found.setdefault(name, f"{label}: {text}")


def measure_loss(reader: Reader, source: Source) -> float:
    """Peak signal-to-noise ratio over all frames of all cameras, dB; 99 if nothing is lost."""
    cameras = [name for name, rows in source.fields.items() if rows.ndim == 4]
    error = count = position = 0
    for block in reader.sequential():
        length = len(block["reward"])
        for name in cameras:
            for row in range(length):
                given = source.fields[name][position + row].astype(np.int32)
                gap = given - block[name][row]
                error += int(np.vdot(gap, gap))
                count += gap.size
        position += length
    return min(99.0, 10 * np.log10(255**2 * count / error)) if error else 99.0


def compare_values(
    reader: Reader, source: Source, size: int = 256, windows: int = 64, length: int = 16
) -> str:
    """``exact``, or each field that differs and how; draws are of so many steps and windows."""
    found: dict[str, str] = {}
    _check_order(reader, source, found)
    start, length = int(source.starts[3]), int(source.lengths[3])
    want = {name: rows[start : start + length] for name, rows in source.fields.items()}
    for name, text in _differences(reader.episode(3), want):
        found.setdefault(name, f"episode 3: {text}")
    _check_draws(reader, source, found, (size, windows, length))
    return "; ".join(f"{name}: {text}" for name, text in sorted(found.items())) or _EXACT
