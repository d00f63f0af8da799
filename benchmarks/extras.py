"""What only this store promises: durable recording, verification, large versions, little memory."""

import json
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.data import generate, load
from benchmarks.memory import anonymous_bytes, anonymous_peak, size_and_files
from benchmarks.peers.trajstore_store import schema_of, write
from trajstore.dataset import Dataset
from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.schema import EpisodeSchema
from trajstore.recording.bulk import write_dataset

Facts = dict[str, float | str]

LARGE_EPISODE = 250
MEMORY_LIMIT = 300 * 10**6
_UPDATES = 300


@dataclass(frozen=True, slots=True)
class Extra:
    """One request: the measurement, its data set, where data sets lie, a folder to work in."""

    name: str
    dataset: str
    data: str
    out: str
    episodes: int

    @property
    def answer(self) -> Path:
        return Path(self.out) / "answer.json"

    @property
    def store(self) -> Path:
        return Path(self.out) / self.dataset

    @property
    def source(self) -> Path:
        return generate(Path(self.data), self.dataset, episodes=self.episodes)


def _version(extra: Extra) -> Path:
    if not extra.store.exists():
        extra.store.parent.mkdir(parents=True, exist_ok=True)
        write(extra.store, load(extra.source))
    return extra.store


def record(extra: Extra) -> Facts:
    """Episode by episode, each checked when built and on the disk when ``add`` returns."""
    from trajstore.recording.recorder import Recorder

    source, target = load(extra.source), Path(extra.out) / "recorded" / "v1"
    shutil.rmtree(target.parent, ignore_errors=True)
    target.parent.mkdir(parents=True)
    schema, waits = schema_of(source), []
    started, processor = time.perf_counter(), time.process_time()
    with Recorder(target, schema=schema, provenance={}, quota_bytes=25 * 10**9) as recorder:
        for arrays in source.episodes():
            before = time.perf_counter()
            recorder.add(Episode(schema, arrays))
            waits.append(time.perf_counter() - before)
        added, spent = time.perf_counter(), time.process_time() - processor
    sealed = time.perf_counter()
    shutil.rmtree(target.parent)
    name = extra.dataset
    return {
        f"{name}: record, episode by episode, steps/s": source.steps / (added - started),
        f"{name}: record, steps a second of processor time": source.steps / spent,
        f"{name}: record, median of an episode, ms": 1e3 * median(waits),
        f"{name}: record, 95 % of episodes within, ms": 1e3 * float(np.quantile(waits, 0.95)),
        f"{name}: record and seal, steps/s": source.steps / (sealed - started),
    }


def verify(extra: Extra) -> Facts:
    """Every byte of a version, file cache warm."""
    from trajstore.version.integrity import verify as check

    path, raw = _version(extra), load(extra.source).raw_bytes
    size, _ = size_and_files(path)
    check(path)
    started, processor = time.perf_counter(), time.process_time()
    findings = check(path)
    seconds, spent = time.perf_counter() - started, time.process_time() - processor
    if findings:
        raise RuntimeError(f"{path}: expected a clean version, got {findings[0]}")
    return {
        f"{extra.dataset}: verify, MB/s": size / 1e6 / seconds,
        f"{extra.dataset}: verify, MB/s of raw rows": raw / 1e6 / seconds,
        f"{extra.dataset}: verify, MB a second of processor time": size / 1e6 / spent,
    }


def _large_episodes(schema: EpisodeSchema, count: int) -> Iterator[Episode]:
    rng = np.random.default_rng(0)
    pool = rng.normal(size=(LARGE_EPISODE * 64, 8)).astype(np.float32)
    never, last = np.zeros(LARGE_EPISODE, bool), np.arange(LARGE_EPISODE) == LARGE_EPISODE - 1
    for first in rng.integers(len(pool) - LARGE_EPISODE, size=count).tolist():
        rows = pool[first : first + LARGE_EPISODE]
        yield Episode(
            schema,
            {
                "observation": rows,
                "action": rows[:, :2],
                "terminated": last,
                "truncated": never,
            },
        )


