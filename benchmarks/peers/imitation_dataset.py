"""imitation's own format (a Hugging Face dataset), read as behavioural cloning reads it.

``load`` and ``flatten_trajectories`` bring everything into memory. A trajectory has T + 1
observations: the last one is repeated. Both end flags become one.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from imitation.data import rollout, serialize, types
from imitation.data.types import TrajectoryWithRew
from torch.utils.data import DataLoader

from benchmarks.data import Source
from benchmarks.peers import Batch
from benchmarks.peers.drawing import Rows


def _observations(arrays: Batch) -> np.ndarray | types.DictObs:
    with_last = {
        name: np.concatenate([arrays[name], arrays[name][-1:]])
        for name in ("observation", "grid")
        if name in arrays
    }
    return types.DictObs(with_last) if "grid" in with_last else with_last["observation"]


def write(path: Path, source: Source) -> None:
    trajectories = [
        TrajectoryWithRew(
            obs=_observations(arrays),
            acts=np.array(arrays["action"]),
            rews=np.array(arrays["reward"]),
            infos=None,
            terminal=bool(arrays["terminated"][-1]),
        )
        for arrays in source.episodes()
    ]
    serialize.save(path, trajectories)


def _ends(terminal: bool, length: int) -> Batch:
    last = np.arange(length) == length - 1
    return {"terminated": last & terminal, "truncated": last & (not terminal)}


class ImitationReader:
    def __init__(self, path: Path) -> None:
        self.trajectories = list(serialize.load(path))
        self.rows = Rows(np.array([len(one) for one in self.trajectories]))
        flat = rollout.flatten_trajectories_with_rew(self.trajectories)
        self.rewards = flat.rews
        self.loader = DataLoader(
            flat, batch_size=256, shuffle=True, collate_fn=types.transitions_collate_fn
        )
        self._batches: Iterator[dict[str, object]] = iter(self.loader)

    def transitions(self, rng: np.random.Generator, size: int) -> Batch:
        batch = next(self._batches, None)
        if batch is None or len(batch["obs"]) < size:
            self._batches = iter(self.loader)
            batch = next(self._batches)
        return {
            "observation": np.asarray(batch["obs"]),
            "action": np.asarray(batch["acts"]),
            "dones": np.asarray(batch["dones"]),
        }

    def episode(self, index: int) -> Batch:
        one = self.trajectories[index]
        steps = {"observation": one.obs[:-1], "action": one.acts, "reward": one.rews}
        return {**steps, **_ends(one.terminal, len(one))}

    def windows(self, rng: np.random.Generator, size: int, length: int) -> Batch:
        episode, step = self.rows.locate(self.rows.draw_windows(rng, size, length))
        parts = [
            {name: rows[start : start + length] for name, rows in self.episode(which).items()}
            for which, start in zip(episode.tolist(), step.tolist(), strict=True)
        ]
        return {name: np.stack([part[name] for part in parts]) for name in parts[0]}

    def sequential(self) -> Iterator[Batch]:
        for index in range(len(self.trajectories)):
            yield self.episode(index)


def open_store(path: Path) -> ImitationReader:
    return ImitationReader(path)
