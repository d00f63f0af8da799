"""Independent jobs side by side: one interface, an existing engine behind it."""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Annotated, TypeVar

import joblib

from pipelines.running.params import ParamsError, named

PER_CORE = 3
"""Workers a core at most: seeds that share cores end together, and none idles at the end."""
CLUSTERS = {"ray": "pipelines.running.on_ray", "submitit": "pipelines.running.on_submitit"}
"""Engines of clusters, whose modules, and the packages that these need, are imported when used."""
ENGINES = ("processes", "sequential", *CLUSTERS)
"""Every engine by name; what a job computes does not depend on which one runs it."""

Engine = Annotated[str, named(ENGINES)]
Job = TypeVar("Job")
Result = TypeVar("Result")


def cores() -> int:
    """So many this process may use."""
    return len(os.sched_getaffinity(0))


def check_engine(engine: str) -> int:
    """How many workers there may be; for a stage to ask before it touches a disk.

    Raises:
        ParamsError: no such engine, no package for it, or no number in ``TRAJSTORE_WORKERS``.
    """
    if engine not in ENGINES:
        raise ParamsError(f"engine: expected one of {sorted(ENGINES)}, got {engine!r}")
    if engine in CLUSTERS:
        _cluster(engine)
    bound = os.environ.get("TRAJSTORE_WORKERS", str(PER_CORE * cores()))
    if not bound.isdecimal():
        raise ParamsError(f"TRAJSTORE_WORKERS: expected a number of workers, got {bound!r}")
    return int(bound)


def _cluster(engine: str) -> ModuleType:
    try:
        return import_module(CLUSTERS[engine])
    except ImportError as error:
        raise ParamsError(
            f"engine: {engine} needs the package {error.name}; install the extra 'cluster'"
        ) from error


def run_jobs(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    *,
    engine: str = "processes",
    workers: int | None = None,
    told: Callable[[Result], None] = lambda _result: None,
) -> list[Result]:
    """Apply ``function`` to each job; results come in the order of the jobs.

    Each result is ``told`` here as soon as it is there.

    ``processes`` are workers of this machine (joblib's loky), one thread each; a single one is
    this process. The environment variable ``TRAJSTORE_WORKERS`` bounds the workers, by default so
    many that no core idles while the last jobs end.
    """
    bound = check_engine(engine)
    workers = max(1, min(len(jobs), workers or bound))
    found: dict[int, Result] = {}
    for place, result in _results(function, jobs, engine, workers):
        found[place] = result
        told(result)
    return [found[place] for place in range(len(jobs))]


def _results(
    function: Callable[[Job], Result], jobs: Sequence[Job], engine: str, workers: int
) -> Iterator[tuple[int, Result]]:
    if engine in CLUSTERS:
        yield from enumerate(_cluster(engine).apply(function, jobs, workers))
    elif engine == "sequential" or workers == 1:
        yield from ((place, function(job)) for place, job in enumerate(jobs))
    else:
        numbered = partial(_numbered, function)
        with joblib.parallel_config("loky", n_jobs=workers, inner_max_num_threads=1):
            side_by_side = joblib.Parallel(return_as="generator_unordered", batch_size=1)
            yield from side_by_side(joblib.delayed(numbered)(it) for it in enumerate(jobs))


def _numbered(function: Callable[[Job], Result], numbered: tuple[int, Job]) -> tuple[int, Result]:
    return numbered[0], function(numbered[1])
