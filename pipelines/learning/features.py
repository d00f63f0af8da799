"""What comes before the two networks of a policy: a normaliser, and a convolution an image.

A module of torch and Stable-Baselines3 alone, so that an export can carry it.
"""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

UNITS = 128
"""That a convolution ends in."""
CHANNELS = (16, 32)
"""Of the first layer of a convolution, and of all others."""
COARSE = 8
"""Pixels of the shorter side at which layers end."""
CLIP = 10.0
"""Deviations from the mean at which a normalised number ends."""
LEAST = 1e-8
"""Variance of what varies."""
STATISTICS = ("mean", "variance", "count")


def plan(height: int, width: int) -> tuple[int, int]:
    """Layers of a convolution, each of which halves the sides, and the pixels that are left.

    Example:
        >>> plan(96, 96), plan(8, 8)
        ((4, 36), (1, 16))
    """
    layers = 0
    while layers == 0 or min(height, width) > COARSE:
        height, width, layers = (height + 1) // 2, (width + 1) // 2, layers + 1
    return layers, height * width


def image_shapes(channels: int, height: int, width: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the weights of one convolution, by name."""
    layers, pixels = plan(height, width)
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in range(layers):
        made = CHANNELS[min(layer, 1)]
        shapes |= {f"{2 * layer}.weight": (made, channels, 3, 3), f"{2 * layer}.bias": (made,)}
        channels = made
    last = 2 * layers + 1
    return shapes | {f"{last}.weight": (UNITS, channels * pixels), f"{last}.bias": (UNITS,)}


class Features(BaseFeaturesExtractor):
    """Numbers that are no pixels, normalised if told, and 128 units of each image.

    Args:
        space: of coded observations, ``float32[D]``.
        images: ``(first, channels, height, width, channels_last)`` of each; see `Image`.
        normalised: whether there is a normaliser; its statistics are buffers of the policy.
    """

    rest: torch.Tensor
    mean: torch.Tensor
    variance: torch.Tensor
    count: torch.Tensor

    def __init__(
        self,
        space: gym.spaces.Box,
        images: Sequence[tuple[int, int, int, int, bool]] = (),
        normalised: bool = False,
    ) -> None:
        pixels = np.zeros(space.shape, bool)
        for first, channels, height, width, _ in images:
            pixels[first : first + channels * height * width] = True
        rest = np.flatnonzero(~pixels)
        super().__init__(space, len(rest) + UNITS * len(images))
        self.images, self.normalised = tuple(images), normalised
        self.register_buffer("rest", torch.as_tensor(rest), persistent=False)
        if normalised:
            self.register_buffer("mean", torch.zeros(len(rest)))
            self.register_buffer("variance", torch.ones(len(rest)))
            self.register_buffer("count", torch.zeros(()))
        self.nets = torch.nn.ModuleList()
        for _, channels, height, width, _ in images:
            layers: list[torch.nn.Module] = []
            shapes = image_shapes(channels, height, width)
            *kernels, (units, flat) = [it for it in shapes.values() if len(it) > 1]
            for made, seen, *_ in kernels:
                layers += [torch.nn.Conv2d(seen, made, 3, 2, 1), torch.nn.ReLU()]
            ends = [torch.nn.Flatten(), torch.nn.Linear(flat, units), torch.nn.ReLU()]
            self.nets.append(torch.nn.Sequential(*layers, *ends))

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        """Features ``[B, F]`` of coded observations ``[B, D]``."""
        rest = seen[:, self.rest] if self.images else seen
        if self.normalised:
            scale = torch.rsqrt(self.variance.clamp(min=0.0) + LEAST)
            rest = ((rest - self.mean) * scale).clamp(-CLIP, CLIP)
        parts = [rest]
        for (first, channels, height, width, last), net in zip(self.images, self.nets, strict=True):
            flat = seen[:, first : first + channels * height * width]
            sides = (height, width, channels) if last else (channels, height, width)
            image = flat.reshape(-1, *sides)
            parts.append(net(image.permute(0, 3, 1, 2) if last else image))
        return torch.cat(parts, dim=1) if self.images else rest

    def rows(self, seen: np.ndarray) -> np.ndarray:
        """The features of each row, the same bits however many there are."""
        rows = torch.from_numpy(np.ascontiguousarray(seen))
        with torch.no_grad():
            parts = (
                [self(rows[i : i + 1]) for i in range(len(rows))] if self.images else [self(rows)]
            )
        made: np.ndarray = torch.cat(parts).numpy()
        return made

    def fit(self, seen: np.ndarray) -> None:
        """Normalise by these observations for good; what never varies there keeps its scale."""
        self.learn(seen)
        self.variance[self.variance < LEAST] = 1.0

    def learn(self, seen: Any) -> None:  # noqa: ANN401 - an array or a tensor
        """Take coded observations ``[..., D]`` into the running mean and variance."""
        rows = torch.as_tensor(seen).flatten(0, -2)[:, self.rest.cpu()]
        rows = rows.to(self.mean.device).double()
        before, added = self.count.double(), len(rows)
        share = added / (before + added)
        apart = rows.mean(0) - self.mean
        spread = self.variance.double() * (1.0 - share) + rows.var(0, correction=0) * share
        self.mean.copy_(self.mean + apart * share)
        self.variance.copy_(spread + apart**2 * share * (1.0 - share))
        self.count.copy_(before + added)
