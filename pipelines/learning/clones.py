"""One clone: a fresh policy, the demonstrations that it is shown, and the run it leaves."""

from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.utils import get_device, set_random_seed

from pipelines.learning.architecture import Architecture
from pipelines.learning.cloning import PretrainParams, best_updates, clone, teach_critic
from pipelines.learning.demonstrations import (
    Demonstrations,
    chosen_episodes,
    demonstrations,
    passes,
)
from pipelines.learning.features import Features
from pipelines.learning.job import FinetuneParams
from pipelines.learning.policy import build_policy, save_policy
from pipelines.learning.run import training_inputs, unfinished
from pipelines.learning.runlog import RunRecord, RunStatus, write_losses
from pipelines.learning.sealing import seal_run
from pipelines.learning.shown import PAIRS, write_shown
from pipelines.learning.world import TransferParams
from pipelines.running.params import ParamsError
from pipelines.tasks.interface import check_interface, interface_of
from pipelines.tasks.task import REACHED, WHOLE, Task
from trajstore.dataset import Dataset
from trajstore.disk.files import remove_tree
from trajstore.errors import StatusError


@dataclass(frozen=True, slots=True)
class CloneJob:
    """One clone.

    Attributes:
        excluded: digests of the episodes that a curator marked so; they are not shown.
    """

    params: PretrainParams
    online: FinetuneParams
    task: Task
    dataset: Path
    shuffled: bool
    shown: TransferParams | None
    seed: int
    folder: Path
    excluded: frozenset[str] = frozenset()

    @property
    def arm(self) -> str:
        """What the clones of one folder are called: as the folder."""
        return self.folder.resolve().parent.name


def train_clone(job: CloneJob) -> None:
    """Clone one policy, teach its critic, and leave a run folder; an earlier one goes."""
    remove_tree(job.folder)
    shown = asdict(job.shown) if job.shown else None
    record = RunRecord(
        arm=job.arm,
        seed=job.seed,
        status=RunStatus.COMPLETED,
        steps=0,
        parameters=asdict(job.params) | {"shuffled": job.shuffled, "shown": shown},
        task=job.task.facts(),
    )
    if job.params.only_successes and not job.task.rates:
        raise ParamsError(
            "params: pretrain.only_successes: expected false, since the task has no success, got "
            "true; change it"
        )
    if job.params.critic_epochs and job.online.ppo.normalise_rewards:
        raise ParamsError(
            "params: pretrain.critic_epochs: expected 0, since finetune.ppo.normalise_rewards "
            f"sets the scale that a critic learns, got {job.params.critic_epochs}; set it to 0, "
            "and critic_steps of the arm"
        )
    with unfinished(job.folder, record):
        _clone(job, record)


