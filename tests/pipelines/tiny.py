"""The smallest world, learner, expert and dataset that the stages of the pipeline take."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.policies import ActorCriticPolicy

from pipelines.learning.actor import Actor
from pipelines.learning.architecture import Architecture
from pipelines.learning.cloning import PretrainParams
from pipelines.learning.job import FinetuneParams
from pipelines.learning.policy import build_policy, load_policy, save_policy
from pipelines.learning.ppo import FromClone, PpoParams
from pipelines.learning.promotion import Convergence, Criterion, Gate, write_manifest
from pipelines.learning.runlog import RunRecord, RunStatus
from pipelines.learning.sealing import seal_arm, seal_run
from pipelines.learning.training import Budget, Training
from pipelines.learning.world import EvaluationParams, World
from pipelines.stages import record as record_stage
from pipelines.stages.expert import ExpertParams
from pipelines.stages.record import RecordParams
from pipelines.tasks.make import make_vec_env
from pipelines.tasks.social_nav.config import RewardWeights
from pipelines.tasks.social_nav.task import SocialNavTask
from tests.pipelines import runs
from tests.pipelines.runs import limits
from trajstore.version.manifest import Manifest

SCENARIOS = ("frontal_approach/low", "crowd_navigation/low")
ENV = SocialNavTask(25, 0.5, SCENARIOS, RewardWeights())
PPO = PpoParams(
    hidden=(8,),
    num_envs=2,
    num_steps=8,
    minibatch=8,
    epochs=2,
    learning_rate=1e-3,
    final_learning_rate=1e-4,
    gamma=0.99,
    gae_lambda=0.95,
    clip=0.2,
    entropy=0.01,
    value_weight=0.5,
    max_grad_norm=0.5,
    log_std=-0.3,
    final_log_std=-0.7,
    averaging=0.8,
    hard_share=0.5,
    replay_share=0.0,
)
BUDGET = Budget(48, 16, stop_on_arrival=False)
FROM_CLONE = FromClone(2e-4, -0.9, 2, 8, 8, 1, 0.85, 0.0, 0.5)
EVALUATION = EvaluationParams(track_each=1, judge_each=1)
WORLD = World(ENV, EVALUATION)
RECORD = RecordParams(each=4, shards=2, quota_bytes=10**9, engine="sequential")
PRETRAIN = PretrainParams((1, 2), 0, False, 1, 4, 16, 1e-3, 0.0, 2)
FINETUNE = FinetuneParams(
    (1,),
    PPO,
    {"baseline": BUDGET, "finetune": BUDGET},
    {"finetune": FROM_CLONE},
    Criterion(limits(0.9, 0.05), 2),
    "sequential",
)
EXPERT = ExpertParams(
    (1,),
    PPO,
    BUDGET,
    1,
    Convergence(limits(0.99, 0.0), 2, 0),
    Gate(limits(0.0, 1.0), 1, 1),
    "sequential",
)
SIZE = int(np.prod(make_vec_env(ENV.config(), num_envs=1).observation_space.shape))
ARCHITECTURE = Architecture(SIZE, 2, PPO.hidden)


def policy(
    target: Path,
    *,
    seed: int = 0,
    made: ActorCriticPolicy | None = None,
    architecture: Architecture = ARCHITECTURE,
) -> Path:
    """A saved policy, with random weights unless it is made."""
    torch.manual_seed(seed)
    made = made or build_policy(architecture)
    save_policy(
        made, target, architecture=architecture, interface=ENV.interface, record={"seed": 1}
    )
    return target


def expert(folder: Path, *, state: str = "approved", seed: int = 1, weights: int = 0) -> Path:
    """An expert with one seed's random policy."""
    run = folder / f"seed_{seed}"
    digest = load_policy(policy(run / "policy", seed=weights)).digest
    seal_run(run, RunRecord("expert", seed, RunStatus.COMPLETED, 16))
    seal_arm(folder, "expert", [seed])
    row = {**rates(0.95, 0.02, seed=seed), "return": 1.0, "steps": 16, "policy": digest}
    write_manifest(folder, runs.manifest_of([row], id="expert-tiny", state=state))
    return folder


def clones(folder: Path, *, seed: int = 1, weights: int = 0, dataset: str = "d" * 64) -> Path:
    """The clone of one seed with random weights, as the stage seals it."""
    run = folder / f"seed_{seed}"
    policy(run / "policy", seed=weights)
    record = RunRecord(folder.name, seed, RunStatus.COMPLETED, 0, {"dataset": dataset})
    seal_run(run, record)
    seal_arm(folder, folder.name, [seed])
    return folder


def dataset(folder: Path, params: RecordParams = RECORD) -> Manifest:
    """A recorded version at ``folder/expert``, by the expert at ``folder/models``."""
    if not (folder / "models").exists():
        expert(folder / "models")
    record_stage.run(params, ENV, folder / "models", folder / "expert")
    return Manifest.read(folder / "expert")


def looked_at(actor: Actor) -> dict[str, Any]:
    """An evaluation that plays nothing, yet depends on every weight of the first layer."""
    share = float(np.abs(np.tanh(actor.layers[0][0])).mean())
    rates = {"success": share, "collision": 0.0}
    return {"episodes": 1, **rates, "return": share, "by_scenario": {}}


def training(seed: int = 1, **changes: Any) -> Training:
    """A training of three evaluations after the start."""
    options: dict[str, Any] = {
        "make_env": lambda seed: make_vec_env(ENV.config(), num_envs=PPO.num_envs, seed=seed),
        "evaluate": looked_at,
        "rank": ENV.rank,
        "params": PPO,
        "budget": BUDGET,
        "seed": seed,
    }
    return Training(**(options | changes))


def rates(
    success: float, collision: float, *, seed: int = 1, episodes: int = 200
) -> dict[str, Any]:
    """One seed's row at the gate."""
    shares = {"success": success, "collision": collision}
    by_scenario = {
        "blind_corner/high": {"episodes": episodes // 2, **shares},
        "frontal_approach/low": {"episodes": episodes // 2, "success": 1.0, "collision": 0.0},
    }
    score = {"selection": success - collision}
    return {"seed": seed, "episodes": episodes, **score, **shares, "by_scenario": by_scenario}


def contents(folder: Path, *, but: Sequence[str] = ()) -> dict[str, bytes]:
    """Every file below a folder by its path, except those of the given names."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in but
    }
