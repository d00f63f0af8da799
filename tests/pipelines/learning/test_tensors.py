"""A hostile policy is refused by name before anything is built of what it claims."""

import hashlib
import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from pipelines.learning.architecture import Architecture
from pipelines.learning.checkpoint import load_checkpoint, save_checkpoint
from pipelines.learning.policy import (
    RECORD,
    TENSORS,
    build_policy,
    load_policy,
    save_policy,
)
from pipelines.learning.ppo import make_ppo
from pipelines.learning.tensors import MAX_BYTES, size_bytes
from pipelines.stages import export
from pipelines.tasks.make import make_vec_env
from tests.pipelines import tiny
from trajstore.errors import ArgumentError, CorruptionError

MOST_BYTES = 64 * 2**20
SHAPE = {"observations": tiny.SIZE, "actions": 2, "hidden": [8], "activation": "tanh"}
Tensors = dict[str, torch.Tensor]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return tiny.policy(tmp_path / "policy")


def refused(folder: Path, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Refused as corrupt in little memory, and in one line by the stage that reads it."""
    tracemalloc.start()
    with pytest.raises(CorruptionError, match=told):
        load_policy(folder)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MOST_BYTES
    assert export.main([str(folder), str(folder / "out.zip")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not (folder / "out.zip").exists()


def claim(folder: Path, **changes: object) -> None:
    record = json.loads((folder / RECORD).read_text())
    record["architecture"] |= changes
    (folder / RECORD).write_text(json.dumps(record))


def put(folder: Path, payload: bytes) -> None:
    """Other tensors, and their digest in the record."""
    (folder / TENSORS).write_bytes(payload)
    record = json.loads((folder / RECORD).read_text())
    record["tensors_sha256"] = hashlib.sha256(payload).hexdigest()
    (folder / RECORD).write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"hidden": [4096] * 20}, "at most 32 hidden layers and 67,108,864 bytes"),
        ({"hidden": [4096] * 4096}, "at most 32 hidden layers"),
        ({"hidden": [1] * 100_000}, "at most 32 hidden layers"),
        ({"hidden": [2048]}, "expected 'action_net.weight' as 32-bit floats of shape"),
        ({"hidden": [8, 8]}, "expected a tensor 'mlp_extractor.policy_net.2.bias'"),
        ({"hidden": []}, "expected no tensor 'mlp_extractor.policy_net.0.bias'"),
        ({"hidden": [10**30]}, "layers of 1 to 4,096 units"),
        ({"hidden": [0]}, "layers of 1 to 4,096 units"),
        ({"hidden": [True]}, "layers of 1 to 4,096 units"),
        ({"hidden": [8.0]}, "layers of 1 to 4,096 units"),
        ({"hidden": None}, "expected a policy's record"),
        ({"actions": 4096}, "expected 'action_net.bias' as 32-bit floats of shape"),
        ({"observations": 4096}, "as 32-bit floats of shape"),
    ],
    ids=str,
)
def test_an_architecture_that_the_tensors_are_not_is_never_built(
    saved: Path,
    changes: dict[str, object],
    told: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    claim(saved, **changes)
    monkeypatch.setattr("pipelines.learning.policy.build_policy", None)
    refused(saved, told, capsys)


def changed(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Tensors], None]:
    def apply(tensors: Tensors) -> None:
        tensors[name] = change(tensors[name]).contiguous()

    return apply


def filled(value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    def fill(tensor: torch.Tensor) -> torch.Tensor:
        filled = tensor.clone()
        filled.view(-1)[-1] = value
        return filled

    return fill


WEIGHT = "mlp_extractor.policy_net.0.weight"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (changed("log_std", filled(float("nan"))), "expected finite weights, got others in 'log_"),
        (changed("log_std", filled(float("-inf"))), "expected finite weights"),
        (changed(WEIGHT, filled(float("inf"))), "expected finite weights"),
        (changed(WEIGHT, lambda it: it > 0), "got BOOL of shape"),
        (changed(WEIGHT, lambda it: it.to(torch.int64)), "got I64 of shape"),
        (changed(WEIGHT, lambda it: it.to(torch.float64)), "got F64 of shape"),
        (changed(WEIGHT, lambda it: it.to(torch.float16)), "got F16 of shape"),
        (changed(WEIGHT, lambda it: it.to(torch.bfloat16)), "got BF16 of shape"),
        (changed(WEIGHT, lambda it: it.to(torch.complex64)), "got C64 of shape"),
        (changed(WEIGHT, lambda it: it.T), "expected 'mlp_extractor.policy_net.0.weight' as"),
        (changed(WEIGHT, lambda it: it.reshape(-1)), "got F32 of shape"),
        (changed("log_std", lambda it: it[:1]), "got F32 of shape"),
        (lambda it: it.pop("log_std"), "expected a tensor 'log_std'"),
        (lambda it: it.clear(), "expected a tensor 'action_net.bias'"),
        (lambda it: it.update(more=torch.zeros(1)), "expected no tensor 'more'"),
        (lambda it: it.update({"x" * 500: it.pop("log_std")}), "expected a tensor 'log_std'"),
    ],
)
def test_tensors_of_another_kind_are_refused(
    saved: Path,
    change: Callable[[Tensors], None],
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tensors = safetensors.torch.load((saved / TENSORS).read_bytes())
    change(tensors)
    put(saved, safetensors.torch.save(tensors))
    refused(saved, told, capsys)


def with_header(payload: bytes, change: Callable[[dict[str, dict[str, object]]], object]) -> bytes:
    size = int.from_bytes(payload[:8], "little")
    header = json.loads(payload[8 : 8 + size])
    header = change(header) or header
    content = json.dumps(header).encode()
    return len(content).to_bytes(8, "little") + content + payload[8 + size :]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda _: b"", "a header within the file"),
        (lambda it: it[:5], "a header within the file"),
        (lambda it: (2**31).to_bytes(8, "little") + it[8:], "got one of 2,147,483,656 bytes"),
        (lambda it: (2**64 - 1).to_bytes(8, "little") + it[8:], "a header within the file"),
        (lambda it: with_header(it, lambda _: [1]), "expected a header"),
        (lambda it: with_header(it, lambda h: h["log_std"].clear()), "expected a header"),
        (
            lambda it: with_header(it, lambda h: h["log_std"].update(shape=[2**40])),
            "got F32 of shape",
        ),
        (
            lambda it: with_header(it, lambda h: h["log_std"].update(data_offsets=[0, 2**40])),
            "expected tensors, got",
        ),
        (
            lambda it: with_header(it, lambda h: h["log_std"].update(data_offsets="x")),
            "expected tensors, got",
        ),
        (lambda it: it + b"\0" * 8, "expected tensors, got"),
        (lambda it: it + b"\0" * 2**21, "expected at most"),
    ],
)
def test_a_header_that_claims_more_than_there_is_is_refused(
    saved: Path,
    change: Callable[[bytes], bytes],
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    put(saved, change((saved / TENSORS).read_bytes()))
    refused(saved, told, capsys)


def test_a_file_of_gigabytes_is_not_read(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (saved / TENSORS).open("r+b") as file:
        file.truncate(2 * 2**30)
    refused(saved, "expected at most .* bytes for the tensors that the record names", capsys)


@pytest.mark.parametrize("name", [RECORD, TENSORS])
def test_a_pipe_is_no_policy(saved: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (saved / name).unlink()
    os.mkfifo(saved / name)
    refused(saved, "is a pipe, a device or a socket", capsys)


def test_shapes_are_those_that_are_built() -> None:
    for hidden in ((), (3,), (5, 4, 3)):
        architecture = Architecture(7, 2, hidden)
        built = build_policy(architecture).state_dict()
        assert architecture.shapes() == {name: tuple(it.shape) for name, it in built.items()}
        assert size_bytes(architecture.shapes()) == sum(it.nbytes for it in built.values())
    with pytest.raises(ArgumentError, match=f"{MAX_BYTES:,} bytes of weights"):
        Architecture(4096, 4096, (4096,) * 4)


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    policy = build_policy(tiny.ARCHITECTURE)
    policy.log_std.data[0] = float("nan")
    with pytest.raises(ArgumentError, match="got others in 'log_std'; the training diverged"):
        save_policy(
            policy,
            tmp_path / "policy",
            architecture=tiny.ARCHITECTURE,
            interface=tiny.ENV.interface,
        )
    assert not (tmp_path / "policy").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (changed("policy/log_std", filled(float("nan"))), "expected finite weights"),
        (changed("policy/log_std", lambda it: it.to(torch.float64)), "got F64 of shape"),
        (lambda it: it.pop("average/log_std"), "expected a tensor 'average/log_std'"),
        (lambda it: it.update({"adam/x/step": torch.zeros(1)}), "expected no tensor 'adam/x/step'"),
        (lambda it: it.update({"best/log_std": torch.zeros(2)}), "got some of them"),
        (lambda it: it.update({"adam/0/step": torch.tensor(1.0)}), "got some of them"),
    ],
)
def test_a_checkpoint_of_another_learner_is_refused(
    tmp_path: Path, change: Callable[[Tensors], None], told: str
) -> None:
    env = make_vec_env(tiny.ENV.config(), num_envs=2, seed=0)
    model = make_ppo(env, tiny.PPO, seed=0, total_steps=48)
    folder = save_checkpoint(model, tmp_path, {})
    load_checkpoint(model, folder)
    tensors = safetensors.torch.load((folder / "learner.safetensors").read_bytes())
    change(tensors)
    payload = safetensors.torch.save(tensors)
    record = json.loads((folder / "learner.json").read_text())
    del record["record_sha256"]
    record["sha256"] = hashlib.sha256(payload).hexdigest()
    content = json.dumps(record, sort_keys=True).encode()
    record["record_sha256"] = hashlib.sha256(content).hexdigest()
    (folder / "learner.safetensors").write_bytes(payload)
    (folder / "learner.json").write_text(json.dumps(record, sort_keys=True))
    before = {name: it.clone() for name, it in model.policy.state_dict().items()}
    with pytest.raises(CorruptionError, match=told):
        load_checkpoint(model, folder)
    assert all(torch.equal(it, before[name]) for name, it in model.policy.state_dict().items())
