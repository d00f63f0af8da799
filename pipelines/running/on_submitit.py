"""Jobs on a Slurm cluster, through submitit; as local processes where there is no Slurm.

``TRAJSTORE_SUBMITIT`` holds submitit's parameters as JSON, such as
``{"slurm_partition": "cpu", "timeout_min": 240}``. Jobs and their logs lie in ``data/logs``, which
has to be on a disk that the nodes share, as the repository has.
"""

import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import submitit

from pipelines.running.params import ParamsError
from trajstore.errors import TrajStoreError

Job = TypeVar("Job")
Result = TypeVar("Result")

LOGS = Path("data/logs/submitit")


def apply(function: Callable[[Job], Result], jobs: Sequence[Job], workers: int) -> list[Result]:
    """As every engine of ``fanout``; at most ``workers`` jobs of Slurm at once."""
    executor = submitit.AutoExecutor(folder=LOGS)
    parameters: dict[str, Any] = {"cpus_per_task": 1, "timeout_min": 720, "name": "trajstore"}
    if executor.cluster == "slurm":
        parameters["slurm_array_parallelism"] = workers
    executor.update_parameters(**(parameters | _chosen()))
    submitted = executor.map_array(partial(_outcome, function), jobs)
    results = []
    for job in submitted:
        outcome = job.result()
        if isinstance(outcome, TrajStoreError):
            raise outcome
        results.append(outcome)
    return results


def _outcome(function: Callable[[Job], Result], job: Job) -> Result | TrajStoreError:
    """The result, or the error as a value: a failed job would tell of it as a text only."""
    try:
        return function(job)
    except TrajStoreError as error:
        return error


def _chosen() -> dict[str, Any]:
    text = os.environ.get("TRAJSTORE_SUBMITIT", "{}")
    try:
        chosen = json.loads(text)
    except ValueError:
        chosen = None
    if not isinstance(chosen, dict):
        raise ParamsError(f"TRAJSTORE_SUBMITIT: expected a JSON object, got {text!r}; correct it")
    return chosen
