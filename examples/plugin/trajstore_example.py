"""One plug-in of each kind: a check, a detector, a format, an environment, a task."""

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from trajstore import Dataset, Episode, EpisodeSchema, Finding, Severity
from trajstore.episode.anomalies import Anomaly
from trajstore.interop.imported import Imported, whole_export
from trajstore.quality.contract import Contract

IDLE_STEPS = 5


def flat_reward(dataset: Dataset, contract: Contract) -> Iterator[Finding]:
    """Rewards tell something: they are not the same at every step of all episodes."""
    if "reward" in dataset.schema.names and np.ptp(dataset.column("reward")) == 0:
        yield Finding(Severity.WARNING, "", "reward: expected different ones, got one value")


def idle(episode: Episode) -> Iterator[Anomaly]:
    """Runs of at least five steps whose actions are zero."""
    if "action" not in episode.arrays:
        return
    actions = episode["action"]
    still = [-1, *np.flatnonzero(actions.reshape(len(episode), -1).any(axis=1)), len(episode)]
    for before, after in pairwise(still):
        steps = after - before - 1
        if steps >= IDLE_STEPS:
            yield Anomaly("", before + 1, after - 1, f"no action for {steps} steps", 0.3)


class JsonLines:
    """The schema and the provenance in the first line, then an episode a line."""

    @staticmethod
    def export_dataset(dataset: Dataset, target: Path) -> tuple[str, ...]:
        """Write a version; it appears whole or not at all. Nothing is left out."""
        head = {"schema": dataset.schema.to_json(), "provenance": dict(dataset.manifest.provenance)}
        with whole_export(target) as whole, whole.open("w", encoding="utf-8") as file:
            file.write(json.dumps(head) + "\n")
            for episode in dataset:
                rows = {name: values.tolist() for name, values in episode.arrays.items()}
                file.write(json.dumps(rows) + "\n")
        return ()

    @staticmethod
    def import_dataset(source: Path) -> Imported:
        """Read such a file, a line at a time."""
        with source.open(encoding="utf-8") as file:
            head = json.loads(file.readline())
        schema = EpisodeSchema.from_json(head["schema"])

        def episodes() -> Iterator[Episode]:
            with source.open(encoding="utf-8") as file:
                next(file)
                for line in file:
                    rows = json.loads(line)
                    kinds = {it.name: str if it.is_text else it.dtype for it in schema.fields}
                    yield Episode(schema, {it: np.array(rows[it], kinds[it]) for it in kinds})

        return Imported(schema, head["provenance"], episodes)


class Corridor:
    """Walk to the end of a corridor of one metre; an action is metres of one step."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Start somewhere near the door."""
        self.place = np.random.default_rng(seed).uniform(0, 0.1, 1)
        return self.place.copy(), {}

    def step(self, action: Any) -> Any:
        """Go; every step costs one."""
        self.place = self.place + np.clip(np.asarray(action, np.float64), -0.1, 0.1)
        return self.place.copy(), -1.0, bool(self.place[0] >= 1), False, {}

    def close(self) -> None:
        """Nothing to free."""


def corridor(provenance: Mapping[str, Any]) -> Corridor:
    """The environment of a dataset with ``{"environment": {"id": "Corridor-v0"}}``."""
    return Corridor()


def walk() -> Any:
    """The same as a task of the pipeline: with the spaces that Gymnasium asks for."""
    import gymnasium as gym

    class Walk(Corridor, gym.Env[Any, Any]):
        observation_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float64)
        action_space = gym.spaces.Box(-0.1, 0.1, (1,), np.float64)

    return Walk()
