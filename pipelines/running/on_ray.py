"""Jobs on a Ray cluster, through Ray's own backend for joblib.

The address is Ray's: ``RAY_ADDRESS``, or a cluster on this machine that ends with the process.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import joblib
import ray
from ray.util.joblib import register_ray

Job = TypeVar("Job")
Result = TypeVar("Result")


def apply(function: Callable[[Job], Result], jobs: Sequence[Job], workers: int) -> list[Result]:
    """As every engine of ``pipelines.running.fanout``."""
    if not ray.is_initialized():
        ray.init(num_cpus=None, include_dashboard=False, log_to_driver=False)
    register_ray()
    with joblib.parallel_config("ray", n_jobs=workers):
        return list(joblib.Parallel()(joblib.delayed(function)(job) for job in jobs))
