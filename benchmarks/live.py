"""``python -m benchmarks.live STORE``: does a loop with two cameras lose a frame while it records?

The loop takes a state of two cameras (240x320x3 and 480x640x3, a drawn scene with the noise of a
sensor) at 30 Hz and records it: raw, and with each codec. ``bare`` only waits, which is what the
machine itself does to a loop. A step that begins more than a period late would have lost a frame of
a camera that keeps one. Pin it to one core: ``taskset -c 0 python -m benchmarks.live STORE``.
"""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.memory import anonymous_bytes, size_and_files
from benchmarks.scene import Scene
from trajstore import Axis, EpisodeSchema, FieldSpec, Store
from trajstore.recording.live import LiveEpisode

RATE = 30
DRAWN = 60
CODECS = ("bare", "raw", "jpeg", "h264")
SIZES = {"front": (240, 320, 3), "wrist": (480, 640, 3)}


def schema_of(codec: str) -> EpisodeSchema:
    """Two cameras, joints and an action; cameras with a codec if ``codec`` names one."""
    chosen = codec if codec in ("jpeg", "h264") else None
    return EpisodeSchema(
        (
            *(
                FieldSpec(f"observation/{name}", Axis.STATE, shape, "uint8", codec=chosen)
                for name, shape in SIZES.items()
            ),
            FieldSpec("observation/joints", Axis.STATE, (7,), "float32"),
            FieldSpec("action", Axis.STEP, (7,), "float32", low=-4, high=4),
            FieldSpec("terminated", Axis.STEP, (), "bool"),
            FieldSpec("truncated", Axis.STEP, (), "bool"),
        )
    )


def draw(count: int) -> list[dict[str, np.ndarray]]:
    """What the cameras see, two seconds of it, back and forth."""
    rng = np.random.default_rng(0)
    scene, drawn = Scene(10 * count, rng), []
    for step in range(count):
        seen = {name: scene.draw(name, step) for name in SIZES}
        seen["wrist"] = seen["wrist"].repeat(2, 0).repeat(2, 1)
        drawn.append(
            {
                name: np.clip(rng.normal(image, 2).round(), 0, 255).astype(np.uint8)
                for name, image in seen.items()
            }
        )
    return drawn + drawn[::-1]


@dataclass(slots=True)
class Told:
    """What a loop was like; times in seconds."""

    late: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    slowest: float = 0.0
    lag: float = 0.0
    own: list[float] = field(default_factory=list)
    memory: int = 0

    def __str__(self) -> str:
        steps, lost = len(self.late), sum(it > 1 / RATE for it in self.late)
        return (
            f"{steps:,} steps, {lost} more than a period late, latest {max(self.late) * 1e3:.1f} "
            f"ms; lag {self.lag:.2f} s, slowest step {self.slowest * 1e3:.1f} ms, end "
            f"{max(self.ends) * 1e3:.1f} ms; memory {self.memory / 1e6:.0f} MB; processor time a "
            f"step: in the loop {np.mean(self.own) * 1e3:.2f} ms, at most {max(self.own) * 1e3:.1f}"
        )


def drive(episode: LiveEpisode, images: list[Any], steps: int, told: Told, *, bare: bool) -> None:
    """One episode at the rate of the cameras."""
    begun = time.perf_counter()
    for step in range(steps):
        due = begun + (step + 1) / RATE
        time.sleep(max(0.0, due - time.perf_counter()))
        told.late.append(time.perf_counter() - due)
        own = time.thread_time()
        if not bare or not step:
            joints = np.full(7, step % 3, np.float32)
            seen = {**images[step % len(images)], "joints": joints}
            episode.step({"action": np.zeros(7, np.float32), "observation": seen})
        told.own.append(time.thread_time() - own)
        if step % RATE == 0:
            told.memory = max(told.memory, anonymous_bytes())
    begun = time.perf_counter()
    episode.end()
    told.ends.append(time.perf_counter() - begun)
    told.slowest = max(told.slowest, episode.slowest)


def run(store: Store, codec: str, images: list[Any], episodes: int, steps: int) -> str:
    """Record episodes one after the other, and tell how it went."""
    told = Told()
    recorder = store.record(codec, schema=schema_of(codec), provenance={}, quota_bytes=10**12)
    with recorder:
        used = time.process_time()
        for _ in range(episodes):
            first = {**images[0], "joints": np.zeros(7, np.float32)}
            episode = recorder.begin({"observation": first})
            drive(episode, images, steps, told, bare=codec == "bare")
        ended = time.perf_counter()
        recorder.wait()
        waited, used = time.perf_counter() - ended, time.process_time() - used
        told.lag = recorder.lag
    size, _ = size_and_files(recorder.target)
    share = used * RATE / len(told.late)
    return (
        f"{codec}: {told}; in all {share / RATE * 1e3:.2f} ms, {share:.0%} of a core; durable "
        f"{waited:.1f} s after the last end; {size / len(told.late) / 1e3:.0f} kB a step"
    )


@click.command(context_settings={"show_default": True})
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--codec", "codecs", multiple=True, default=CODECS, type=click.Choice(CODECS))
@click.option("--episodes", default=3)
@click.option("--seconds", default=20.0, help="Of an episode.")
def main(folder: Path, codecs: tuple[str, ...], episodes: int, seconds: float) -> None:
    """Record, and tell how late the loop was."""
    images = draw(DRAWN)
    for codec in codecs:
        cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
        line = run(Store(folder), codec, images, episodes, int(seconds * RATE))
        click.echo(f"{line}; on {cores} cores, load {load:.1f} before")


if __name__ == "__main__":
    main()