def open_large(extra: Extra) -> Facts:
    """Open a version of ten million steps (a tenth of it in a quick run), file cache warm."""
    steps = 10_000_000 if extra.episodes >= 1_000 else 1_000_000
    path = Path(extra.out) / "large"
    schema = EpisodeSchema(
        (
            FieldSpec("observation", Axis.STEP, (8,), "float32"),
            FieldSpec("action", Axis.STEP, (2,), "float32"),
            FieldSpec("terminated", Axis.STEP, (), "bool"),
            FieldSpec("truncated", Axis.STEP, (), "bool"),
        )
    )
    if not path.exists():
        episodes = list(_large_episodes(schema, steps // LARGE_EPISODE))
        write_dataset(path, episodes, schema=schema, provenance={})
        del episodes
    opened, first = [], []
    for repeat in range(21):
        started = time.perf_counter()
        data = Dataset.open(path)
        opened.append(time.perf_counter() - started)
        data.sample(256, rng=np.random.default_rng(repeat))
        first.append(time.perf_counter() - started)
    shutil.rmtree(path)
    return {
        f"open at {steps // 10**6} million steps, ms": 1e3 * median(opened),
        f"open and first batch at {steps // 10**6} million steps, ms": 1e3 * median(first),
    }


def little_memory(extra: Extra) -> Facts:
    """Sample and read a version larger than what the process may allocate (``RLIMIT_DATA``)."""
    path, raw = _version(extra), load(extra.source).raw_bytes
    limit = min(MEMORY_LIMIT, max(MEMORY_LIMIT // 2, raw * 9 // 10))
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    bare, data, rng = anonymous_bytes(), Dataset.open(path), np.random.default_rng(0)
    with anonymous_peak() as peak:
        for _ in range(200):
            data.sample(256, rng=rng)
        for batch, _ in zip(data.batches(64, rng=rng, window=16), range(100), strict=False):
            batch["mask"].any()
        for _ in zip(data, range(100), strict=False):
            pass
    label = f"{extra.dataset} under a limit of {limit // 10**6} MB"
    return {
        f"{label}: own memory, MB": peak[0] / 1e6,
        f"{label}: above the interpreter, MB": (peak[0] - bare) / 1e6,
    }


def cloning_share(extra: Extra) -> Facts:
    """Loading a batch of 256, beside the update of a 64-256-256-2 network that it feeds."""
    import torch

    torch.set_num_threads(1)
    rng, data = np.random.default_rng(0), Dataset.open(_version(extra))
    names = ("observation", "action")
    network = torch.nn.Sequential(
        torch.nn.Linear(64, 256),
        torch.nn.ReLU(),
        torch.nn.Linear(256, 256),
        torch.nn.ReLU(),
        torch.nn.Linear(256, 2),
    )
    optimiser = torch.optim.Adam(network.parameters())
    loading, updating = [], []
    for batch in data.batches(256, rng=rng, fields=names):
        started = time.perf_counter()
        tensors = [torch.from_numpy(batch[name]) for name in names]
        optimiser.zero_grad()
        torch.nn.functional.mse_loss(network(tensors[0]), tensors[1]).backward()
        optimiser.step()
        updating.append(time.perf_counter() - started)
        if len(updating) == _UPDATES:
            break
    batches = iter(data.batches(256, rng=rng, fields=names))
    for _ in range(len(updating)):
        started = time.perf_counter()
        next(batches)
        loading.append(time.perf_counter() - started)
    load_s, update_s = median(loading[10:]), median(updating[10:])
    return {
        f"{extra.dataset}: loader's share of a cloning update": load_s / (load_s + update_s),
        f"{extra.dataset}: loader, steps/s": 256 / load_s,
    }


EXTRAS: dict[str, tuple[Callable[[Extra], Facts], tuple[str, ...]]] = {
    "record": (record, ("A", "B")),
    "verify": (verify, ("A", "B")),
    "open_large": (open_large, ("A",)),
    "little_memory": (little_memory, ("B",)),
    "cloning_share": (cloning_share, ("A",)),
}


def main() -> None:
    extra = Extra(**json.loads(sys.stdin.read()))
    extra.answer.write_text(json.dumps(EXTRAS[extra.name][0](extra)))


if __name__ == "__main__":
    main()
