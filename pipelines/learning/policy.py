"""PPO policies as safetensors and JSON: built, saved whole, loaded without running code."""

import hashlib
import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import gymnasium as gym
import safetensors.torch
import torch
from numpy.typing import NDArray
from stable_baselines3.common.policies import ActorCriticPolicy

from pipelines.learning.actor import Actor
from pipelines.learning.architecture import FEATURES, Architecture
from pipelines.learning.features import Features
from pipelines.learning.tensors import check_finite, read_tensors
from pipelines.tasks.interface import Interface
from trajstore.disk.files import read_json, whole_directory
from trajstore.errors import ArgumentError, CorruptionError, FormatError, NotFoundError

TENSORS = "model.safetensors"
RECORD = "policy.json"
FORMAT_VERSION = 2
_ALIASES = ("pi_features_extractor.", "vf_features_extractor.")
_REMEDY = "restore the file or train again"


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
        (_plain(module.weight).T.copy(order="C"), _plain(module.bias).copy())
        for module in [*linear, cast(torch.nn.Linear, policy.action_net)]
    )
    space, features = policy.action_space, None
    if isinstance(policy.features_extractor, Features):
        features = deepcopy(policy.features_extractor).cpu().rows
    if isinstance(space, gym.spaces.Discrete):
        return Actor(layers, (int(space.n),), features)
    choices = space.nvec if isinstance(space, gym.spaces.MultiDiscrete) else ()
    return Actor(layers, tuple(map(int, choices)), features)


def _plain(weights: torch.Tensor) -> NDArray[Any]:
    array: NDArray[Any] = weights.detach().cpu().numpy()
    return array


def weights_of(policy: ActorCriticPolicy) -> dict[str, torch.Tensor]:
    """The weights of a policy by name, each once: both networks see the same features."""
    return once(policy.state_dict())


def once(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Without the names that the features have beside their own."""
    return {name: it for name, it in tensors.items() if not name.startswith(_ALIASES)}


def put_weights(policy: ActorCriticPolicy, tensors: Mapping[str, torch.Tensor]) -> None:
    """Give a policy the weights that `weights_of` one like it told."""
    own = {k: v for k, v in tensors.items() if k.startswith(FEATURES)}
    same = {prefix + k.removeprefix(FEATURES): v for k, v in own.items() for prefix in _ALIASES}
    policy.load_state_dict({**tensors, **same}, strict=True)


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
    tensors = {name: value.cpu().clone() for name, value in sorted(weights_of(policy).items())}
    check_finite(target, tensors, "the training diverged: lower its learning rate", ArgumentError)
    payload = safetensors.torch.save(tensors)
    digest = hashlib.sha256(payload).hexdigest()
    document = {
        "format_version": FORMAT_VERSION,
        "architecture": {**architecture.to_json(), "activation": "tanh"},
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
        raise NotFoundError(f"{source}: there is no policy; run the stage that makes it") from error
    policy = policy_of(architecture, tensors)
    return SavedPolicy(policy, architecture, interface, record)


def policy_of(architecture: Architecture, tensors: Mapping[str, torch.Tensor]) -> ActorCriticPolicy:
    """A policy of these weights, which are those of the architecture, for acting."""
    policy = build_policy(architecture)
    put_weights(policy, tensors)
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
        architecture = Architecture.from_json(shape)
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
