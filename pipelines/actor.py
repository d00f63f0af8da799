"""A policy's deterministic action, computed row by row.

Matrix libraries choose another order of summation for another batch size, so that the same
observation gives actions that differ in the last bit. Here each row is computed alone and always
in the same order: an episode does not depend on what was played beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _layer(rows: Floats, weight: Floats, bias: Floats, squash: bool) -> Floats:
    count, inputs = rows.shape
    outputs = weight.shape[1]
    result = np.empty((count, outputs), np.float32)
    for r in range(count):
        total = bias.copy()
        for k in range(inputs):
            x = rows[r, k]
            for j in range(outputs):
                total[j] += x * weight[k, j]
        for j in range(outputs):
            result[r, j] = np.tanh(total[j]) if squash else total[j]
    return result


@dataclass(frozen=True, slots=True)
class Actor:
    """The mean action of a tanh network, clipped to the action's range.

    Attributes:
        mean: ``[D]`` subtracted from each observation.
        scale: ``[D]`` that the difference is multiplied by.
        layers: weights ``[inputs, outputs]`` and biases ``[outputs]``, the last one linear.
        low: ``[A]`` smallest action.
        high: ``[A]`` largest action.
    """

    mean: Floats
    scale: Floats
    layers: Sequence[tuple[Floats, Floats]]
    low: Floats
    high: Floats

    def __call__(self, observation: Floats) -> Floats:
        """Actions ``[B, A]`` for observations ``[B, D]``, the same bits for any ``B``."""
        rows = (np.asarray(observation, np.float32) - self.mean) * self.scale
        for index, (weight, bias) in enumerate(self.layers):
            rows = _layer(rows, weight, bias, index < len(self.layers) - 1)
        actions: Floats = np.clip(rows, self.low, self.high)
        return actions
