"""Quantiles of the values of a field, as NumPy interpolates them."""

import numpy as np

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def quantiles(rows: np.ndarray) -> np.ndarray:
    """Those of each column of ``[rows, columns]``, values that are not finite left out."""
    if rows.dtype == np.uint8 and rows.shape[1] == 1:
        return _of_bytes(rows)
    columns = rows.T.astype(np.float64, order="C")
    known = np.isfinite(columns)
    if np.any(np.abs(columns[known]) > 2.0**1022):  # neighbours could be further apart than floats
        return 2.0 * quantiles(rows.astype(np.float64) * 0.5)
    if known.all():
        return np.quantile(columns, QUANTILES, axis=1)
    nothing = np.full(len(QUANTILES), np.nan)
    values = [column[there] for column, there in zip(columns, known, strict=True)]
    found = [np.quantile(column, QUANTILES) if len(column) else nothing for column in values]
    return np.stack(found, axis=1)


def _of_bytes(rows: np.ndarray) -> np.ndarray:
    """The same figures, counted: a tenth of the time."""
    ends = np.cumsum(np.bincount(rows[:, 0], minlength=256))
    places = (len(rows) - 1) * np.array(QUANTILES)
    low, share = np.floor(places), places % 1
    one, other = (np.searchsorted(ends, at, side="right") for at in (low, np.ceil(places)))
    gap = (other - one).astype(np.float64)
    found: np.ndarray = np.where(share < 0.5, one + gap * share, other - gap * (1 - share))
    return found[:, None]
