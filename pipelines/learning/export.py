"""A policy as a Stable-Baselines3 zip for others; read back by digest, tensors alone.

The zip holds a plain ``MlpPolicy``: whoever loads it needs nothing of this package. Such a file
can run code when it is loaded, so this module reads no more of one than its tensors, and only if
its SHA-256 is the one that was noted beside it.
"""

import hashlib
import io
import zipfile
from dataclasses import asdict
from pathlib import Path

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.policies import ActorCriticPolicy

from pipelines.learning.policy import Architecture, SavedPolicy, build_policy
from trajstore.disk.files import make_directories, read_file, read_json, replace_file, write_json
from trajstore.errors import CorruptionError

TENSORS = "policy.pth"
MAX_TENSOR_BYTES = 64 * 2**20


def note_path(target: Path) -> Path:
    """Where the digest of an exported zip is noted.

    Example:
        >>> note_path(Path("out.zip")).name
        'out.zip.json'
    """
    return target.with_name(f"{target.name}.json")


def export_policy(saved: SavedPolicy, target: Path) -> str:
    """Write a zip that ``PPO.load`` takes, and its SHA-256 beside it; return the digest."""
    stream = io.BytesIO()
    _plain_ppo(saved).save(stream)
    data = stream.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    note = {
        "sha256": digest,
        "policy": saved.digest,
        "contract_digest": saved.interface.digest,
        **asdict(saved.architecture),
    }
    make_directories(target.parent)
    replace_file(target, data)
    write_json(note_path(target), note)
    return digest


def import_policy(source: Path) -> ActorCriticPolicy:
    """The policy of an exported zip; nothing but the tensors is read of it.

    Raises:
        NotFoundError: there is no zip, or no note beside it.
        CorruptionError: the zip is not the one that was noted, or not what an export holds.
    """
    note = read_json(note_path(source))
    data = read_file(source)
    got = hashlib.sha256(data).hexdigest()
    if not isinstance(note, dict) or got != note.get("sha256"):
        raise CorruptionError(
            f"{source}: expected the zip noted in {note_path(source).name}, got sha256 {got}; "
            "export the policy again"
        )
    try:
        architecture = Architecture(note["observations"], note["actions"], tuple(note["hidden"]))
        tensors = _read_tensors(data)
        policy = build_policy(architecture)
        policy.load_state_dict(tensors, strict=True)
    except (KeyError, TypeError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        raise CorruptionError(f"{source}: expected an exported policy, got {error!r}") from error
    policy.set_training_mode(False)
    return policy


def _read_tensors(data: bytes) -> dict[str, torch.Tensor]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if archive.getinfo(TENSORS).file_size > MAX_TENSOR_BYTES:
            raise ValueError(f"{TENSORS} of more than {MAX_TENSOR_BYTES:,} bytes")
        content = archive.read(TENSORS)
    try:
        tensors: dict[str, torch.Tensor] = torch.load(io.BytesIO(content), weights_only=True)
    except Exception as error:
        raise ValueError(f"{TENSORS} is refused by torch: {type(error).__name__}") from error
    return tensors


def _plain_ppo(saved: SavedPolicy) -> PPO:
    model = PPO(
        "MlpPolicy",
        None,  # type: ignore[arg-type]
        n_steps=2,
        batch_size=2,
        policy_kwargs=saved.architecture.policy_kwargs(),
        device="cpu",
        _init_setup_model=False,
    )
    model.observation_space, model.action_space = saved.architecture.spaces()
    model.n_envs = 1
    model._setup_model()
    model.policy.load_state_dict(saved.policy.state_dict(), strict=True)
    return model
