"""Data sets A, B and C: the same bytes on every machine, from a seed.

A: 1,000 episodes, 254,802 steps: observation float32[64] (random walk), action float32[2],
reward, terminated, truncated. B: A and a structured occupancy grid uint8[64, 64] a step.
C: 100 episodes of 300 steps: two cameras uint8[240, 320, 3] of a drawn scene, state and action.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.scene import CAMERAS, FRAME, Scene

EPISODES = 1_000
STEPS = 254_802
QUICK_EPISODES = 100
CAMERA_EPISODES, CAMERA_STEPS, QUICK_CAMERA_EPISODES = 100, 300, 4
OBSERVATION = 64
GRID = 64
STATE, ACTION = 14, 7
SEED = 20_260_101

_DISC = np.array([(y, x) for y in range(-3, 4) for x in range(-3, 4) if y * y + x * x <= 8])

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """The raw rows: every field memory-mapped, all episodes end to end."""

    name: str
    fields: dict[str, np.ndarray]
    lengths: np.ndarray

    @property
    def steps(self) -> int:
        return int(self.lengths.sum())

    @property
    def starts(self) -> np.ndarray:
        return np.cumsum(self.lengths) - self.lengths

    @property
    def raw_bytes(self) -> int:
        return sum(rows.nbytes for rows in self.fields.values())

    def episodes(self) -> Iterator[dict[str, np.ndarray]]:
        for start, length in zip(self.starts.tolist(), self.lengths.tolist(), strict=True):
            yield {name: rows[start : start + length] for name, rows in self.fields.items()}


def field_shapes(name: str) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape of a row and dtype of each field of data set ``name``."""
    shapes: dict[str, tuple[tuple[int, ...], str]] = {
        "observation": ((OBSERVATION,), "float32"),
        "action": ((2,), "float32"),
        "reward": ((), "float32"),
        "terminated": ((), "bool"),
        "truncated": ((), "bool"),
    }
    if name == "C":
        shapes |= {"observation": ((STATE,), "float32"), "action": ((ACTION,), "float32")}
        return shapes | dict.fromkeys(CAMERAS, (FRAME, "uint8"))
    return {**shapes, "grid": ((GRID, GRID), "uint8")} if name == "B" else shapes


def episode_lengths(episodes: int, *, seed: int = SEED) -> np.ndarray:
    """Lengths between 150 and 360 steps; 1,000 episodes have 254,802 steps together.

    Example:
        >>> int(episode_lengths(1_000).sum()), int(episode_lengths(100).sum())
        (254802, 25480)
    """
    lengths = np.random.default_rng(seed).integers(150, 360, size=episodes)
    missing = STEPS * episodes // EPISODES - int(lengths.sum())
    lengths += missing // episodes
    lengths[: missing % episodes] += 1
    return lengths.astype(np.int64)


def occupancy(length: int, rng: np.random.Generator) -> np.ndarray:
    """``uint8[length, 64, 64]``: border, still boxes, discs that walk and turn at the border."""
    still = np.zeros((GRID, GRID), np.uint8)
    still[[0, -1]] = still[:, [0, -1]] = 255
    for _ in range(rng.integers(4, 9)):
        (y, x), (high, wide) = rng.integers(2, 54, size=2), rng.integers(3, 14, size=2)
        still[y : y + high, x : x + wide] = 255
    grid = np.broadcast_to(still, (length, GRID, GRID)).copy()
    walkers = int(rng.integers(12, 20))
    start, velocity = rng.uniform(8, 56, (walkers, 2)), rng.uniform(-1.0, 1.0, (walkers, 2))
    travelled = start + np.arange(length)[:, None, None] * velocity
    centre = (4 + 28 - np.abs(np.mod(travelled - 4, 112) - 56) + 28).astype(np.int64)
    cells = centre[:, :, None, :] + _DISC
    frame = np.arange(length)[:, None, None]
    shade = (90 + 6 * np.arange(walkers)).astype(np.uint8)[None, :, None]
    grid[frame, cells[..., 0], cells[..., 1]] = shade
    return grid


def make_episode(name: str, length: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    if name == "C":
        return camera_episode(length, rng)
    terminated = np.zeros(length, bool)
    terminated[-1] = rng.random() < 0.8
    truncated = np.zeros(length, bool)
    truncated[-1] = not terminated[-1]
    walk = np.cumsum(rng.normal(0.0, 0.1, (length, OBSERVATION)), axis=0)
    arrays = {
        "observation": walk.astype(np.float32),
        "action": rng.uniform(-1.0, 1.0, (length, 2)).astype(np.float32),
        "reward": rng.normal(0.0, 1.0, length).astype(np.float32),
        "terminated": terminated,
        "truncated": truncated,
    }
    return {**arrays, "grid": occupancy(length, rng)} if name == "B" else arrays


def camera_episode(length: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    scene = Scene(length, rng)
    ends = np.zeros(length, bool)
    ends[-1] = True
    walk = np.cumsum(rng.normal(0.0, 0.1, (length, STATE)), axis=0)
    frames = {camera: np.empty((length, *FRAME), np.uint8) for camera in CAMERAS}
    for step in range(length):
        for camera in CAMERAS:
            frames[camera][step] = scene.draw(camera, step)
    return {
        "observation": walk.astype(np.float32),
        "action": rng.uniform(-1.0, 1.0, (length, ACTION)).astype(np.float32),
        "reward": rng.normal(0.0, 1.0, length).astype(np.float32),
        "terminated": ends,
        "truncated": np.zeros(length, bool),
        **frames,
    }


def generate(folder: Path, name: str, *, episodes: int = EPISODES, seed: int = SEED) -> Path:
    """Write data set ``name`` below ``folder`` unless it is there; return its folder."""
    target = folder / f"{name}_{episodes}"
    if (target / "done.json").exists():
        return target
    target.mkdir(parents=True, exist_ok=True)
    lengths = episode_lengths(episodes, seed=seed)
    if name == "C":
        lengths = np.full(episodes, CAMERA_STEPS, np.int64)
    rows = int(lengths.sum())
    fields = {
        field: np.lib.format.open_memmap(
            target / f"{field}.npy", mode="w+", dtype=dtype, shape=(rows, *shape)
        )
        for field, (shape, dtype) in field_shapes(name).items()
    }
    position = 0
    for child, length in zip(
        np.random.SeedSequence(seed).spawn(episodes), lengths.tolist(), strict=True
    ):
        arrays = make_episode(name, length, np.random.default_rng(child))
        for field, values in arrays.items():
            fields[field][position : position + length] = values
        position += length
    for values in fields.values():
        values.flush()
    np.save(target / "lengths.npy", lengths)
    (target / "done.json").write_text(json.dumps({"name": name, "seed": seed}) + "\n")
    return target


def load(folder: Path) -> Source:
    """The data set in ``folder``, memory-mapped."""
    name = str(json.loads((folder / "done.json").read_text())["name"])
    fields = {
        field: np.load(folder / f"{field}.npy", mmap_mode="r").view(np.ndarray)
        for field in field_shapes(name)
    }
    return Source(name, fields, np.load(folder / "lengths.npy"))
