"""``python -m benchmarks.live``: does a loop with two cameras lose a frame while it is recorded?

The loop takes a state of two cameras (240x320x3 and 480x640x3, noise) at 30 Hz and records it; with
``--bare`` it only waits, which is what the machine itself does to a loop. Pin it to one core:
``taskset -c 0 python -m benchmarks.live STORE``. A step that begins more than a period late would
have lost a frame of a camera that keeps one.
"""

import time
from pathlib import Path

import click
import numpy as np

from trajstore import Axis, EpisodeSchema, FieldSpec, Store

RATE = 30
SCHEMA = EpisodeSchema(
    (
        FieldSpec("observation/front", Axis.STATE, (240, 320, 3), "uint8"),
        FieldSpec("observation/wrist", Axis.STATE, (480, 640, 3), "uint8"),
        FieldSpec("observation/joints", Axis.STATE, (7,), "float32"),
        FieldSpec("action", Axis.STEP, (7,), "float32", low=-4, high=4),
        FieldSpec("terminated", Axis.STEP, (), "bool"),
        FieldSpec("truncated", Axis.STEP, (), "bool"),
    )
)


def anonymous_mb() -> float:
    """Memory of this process that no file stands behind, MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = next(line for line in lines if line.startswith("RssAnon"))
    return int(found.split()[1]) / 1000


@click.command(context_settings={"show_default": True})
@click.argument("store", type=click.Path(path_type=Path))
@click.option("--episodes", default=3)
@click.option("--seconds", default=20.0, help="Of an episode.")
@click.option("--bare", is_flag=True, help="Only wait.")
def main(store: Path, episodes: int, seconds: float, bare: bool) -> None:
    """Record, and tell how late the loop was."""
    rng = np.random.default_rng(0)
    images = [
        {name: rng.integers(0, 255, SCHEMA.field(f"observation/{name}").shape, np.uint8)
         for name in ("front", "wrist")}
        for _ in range(8)
    ]  # fmt: skip

    def seen(step: int) -> dict[str, dict[str, np.ndarray]]:
        return {"observation": {**images[step % 8], "joints": np.full(7, step % 3, np.float32)}}

    recorder = Store(store).record("live", schema=SCHEMA, provenance={}, quota_bytes=10**12)
    memory, spent, own = 0.0, 0.0, 0.0
    began, used = time.perf_counter(), time.process_time()
    with recorder:
        for number in range(episodes):
            episode = recorder.begin(seen(0))
            late, steps = [], int(seconds * RATE)
            begun = time.perf_counter()
            for step in range(steps):
                due = begun + (step + 1) / RATE
                time.sleep(max(0.0, due - time.perf_counter()))
                late.append(time.perf_counter() - due)
                own = time.thread_time()
                if not bare or step == 0:
                    episode.step({"action": np.zeros(7, np.float32), **seen(step)})
                spent += time.thread_time() - own
                if step % RATE == 0:
                    memory = max(memory, anonymous_mb())
            slowest, lag = episode.slowest, episode.lag
            begun = time.perf_counter()
            episode.end()
            ended = time.perf_counter() - begun
            lost = sum(it > 1 / RATE for it in late)
            click.echo(
                f"episode {number}: {steps} steps, {lost} more than a period late, latest "
                f"{max(late) * 1e3:.1f} ms, slowest step {slowest * 1e3:.1f} ms, waited for the "
                f"disk {lag:.2f} s, end {ended * 1e3:.1f} ms, memory {memory:.0f} MB"
            )
        begun = time.perf_counter()
        recorder.wait()
        wall, busy = time.perf_counter() - began, time.process_time() - used
        click.echo(
            f"all durable {time.perf_counter() - begun:.1f} s after the last end; processor time: "
            f"{spent / episodes / seconds / RATE * 1e3:.2f} ms a step, {busy / wall:.0%} of one "
            "core in all"
        )


if __name__ == "__main__":
    main()
