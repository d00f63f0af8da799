"""What tasks compute does not depend on the engine; results come in the order of the tasks."""

import os

import pytest

from pipelines.fanout import ENGINES, run_tasks
from pipelines.params import ParamsError
from trajstore.errors import StatusError


def square(number: int) -> tuple[int, int]:
    return number, number * number


def where(_: int) -> int:
    return os.getpid()


def fail(number: int) -> int:
    raise StatusError(f"task {number}: expected luck, got none")


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_results_come_in_the_order_of_the_tasks(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAJSTORE_WORKERS", "2")
    assert run_tasks(square, range(9), engine=engine) == [square(n) for n in range(9)]


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_an_error_of_a_task_keeps_its_class(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAJSTORE_WORKERS", "2")
    with pytest.raises(StatusError, match="expected luck"):
        run_tasks(fail, [1, 2], engine=engine)


def test_one_worker_needs_no_other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAJSTORE_WORKERS", "1")
    assert run_tasks(where, [1, 2], engine="processes") == [os.getpid()] * 2


def test_no_tasks_are_no_results() -> None:
    assert run_tasks(square, []) == []


def test_an_unknown_engine_and_a_number_that_is_none_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ParamsError, match=r"expected one of .* got 'clouds'"):
        run_tasks(square, [1], engine="clouds")
    monkeypatch.setenv("TRAJSTORE_WORKERS", "many")
    with pytest.raises(ParamsError, match="TRAJSTORE_WORKERS: expected a number"):
        run_tasks(square, [1])
