"""Speeds of the world, of training, of validating and of the player's page, on this machine.

    python -m benchmarks.experiment [--json]

Rates count processor time of one thread; figures by the clock are marked so. The shortest steps are
measured ten times and the best is kept, since other work on a machine only makes them slower.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from pipelines.learning.evaluation import episode_list
from pipelines.learning.training import Budget, Training, run_training
from pipelines.running.params import read_section
from pipelines.stages.expert import ExpertParams
from pipelines.tasks.make import make_env, make_vec_env
from pipelines.tasks.social_nav.config import ENV_VERSION, EnvConfig
from pipelines.tasks.social_nav.robots import social_force
from pipelines.tasks.social_nav.rollout import record_rollout
from pipelines.tasks.social_nav.scenarios import scenario_names
from pipelines.tasks.social_nav.schema import episode_schema
from pipelines.tasks.social_nav.social_nav import ENV_ID
from trajstore import Store
from trajstore.cli import run as command
from trajstore.quality import validate
from trajstore.quality.contract import Contract

STEPS = 2000
EPISODES = 1000
SHOWN = 200


def processor(work: Callable[[], object]) -> float:
    """Seconds of processor time of some work."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def vector_steps() -> float:
    """Steps a second of 128 worlds of eight to ten people each, best of ten measurements."""
    env = make_vec_env(EnvConfig(scenarios=("crowd_navigation/high",)), num_envs=128, seed=0)
    actions = np.random.default_rng(0).uniform(-1, 1, (STEPS // 4, 128, 2)).astype(np.float32)
    env.reset()
    env.step(actions[0])
    seconds = [processor(lambda: [env.step(action) for action in actions]) for _ in range(10)]
    return len(actions) * 128 / min(seconds)


def single_step() -> float:
    """Microseconds of one ``Env.step``, best of ten measurements."""
    env = make_env(EnvConfig(scenarios=("crowd_navigation/high",)), seed=0)
    actions = np.random.default_rng(0).uniform(-1, 1, (STEPS, 2)).astype(np.float32)

    def play() -> None:
        for action in actions:
            if any(env.step(action)[2:4]):
                env.reset()

    env.reset()
    play()
    return min(processor(play) for _ in range(10)) / STEPS * 1e6


def training_steps(folder: Path) -> float:
    """Online steps a second of the expert's recipe, evaluation left out."""
    torch.set_num_threads(1)
    params = read_section(Path("params.yaml"), "expert", ExpertParams).ppo
    flat = {"episodes": 1, "success": 0.0, "collision": 0.0, "return": 0.0, "by_scenario": {}}

    def train(steps: int) -> float:
        training = Training(
            make_env=lambda seed: make_vec_env(EnvConfig(), num_envs=params.num_envs, seed=seed),
            evaluate=lambda _: flat,
            params=params,
            budget=Budget(steps, steps, stop_on_arrival=False),
            seed=1,
        )
        return processor(lambda: run_training(training, folder / str(steps)))

    rollout = params.num_envs * params.num_steps
    return 8 * rollout / (train(9 * rollout) - train(rollout))


def record(store: Store) -> None:
    """A thousand episodes of the scripted robot."""
    config = EnvConfig()
    names = scenario_names()
    provenance = {
        "environment": {
            "id": ENV_ID,
            "version": ENV_VERSION,
            "entry_point": "pipelines.tasks.social_nav.simulator:simulate",
            "config": asdict(config),
        },
        "policy": {"id": "scripted: social force"},
    }
    played = episode_list(names, each=-(-EPISODES // len(names)), first_seed=5_000_000)
    with store.record("all", schema=episode_schema(config), provenance=provenance) as recorder:
        for episode in record_rollout(social_force, played[:EPISODES], config):
            recorder.add(episode)
    with store.record("shown", schema=episode_schema(config), provenance=provenance) as recorder:
        for episode in record_rollout(social_force, played[:SHOWN], config):
            recorder.add(episode)


def measure() -> dict[str, tuple[float, str]]:
    """Every figure with its goal."""
    figures = {
        "vector environment, steps/s": (vector_steps(), ">= 100,000"),
        "Env.step, microseconds": (single_step(), "< 50"),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures["training, steps/s"] = (training_steps(folder), ">= 8,000")
        store = Store(folder / "store")
        record(store)
        dataset = store.open("all@v1", purpose="inspection")
        seconds = processor(lambda: validate(dataset, Contract()))
        figures["validating 1,000 episodes, s"] = (seconds, "-")
        page = folder / "page.html"
        words = ["--store", str(folder / "store"), "play", "shown@v1", "--no-open"]
        begun = time.perf_counter()
        if command([*words, "--out", str(page)]) != 0:
            raise RuntimeError("play: expected a page, got an error; see above")
        figures["page of 200 episodes made, s by the clock"] = (time.perf_counter() - begun, "-")
        figures["page of 200 episodes, MB"] = (page.stat().st_size / 1e6, "< 15")
    return figures


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.experiment", description=__doc__)
    parser.add_argument("--json", action="store_true", help="for programs")
    arguments = parser.parse_args(argv)
    os.environ["OMP_NUM_THREADS"] = "1"
    figures = measure()
    if arguments.json:
        print(json.dumps({name: value for name, (value, _) in figures.items()}))
    else:
        for name, (value, goal) in figures.items():
            print(f"{name:44} {value:>12,.2f}   goal {goal}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
