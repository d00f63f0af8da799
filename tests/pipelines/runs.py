"""Finished runs as a training leaves them, made from curves and a seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.learning.conditions import Condition
from pipelines.learning.promotion import write_manifest
from pipelines.learning.runlog import RunRecord, RunStatus, write_episodes, write_evaluations
from pipelines.learning.sealing import seal_arm, seal_run
from tests import factories
from trajstore.disk.system import FileRecord
from trajstore.version.layout import Part, arrays_of
from trajstore.version.manifest import Manifest

FAMILIES = (
    "frontal_approach",
    "pedestrian_obstruction",
    "robot_overtaking",
    "intersection_no_gesture",
    "blind_corner",
    "narrow_doorway",
    "parallel_traffic",
    "perpendicular_traffic",
    "circular_crossing",
    "crowd_navigation",
)
TASK = {"held_out": ["pedestrian_overtaking"], "levels": ["low", "medium", "high"]}
SCENARIOS = tuple(f"{name}/{level}" for name in FAMILIES for level in ("low", "medium", "high"))


def limits(success: float, collision: float) -> tuple[Condition, Condition]:
    return Condition("success", at_least=success), Condition("collision", at_most=collision)


@dataclass(frozen=True)
class Curve:
    """Success rises from ``start`` to ``end`` with a time constant; the rest are collisions.

    Attributes:
        start: success before the first online step.
        end: success in the limit.
        scale: steps in which the gap to the limit falls to 37 %.
        timeouts: share of the failures that are no collision.
    """

    start: float
    end: float
    scale: float
    timeouts: float = 0.2

    def success(self, steps: float) -> float:
        return self.end - (self.end - self.start) * float(np.exp(-steps / self.scale))


BASELINE = Curve(0.02, 0.965, 55_000)
FINETUNE = Curve(0.93, 0.985, 30_000)
CONTROL = Curve(0.05, 0.96, 58_000)


def outcome(curve: Curve, steps: float, shift: float, rng: np.random.Generator) -> str:
    draw, success = rng.random(), min(max(curve.success(steps) + shift, 0.0), 1.0)
    if draw < success:
        return "goal"
    if draw < success + (1.0 - success) * curve.timeouts:
        return "timeout"
    return "collision_pedestrian" if rng.random() < 0.9 else "collision_wall"


def episode_row(scenario: str, seed: int, ended: str, steps: int = 120) -> dict[str, Any]:
    success, collision = ended == "goal", ended.startswith("collision")
    metrics = {
        "success": float(success),
        "collision": float(collision),
        "collision_pedestrian": float(ended == "collision_pedestrian"),
        "collision_wall": float(ended == "collision_wall"),
        "time_to_goal": steps * 0.1 if success else None,
        "path_efficiency": 0.9 if success else None,
        "near_misses": float(seed % 7),
        "comfort_exposure": 0.01 * (seed % 5),
        "jerk": 1.0 + 0.1 * (seed % 3),
        "min_clearance": 0.4,
        "snqi": 0.1,
    }
    return {
        "version": 2,
        "scenario": scenario,
        "seed": seed,
        "outcome": ended,
        "success": success,
        "collision": collision,
        "return": 10.0 if success else -5.0,
        "steps": steps,
        "metrics": metrics,
    }


def hardness(scenario: str) -> float:
    """How much success a scenario takes away; they add up to nearly nothing."""
    index = SCENARIOS.index(scenario) if scenario in SCENARIOS else 0
    return 0.02 - 0.02 * (index % 3)


def evaluation(
    curve: Curve, steps: int, scenarios: Sequence[str], rng: np.random.Generator, each: int = 10
) -> dict[str, Any]:
    by_scenario = {}
    for name in scenarios:
        ends = [outcome(curve, steps, hardness(name), rng) for _ in range(each)]
        by_scenario[name] = {
            "success": float(np.mean([end == "goal" for end in ends])),
            "collision": float(np.mean([end.startswith("collision") for end in ends])),
            "episodes": each,
        }
    shares = {
        rate: float(np.mean([part[rate] for part in by_scenario.values()]))
        for rate in ("success", "collision")
    }
    return {
        "steps": steps,
        "episodes": each * len(scenarios),
        **shares,
        "return": 12.0 * shares["success"] - 3.0,
        "by_scenario": by_scenario,
    }


def write_seed(
    folder: Path,
    curve: Curve,
    *,
    arm: str,
    seed: int,
    grid: Sequence[int],
    scenarios: Sequence[str] = SCENARIOS,
    held_out: Sequence[str] = (),
    each: int = 10,
) -> Path:
    """One completed run ``seed_<seed>`` below ``folder``."""
    rng = np.random.default_rng([seed, *arm.encode()])
    target = folder / f"seed_{seed}"
    slow = Curve(curve.start, curve.end, curve.scale * (0.8 + 0.1 * (seed % 5)), curve.timeouts)
    write_evaluations(target, [evaluation(slow, s, scenarios, rng, each) for s in grid])
    write_episodes(target, final_rows(slow, grid[-1], [*scenarios, *held_out], rng, each))
    inputs = {} if "baseline" in arm else {"dataset": "c" * 64, "start": "e" * 64}
    parameters = {"ppo": {"learning_rate": 1e-3}}
    steps = int(grid[-1])
    record = RunRecord(arm, seed, RunStatus.COMPLETED, steps, inputs, parameters, task=TASK)
    seal_run(target, record)
    return target


def final_rows(
    curve: Curve, steps: int, scenarios: Sequence[str], rng: np.random.Generator, each: int = 10
) -> list[dict[str, Any]]:
    return [
        episode_row(name, 1_000_000 + turn * len(scenarios) + i, end, 90 + int(rng.integers(60)))
        for turn in range(each)
        for i, name in enumerate(scenarios)
        for end in [outcome(curve, steps, hardness(name), rng)]
    ]


def write_arm(
    folder: Path, curve: Curve, *, arm: str, seeds: Sequence[int], **options: Any
) -> Path:
    """One completed run a seed."""
    for seed in seeds:
        write_seed(folder, curve, arm=arm, seed=seed, **options)
    seal_arm(folder, arm, seeds)
    return folder


def write_expert(
    folder: Path,
    *,
    scenarios: Sequence[str] = SCENARIOS,
    success: float = 0.96,
    each: int = 10,
    steps: int = 2_000_000,
) -> Path:
    """An expert with its promotion manifest and its episodes."""
    rng = np.random.default_rng(5)
    level = Curve(success, success, 1.0)
    folder.mkdir(parents=True, exist_ok=True)
    write_episodes(folder, final_rows(level, 0, scenarios, rng, each))
    judged = evaluation(level, 0, [name for name in scenarios if name in SCENARIOS], rng, each)
    judged |= {"success": success, "collision": 0.03}
    del judged["steps"]
    numbers = range(3)
    for seed in numbers:
        seal_run(folder / f"seed_{seed}", RunRecord("expert", seed, RunStatus.COMPLETED, steps))
    seal_arm(folder, "expert", numbers)
    write_manifest(folder, manifest_of([judged | {"seed": s, "steps": steps} for s in numbers]))
    return folder


def manifest_of(judged: Sequence[Mapping[str, Any]], **changes: Any) -> dict[str, Any]:
    """The manifest of an expert whose seeds were judged so; the second one is the best."""
    rows = [{"policy": "f" * 64, "selection": 0.9, **row} for row in judged]
    best = rows[min(1, len(rows) - 1)]
    rates = {name: best[name] for name in ("success", "collision", "episodes")}
    return {
        "id": "expert-made",
        "policy": best["policy"],
        "state": "approved",
        "promotable": True,
        "reasons": [],
        "best_seed": best["seed"],
        "best": f"seed_{best['seed']}/policy",
        "tracking": rates | {"return": 1.0, "by_scenario": {}},
        "seeds": rows,
        "pooled": rates,
        "environment": "made-1",
        "diagnosis": [],
        "history": [],
        **changes,
    }


def write_dataset_manifest(folder: Path, *, episodes: int = 200, steps: int = 24_000) -> Path:
    """The manifest of a version, without its arrays."""
    folder.mkdir(parents=True, exist_ok=True)
    part = Part("", episodes, steps)
    listed = {
        f"{spec.path}/{number}": FileRecord(1, "d" * 64)
        for spec in arrays_of(factories.SCHEMA, part).values()
        for number in range(spec.file_count)
    }
    made = Manifest(factories.SCHEMA, "c" * 64, (part,), listed)
    (folder / "manifest.json").write_bytes(made.to_bytes())
    return folder


def write_study(root: Path, *, seeds: Sequence[int] = range(5), budget: int = 400_000) -> Path:
    """Every arm of the experiment, the expert and the dataset's manifest."""
    grid = list(range(0, budget + 1, 8_192))
    short = list(range(0, 120_001, 8_192))
    transfer = [name for name in SCENARIOS if name.endswith("high")]
    every = {"seeds": seeds, "held_out": ["robot_crowding/medium"]}
    write_arm(root / "baseline", BASELINE, arm="baseline", grid=grid, **every)
    write_arm(root / "finetune", FINETUNE, arm="finetune", grid=short, **every)
    write_arm(root / "control", CONTROL, arm="control", grid=grid, **every)
    for count, start in ((5, 0.66), (10, 0.76), (50, 0.88)):
        curve = Curve(start, 0.975, 50_000)
        write_arm(root / f"few_{count}", curve, arm=f"few_{count}", grid=grid, **every)
    for arm, curve in (("transfer_baseline", BASELINE), ("transfer", Curve(0.8, 0.97, 30_000))):
        write_arm(root / arm, curve, arm=arm, seeds=seeds, grid=grid, scenarios=transfer)
    write_expert(root / "expert", scenarios=[*SCENARIOS, "robot_crowding/medium"])
    write_dataset_manifest(root / "dataset")
    return root
