"""Memory that is used again is nobody else's while an array or a view of one holds it."""

import copy
import threading

import numpy as np
import pytest

from trajstore.version import lent
from trajstore.version.lent import Memory


def place(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def test_what_is_held_is_not_given_again() -> None:
    memory = Memory()
    first = memory.empty((4, 8, 3))
    first[...] = 1
    part = first[1:2].transpose(0, 2, 1)
    buffer = memoryview(first[3])
    del first
    for _ in range(3):
        other = memory.empty((4, 8, 3))
        other[...] = 2
        assert not np.shares_memory(part, other)
    assert part.min() == part.max() == 1
    assert bytes(buffer) == bytes([1]) * 24


def test_what_was_let_go_is_given_again_for_about_its_size() -> None:
    memory = Memory()
    first = memory.empty((100, 10))
    at = place(first)
    del first
    for shape in ((99, 10), (50, 10), (100, 10)):
        again = memory.empty(shape)
        assert (place(again), again.shape, again.dtype) == (at, shape, np.uint8)
        assert again.flags.writeable and again.flags.c_contiguous
        del again
    small = memory.empty((4, 10))
    assert len(memory._free) == 0 and small.shape == (4, 10)


def test_no_more_than_a_bound_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lent, "KEPT_BYTES", 1_000)
    memory = Memory()
    held = [memory.empty((10, 100)), memory.empty((11, 100)), memory.empty((0, 100))]
    assert [it.shape for it in held] == [(10, 100), (11, 100), (0, 100)]
    held += [memory.empty((10, 100))]
    held.clear()
    assert [len(it) for it in memory._free] == [1_000]


def test_arrays_are_arrays_like_any_other() -> None:
    array = Memory().empty((2, 3))
    array[...] = [[1, 2, 3], [4, 5, 6]]
    assert type(array) is np.ndarray
    assert copy.deepcopy(array).tolist() == array.copy().tolist() == array.tolist()


def test_threads_share_it() -> None:
    memory, wrong = Memory(), []

    def work(number: int) -> None:
        for _ in range(300):
            mine = memory.empty((50, 100))
            mine[...] = number
            if mine.min() != number or mine.max() != number:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
