"""From the settings to the page: teachers, demonstrations, clones, arms; only what is not there."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
from loguru import logger

from pipelines.learning.sealing import ARM
from pipelines.table.found import row_of, table_of
from pipelines.table.page import page
from pipelines.table.pictures import write_pictures
from pipelines.table.plan import Place, arm_jobs, clone_jobs, in_order, teacher_job
from pipelines.table.record import Table
from pipelines.table.settings import Returns, Settings, fixed_target
from pipelines.table.work import (
    Done,
    Piece,
    make_clone,
    measure,
    record,
    seal,
    side_by_side,
    train_run,
    train_teacher,
)
from trajstore.disk.files import make_directories, read_json, replace_file
from trajstore.errors import NotFoundError

APART = 0.05
"""Share of the way from random to teacher by which returns may differ from the settings untold."""


@dataclass(frozen=True, slots=True)
class Flow:
    """How the work of some tasks is done.

    Attributes:
        workers: processes side by side.
        deadline: seconds of the epoch after which nothing begins and what runs is interrupted.
        arms: only these; empty means all with a budget.
    """

    places: Sequence[Place]
    workers: int
    deadline: float | None = None
    arms: Sequence[str] = ()

    def prepare(self) -> list[Done]:
        """Teachers and what they show; then the clones of tasks whose target is fixed."""
        trained = [it for it in self.places if it.settings.table.teacher.is_trained]
        jobs = [teacher_job(it) for it in trained]
        done = self._do(
            Piece(
                job.task.version, job.arm, job.seed, job.budget.steps, partial(train_teacher, job)
            )
            for job in jobs
        )
        ready = [it for it in self.places if it not in trained or it.policy.is_dir()]
        done += self._do(
            Piece(it.settings.id, "demonstrations", 0, 1, partial(_show, it)) for it in ready
        )
        fixed = [it for it in ready if is_fixed(it.settings)]
        return done + self._clone(fixed)

    def _clone(self, places: Sequence[Place]) -> list[Done]:
        arms = [(it, arm) for it in places for arm in self._arms(it) if arm != "baseline"]
        jobs = {job.folder: (place, job) for place, arm in arms for job in clone_jobs(place, arm)}
        done = self._do(
            Piece(place.settings.id, job.arm, job.seed, 1, partial(make_clone, job))
            for place, job in jobs.values()
        )
        for place, arm in arms:
            folder = place.clones(arm)
            seal(folder, folder.name, place.settings.seeds)
        return done

    def train(self) -> list[Done]:
        """Every arm of the tasks whose target is fixed, and what needs no target."""
        arms = [
            (place, arm)
            for place in self.places
            for arm in self._arms(place)
            if _may_begin(place, arm)
        ]
        jobs = [(place, job) for place, arm in arms for job in arm_jobs(place, arm)]
        named = {id(job): place.settings.id for place, job in jobs}
        done = self._do(
            Piece(named[id(job)], job.arm, job.seed, job.budget.steps, partial(train_run, job))
            for job in in_order([job for _, job in jobs])
        )
        for place, arm in arms:
            seal(place.arm(arm), arm, place.settings.seeds)
        return done

    def _arms(self, place: Place) -> list[str]:
        return [it for it in place.settings.finetune.budgets if not self.arms or it in self.arms]

    def _do(self, pieces: Iterable[Piece]) -> list[Done]:
        return side_by_side(list(pieces), workers=self.workers, deadline=self.deadline)


def _may_begin(place: Place, arm: str) -> bool:
    if arm == "baseline":
        return is_fixed(place.settings) or not place.settings.finetune.budgets[arm].stop_on_arrival
    return is_fixed(place.settings) and (place.clones(arm) / ARM).is_file()


def is_fixed(settings: Settings) -> bool:
    """Whether the target was fixed from returns that were measured."""
    return settings.table.returns is not None


def _show(place: Place) -> str | None:
    """Record, measure, and say what the settings lack or what differs from them."""
    said, settings = record(place), place.settings
    found, told = measure(place), settings.table.returns
    if told is None:
        target = fixed_target(round(found.random, 1), round(found.teacher, 1))
        return (
            f"not fixed yet; write table.returns: {{random: {found.random:.1f}, teacher: "
            f"{found.teacher:.1f}}} and a target of {target} into {settings.path.name}"
        )
    if _apart(found, told) > APART:
        logger.warning(
            "{}: the teacher made here returns {:,.0f}, that of the settings {:,.0f}",
            *(settings.id, found.teacher, told.teacher),
        )
    return said


def _apart(found: Returns, told: Returns) -> float:
    return abs(found.teacher - told.teacher) / max(1e-9, abs(told.teacher - told.random))


def write_table(places: Sequence[Place], docs: Path) -> Table:
    """Write ``tasks.json``, the page and the picture; rows of other tasks stay as they are."""
    rows = {}
    target = docs / "tasks.json"
    try:
        former = msgspec.convert(read_json(target), Table)
        rows = {row.id: row for row in former.tasks}
    except (NotFoundError, msgspec.ValidationError):
        pass
    for place in places:
        if is_fixed(place.settings) and place.demonstrations.is_dir():
            rows[place.settings.id] = row_of(place)
    table = table_of(sorted(rows.values(), key=lambda row: (row.apart or "", row.id)))
    make_directories(docs / "images")
    text = msgspec.json.format(msgspec.json.encode(table, order="sorted"), indent=1)
    replace_file(target, text + b"\n")
    replace_file(docs / "tasks.md", page(table).encode())
    write_pictures(table, docs / "images" / "tasks.png")
    return table
