"""PPO policies as safetensors and JSON: built, saved whole, loaded without running code."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import gymnasium as gym
import numpy as np
import safetensors.torch
import torch
from stable_baselines3.common.policies import ActorCriticPolicy

from pipelines.learning.actor import Actor
from pipelines.learning.tensors import MAX_BYTES, check_finite, read_tensors, size_bytes
from pipelines.tasks.coding import action_space
from pipelines.tasks.interface import Interface
from trajstore.disk.files import read_json, whole_directory
from trajstore.episode.texts import shown
from trajstore.errors import ArgumentError, CorruptionError, FormatError, NotFoundError

TENSORS = "model.safetensors"
RECORD = "policy.json"
FORMAT_VERSION = 2
MAX_UNITS = 4096
MAX_LAYERS = 32
_REMEDY = "restore the file or train again"


@dataclass(frozen=True, slots=True)
class Architecture:
    """Two tanh networks, one for the action and one for the value, on observations as they are.

    Attributes:
        observations: size ``D`` of an observation.
        actions: parts ``A`` of an action, each in [-1, 1] or a choice.
        hidden: units of each hidden layer, the same for both networks.
        choices: so many each part of an action has; empty where actions are real numbers.
    """

    observations: int
    actions: int
    hidden: tuple[int, ...]
    choices: tuple[int, ...] = ()

    def spaces(self) -> tuple[gym.spaces.Box, gym.spaces.Space[Any]]:
        """The coded observation space and action space."""
        seen = gym.spaces.Box(-np.inf, np.inf, (self.observations,), np.float32)
        return seen, action_space(self.actions, self.choices)

    def __post_init__(self) -> None:
        sizes = (self.observations, self.actions, *self.hidden, *self.choices)
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
        width = self.observations
        for place, units in enumerate(self.hidden):
            for net in ("policy_net", "value_net"):
                layer = f"mlp_extractor.{net}.{2 * place}"
                shapes |= {f"{layer}.weight": (units, width), f"{layer}.bias": (units,)}
            width = units
        for net, units in (("action_net", sum(self.choices) or self.actions), ("value_net", 1)):
            shapes |= {f"{net}.weight": (units, width), f"{net}.bias": (units,)}
        return shapes

    def policy_kwargs(self, **more: float) -> dict[str, Any]:
        """What Stable-Baselines3 needs to build this policy, and what else it is told."""
        hidden = list(self.hidden)
        return {"net_arch": {"pi": hidden, "vf": hidden}, "activation_fn": torch.nn.Tanh, **more}


def build_policy(architecture: Architecture, *, log_std: float = 0.0) -> ActorCriticPolicy:
    """A fresh policy, initialised from torch's generator."""
    observation_space, action_space = architecture.spaces()
    return ActorCriticPolicy(
        observation_space,
        action_space,
        lambda _: 0.0,
        **architecture.policy_kwargs(log_std_init=log_std),
    )


def actor_of(policy: ActorCriticPolicy) -> Actor:
    """The deterministic part of a policy, as plain arrays."""
    linear = [m for m in policy.mlp_extractor.policy_net if isinstance(m, torch.nn.Linear)]
    layers = tuple(
        (module.weight.detach().numpy().T.copy(order="C"), module.bias.detach().numpy().copy())
        for module in [*linear, cast(torch.nn.Linear, policy.action_net)]
    )
    space = policy.action_space
    if isinstance(space, gym.spaces.Discrete):
        return Actor(layers, (int(space.n),))
    choices = space.nvec if isinstance(space, gym.spaces.MultiDiscrete) else ()
    return Actor(layers, tuple(map(int, choices)))


def save_policy(
    policy: ActorCriticPolicy,
    target: Path,
    *,
    architecture: Architecture,
    interface: Interface,
    record: Mapping[str, Any] | None = None,
) -> str:
    """Write a policy's folder, whole or not at all; return the digest of its tensors.

    Raises `ArgumentError` if a weight is not finite.
    """
    tensors = {name: value.clone() for name, value in sorted(policy.state_dict().items())}
    check_finite(target, tensors, "the training diverged: lower its learning rate", ArgumentError)
    payload = safetensors.torch.save(tensors)
    digest = hashlib.sha256(payload).hexdigest()
    document = {
        "format_version": FORMAT_VERSION,
        "architecture": _written(architecture),
        "contract": interface.to_json(),
        "contract_digest": interface.digest,
        "tensors_sha256": digest,
        **(record or {}),
    }
    with whole_directory(target) as folder:
        (folder / TENSORS).write_bytes(payload)
        text = json.dumps(document, indent=1, sort_keys=True, allow_nan=False)
        (folder / RECORD).write_text(text + "\n", encoding="utf-8")
    return digest


def _written(architecture: Architecture) -> dict[str, Any]:
    """An architecture as JSON; choices only where it has some."""
    record = asdict(architecture) | {"activation": "tanh"}
    return record if architecture.choices else {k: v for k, v in record.items() if k != "choices"}


@dataclass(frozen=True, slots=True)
class SavedPolicy:
    """A policy read back, with what its record says."""

    policy: ActorCriticPolicy
    architecture: Architecture
    interface: Interface
    record: Mapping[str, Any]

    @property
    def actor(self) -> Actor:
        """The deterministic part, as plain arrays."""
        return actor_of(self.policy)

    @property
    def digest(self) -> str:
        """SHA-256 of the tensors, in hex."""
        return str(self.record["tensors_sha256"])


def load_policy(source: Path) -> SavedPolicy:
    """Read a policy's folder; all that is claimed is compared before anything is built.

    Raises:
        NotFoundError: there is no policy at ``source``.
        FormatError: another release wrote it.
        CorruptionError: the record or the tensors are not those that were saved.
        StorageError: they cannot be read.
    """
    try:
        record = read_json(source / RECORD)
        architecture, interface = _read_record(record, source / RECORD)
        tensors = read_tensors(
            source / TENSORS, record["tensors_sha256"], architecture.shapes(), remedy=_REMEDY
        )
    except NotFoundError as error:
        raise NotFoundError(f"{source}: expected a policy, got none; run the stage") from error
    policy = policy_of(architecture, tensors)
    return SavedPolicy(policy, architecture, interface, record)


def policy_of(architecture: Architecture, tensors: Mapping[str, torch.Tensor]) -> ActorCriticPolicy:
    """A policy of these weights, which are those of the architecture, for acting."""
    policy = build_policy(architecture)
    policy.load_state_dict(tensors, strict=True)
    policy.set_training_mode(False)
    return policy


def _read_record(record: Any, where: Path) -> tuple[Architecture, Interface]:  # noqa: ANN401
    try:
        if record["format_version"] != FORMAT_VERSION:
            raise FormatError(
                f"{where}: expected format {FORMAT_VERSION}, got {record['format_version']!r}; "
                "read it with the release that wrote it"
            )
        shape = record["architecture"]
        interface = Interface.from_json(record["contract"])
        intact = (
            shape["activation"] == "tanh"
            and isinstance(record["tensors_sha256"], str)
            and record["contract_digest"] == interface.digest
        )
        sizes = [shape["observations"], shape["actions"], *shape["hidden"]]
        architecture = Architecture(
            sizes[0], sizes[1], tuple(sizes[2:]), tuple(shape.get("choices", ()))
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        said = str(error) if isinstance(error, ArgumentError) else repr(error)
        raise CorruptionError(
            f"{where}: expected a policy's record, got other content ({said}); {_REMEDY}"
        ) from error
    if not intact:
        raise CorruptionError(
            f"{where}: expected an interface that fits its digest, got another; {_REMEDY}"
        )
    return architecture, interface