def _clone(job: CloneJob, record: RunRecord) -> None:
    torch.set_num_threads(1)
    set_random_seed(job.seed)
    rng = np.random.default_rng(job.seed)
    dataset = open_dataset(job)
    chosen = chosen_episodes(
        _scenarios(dataset),
        allowed=may_be_shown(job, dataset),
        count=job.params.episodes,
        turn=job.params.seeds.index(job.seed),
        levels=job.task.levels,
    )
    coding = job.task.coding
    demos = demonstrations(dataset, chosen, coding, gamma=job.online.ppo.gamma)
    demos = demos.thinned(job.params.every)
    if job.shuffled:
        demos = replace(demos, returns=rng.permutation(demos.returns))
    policy, architecture = _fresh(job, demos)
    batch = min(job.params.batch, len(demos.action))
    if job.params.every == 1:
        draw = passes(dataset, chosen, coding, batch=batch, shuffled=job.shuffled, rng=rng)
    else:
        draw = demos.passes(batch, shuffled=job.shuffled, rng=rng)
    each = len(demos.action) // batch
    epochs = max(job.params.epochs, -(-job.params.least_updates // each))
    updates = epochs * each
    params = replace(job.params, batch=batch, epochs=epochs)
    if params.held_out > 0.0:
        updates = best_updates(
            policy, demos, params=params, updates=updates, shuffled=job.shuffled, rng=rng
        )
    curve = clone(policy, draw, params=params, updates=updates, rng=rng)
    critic = teach_critic(
        policy, demos, epochs=job.params.critic_epochs, batch=job.params.batch, rng=rng
    )
    names = list(dict.fromkeys(name for row in curve for name in row))
    write_losses(job.folder, curve, names=names or ["update"])
    save_policy(
        policy,
        job.folder / "policy",
        architecture=architecture,
        interface=job.task.interface,
        record={"seed": job.seed, "dataset": dataset.manifest.content_digest},
    )
    origin = {"dataset": dataset.manifest.content_digest}
    counts = {"chosen": int(chosen.sum()), "updates": updates}
    if any(it.cloning_weight > 0.0 for it in job.online.from_clone.values()):
        counts[PAIRS] = write_shown(job.folder, demos.observation, demos.action)
    out = dataset.episodes["digest"][~not_excluded(job, dataset)]
    if len(out):
        origin["excluded"] = sha256("\n".join(sorted(out)).encode()).hexdigest()
        counts["excluded"] = len(out)
    seal_run(
        job.folder,
        replace(
            record,
            inputs=training_inputs("pretrain") | origin,
            parameters={**record.parameters, **counts},
            notes=(f"critic loss {critic[0]:.4f} -> {critic[-1]:.4f}",) if critic else (),
        ),
    )


def _fresh(job: CloneJob, demos: Demonstrations) -> tuple[ActorCriticPolicy, Architecture]:
    """A policy that has learnt nothing but what it normalises by; images on an accelerator."""
    normalise, hidden = job.params.normalise, job.online.ppo.hidden
    architecture = Architecture.of(job.task.coding, hidden, normalise=normalise)
    noise = job.online.ppo.log_std if job.params.log_std is None else job.params.log_std
    policy = build_policy(architecture, log_std=noise)
    if architecture.normalised:
        cast(Features, policy.features_extractor).fit(demos.observation)
    return policy.to(get_device("auto" if architecture.images else "cpu")), architecture


def open_dataset(job: CloneJob) -> Dataset:
    """The dataset, held against the environment."""
    dataset = Dataset.open(job.dataset)
    recorded = dataset.manifest.provenance.get("environment") or {}
    version = str(recorded.get("version", job.task.version))
    theirs = interface_of(dataset.schema, environment=version)
    check_interface(job.task.interface, theirs, where=f"dataset {job.dataset}")
    return dataset


def _scenarios(dataset: Dataset) -> NDArray[np.str_]:
    """The scenario of each episode; of a dataset that knows none, the same for all."""
    if "scenario" in dataset.schema.names:
        return np.asarray(dataset.episodes["scenario"])
    return np.full(len(dataset), WHOLE)


def may_be_shown(job: CloneJob, dataset: Dataset) -> NDArray[np.bool_]:
    """Episodes that may be shown, ``[N]``."""
    allowed = not_excluded(job, dataset)
    if job.params.only_successes:
        if "outcome" not in dataset.schema.names:
            raise ParamsError(
                f"params: pretrain.only_successes: expected false, since {job.dataset} does not "
                "say how its episodes ended, got true; change it"
            )
        allowed &= np.isin(dataset.episodes["outcome"], REACHED)
    if job.shown is not None:
        allowed &= [job.shown.is_demonstrated(n) for n in _scenarios(dataset)]
    if not allowed.any():
        raise StatusError(
            f"dataset {job.dataset}: expected an episode that may be shown, got none of "
            f"{len(dataset)}; record other scenarios, or change the sections pretrain, transfer"
        )
    return allowed


def not_excluded(job: CloneJob, dataset: Dataset) -> NDArray[np.bool_]:
    """Episodes that no curator marked ``exclude``, ``[N]``."""
    return np.array([it not in job.excluded for it in dataset.episodes["digest"]], bool)
