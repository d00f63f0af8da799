"""Play every scenario with the scripted robots: is each one solvable, and none trivial?

    python -m benchmarks.audit [--episodes 100] [--seed 5000] [--json]

A scenario is *unsolvable* if no scripted robot reaches the goal often enough, *trivial* if the
straight line does at medium or high density. Exit status 0 if there is neither, 1 if there is.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pipelines.tasks.social_nav.config import ENV_VERSION, EnvConfig
from pipelines.tasks.social_nav.robots import ROBOTS
from pipelines.tasks.social_nav.rollout import Row, rollout
from pipelines.tasks.social_nav.scenarios import find_scenario, scenario_names

SOLVABLE = 0.9
"""Least success of the best scripted robot."""
TRIVIAL = 0.9
"""Greatest success of the straight line, except at low density."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Shares of a scenario's episodes, and their mean length."""

    scenario: str
    robot: str
    episodes: int
    success: float
    collision_pedestrian: float
    collision_wall: float
    timeout: float
    robot_at_fault: float
    steps: float


def rates(robot: str, rows: Sequence[Row]) -> Rates:
    """Sum up the episodes of one robot in one scenario; at least one row."""
    count, outcomes = len(rows), [row.outcome for row in rows]
    return Rates(
        scenario=rows[0].scenario,
        robot=robot,
        episodes=count,
        success=outcomes.count("goal") / count,
        collision_pedestrian=outcomes.count("collision_pedestrian") / count,
        collision_wall=outcomes.count("collision_wall") / count,
        timeout=outcomes.count("timeout") / count,
        robot_at_fault=sum(row.robot_at_fault for row in rows) / count,
        steps=sum(row.steps for row in rows) / count,
    )


def audit(config: EnvConfig, *, episodes: int, seed: int) -> list[Rates]:
    """Rates of every scripted robot in every scenario, on the same seeds.

    Args:
        config: its scenarios are audited, all of them if it names none.
        episodes: of each scenario.
        seed: of the first; the following ones are counted up.
    """
    names = config.scenarios or scenario_names()
    found: list[Rates] = []
    for robot, act in ROBOTS.items():
        listed = [(name, seed + turn) for name in names for turn in range(episodes)]
        rows = rollout(act, listed, config)
        firsts = range(0, len(rows), episodes)
        found += [rates(robot, rows[first : first + episodes]) for first in firsts]
    return found


def broken(found: Sequence[Rates]) -> list[str]:
    """One line for each scenario that is unsolvable or trivial."""
    lines = []
    for name in dict.fromkeys(rate.scenario for rate in found):
        success = {rate.robot: rate.success for rate in found if rate.scenario == name}
        if max(success.values()) < SOLVABLE:
            lines.append(f"{name}: unsolvable, the best robot reaches {max(success.values()):.2f}")
        if find_scenario(name).density != "low" and success["straight"] >= TRIVIAL:
            lines.append(f"{name}: trivial, a straight line reaches {success['straight']:.2f}")
    return lines


def _table(found: Sequence[Rates]) -> str:
    head = f"{'scenario':32s} {'robot':13s} goal  ped   wall  time  fault steps"
    lines = [
        f"{rate.scenario:32s} {rate.robot:13s} {rate.success:.2f}  "
        f"{rate.collision_pedestrian:.2f}  {rate.collision_wall:.2f}  {rate.timeout:.2f}  "
        f"{rate.robot_at_fault:.2f}  {rate.steps:.0f}"
        for rate in sorted(found, key=lambda rate: rate.scenario)
    ]
    return "\n".join([head, *lines])


def main(argv: Sequence[str] | None = None) -> int:
    """Print the rates of every scenario; 0 if all are sound, 1 if not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit", description=__doc__)
    parser.add_argument("--episodes", type=int, default=100, help="of each scenario")
    parser.add_argument("--seed", type=int, default=5000, help="of the first episode")
    parser.add_argument("--json", action="store_true", help="print facts as JSON")
    arguments = parser.parse_args(argv)
    if arguments.episodes < 1:
        parser.error(f"--episodes: expected at least 1, got {arguments.episodes}; raise it")
    found = audit(EnvConfig(), episodes=arguments.episodes, seed=arguments.seed)
    faults = broken(found)
    if arguments.json:
        facts = {
            "env_version": ENV_VERSION,
            "broken": faults,
            "scenarios": [asdict(rate) for rate in found],
        }
        print(json.dumps(facts, indent=2, sort_keys=True, allow_nan=False))
    else:
        print(_table(found))
        print("\n".join(faults) or "every scenario is solvable, and none is trivial")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
