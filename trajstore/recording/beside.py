"""Work that is done in a thread beside the one that asks for it; what waits is bounded in bytes."""

import threading
import time
from collections import deque
from collections.abc import Callable

WAITING_BYTES = 256 * 2**20
"""Most that waits to be written; about seven seconds of two cameras."""


class Beside:
    """Does one work after another, in the order in which they were put.

    Args:
        settle: called when nothing is left to do; makes durable what was done.
    """

    def __init__(self, settle: Callable[[], None]) -> None:
        self._settle = settle
        self._changed = threading.Condition()
        self._left: deque[tuple[Callable[[], None], int]] = deque()
        self._bytes = 0
        self._busy = self._ended = False
        self._failures: list[Exception] = []
        self._thread: threading.Thread | None = None

    def put(self, work: Callable[[], None], size: int) -> float:
        """Leave work to the thread; says how long that had to wait for room, seconds.

        At most `WAITING_BYTES` wait or are worked on; a work that is larger waits for all others.
        """
        with self._changed:
            self._start()
            begun = time.monotonic()
            self._changed.wait_for(lambda: not self._bytes or self._bytes + size <= WAITING_BYTES)
            waited = time.monotonic() - begun
            self._left.append((work, size))
            self._bytes += size
            self._changed.notify_all()
        return waited

    def check(self) -> None:
        """Raise what work has failed with, each failure once."""
        with self._changed:
            if self._failures:
                raise self._failures.pop(0)

    def wait(self) -> None:
        """Return when all is done and durable; raise what failed."""
        with self._changed:
            self._changed.wait_for(lambda: not self._left and not self._busy)
        self.check()

    def end(self) -> None:
        """Do what is left, and end the thread; what failed stays to be raised by `check`."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="recording", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while self._next():
            pass

    def _next(self) -> bool:
        """Do the next work, or say that there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._left or self._ended)
            if not self._left:
                return False
            work, size = self._left.popleft()
            self._busy = True
        self._try(work)
        del work
        with self._changed:
            self._bytes -= size
            settled = bool(self._left)
            self._changed.notify_all()
        if not settled:
            self._try(self._settle)
        with self._changed:
            self._busy = False
            self._changed.notify_all()
        return True

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - it is raised in the thread that asked for it
            with self._changed:
                self._failures.append(error)
