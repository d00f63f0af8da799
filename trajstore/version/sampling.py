"""Which steps come next: seeded orders, steps of chosen episodes, windows. Arithmetic only."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Batch = dict[str, np.ndarray]

_ROUNDS = 6
_MIX = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)
_AHEAD = 16_384


class Order:
    """A seeded shuffle of ``range(count)`` of which any stretch is computed when it is needed.

    It takes no memory and no time to set up, whatever the count: a Feistel network over pairs
    of digits (Black and Rogaway, Ciphers with arbitrary finite domains, 2002), walked on where
    it leaves the range.

    Example:
        >>> order = Order(10, seed=1)
        >>> sorted(order.stretch(0, 10).tolist())
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
        >>> order.stretch(4, 6).tolist() == order.stretch(0, 10).tolist()[4:6]
        True
    """

    def __init__(self, count: int, *, seed: int) -> None:
        """Prepare the shuffle; ``count`` is below 2**62."""
        self.count = count
        self._side = np.uint64(max(2, math.isqrt(max(count - 1, 0)) + 1))
        keys = np.random.SeedSequence(seed).generate_state(_ROUNDS, np.uint64)
        self._keys = [np.uint64(key) for key in keys]

    def stretch(self, first: int, stop: int) -> np.ndarray:
        """The numbers at places ``first`` to ``stop`` of the shuffle; ``int64``."""
        places: np.ndarray = np.arange(first, min(stop, self.count), dtype=np.uint64)
        out = self._once(places)
        outside = np.flatnonzero(out >= self.count)
        while len(outside):
            out[outside] = self._once(out[outside])
            outside = outside[out[outside] >= self.count]
        return out.astype(np.int64)

    def _once(self, places: np.ndarray) -> np.ndarray:
        left, right = places // self._side, places % self._side
        for key in self._keys:
            mixed = (right + key) * _MIX
            mixed ^= mixed >> np.uint64(29)
            mixed *= _MIX
            mixed >>= _HALF
            mixed *= self._side
            mixed >>= _HALF
            mixed += left
            mixed -= self._side * (mixed >= self._side)
            left, right = right, mixed
        return left * self._side + right


def check_count(n: object) -> None:
    """Refuse what is no number of steps to draw."""
    if not isinstance(n, int | np.integer) or n < 0:
        raise ValueError(f"n: expected a whole number of 0 or more, got {ascii(n)[:80]}")


def check_generator(rng: object) -> None:
    """Refuse a source of chance that is none, such as a bare seed."""
    if not isinstance(rng, np.random.Generator):
        seed = rng if isinstance(rng, int) else 0
        raise TypeError(
            f"rng: must be a numpy.random.Generator, got {ascii(rng)[:80]}; pass "
            f"np.random.default_rng({seed})"
        )


def check_pass(size: int, window: int | None, rng: object, resume: object) -> None:
    """Refuse what no pass through the steps can be made of."""
    if size < 1 or (window is not None and window < 1):
        raise ValueError(
            f"batches: expected a size and a window of 1 or more, got {size}, {window}"
        )
    if rng is None and resume is None:
        raise ValueError("batches: give rng=np.random.default_rng(...), or resume= a state")
    if rng is not None:
        check_generator(rng)


def episode_number(index: object, count: int) -> int:
    """The number of an episode among ``count``; negative ones count from the end.

    Example:
        >>> episode_number(-1, 5)
        4
    """
    if not isinstance(index, int | np.integer):
        raise TypeError(
            f"episode: expected a whole number, got {ascii(index)[:80]}; "
            "ask for one episode at a time"
        )
    if not -count <= index < count:
        raise IndexError(f"there is no episode {index}; they are 0 to {count - 1}")
    return int(index) % count


class Steps:
    """The steps of some episodes, counted through: item ``k`` is a step of an episode."""

    def __init__(self, lengths: np.ndarray, chosen: np.ndarray | None = None) -> None:
        """Count the steps of all episodes, ``int64[N]``, or of those chosen, ``bool[N]``."""
        self._episodes = None if chosen is None else np.flatnonzero(chosen)
        counted = lengths if self._episodes is None else lengths[self._episodes]
        self._ends = np.cumsum(counted)
        self._starts = self._ends - counted
        self.count = int(self._ends[-1]) if len(self._ends) else 0

    def locate(self, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Episode and step of each item.

        Example:
            >>> steps = Steps(np.array([2, 3, 1]), np.array([True, False, True]))
            >>> [found.tolist() for found in steps.locate(np.array([0, 1, 2]))]
            [[0, 0, 2], [0, 1, 0]]
        """
        place = self._ends.searchsorted(items, side="right")
        step = items - self._starts[place]
        return (place if self._episodes is None else self._episodes[place]), step


