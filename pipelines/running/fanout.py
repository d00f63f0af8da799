"""Independent tasks side by side: one interface, an existing engine behind it."""

import os
from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType
from typing import TypeVar

import joblib

from pipelines.running.params import ParamsError

PER_CORE = 3
"""Workers a core at most: seeds that share cores end together, and none idles at the end."""

Task = TypeVar("Task")
Result = TypeVar("Result")
Engine = Callable[[Callable[[Task], Result], Sequence[Task], int], list[Result]]
"""Applies a function to each task with so many workers; results in the order of the tasks."""


def one_after_another(
    function: Callable[[Task], Result], tasks: Sequence[Task], workers: int
) -> list[Result]:
    """In this process; what the other engines are compared with."""
    del workers
    return [function(task) for task in tasks]


def processes(
    function: Callable[[Task], Result], tasks: Sequence[Task], workers: int
) -> list[Result]:
    """In worker processes of this machine (joblib's loky), one thread each."""
    with joblib.parallel_config("loky", n_jobs=workers, inner_max_num_threads=1):
        return list(joblib.Parallel()(joblib.delayed(function)(task) for task in tasks))


def elsewhere(module: str) -> Engine[Task, Result]:
    """An engine whose module, and the package that it needs, is imported when it is used."""

    def apply(
        function: Callable[[Task], Result], tasks: Sequence[Task], workers: int
    ) -> list[Result]:
        return list(_imported(module).apply(function, tasks, workers))

    return apply


def _imported(module: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError as error:
        raise ParamsError(
            f"engine: expected the package {error.name} that {module} needs, got none; "
            "install the extra 'cluster'"
        ) from error


CLUSTERS = {"ray": "pipelines.running.on_ray", "submitit": "pipelines.running.on_submitit"}
ENGINES: dict[str, Engine] = {  # type: ignore[type-arg]
    "processes": processes,
    "sequential": one_after_another,
    **{name: elsewhere(module) for name, module in CLUSTERS.items()},
}
"""Every engine by name; what a task computes does not depend on which one runs it."""


def check_engine(engine: str) -> int:
    """Whether tasks can be run at all, for a stage to ask before it touches a disk.

    Returns:
        How many workers there may be.

    Raises:
        ParamsError: no such engine, no package for it, or no number in ``TRAJSTORE_WORKERS``.
    """
    if engine not in ENGINES:
        raise ParamsError(f"engine: expected one of {sorted(ENGINES)}, got {engine!r}")
    if engine in CLUSTERS:
        _imported(CLUSTERS[engine])
    bound = os.environ.get("TRAJSTORE_WORKERS", str(PER_CORE * len(os.sched_getaffinity(0))))
    if not bound.isdecimal():
        raise ParamsError(f"TRAJSTORE_WORKERS: expected a number of workers, got {bound!r}")
    return int(bound)


def run_tasks(
    function: Callable[[Task], Result], tasks: Sequence[Task], *, engine: str = "processes"
) -> list[Result]:
    """Apply ``function`` to each task; results come in the order of the tasks.

    The environment variable ``TRAJSTORE_WORKERS`` bounds the workers, by default so many that no
    core idles while the last tasks end.

    Raises:
        ParamsError: as `check_engine` says.
    """
    workers = max(1, min(len(tasks), check_engine(engine)))
    if workers == 1 and engine in ("processes", "sequential"):
        return one_after_another(function, tasks, 1)
    return list(ENGINES[engine](function, tasks, workers))
