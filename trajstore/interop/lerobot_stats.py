"""The statistics that LeRobot normalises by, of one feature."""

from typing import Any

import numpy as np

from trajstore.dataset import Dataset
from trajstore.episode.fields import FieldSpec
from trajstore.interop.lerobot_fields import is_picture

MOST_ROWS = 10_000
"""From which quantiles, and all figures of pictures, are taken; evenly spaced."""
_QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}


class Statistics:
    """Minimum, maximum, mean, deviation and quantiles of a feature's rows.

    Pictures have them a colour, in 0 to 1, from the first frame of at most 100 episodes.
    """

    def __init__(self, spec: FieldSpec, dataset: Dataset) -> None:
        self._picture, self._wide = is_picture(spec), not spec.is_narrow
        self._every = max(1, len(dataset) // 100 if self._picture else dataset.steps // MOST_ROWS)
        self._seen = self._count = 0
        self._sample: list[np.ndarray] = []
        self._low: Any = np.inf
        self._high: Any = -np.inf
        self._sum: Any = 0.0
        self._squares: Any = 0.0

    def add(self, rows: np.ndarray) -> None:
        """Count the rows of an episode."""
        if self._picture:
            rows = rows[:1] if self._seen % self._every == 0 else rows[:0]
            self._seen += 1
        elif not self._wide:
            first = -self._seen % self._every
            self._sample.append(np.array(rows[first :: self._every], np.float64))
            self._seen += len(rows)
        if not len(rows):
            return
        values = rows.astype(np.float64)
        if self._picture:
            values = values.reshape(-1, 3) / 255
        self._count += len(rows)
        self._low = np.minimum(self._low, values.min(axis=0))
        self._high = np.maximum(self._high, values.max(axis=0))
        self._sum = self._sum + values.mean(axis=0) * len(rows)
        self._squares = self._squares + np.square(values).mean(axis=0) * len(rows)

    def result(self) -> dict[str, Any]:
        """The figures as LeRobot writes them."""
        mean = self._sum / self._count
        deviation = np.sqrt(np.maximum(self._squares / self._count - np.square(mean), 0))
        found = {"min": self._low, "max": self._high, "mean": mean, "std": deviation}
        if self._sample:
            rows = np.concatenate(self._sample)
            found |= {name: np.quantile(rows, it, axis=0) for name, it in _QUANTILES.items()}
        plain = {name: self._listed(value) for name, value in found.items()}
        return plain | {"count": [self._count]}

    def _listed(self, value: Any) -> Any:  # noqa: ANN401 - numbers, nested
        array = np.nan_to_num(np.asarray(value, np.float64))
        return array.reshape(3, 1, 1).tolist() if self._picture else np.atleast_1d(array).tolist()
