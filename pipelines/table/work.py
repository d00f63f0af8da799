"""The pieces of work of all tasks, side by side on the cores, until they are done or time is up."""

import json
import platform
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
from loguru import logger

from pipelines.learning.clones import CloneJob, train_clone
from pipelines.learning.evaluation import evaluate
from pipelines.learning.job import Job, train
from pipelines.learning.run import PACKAGES, code_digest
from pipelines.learning.runlog import RunError, read_run
from pipelines.learning.sealing import read_sealed, seal_arm
from pipelines.running.fanout import run_jobs
from pipelines.running.progress import LOGS
from pipelines.table.plan import Place, listed, random_act, shown_episodes, teacher_of
from pipelines.table.settings import Returns
from pipelines.tasks.task import RETURN, FirstSeed
from trajstore.dataset import Dataset
from trajstore.disk.checked import read_checked, write_checked
from trajstore.disk.files import remove_tree
from trajstore.errors import CorruptionError, NotFoundError, TrajStoreError
from trajstore.recording.recorder import Recorder

AGAIN = 5.0
"""Seconds after which a worker that did not stop is told again."""


class OutOfTime(BaseException):
    """The time that was given is over; what was saved is gone on from the next time."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of work.

    Attributes:
        kind: pieces of one task and kind take about as long a step.
        steps: online steps at most, by which pieces are weighed.
        work: does it; returns a word for the reader, nothing where it was done before.
    """

    task: str
    kind: str
    seed: int
    steps: int
    work: Callable[[], str | None]

    @property
    def name(self) -> str:
        """As the reader is told."""
        return f"{self.task} {self.kind} seed {self.seed}"


@dataclass(frozen=True, slots=True)
class Done:
    """How a piece ended; without a word it was done before, or time was up."""

    piece: Piece
    said: str | None
    seconds: float
    failed: bool = False


def do(piece: Piece, *, deadline: float | None = None) -> Done:
    """Do one piece in a worker; what fails is told, and the others go on."""
    began = time.monotonic()
    try:
        with until(deadline):
            said = piece.work()
        failed = False
    except OutOfTime:
        return Done(piece, None, 0.0)
    except (TrajStoreError, ValueError, ArithmeticError) as error:
        said, failed = f"failed: {error}", True
    seconds = time.monotonic() - began
    if said is not None:
        _log(piece, said, seconds)
    return Done(piece, said, seconds, failed)


@contextmanager
def until(deadline: float | None) -> Iterator[None]:
    """Interrupt the block when the clock of the wall shows ``deadline``, seconds of the epoch."""
    if deadline is None:
        yield
        return
    if time.time() >= deadline:
        raise OutOfTime

    def stop(_number: int, _frame: Any) -> None:  # noqa: ANN401
        raise OutOfTime

    former = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(0.01, deadline - time.time()), AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, former)


