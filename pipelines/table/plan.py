"""The pieces of work of a task: its teacher, the demonstrations, the clones, and every arm."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.learning.clones import CloneJob
from pipelines.learning.evaluation import episode_list
from pipelines.learning.job import Job
from pipelines.learning.promotion import has_arrived
from pipelines.learning.teacher import Teacher, scripted
from pipelines.learning.training import never
from pipelines.table.settings import ARMS, Settings
from pipelines.tasks.task import Act, FirstSeed, Key

STAGE = "tasks"


@dataclass(frozen=True, slots=True)
class Place:
    """Where all of one task lies."""

    out: Path
    settings: Settings

    @property
    def folder(self) -> Path:
        """Of the task."""
        return self.out / self.settings.id

    @property
    def demonstrations(self) -> Path:
        """The sealed version that the teacher recorded."""
        return self.folder / "demonstrations"

    @property
    def teacher(self) -> Path:
        """Run of a teacher that is trained."""
        return self.folder / "teacher" / f"seed_{self.settings.table.teacher.seed}"

    @property
    def policy(self) -> Path:
        """The teacher's, unless it is a function."""
        given = self.settings.table.teacher.policy
        return self.teacher / "policy" if given is None else self.settings.path.parent / given

    def arm(self, name: str) -> Path:
        """Runs of an arm."""
        return self.folder / name

    def clones(self, arm: str) -> Path:
        """What an arm begins with."""
        if arm == "control":
            return self.folder / "clone_control"
        return self.folder / (f"clone_{arm}" if arm.startswith("few_") else "clone")


def listed(settings: Settings, first: FirstSeed, each: int) -> list[Key]:
    """Fixed episodes of the task."""
    return episode_list(settings.world.task.names, each=each, first_seed=first)


def teacher_of(place: Place) -> Teacher:
    """Who shows the task; a trained one must have been trained."""
    asked = place.settings.table.teacher
    if asked.function is not None:
        return scripted(asked.function)
    return Teacher(place.policy, f"ppo-{asked.seed}")


def teacher_job(place: Place) -> Job:
    """The training of the teacher, whose best policy on episodes of its own is kept."""
    settings, asked = place.settings, place.settings.table.teacher
    if asked.ppo is None or asked.budget is None:
        raise ValueError("teacher: expected one that is trained, got a function")
    return Job(
        stage=STAGE,
        arm="teacher",
        seed=asked.seed,
        folder=place.teacher,
        task=settings.world.task,
        ppo=asked.ppo,
        budget=asked.budget,
        episodes=listed(settings, FirstSeed.SELECTION, asked.select_each),
        parameters={"select_each": asked.select_each},
        keeps_best=True,
        anywhere=True,
    )


def clone_jobs(place: Place, arm: str) -> list[CloneJob]:
    """The clones that an arm begins with, one a seed."""
    settings, folder = place.settings, place.clones(arm)
    count = int(arm.removeprefix("few_")) if arm.startswith("few_") else None
    params = settings.pretrain if count is None else replace(settings.pretrain, episodes=count)
    return [
        CloneJob(
            params,
            settings.finetune,
            settings.world.task,
            place.demonstrations,
            arm == "control",
            None,
            seed,
            folder / f"seed_{seed}",
        )
        for seed in settings.seeds
    ]


def arm_jobs(place: Place, arm: str) -> list[Job]:
    """The training of each seed of an arm."""
    settings, finetune = place.settings, place.settings.finetune
    budget, start = finetune.budgets[arm], None if arm == "baseline" else place.clones(arm)
    depends: dict[str, Any] = {"evaluation": settings.world.evaluation}
    if budget.stop_on_arrival:
        depends["arrival"] = finetune.arrival
    arrived = partial(has_arrived, criterion=finetune.arrival)
    each = settings.world.evaluation.track_each
    return [
        Job(
            stage=STAGE,
            arm=arm,
            seed=seed,
            folder=place.arm(arm) / f"seed_{seed}",
            task=settings.world.task,
            ppo=finetune.from_clone[arm].settings(finetune.ppo) if start else finetune.ppo,
            budget=budget,
            episodes=listed(settings, FirstSeed.TRACKING, each),
            stop=arrived if budget.stop_on_arrival else never,
            parameters=depends,
            start=start,
            warm=finetune.from_clone[arm] if start else None,
            judge_each=settings.world.evaluation.judge_each,
            anywhere=True,
        )
        for seed in settings.seeds
    ]


def shown_episodes(settings: Settings) -> int:
    """So many that every number of demonstrations that is asked for is there."""
    few = [int(it.removeprefix("few_")) for it in settings.finetune.budgets if it[:4] == "few_"]
    return max([settings.table.demonstrations, *few])


def random_act(settings: Settings, seed: int = 0) -> Act:
    """A policy that draws its actions evenly."""
    space = settings.world.task.coding.spaces()[1]
    space.seed(seed)

    def act(rows: np.ndarray) -> np.ndarray:
        return np.stack([space.sample() for _ in rows])

    return act


def in_order(jobs: Sequence[Job]) -> list[Job]:
    """What matters most first, seed by seed; of that the longest, so that no core idles at last."""
    first = ("baseline", "finetune")
    rank = {arm: place for place, arm in enumerate(ARMS) if arm not in first}

    def key(job: Job) -> tuple[float, int, int]:
        few = len(ARMS) - 1.5 if job.arm.startswith("few_") else 0
        return (rank.get(job.arm, few), job.seed, -job.budget.steps)

    return sorted(jobs, key=key)
