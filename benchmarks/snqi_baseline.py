"""Make SNQI's committed baseline: two scripted robots over every scenario, recorded and measured.

``python -m benchmarks.snqi_baseline`` writes ``snqi_baseline.json`` where ``snqi`` reads it, and
prints the 95th percentile of the robot-caused force at low density, which
``metrics.COMFORT_FORCE`` stands on.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipelines.learning.evaluation import episode_list
from pipelines.tasks.social_nav.config import ENV_VERSION, EnvConfig
from pipelines.tasks.social_nav.metrics import (
    COMFORT_FORCE,
    METRICS_VERSION,
    episode_row,
    robot_forces,
)
from pipelines.tasks.social_nav.robots import ROBOTS
from pipelines.tasks.social_nav.rollout import record_rollout
from pipelines.tasks.social_nav.scenarios import scenario_names
from pipelines.tasks.social_nav.snqi import BASELINE_FILE, Baseline, baseline_of
from trajstore.disk.files import write_json

FIRST_SEED = 3_000_000
"""Seeds of baseline episodes start here; nothing else uses them."""


def measure_baseline(*, each: int) -> tuple[Baseline, float]:
    """The baseline from ``each`` episodes a scenario and robot, and the comfort force, m/s2."""
    episodes = episode_list(scenario_names(), each=each, first_seed=FIRST_SEED)
    config = EnvConfig()
    played = [it for act in ROBOTS.values() for it in record_rollout(act, episodes, config)]
    rows = [episode_row(episode) for episode in played]
    low = [episode for episode in played if str(episode["scenario"]).endswith("/low")]
    pushes = np.concatenate([robot_forces(episode) for episode in low])
    comfort = float(np.quantile(pushes[pushes > 0.0], 0.95))
    origin = {
        "robots": list(ROBOTS),
        "episodes": len(rows),
        "first_seed": FIRST_SEED,
        "environment": ENV_VERSION,
        "metrics": METRICS_VERSION,
        "comfort_force": COMFORT_FORCE,
        "comfort_force_measured": comfort,
    }
    return baseline_of(rows, horizon=config.horizon, origin=origin), comfort


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=20, help="episodes a scenario and robot")
    parser.add_argument("--out", type=Path, default=BASELINE_FILE, help="file to write")
    arguments = parser.parse_args(argv)
    baseline, comfort = measure_baseline(each=arguments.each)
    write_json(arguments.out, baseline.to_json())
    print(f"95th percentile of the robot's pushes at low density: {comfort:.3f} m/s2")
    print(arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
