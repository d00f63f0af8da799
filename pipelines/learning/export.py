"""A policy as a Stable-Baselines3 zip for others; read back by digest, tensors alone.

The zip holds a plain ``MlpPolicy``, and with it the code of its features where it has some: whoever
loads it needs nothing of this package. Such a file
can run code when it is loaded, so this module reads no more of one than its tensors, and only if
its SHA-256 is the one that was noted beside it.
"""

import hashlib
import io
import zipfile
import zlib
from pathlib import Path

import cloudpickle
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.policies import ActorCriticPolicy

from pipelines.learning import features
from pipelines.learning.architecture import Architecture
from pipelines.learning.policy import SavedPolicy, once, policy_of, put_weights, weights_of
from pipelines.learning.tensors import (
    MAX_BYTES,
    MAX_HEADER_BYTES,
    check_finite,
    check_shapes,
)
from trajstore.disk.files import make_directories, read_file, read_json, replace_file, write_json
from trajstore.errors import CorruptionError

TENSORS = "policy.pth"
MAX_TENSOR_BYTES = MAX_BYTES + MAX_HEADER_BYTES
_REMEDY = "export the policy again"
_KINDS = {torch.float32: "F32"}
_MALFORMED = (
    *(AttributeError, KeyError, TypeError, ValueError, RuntimeError, EOFError),
    *(zipfile.BadZipFile, zlib.error, NotImplementedError, OverflowError),
)


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
    cloudpickle.register_pickle_by_value(features)
    try:
        _plain_ppo(saved).save(stream)
    finally:
        cloudpickle.unregister_pickle_by_value(features)
    data = stream.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    note = {
        "sha256": digest,
        "policy": saved.digest,
        "contract_digest": saved.interface.digest,
        "architecture": saved.architecture.to_json(),
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
            f"{_REMEDY}"
        )
    try:
        architecture = Architecture.from_json(note.get("architecture", note))
        tensors = once(_read_tensors(data))
        kinds = {name: (_KINDS.get(it.dtype, str(it.dtype)), tuple(it.shape))
                 for name, it in tensors.items()}  # fmt: skip
    except _MALFORMED as error:
        raise CorruptionError(
            f"{source}: expected an exported policy, got other content ({error!r}); {_REMEDY}"
        ) from error
    shapes = architecture.shapes()
    check_shapes(source, kinds, shapes, shapes, _REMEDY)
    check_finite(source, tensors, _REMEDY)
    return policy_of(architecture, tensors)


def _read_tensors(data: bytes) -> dict[str, torch.Tensor]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if archive.getinfo(TENSORS).file_size > MAX_TENSOR_BYTES:
            raise ValueError(f"{TENSORS} of more than {MAX_TENSOR_BYTES:,} bytes")
        content = archive.read(TENSORS)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(info.file_size for info in archive.infolist()) > len(content):
            raise ValueError(f"{TENSORS} of entries larger than it is")
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
    put_weights(model.policy, weights_of(saved.policy))
    return model
