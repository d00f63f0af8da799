"""Quantiles of the values of a field, as NumPy interpolates them, and the rows they come from."""

import numpy as np

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_COUNTED = 2**15


def quantiles(rows: np.ndarray) -> np.ndarray:
    """Those of each column of ``[rows, columns]``, values that are not finite left out."""
    if rows.dtype == np.uint8 and rows.shape[1] == 1:
        return quantiles_of_bytes(counts_of_bytes(rows[:, 0]))
    columns = rows.T.astype(np.float64, order="C")
    known = np.isfinite(columns)
    if np.any(np.abs(columns[known]) > 2.0**1022):  # neighbours could be further apart than floats
        return 2.0 * quantiles(rows.astype(np.float64) * 0.5)
    if known.all():
        return _of_known(columns)
    nothing = np.full(len(QUANTILES), np.nan)
    values = [column[there] for column, there in zip(columns, known, strict=True)]
    found = [_of_known(column) if len(column) else nothing for column in values]
    return np.stack(found, axis=1)


def _of_known(columns: np.ndarray) -> np.ndarray:
    """Those along the last axis; `numpy.quantile` would import 60 ms of other modules for it."""
    last = columns.shape[-1] - 1
    places = last * np.array(QUANTILES)
    low = np.floor(places).astype(np.intp)
    high = np.minimum(low + 1, last)
    ordered = np.partition(columns, sorted({0, last, *low.tolist(), *high.tolist()})).T
    share = (places - low if last else places + 1).reshape(-1, *[1] * (columns.ndim - 1))
    gap = ordered[high] - ordered[low]
    found: np.ndarray = np.where(
        share < 0.5, ordered[low] + gap * share, ordered[high] - gap * (1 - share)
    )
    return found


def counts_of_bytes(values: np.ndarray) -> np.ndarray:
    """How many of ``uint8[n]`` have each value, ``int64[256]``; few are widened at once."""
    counts = np.zeros(256, np.int64)
    for first in range(0, len(values), _COUNTED):
        counts += np.bincount(values[first : first + _COUNTED], minlength=256)
    return counts


def quantiles_of_bytes(counts: np.ndarray) -> np.ndarray:
    """Those of one column of bytes, ``counts[value]`` of each value; a tenth of the time."""
    ends = np.cumsum(counts)
    places = (ends[-1] - 1) * np.array(QUANTILES)
    low, share = np.floor(places), places % 1
    one, other = (np.searchsorted(ends, at, side="right") for at in (low, np.ceil(places)))
    gap = (other - one).astype(np.float64)
    found: np.ndarray = np.where(share < 0.5, one + gap * share, other - gap * (1 - share))
    return found[:, None]


class Sample:
    """Every n-th row, n doubling as needed, so that between half the limit and the limit stay."""

    def __init__(self, limit: int) -> None:
        self.limit, self._stride, self._seen = limit, 1, 0
        self._rows: list[np.ndarray] = []

    def add(self, block: np.ndarray) -> None:
        """Take the next rows."""
        wanted = self.wanted(len(block))
        if wanted:
            self.keep(block[wanted.start :: wanted.step].copy())

    def wanted(self, count: int) -> range:
        """Which of the next rows to `keep`; some of those before may be dropped for it."""
        before, self._seen = self._seen, self._seen + count
        while -(-self._seen // self._stride) > self.limit:
            self._stride *= 2
            self._rows = [np.concatenate(self._rows)[::2]] if self._rows else []
        return range(-before % self._stride, count, self._stride)

    def keep(self, rows: np.ndarray) -> None:
        """Take rows that are `wanted`."""
        self._rows.append(rows)

    def rows(self) -> np.ndarray:
        """Those that stay."""
        return np.concatenate(self._rows)
