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
from pipelines.learning.interface import Interface
from trajstore.disk.files import read_json, whole_directory
from trajstore.errors import CorruptionError, FormatError, NotFoundError

TENSORS = "model.safetensors"
RECORD = "policy.json"
FORMAT_VERSION = 2
MAX_UNITS = 4096


@dataclass(frozen=True, slots=True)
class Architecture:
    """Two tanh networks, one for the action and one for the value, on observations as they are.

    Attributes:
        observations: size ``D`` of an observation.
        actions: size ``A`` of an action, each component in [-1, 1].
        hidden: units of each hidden layer, the same for both networks.
    """

    observations: int
    actions: int
    hidden: tuple[int, ...]

    def spaces(self) -> tuple[gym.spaces.Box, gym.spaces.Box]:
        """The observation space and the action space."""
        return (
            gym.spaces.Box(-np.inf, np.inf, (self.observations,), np.float32),
            gym.spaces.Box(-1.0, 1.0, (self.actions,), np.float32),
        )

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
    return Actor(layers)


def save_policy(
    policy: ActorCriticPolicy,
    target: Path,
    *,
    architecture: Architecture,
    interface: Interface,
    record: Mapping[str, Any] | None = None,
) -> str:
    """Write a policy's folder, whole or not at all; return the digest of its tensors."""
    payload = safetensors.torch.save(
        {name: value.clone() for name, value in sorted(policy.state_dict().items())}
    )
    digest = hashlib.sha256(payload).hexdigest()
    document = {
        "format_version": FORMAT_VERSION,
        "architecture": asdict(architecture) | {"activation": "tanh"},
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
    """Read a policy's folder; the tensors' digest is compared before they are parsed.

    Raises:
        NotFoundError: there is no policy at ``source``.
        FormatError: another release wrote it.
        CorruptionError: the record or the tensors are not those that were saved.
    """
    try:
        record = read_json(source / RECORD)
        payload = (source / TENSORS).read_bytes()
    except (FileNotFoundError, NotFoundError) as error:
        raise NotFoundError(f"{source}: expected a policy, got none; run the stage") from error
    architecture, interface = _read_record(record, source / RECORD)
    got = hashlib.sha256(payload).hexdigest()
    if got != record["tensors_sha256"]:
        raise CorruptionError(
            f"{source / TENSORS}: expected sha256 {record['tensors_sha256']}, got {got}; "
            "restore the file or train again"
        )
    policy = build_policy(architecture)
    try:
        policy.load_state_dict(safetensors.torch.load(payload), strict=True)
    except RuntimeError as error:
        raise CorruptionError(
            f"{source}: expected tensors that fit the record, got {error}"
        ) from error
    policy.set_training_mode(False)
    return SavedPolicy(policy, architecture, interface, record)


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
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptionError(f"{where}: expected a policy's record, got {error!r}") from error
    if not intact or any(type(size) is not int or not 0 < size <= MAX_UNITS for size in sizes):
        raise CorruptionError(
            f"{where}: expected an architecture and an interface that fit their digests, "
            "got others; restore the file or train again"
        )
    return Architecture(sizes[0], sizes[1], tuple(sizes[2:])), interface
