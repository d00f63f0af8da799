"""One measurement of one peer in a process of its own: a task comes in, facts go out."""

import importlib
import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.check import compare_values, measure_loss
from benchmarks.data import load
from benchmarks.memory import anonymous_bytes, anonymous_peak, evict, size_and_files, sync
from benchmarks.peers import PEERS, Batch, Reader, load_adapter

WINDOW = 16
SIZES = {"A": (256, 64), "B": (256, 64), "C": (32, 8)}
"""Steps of a random batch, and windows of one."""
_COLD_BATCHES = 4

Facts = dict[str, float | str]


@dataclass(frozen=True, slots=True)
class Task:
    """What to measure; ``seconds`` a rate, ``answer`` the file for the facts."""

    action: str
    peer: str
    source: str
    store: str
    answer: str
    seed: int = 0
    seconds: float = 1.0

    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)


@dataclass(frozen=True, slots=True)
class Rate:
    """Work a second of the clock, and a second of processor time of all threads."""

    clock: float
    processor: float

    def facts(self, key: str, scale: float = 1.0) -> Facts:
        return {key: scale * self.clock, f"{key}_cpu": scale * self.processor}


class Watch:
    """Starts when made."""

    def __init__(self) -> None:
        self._clock, self._processor = time.perf_counter(), time.process_time()

    def elapsed(self) -> float:
        return time.perf_counter() - self._clock

    def rate(self, work: float) -> Rate:
        return Rate(work / self.elapsed(), work / (time.process_time() - self._processor))


def measure_write(task: Task) -> Facts:
    """Seconds of the peer's own call, and until its bytes lie on the disk."""
    source, path = load(Path(task.source)), Path(task.store)
    shutil.rmtree(path, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    for rows in source.fields.values():
        _touch({"": rows})
    adapter = load_adapter(PEERS[task.peer])
    watch = Watch()
    for module in getattr(adapter, "LOADED_TO_WRITE", ()):
        importlib.import_module(module)
    loaded = watch.elapsed()
    with anonymous_peak() as peak:
        watch = Watch()
        adapter.write(path, source)
        returned = watch.elapsed()
        sync(path)
        durable, rate = watch.elapsed(), watch.rate(source.raw_bytes / 1e6)
    size, files = size_and_files(path)
    return {
        "write_import_s": loaded,
        "write_call_s": returned,
        "write_s": durable,
        "write_mb_s_cpu": rate.processor,
        "write_memory_mb": peak[0] / 1e6,
        "size_mb": size / 1e6,
        "files": files,
    }


def _touch(block: Batch) -> int:
    """Read one byte of every page, so that a memory map is really read."""
    total = 0
    for values in block.values():
        total += int(values.reshape(-1).view(np.uint8)[::4096].sum(dtype=np.int64))
    return total


def _repeat(act: Callable[[], object], seconds: float, *, at_least: int = 2) -> Rate:
    """Calls a second over about ``seconds`` (one call before to warm up)."""
    act()
    calls, watch = 0, Watch()
    while True:
        act()
        calls += 1
        if watch.elapsed() >= seconds and calls >= at_least:
            return watch.rate(calls)


def _sequential(reader: Reader, step_bytes: float, seconds: float) -> Rate:
    """MB/s (of raw rows) of whole passes, or of a part of one that takes too long."""
    size, watch = 0.0, Watch()
    while True:
        for block in reader.sequential():
            _touch(block)
            size += step_bytes * len(block["action"])
            if watch.elapsed() > 6 * seconds:
                break
        if watch.elapsed() > seconds:
            return watch.rate(size / 1e6)


def measure_read(task: Task) -> Facts:
    """Everything a training run asks of an open store, file cache warm."""
    path, seconds, source = Path(task.store), task.seconds, load(Path(task.source))
    rng, count = task.rng(), len(source.lengths)
    batch, windows = SIZES[source.name]
    bare = anonymous_bytes()
    watch = Watch()
    adapter = load_adapter(PEERS[task.peer])
    imported = watch.elapsed()
    reader = adapter.open_store(path)
    opened = watch.elapsed()
    reader.transitions(rng, batch)
    first, rate = watch.elapsed(), watch.rate(1)
    facts: Facts = {
        "import_s": imported,
        "open_s": opened - imported,
        "first_batch_s": first,
        "first_batch_cpu_s": 1 / rate.processor,
        "loaded_batch_s": first - imported,
    }
    with anonymous_peak() as sampling:
        rate = _repeat(lambda: reader.transitions(rng, batch), seconds)
        facts |= rate.facts("transitions", batch)
        rate = _repeat(lambda: reader.windows(rng, windows, WINDOW), seconds)
        facts |= rate.facts("windows", windows * WINDOW)
    rate = _repeat(lambda: _touch(reader.episode(int(rng.integers(count)))), seconds / 2)
    facts |= rate.facts("episodes")
    with anonymous_peak() as passing:
        rate = _sequential(reader, source.raw_bytes / source.steps, seconds)
    facts |= rate.facts("sequential")
    facts["episode_ms"] = 1e3 / float(facts["episodes"])
    facts["sample_memory_mb"] = (sampling[0] - bare) / 1e6
    facts["sequential_memory_mb"] = (passing[0] - bare) / 1e6
    return facts


def measure_cold(task: Task) -> Facts:
    """First batch and first batches after the files left the kernel's cache."""
    path, rng = Path(task.store), task.rng()
    batch = SIZES[load(Path(task.source)).name][0]
    adapter = load_adapter(PEERS[task.peer])
    evict(path)
    start = time.perf_counter()
    reader = adapter.open_store(path)
    reader.transitions(rng, batch)
    first = time.perf_counter() - start
    for _ in range(_COLD_BATCHES - 1):
        reader.transitions(rng, batch)
    rate = _COLD_BATCHES * batch / (time.perf_counter() - start)
    return {"cold_first_batch_s": first, "cold_transitions": rate}


def measure_values(task: Task) -> Facts:
    started = time.perf_counter()
    adapter = load_adapter(PEERS[task.peer])
    reader = adapter.open_store(Path(task.store))
    source = load(Path(task.source))
    values = compare_values(reader, source, *SIZES[source.name], WINDOW)
    facts: Facts = {"values": values, "checking_s": time.perf_counter() - started}
    return facts if source.name != "C" else facts | {"psnr_db": measure_loss(reader, source)}


ACTIONS: dict[str, Callable[[Task], Facts]] = {
    "write": measure_write,
    "read": measure_read,
    "cold": measure_cold,
    "values": measure_values,
}


def main() -> None:
    task = Task(**json.loads(sys.stdin.read()))
    Path(task.answer).write_text(json.dumps(ACTIONS[task.action](task)))


if __name__ == "__main__":
    main()