def window_steps(
    step: np.ndarray, length: np.ndarray, window: int
) -> tuple[np.ndarray, np.ndarray]:
    """The steps of windows that begin at given steps, and which of them exist.

    Of ``step`` and ``length`` (of its episode), ``int64[B]``, come ``int64[B, window]``, the last
    step repeated after the episode's end, and ``bool[B, window]``, false where it is.

    Example:
        >>> steps, mask = window_steps(np.array([1]), np.array([3]), 4)
        >>> steps.tolist(), mask.tolist()
        ([[1, 2, 2, 2]], [[True, True, False, False]])
    """
    wanted = step[:, None] + np.arange(window)
    last = length[:, None] - 1
    return np.minimum(wanted, last), wanted <= last


@dataclass(frozen=True, slots=True)
class Position:
    """Where a pass through the shuffled steps of a dataset stands.

    Attributes:
        seed: of the order.
        batch: number of the next batch.
        size: items a batch.
        count: items of the whole pass.
        window: steps of a window; ``None`` for single steps.
        content: digest of the data, so that a position is not used with other data.
    """

    seed: int
    batch: int
    size: int
    count: int
    window: int | None
    content: str

    def to_json(self) -> dict[str, Any]:
        """A mapping of plain values."""
        return {name: getattr(self, name) for name in self.__slots__}

    def resumed(self, state: Mapping[str, Any]) -> "Position":
        """This pass at the place, and in the order, of another's ``state``, if it fits."""
        expected = self.to_json()
        for name in sorted(expected.keys() ^ state.keys()):
            raise ValueError(
                f"state: expected the keys {sorted(expected)}, got a difference: {name}"
            )
        for name in ("content", "count", "size", "window"):
            if state[name] != expected[name]:
                raise ValueError(
                    f"state: expected {name} {expected[name]!r}, got {state[name]!r}; "
                    "resume with the data and the arguments it was made with"
                )
        return Position(**{**expected, "seed": int(state["seed"]), "batch": int(state["batch"])})


class Batches(Iterator[Batch]):
    """One pass through the shuffled steps or windows of a dataset; the last batch may be short.

    ``state()`` is a mapping for JSON from which ``batches(..., resume=state)`` goes on.
    ``batch(k)`` gives any batch of the pass, which lets workers share it without talking.
    """

    def __init__(self, gather: Callable[[np.ndarray], Batch], position: Position) -> None:
        """Start at a position; ``gather`` turns numbers of items into their values."""
        self._gather = gather
        self._position = position
        self._next = position.batch
        self._order = Order(position.count, seed=position.seed)
        self._first = self._stop = 0
        self._known: np.ndarray = np.empty(0, np.int64)

    @property
    def items(self) -> int:
        """Steps or windows of the whole pass."""
        return self._position.count

    def __len__(self) -> int:
        """Batches of the whole pass, whatever the position."""
        return -(-self._position.count // self._position.size)

    def __next__(self) -> Batch:
        if self._next >= len(self):
            raise StopIteration
        batch = self.batch(self._next)
        self._next += 1
        return batch

    def batch(self, number: int) -> Batch:
        """Batch ``number`` of the pass, wherever the iteration stands."""
        if not 0 <= number < len(self):
            raise IndexError(f"there is no batch {number}; they are 0 to {len(self) - 1}")
        return self._gather(self._items(number))

    def state(self) -> dict[str, Any]:
        """The position, as plain values."""
        return {**self._position.to_json(), "batch": self._next}

    def _items(self, number: int) -> np.ndarray:
        size = self._position.size
        first = number * size
        if not self._first <= first < self._stop:
            self._first = first
            self._stop = first + max(1, _AHEAD // size) * size
            self._known = self._order.stretch(self._first, self._stop)
        return self._known[first - self._first : first - self._first + size]
