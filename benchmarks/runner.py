"""Runs the peers in turn, each measurement in a process of its own, and keeps every figure."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.data import QUICK_CAMERA_EPISODES, Source, generate, load
from benchmarks.peers import PEERS, missing_modules
from benchmarks.worker import Task

_TIMEOUT_S = 1_800
_ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "LANCE_CPU_THREADS",
    "LANCE_IO_THREADS",
    "BLOSC_NTHREADS",
)


class MeasurementError(RuntimeError):
    """A measurement ended with an error; the message is its last line."""


@dataclass(slots=True)
class Record:
    """What became of a peer on one data set; ``runs`` holds the facts of each repeat."""

    status: str = "ok"
    error: str = ""
    values: str = ""
    runs: list[dict[str, float]] = field(default_factory=list)

    def again(self, patience: float) -> bool:
        """Whether to run the peer in the next repeat."""
        return self.status == "ok" and all(run["took_s"] <= patience for run in self.runs)


def environment() -> dict[str, str]:
    """Ours, with one thread for every library that has a say."""
    return {**os.environ, **dict.fromkeys(_ONE_THREAD, "1"), "HF_DATASETS_OFFLINE": "1"}


def run_module(module: str, request: str, *, timeout: float = _TIMEOUT_S) -> None:
    """Run a module of ours with ``request`` on its standard input.

    Raises:
        MeasurementError: if it fails; with the last line of what it said.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", module],
            input=request,
            capture_output=True,
            text=True,
            env=environment(),
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise MeasurementError(f"no answer within {timeout:.0f} s") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise MeasurementError(lines[-1][:300])


def measure(task: Task) -> dict[str, float | str]:
    """The facts of one task."""
    answer = Path(task.answer)
    answer.parent.mkdir(parents=True, exist_ok=True)
    answer.unlink(missing_ok=True)
    run_module("benchmarks.worker", json.dumps(asdict(task)))
    facts: dict[str, float | str] = json.loads(answer.read_text())
    return facts


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run and where; a peer that took longer than ``patience`` seconds runs once."""

    out: Path
    peers: tuple[str, ...]
    repeats: int
    seconds: float
    episodes: int
    camera_episodes: int = QUICK_CAMERA_EPISODES
    patience: float = 60.0

    @property
    def scratch(self) -> Path:
        """Folder of this process for stores and answers; two runs never share one."""
        return self.out / f"scratch-{os.getpid()}"


def run_dataset(name: str, plan: Plan) -> dict[str, object]:
    """All peers on data set ``name``: repeats interleaved, order drawn anew for each."""
    episodes = plan.camera_episodes if name == "C" else plan.episodes
    folder = generate(plan.out / "data", name, episodes=episodes)
    source = load(folder)
    records = {peer: Record() for peer in plan.peers if name in PEERS[peer].datasets}
    for peer, record in records.items():
        missing = missing_modules(PEERS[peer])
        if missing:
            record.status, record.error = "skipped", f"not installed: {', '.join(missing)}"
            _say(f"{name} {peer}: skipped, {record.error}")
    for repeat in range(plan.repeats):
        order = [peer for peer, record in records.items() if record.again(plan.patience)]
        random.Random(repeat).shuffle(order)
        for peer in order:
            _run_peer(records[peer], _task(plan, folder, peer, repeat), source)
    shutil.rmtree(plan.scratch, ignore_errors=True)
    return {
        "steps": source.steps,
        "episodes": len(source.lengths),
        "raw_mb": source.raw_bytes / 1e6,
        "peers": {peer: asdict(record) for peer, record in records.items()},
    }


def _task(plan: Plan, folder: Path, peer: str, repeat: int) -> Task:
    return Task(
        action="write",
        peer=peer,
        source=str(folder),
        store=str(plan.scratch / peer),
        answer=str(plan.scratch / "answer.json"),
        seed=repeat,
        seconds=plan.seconds,
    )


def _run_peer(record: Record, task: Task, source: Source) -> None:
    facts: dict[str, float] = {"load": os.getloadavg()[0], "repeat": task.seed}
    started = time.perf_counter()
    actions: Iterable[str] = ("write", "cold", "read")
    if not record.values:
        actions = ("write", "values", "cold", "read")
    try:
        for action in actions:
            found = measure(Task(**{**asdict(task), "action": action}))
            record.values = str(found.pop("values", record.values))
            facts.update({key: float(value) for key, value in found.items()})
    except MeasurementError as error:
        record.status, record.error = "failed", str(error)
        _say(f"{source.name} {task.peer}: failed, {error}")
        return
    finally:
        shutil.rmtree(task.store, ignore_errors=True)
    facts["took_s"] = time.perf_counter() - started - facts.pop("checking_s", 0.0)
    facts["write_steps"] = source.steps / facts["write_s"]
    facts["write_mb_s"] = source.raw_bytes / 1e6 / facts["write_s"]
    facts["size_ratio"] = facts["size_mb"] * 1e6 / source.raw_bytes
    if record.runs and "psnr_db" in record.runs[0]:
        facts["psnr_db"] = record.runs[0]["psnr_db"]
    record.runs.append(facts)
    _say(
        f"{source.name} {task.peer} #{task.seed}: {facts['transitions']:,.0f} random steps/s, "
        f"{facts['windows']:,.0f} in windows, {facts['sequential']:,.0f} MB/s"
    )


def _say(line: str) -> None:
    print(line, flush=True)