def _log(piece: Piece, said: str, seconds: float) -> None:
    """Where and how long: no part of any result."""
    made = {name: version(name) for name in PACKAGES} | {"machine": platform.platform()}
    row = {
        "task": piece.task,
        "kind": piece.kind,
        "seed": piece.seed,
        "seconds": round(seconds, 1),
        "cpu": round(time.process_time(), 1),
        "said": said,
        **made,
    }
    LOGS.mkdir(parents=True, exist_ok=True)
    with (LOGS / "tasks.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, sort_keys=True) + "\n")


def side_by_side(
    pieces: Sequence[Piece], *, workers: int, deadline: float | None = None
) -> list[Done]:
    """Do all pieces, the first ones first, and say how long it may still take."""
    done: list[Done] = []

    def told(one: Done) -> None:
        done.append(one)
        if one.said is None:
            return
        over = {other.piece.name for other in done}
        left = [it for it in pieces if it.name not in over]
        hours = hours_left(done, left, workers=workers)
        rest = f"; {len(left)} left, about {hours:.1f} h" if hours is not None and left else ""
        logger.info("{}: {} in {:.0f} s{}", one.piece.name, one.said, one.seconds, rest)

    return run_jobs(partial(do, deadline=deadline), pieces, workers=workers, told=told)


def hours_left(done: Sequence[Done], left: Sequence[Piece], *, workers: int) -> float | None:
    """Hours that the pieces that are left may take, from those that were done; if any was.

    Example:
        >>> one = Piece("CartPole-v1", "baseline", 1, 1000, str)
        >>> hours_left([Done(one, "done", 36.0)], [one, one], workers=2)
        0.01
    """
    spent = [it for it in done if it.said and not it.failed]
    if not spent:
        return None

    def pace(*keys: tuple[str, str]) -> float | None:
        same = [it for it in spent if not keys or (it.piece.task, it.piece.kind) in keys]
        steps = sum(max(1, it.piece.steps) for it in same)
        return sum(it.seconds for it in same) / steps if same else None

    every = pace() or 0.0
    total = sum(max(1, it.steps) * (pace((it.task, it.kind)) or every) for it in left)
    return round(total / workers / 3600.0, 4)


def train_run(job: Job) -> str | None:
    """Train one seed, or go on where it was interrupted, unless that was done."""
    return f"{read_run(job.folder).steps:,} steps" if train(job) else None


def train_teacher(job: Job) -> str | None:
    """Train a teacher; one with these settings is kept whatever code made it, as data are."""
    wanted = {"ppo": job.ppo, "budget": job.budget, "env": job.task, **job.parameters}
    try:
        found = read_sealed(job.folder).parameters
    except (NotFoundError, CorruptionError, RunError):
        found = {}
    plain = json.loads(msgspec.json.encode(wanted))
    if found and all(_holds(plain[name], part) for name, part in found.items()):
        return None
    return train_run(job)


def make_clone(job: CloneJob) -> str | None:
    """Make one clone, unless the same one is there."""
    if _is_made(job):
        return None
    train_clone(job)
    return "cloned"


def _is_made(job: CloneJob) -> bool:
    try:
        found = read_sealed(job.folder)
    except (NotFoundError, CorruptionError, RunError):
        return False
    wanted = json.loads(json.dumps(asdict(job.params))) | {"shuffled": job.shuffled}
    inputs = {
        "code": code_digest("pretrain"),
        "dataset": Dataset.open(job.dataset).manifest.content_digest,
    }
    return _holds(found.parameters, wanted) and _holds(found.inputs, inputs)


def _holds(found: Any, wanted: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether all that is wanted is found; a setting that is new may be found beside."""
    if not isinstance(wanted, Mapping) or not isinstance(found, Mapping):
        return bool(found == wanted)
    return {key: found.get(key) for key in wanted} == dict(wanted)


def seal(folder: Path, arm: str, seeds: Sequence[int]) -> None:
    """Seal an arm, or clones, of which every seed is there."""
    if all((folder / f"seed_{seed}").is_dir() for seed in seeds):
        seal_arm(folder, arm, seeds)


def record(place: Place) -> str | None:
    """Let the teacher record its episodes into a sealed version, unless they are there."""
    teacher, task = teacher_of(place), place.settings.world.task
    made_by = {
        "environment": task.environment(),
        "contract": task.interface.to_json(),
        **teacher.provenance(),
    }
    wanted = listed(place.settings, FirstSeed.COLLECTION, shown_episodes(place.settings))
    if _is_recorded(place.demonstrations, made_by, wanted=len(wanted)):
        return None
    remove_tree(place.demonstrations)
    recorder = Recorder(place.demonstrations, schema=task.schema(), provenance=made_by)
    with recorder:
        for episode in task.record(teacher.act(), wanted[recorder.episodes :]):
            recorder.add(episode)
    return f"{len(wanted)} episodes recorded"


def _is_recorded(folder: Path, made_by: Mapping[str, Any], *, wanted: int) -> bool:
    if not folder.is_dir():
        return False
    dataset = Dataset.open(folder)
    same = json.dumps(dataset.manifest.provenance, sort_keys=True) == json.dumps(
        made_by, sort_keys=True
    )
    return same and len(dataset) == wanted


def measure(place: Place) -> Returns:
    """Mean returns of a random policy and of the teacher over the judging episodes; kept."""
    path, settings = place.folder / "returns.json", place.settings
    dataset = Dataset.open(place.demonstrations).manifest.content_digest
    try:
        found = read_checked(path)
        if found["dataset"] == dataset:
            return Returns(found["random"], found["teacher"])
    except (NotFoundError, CorruptionError, KeyError, TypeError):
        pass
    episodes = listed(settings, FirstSeed.JUDGING, settings.world.evaluation.judge_each)
    values = {
        name: float(evaluate(act, episodes, settings.world.task)[RETURN])
        for name, act in (("random", random_act(settings)), ("teacher", teacher_of(place).act()))
    }
    write_checked(path, {**values, "dataset": dataset})
    return Returns(**values)
