"""Observations and actions of any flat or nested space, as policies see them, and back.

A policy sees ``float32[D]`` and answers in [-1, 1], or with the number of a choice. What an
environment, and a dataset, hold are the values of its own spaces.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from gymnasium import spaces

from trajstore.episode.nesting import OBSERVATION, flatten
from trajstore.errors import ArgumentError

_KNOWN = "Box, Discrete or MultiDiscrete"
LEAST_SIDE = 8
"""Pixels; what is smaller is numbers and no image."""


@dataclass(frozen=True, slots=True)
class Image:
    """Where an image lies in a coded observation.

    Attributes:
        first: place of its first number.
        last: whether channels are the last axis.
    """

    first: int
    channels: int
    height: int
    width: int
    last: bool

    @property
    def size(self) -> int:
        """Numbers that it takes."""
        return self.channels * self.height * self.width


@dataclass(frozen=True)
class Coding:
    """Between the spaces of an environment and those of a policy.

    Raises:
        ArgumentError: a part of a space has no coded form.
    """

    observation: spaces.Space[Any]
    action: spaces.Space[Any]

    def __post_init__(self) -> None:
        self._parts  # noqa: B018 - refused here, not when an episode is played
        if not isinstance(self.action, spaces.Box | spaces.Discrete | spaces.MultiDiscrete):
            raise ArgumentError(
                f"action space: expected {_KNOWN}, got {self.action}; wrap the environment"
            )

    @cached_property
    def _parts(self) -> dict[str, spaces.Space[Any]]:
        """The leaves of the observation by field name, in the order they are coded."""
        found: dict[str, spaces.Space[Any]] = {}

        def walk(name: str, space: spaces.Space[Any]) -> None:
            if isinstance(space, spaces.Dict):
                for field, inner in flatten(name, dict(space.spaces)).items():
                    walk(field, inner)
            elif isinstance(space, spaces.Tuple):
                for field, inner in flatten(name, tuple(space.spaces)).items():
                    walk(field, inner)
            elif isinstance(space, _LEAVES):
                found[name] = space
            else:
                raise ArgumentError(
                    f"{name}: expected a space of numbers, got {space}; wrap the environment"
                )

        walk(OBSERVATION, self.observation)
        return dict(sorted(found.items()))

    @cached_property
    def size(self) -> int:
        """``D``: numbers of a coded observation."""
        return sum(_width(space) for space in self._parts.values())

    @cached_property
    def images(self) -> tuple[Image, ...]:
        """Boxes of bytes with channels first or last, whichever are fewer."""
        found, first = [], 0
        for space in self._parts.values():
            if isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) == 3:
                last = space.shape[2] <= space.shape[0]
                height, width = space.shape[:2] if last else space.shape[1:]
                if min(height, width) >= LEAST_SIDE:
                    channels = space.shape[2 if last else 0]
                    found.append(Image(first, channels, height, width, last))
            first += _width(space)
        return tuple(found)

    @property
    def fields(self) -> tuple[str, ...]:
        """Of a dataset, those that are observed."""
        return tuple(self._parts)

    @property
    def choices(self) -> tuple[int, ...]:
        """So many choices each part of an action has; empty where actions are real numbers."""
        if isinstance(self.action, spaces.Discrete):
            return (int(self.action.n),)
        if isinstance(self.action, spaces.MultiDiscrete):
            return tuple(int(n) for n in self.action.nvec.ravel())
        return ()

    @property
    def actions(self) -> int:
        """``A``: parts of a coded action."""
        return len(self.choices) or int(np.prod(self.action.shape or (1,)))

    def spaces(self) -> tuple[spaces.Box, spaces.Space[Any]]:
        """The coded spaces."""
        seen = spaces.Box(-np.inf, np.inf, (self.size,), np.float32)
        return seen, action_space(self.actions, self.choices)

    def observe(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """``float32[N, D]`` of the observed fields ``[N, ...]``."""
        rows = [_coded(space, columns[name]) for name, space in self._parts.items()]
        coded: np.ndarray = np.concatenate(rows, axis=1) if len(rows) > 1 else rows[0]
        return coded

    def seen(self, observation: Any) -> np.ndarray:  # noqa: ANN401 - of any space
        """``float32[D]`` of one observation."""
        leaves = flatten(OBSERVATION, observation, self._parts)
        rows = self.observe({name: np.asarray(it)[None] for name, it in leaves.items()})
        return np.asarray(rows[0])

    def encode(self, actions: np.ndarray) -> np.ndarray:
        """Actions of the environment ``[N, ...]`` as a policy has them.

        ``float32[N, A]``, or numbers of choices, ``int64[N]`` or ``int64[N, A]``.
        """
        rows = np.asarray(actions)
        if isinstance(self.action, spaces.Discrete):
            return np.asarray(rows.reshape(len(rows)) - int(self.action.start), np.int64)
        if isinstance(self.action, spaces.MultiDiscrete):
            start = np.asarray(getattr(self.action, "start", 0)).reshape(-1)
            return np.asarray(rows.reshape(len(rows), -1) - start, np.int64)
        flat = rows.reshape(len(rows), -1).astype(np.float32)
        if self._plain:
            return np.asarray(flat, np.float32)
        low, high = self._bounds
        return np.asarray(2.0 * (flat - low) / (high - low) - 1.0, np.float32)

    def decode(self, actions: np.ndarray) -> np.ndarray:
        """A policy's actions as the environment takes them, within its bounds."""
        rows = np.asarray(actions)
        shape = (len(rows), *(self.action.shape or ()))
        if isinstance(self.action, spaces.Discrete):
            return np.asarray(rows.reshape(shape) + int(self.action.start), self.action.dtype)
        if isinstance(self.action, spaces.MultiDiscrete):
            start = np.asarray(getattr(self.action, "start", 0)).reshape(-1)
            moved = rows.reshape(len(rows), -1) + start
            return np.asarray(moved.reshape(shape), self.action.dtype)
        rows = np.clip(rows, -1.0, 1.0)
        if not self._plain:
            low, high = self._bounds
            rows = np.clip(low + 0.5 * (rows + 1.0) * (high - low), low, high)
        return np.asarray(rows.reshape(shape), self.action.dtype)

    @cached_property
    def _bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Least and greatest of each part of a real action; where it has none, one from zero."""
        if not isinstance(self.action, spaces.Box):
            return np.empty(0), np.empty(0)
        low, high = (
            np.asarray(it, np.float32).ravel() for it in (self.action.low, self.action.high)
        )
        whole = np.isfinite(low) & np.isfinite(high) & (low < high)
        return np.where(whole, low, -1.0), np.where(whole, high, 1.0)

    @cached_property
    def _plain(self) -> bool:
        return bool((self._bounds[0] == -1.0).all() and (self._bounds[1] == 1.0).all())


def action_space(actions: int, choices: tuple[int, ...]) -> spaces.Space[Any]:
    """The coded space of actions of so many parts; ``choices`` of each, if they are numbered."""
    if not choices:
        return spaces.Box(-1.0, 1.0, (actions,), np.float32)
    return spaces.Discrete(choices[0]) if len(choices) == 1 else spaces.MultiDiscrete(list(choices))


_LEAVES = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


def _width(space: spaces.Space[Any]) -> int:
    if isinstance(space, spaces.Discrete):
        return int(space.n)
    if isinstance(space, spaces.MultiDiscrete):
        return int(space.nvec.sum())
    return int(np.prod(space.shape or (1,)))


def _coded(space: spaces.Space[Any], values: np.ndarray) -> np.ndarray:
    """Rows of one leaf: numbers as they are, images of bytes in [0, 1], choices one of many."""
    rows = np.asarray(values)
    if isinstance(space, spaces.Discrete):
        chosen = rows.reshape(-1) - int(space.start)
        return np.asarray(np.eye(int(space.n), dtype=np.float32)[chosen])
    flat = rows.reshape(len(rows), -1)
    if isinstance(space, spaces.MultiDiscrete):
        start = np.asarray(getattr(space, "start", 0)).reshape(-1)
        flat = flat - start
        sizes = space.nvec.ravel()
        parts = [np.eye(int(n), dtype=np.float32)[flat[:, i]] for i, n in enumerate(sizes)]
        return np.concatenate(parts, axis=1)
    if isinstance(space, spaces.Box) and space.dtype == np.uint8:
        return np.asarray(flat / np.float32(255.0), np.float32)
    return np.asarray(flat, np.float32)
