"""Minari, by its own interface and defaults (HDF5; image-like fields become JPEG)."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import gymnasium
import numpy as np

from benchmarks.data import Source
from benchmarks.peers import Batch
from benchmarks.peers.drawing import Rows, gather_by_episode, gather_windows

_ID = "bench/expert-v0"


def _spaces(source: Source) -> tuple[gymnasium.Space, gymnasium.Space]:
    shapes = {name: rows.shape[1:] for name, rows in source.fields.items()}
    observation: gymnasium.Space = gymnasium.spaces.Box(
        -np.inf, np.inf, shapes["observation"], np.float32
    )
    images = {
        name: gymnasium.spaces.Box(0, 255, shapes[name], np.uint8) for name in _images(shapes)
    }
    if images:
        observation = gymnasium.spaces.Dict({"observation": observation, **images})
    return observation, gymnasium.spaces.Box(-1.0, 1.0, shapes["action"], np.float32)


def _images(names: Iterable[str]) -> list[str]:
    plain = {"observation", "action", "reward", "terminated", "truncated"}
    return [name for name in names if name not in plain]


def _observations(arrays: Batch) -> np.ndarray | Batch:
    with_last = {
        name: np.concatenate([arrays[name], arrays[name][-1:]])
        for name in ("observation", *_images(arrays))
    }
    return with_last if len(with_last) > 1 else with_last["observation"]


def write(path: Path, source: Source) -> None:
    path.mkdir(parents=True)
    os.environ["MINARI_DATASETS_PATH"] = str(path)
    import minari
    from minari.data_collector import EpisodeBuffer

    observation_space, action_space = _spaces(source)
    buffers = [
        EpisodeBuffer(
            id=index,
            observations=_observations(arrays),
            actions=np.array(arrays["action"]),
            rewards=np.array(arrays["reward"]),
            terminations=np.array(arrays["terminated"]),
            truncations=np.array(arrays["truncated"]),
        )
        for index, arrays in enumerate(source.episodes())
    ]
    minari.create_dataset_from_buffers(
        dataset_id=_ID,
        buffer=buffers,
        observation_space=observation_space,
        action_space=action_space,
    )


class MinariReader:
    def __init__(self, path: Path) -> None:
        os.environ["MINARI_DATASETS_PATH"] = str(path)
        import minari

        self.data = minari.load_dataset(_ID)
        self.count = int(self.data.total_episodes)
        self.rows = Rows(np.array(list(self.data.storage.apply(_length, range(self.count)))))

    def episode(self, index: int) -> Batch:
        return _batch(next(iter(self.data.iterate_episodes([index]))))

    def transitions(self, rng: np.random.Generator, size: int) -> Batch:
        return gather_by_episode(self.rows, self.rows.draw(rng, size), self._steps)

    def windows(self, rng: np.random.Generator, size: int, length: int) -> Batch:
        first = self.rows.draw_windows(rng, size, length)
        return gather_windows(self.rows, first, length, self._slice)

    def sequential(self) -> Iterator[Batch]:
        for one in self.data.iterate_episodes():
            yield _batch(one)

    def _steps(self, index: int, steps: np.ndarray) -> Batch:
        return {name: rows[steps] for name, rows in self.episode(index).items()}

    def _slice(self, index: int, first: int, last: int) -> Batch:
        return {name: rows[first:last] for name, rows in self.episode(index).items()}


def _length(episode: object) -> int:
    return len(episode["rewards"])  # type: ignore[index]


def _batch(one: object) -> Batch:
    observations = one.observations  # type: ignore[attr-defined]
    fields = observations if isinstance(observations, dict) else {"observation": observations}
    return {
        **{name: rows[:-1] for name, rows in fields.items()},
        "action": one.actions,  # type: ignore[attr-defined]
        "reward": one.rewards,  # type: ignore[attr-defined]
        "terminated": one.terminations,  # type: ignore[attr-defined]
        "truncated": one.truncations,  # type: ignore[attr-defined]
    }


def open_store(path: Path) -> MinariReader:
    return MinariReader(path)
