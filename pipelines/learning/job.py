"""One seed of an arm: trained to its end unless that was done, its policy and its episodes kept."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from pipelines.learning.actor import Actor
from pipelines.learning.architecture import Architecture
from pipelines.learning.evaluation import evaluate, judged
from pipelines.learning.policy import (
    SavedPolicy,
    load_policy,
    put_weights,
    save_policy,
)
from pipelines.learning.ppo import AveragedPPO, FromClone, PpoParams
from pipelines.learning.promotion import Criterion
from pipelines.learning.run import (
    drop_other_seeds,
    is_finished,
    plan_digest,
    start_afresh,
    training_inputs,
    unfinished,
)
from pipelines.learning.runlog import (
    RunError,
    RunRecord,
    RunStatus,
    read_evaluations,
    write_episodes,
)
from pipelines.learning.sealing import (
    read_arm,
    read_member,
    seal_arm,
    seal_run,
    unseal_arm,
)
from pipelines.learning.shown import read_shown
from pipelines.learning.training import Budget, Stop, Training, never, run_training
from pipelines.running.fanout import Engine, check_engine, run_jobs
from pipelines.running.params import ParamsError, Seeds
from pipelines.running.progress import note, watch
from pipelines.tasks.interface import check_interface
from pipelines.tasks.task import Task

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class FinetuneParams:
    """Online training of every arm of the comparison, with seeds that are matched over the arms.

    Attributes:
        ppo: settings of the update for a start from scratch.
        budgets: of each arm by name.
        from_clone: what each arm that begins with a clone sets differently.
        arrival: the target at which an arm may end.
    """

    seeds: Seeds
    ppo: PpoParams
    budgets: Mapping[str, Budget]
    from_clone: Mapping[str, FromClone]
    arrival: Criterion
    engine: Engine


@dataclass(frozen=True, slots=True)
class Job:
    """One seed of one arm; the expert is an arm as well.

    Attributes:
        stage: that trains it, whose code is an input of the run.
        folder: of the run.
        episodes: scenario and seed of each episode that every evaluation plays.
        parameters: what else the run depends on, for its record.
        start: folder of the clones to go on from; ``None`` trains from scratch.
        warm: how a start from a clone begins.
        keeps_best: keep the policy of the best evaluation, and not the last one.
        judge_each: episodes a scenario of the final evaluation that belongs to the run; 0 none.
        anywhere: a run that was finished with other versions of the packages need not be repeated.
    """

    stage: str
    arm: str
    seed: int
    folder: Path
    task: Task
    ppo: PpoParams
    budget: Budget
    episodes: Sequence[tuple[str, int]]
    stop: Stop = never
    parameters: Mapping[str, Any] = field(default_factory=dict)
    start: Path | None = None
    warm: FromClone | None = None
    keeps_best: bool = False
    judge_each: int = 0
    anywhere: bool = False

    @property
    def name(self) -> str:
        """As progress shows it."""
        return f"{self.arm}/seed_{self.seed}"

    @property
    def policy(self) -> Path:
        """Folder of the policy that comes out."""
        return self.folder / "policy"


def side_by_side(
    function: Callable[[Job], Result], jobs: Sequence[Job], out: Path, *, engine: str
) -> list[Result]:
    """Run the seeds of an arm below ``out``, and show how far they are; other seeds' runs go.

    The arm is sealed when all are done. A folder that holds runs of another arm is refused.
    """
    check_engine(engine)
    _check_draws(jobs[0])
    arm, seeds = jobs[0].arm, [job.seed for job in jobs]
    unseal_arm(out, arm)
    drop_other_seeds(out, seeds)
    with watch({job.name: job.budget.steps for job in jobs}):
        results = run_jobs(function, jobs, engine=engine)
    seal_arm(out, arm, seeds)
    return results


def _check_draws(job: Job) -> None:
    """Refuse shares of chosen episodes where a task draws its own."""
    for key in ("hard_share", "replay_share"):
        if getattr(job.ppo, key) > 0.0 and not (job.task.draws and job.task.rates):
            raise ParamsError(
                f"params: {job.arm}: {key}: expected 0, since this task cannot choose its "
                f"episodes, got {getattr(job.ppo, key)}; set it to 0"
            )


def train(job: Job) -> bool:
    """Train one seed, or go on where its training was interrupted.

    Returns:
        Whether there was anything to do: not where a run of the same inputs is finished.

    Raises:
        InterfaceError: the policy to start from belongs to another world.
        RunError: the clone to start from is not what was sealed, or of another seed or folder.
    """
    start, shown, inputs = None, None, training_inputs(job.stage)
    if job.start is not None:
        start, clone = read_start(job.start, job.seed)
        check_interface(job.task.interface, start.interface, where=f"start policy {job.start}")
        origin = {key: clone.inputs[key] for key in ("dataset", "excluded") if key in clone.inputs}
        inputs |= {"start": start.digest, **origin}
        if job.warm is not None and job.warm.cloning_weight > 0.0:
            shown = read_shown(job.start / f"seed_{job.seed}", clone, start.architecture)
    parameters = {"ppo": job.ppo, "budget": job.budget, "env": job.task, **job.parameters}
    if job.warm is not None and job.warm.beginning:
        parameters["from_clone"] = job.warm.beginning
    record = RunRecord(
        job.arm, job.seed, RunStatus.COMPLETED, 0, inputs, parameters, task=job.task.facts()
    )
    if is_finished(job.folder, record, anywhere=job.anywhere):
        note(job.name, job.budget.steps, read_evaluations(job.folder)[-1])
        return False
    start_afresh(job.folder, record)
    with unfinished(job.folder, record):
        training = replace(_training(job, start, plan_digest(record)), shown=shown)
        model = run_training(training, job.folder)
        _keep(job, model)
        if job.judge_each:
            write_final(job.folder, load_policy(job.policy).actor, job.task, each=job.judge_each)
        seal_run(job.folder, replace(record, steps=model.num_timesteps))
    return True


def read_start(clones: Path, seed: int) -> tuple[SavedPolicy, RunRecord]:
    """The clone of one seed among those in a folder, and its record, both as they were sealed."""
    record = read_member(clones, read_arm(clones), seed)
    if record.steps or "dataset" not in record.inputs:
        raise RunError(
            f"{clones}/seed_{seed}: expected a clone to start from, got a run of arm {record.arm}; "
            "name the folder of the clones"
        )
    return load_policy(clones / f"seed_{seed}" / "policy"), record


def _training(job: Job, start: SavedPolicy | None, plan: str) -> Training:
    return Training(
        make_env=lambda seed: job.task.make_vec(job.ppo.num_envs, seed),
        evaluate=lambda actor: evaluate(actor, job.episodes, job.task),
        rank=job.task.rank,
        params=job.ppo,
        budget=job.budget,
        seed=job.seed,
        start=start,
        warm=job.warm,
        architecture=Architecture.of(
            job.task.coding, job.ppo.hidden, normalise=job.ppo.normalise_observations
        ),
        stop=job.stop,
        progress=lambda steps, row: note(job.name, steps, row),
        plan=plan,
    )


def _keep(job: Job, model: AveragedPPO) -> None:
    record: dict[str, Any] = {}
    if job.keeps_best:
        put_weights(model.average, model.best)
        settings = {"ppo": asdict(job.ppo), "budget": asdict(job.budget)}
        record = {"seed": job.seed, "settings": settings}
    save_policy(
        model.average,
        job.policy,
        architecture=model.architecture,
        interface=job.task.interface,
        record=record,
    )


def write_final(folder: Path, actor: Actor, task: Task, *, each: int) -> None:
    """Play the final evaluation of a policy, and write its episodes with every metric."""
    write_episodes(folder, [task.row(episode) for episode in judged(actor, task, each=each)])
