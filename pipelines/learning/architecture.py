"""The shape of a policy: two tanh networks on the features of an observation."""

from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from pipelines.learning.features import STATISTICS, UNITS, Features, image_shapes
from pipelines.learning.tensors import MAX_BYTES, size_bytes
from pipelines.tasks.coding import Coding, Image, action_space
from trajstore.episode.texts import shown
from trajstore.errors import ArgumentError

MAX_UNITS = 4096
MAX_LAYERS = 32
MAX_SIDE = 4096
MAX_NUMBERS = 2**22
"""That an observation with images has at most."""
FEATURES = "features_extractor."
"""Begins the names of the weights before the networks."""
_STATISTICS = tuple(f"{FEATURES}{name}" for name in STATISTICS)


@dataclass(frozen=True, slots=True)
class Architecture:
    """Two tanh networks, one for the action and one for the value, on what `Features` makes.

    Attributes:
        observations: size ``D`` of an observation.
        actions: parts ``A`` of an action, each in [-1, 1] or a choice.
        hidden: units of each hidden layer, the same for both networks.
        choices: so many each part of an action has; empty where actions are real numbers.
        normalised: whether what is no image is normalised before the networks.
        images: that lie in an observation, each seen by a convolution.
    """

    observations: int
    actions: int
    hidden: tuple[int, ...]
    choices: tuple[int, ...] = ()
    normalised: bool = False
    images: tuple[Image, ...] = ()

    @classmethod
    def of(cls, coding: Coding, hidden: tuple[int, ...], *, normalise: bool) -> "Architecture":
        """That of a task; images alone have nothing to normalise."""
        rest = coding.size - sum(it.size for it in coding.images)
        sizes = coding.size, coding.actions, hidden, coding.choices
        return cls(*sizes, normalise and rest > 0, coding.images)

    def to_json(self) -> dict[str, Any]:
        """As JSON; choices, images and a normaliser only where it has some."""
        return {
            k: v for k, v in asdict(self).items() if v or k in ("observations", "actions", "hidden")
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Architecture":
        """What `to_json` wrote; raises what Python does where it did not."""
        sizes = told["observations"], told["actions"], tuple(told["hidden"])
        images = tuple(Image(**it) for it in told.get("images", ()))
        if type(normalised := told.get("normalised", False)) is not bool:
            raise TypeError(f"normalised: {normalised!r}"[:80])
        return cls(*sizes, tuple(told.get("choices", ())), normalised, images)

    def spaces(self) -> tuple[gym.spaces.Box, gym.spaces.Space[Any]]:
        """The coded observation space and action space."""
        seen = gym.spaces.Box(-np.inf, np.inf, (self.observations,), np.float32)
        return seen, action_space(self.actions, self.choices)

    def __post_init__(self) -> None:
        self._check_images()
        sizes = (self._features, self.actions, *self.hidden, *self.choices)
        if any(type(size) is not int or not 0 < size <= MAX_UNITS for size in sizes):
            raise ArgumentError(
                f"architecture: expected layers of 1 to {MAX_UNITS:,} units, got {shown(sizes)}"
            )
        if self.choices and len(self.choices) != self.actions:
            raise ArgumentError(
                f"architecture: expected choices of {self.actions} parts, got {shown(self.choices)}"
            )
        if len(self.hidden) > MAX_LAYERS or size_bytes(self.shapes()) > MAX_BYTES:
            raise ArgumentError(
                f"architecture: expected at most {MAX_LAYERS} hidden layers and {MAX_BYTES:,} "
                f"bytes of weights, got {shown(sizes)}"
            )

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all weights by name, as Stable-Baselines3 builds the two networks."""
        shapes: dict[str, tuple[int, ...]] = {} if self.choices else {"log_std": (self.actions,)}
        if self.normalised:
            rest = self.observations - sum(it.size for it in self.images)
            shapes |= dict(zip(_STATISTICS, ((rest,), (rest,), ()), strict=True))
        for place, image in enumerate(self.images):
            own = image_shapes(image.channels, image.height, image.width)
            shapes |= {f"{FEATURES}nets.{place}.{name}": shape for name, shape in own.items()}
        width = self._features
        for place, units in enumerate(self.hidden):
            for net in ("policy_net", "value_net"):
                layer = f"mlp_extractor.{net}.{2 * place}"
                shapes |= {f"{layer}.weight": (units, width), f"{layer}.bias": (units,)}
            width = units
        for net, units in (("action_net", sum(self.choices) or self.actions), ("value_net", 1)):
            shapes |= {f"{net}.weight": (units, width), f"{net}.bias": (units,)}
        return shapes

    @property
    def _features(self) -> int:
        taken = sum(it.size for it in self.images)
        return self.observations - taken + UNITS * len(self.images)

    def _check_images(self) -> None:
        free = 0
        for image in self.images:
            sizes = (image.channels, image.height, image.width)
            if (
                any(type(it) is not int or not 0 < it <= MAX_SIDE for it in sizes)
                or (type(image.first), type(image.last)) != (int, bool)
                or image.first < free
            ):
                raise ArgumentError(
                    f"architecture: expected images one behind another, of 1 to {MAX_SIDE:,} "
                    f"pixels a side, got {shown(self.images)}"
                )
            free = image.first + image.size
        if type(self.observations) is not int or not free <= self.observations <= MAX_NUMBERS:
            raise ArgumentError(
                f"architecture: expected observations of {free:,} to {MAX_NUMBERS:,} numbers, got "
                f"{shown(self.observations)}"
            )

    def policy_kwargs(self, **more: float) -> dict[str, Any]:
        """What Stable-Baselines3 needs to build this policy, and what else it is told."""
        hidden, made = list(self.hidden), dict[str, Any](more)
        if self.images or self.normalised:
            told = {"images": [astuple(it) for it in self.images], "normalised": self.normalised}
            made |= {"features_extractor_class": Features, "features_extractor_kwargs": told}
        return {"net_arch": {"pi": hidden, "vf": hidden}, "activation_fn": torch.nn.Tanh, **made}
