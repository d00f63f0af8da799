"""Memory for large arrays, used again once nobody holds them: the system clears what it gives."""

from collections import deque
from math import prod

import numpy as np

KEPT_BYTES = 64 * 2**20
"""Most of memory that is kept while nobody uses it."""


class Memory:
    """Where arrays of bytes are made, one after the other; threads may share it.

    The memory of the one that was let go of last is kept for the next of about its size.
    """

    def __init__(self) -> None:
        self._free: deque[np.ndarray] = deque(maxlen=1)

    def empty(self, shape: tuple[int, ...]) -> np.ndarray:
        """``uint8`` of a shape, with any content; nobody else gets its memory while it is held."""
        size = prod(shape)
        if not 0 < size <= KEPT_BYTES:
            return np.empty(shape, np.uint8)
        try:
            memory = self._free.pop()
        except IndexError:
            memory = np.empty(size, np.uint8)
        if not size <= len(memory) <= 2 * size:
            memory = np.empty(size, np.uint8)
        return np.asarray(_Lent(memory, self._free))[:size].reshape(shape)


class _Lent:
    """What an array and all its views hold; the last of them gives the memory back."""

    def __init__(self, memory: np.ndarray, free: deque[np.ndarray]) -> None:
        self.__array_interface__ = memory.__array_interface__
        self._memory, self._free = memory, free

    def __del__(self) -> None:
        self._free.append(self._memory)
