"""Threads beside the one that writes a version: digests and disks need no interpreter."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
AHEAD = 4
"""Pieces of work that wait in a lane at most; each holds some megabytes."""


class Lane:
    """One thread, which does what it is given in order; small work is not worth it.

    What goes wrong in it comes out of the next call of `give` or `wait`.
    """

    def __init__(self, *, beside: bool) -> None:
        """Work is done at once, in the caller's thread, unless ``beside``."""
        self._pool = ThreadPoolExecutor(1) if beside else None
        self._given: deque[Future[object]] = deque()

    def give(self, act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Do something after all that was given before."""
        if self._pool is None:
            done: Future[T] = Future()
            done.set_result(act(*args, **kwargs))
            return done
        while len(self._given) >= AHEAD:
            self._given.popleft().result()
        future = self._pool.submit(act, *args, **kwargs)
        self._given.append(future)  # type: ignore[arg-type]
        return future

    def wait(self) -> None:
        """Wait until all that was given is done."""
        while self._given:
            self._given.popleft().result()

    def abandon(self) -> None:
        """Drop what has not begun, and wait for the rest."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
