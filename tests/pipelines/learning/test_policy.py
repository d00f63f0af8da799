"""A policy is read as it was written, whole or not at all, and reading one runs no code."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from pipelines.learning.policy import RECORD, TENSORS, build_policy, load_policy, save_policy
from tests.pipelines import tiny
from trajstore.disk import system as disk
from trajstore.disk.files import digest
from trajstore.errors import (
    CorruptionError,
    FormatError,
    NotFoundError,
    SealedError,
    TrajStoreError,
)

SHAPE = {"observations": tiny.SIZE, "actions": 2, "hidden": [8], "activation": "tanh"}
HEARD: list[str] = []
LISTENING: list[bool] = []


def _listen(event: str, arguments: object) -> None:
    if LISTENING and event in ("pickle.find_class", "exec", "os.system", "subprocess.Popen"):
        HEARD.append(f"{event} {arguments}")


sys.addaudithook(_listen)


@contextmanager
def silence() -> Iterator[None]:
    """Nothing is unpickled, executed or started in here."""
    HEARD.clear()
    LISTENING.append(True)
    try:
        yield
    finally:
        LISTENING.clear()
    assert HEARD == []


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.policy(tmp_path_factory.mktemp("policy") / "policy")


def copy(source: Path, target: Path) -> Path:
    target.mkdir()
    for name in (TENSORS, RECORD):
        (target / name).write_bytes((source / name).read_bytes())
    return target


def test_it_is_read_as_it_was_written_bit_by_bit(tmp_path: Path) -> None:
    torch.manual_seed(0)
    policy = build_policy(tiny.ARCHITECTURE, log_std=-0.5)
    options = {"architecture": tiny.ARCHITECTURE, "interface": tiny.ENV.interface}
    told = save_policy(policy, tmp_path / "policy", record={"seed": 7}, **options)
    again = load_policy(tmp_path / "policy")
    assert again.digest == told == digest(tmp_path / "policy" / TENSORS)
    assert again.record["seed"] == 7
    assert again.architecture == tiny.ARCHITECTURE
    for name, value in policy.state_dict().items():
        assert torch.equal(value, again.policy.state_dict()[name]), name
    save_policy(again.policy, tmp_path / "again", record={"seed": 7}, **options)
    assert tiny.contents(tmp_path / "policy") == tiny.contents(tmp_path / "again")


def test_reading_runs_no_code(saved: Path) -> None:
    load_policy(saved)
    with silence():
        load_policy(saved)


def test_another_digest_is_refused_before_the_tensors_are_parsed(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy(saved, tmp_path / "policy")
    (folder / TENSORS).write_bytes((saved / TENSORS).read_bytes()[:-1])

    def parsed(_: bytes) -> None:
        raise AssertionError("the tensors were parsed")

    monkeypatch.setattr(safetensors.torch, "load", parsed)
    with pytest.raises(CorruptionError, match="expected sha256"):
        load_policy(folder)


def test_any_flipped_byte_of_the_tensors_is_refused(saved: Path, tmp_path: Path) -> None:
    folder, whole = copy(saved, tmp_path / "policy"), (saved / TENSORS).read_bytes()
    rng = np.random.default_rng(0)
    for place, mask in zip(
        rng.integers(len(whole), size=300), rng.integers(1, 256, 300), strict=True
    ):
        data = bytearray(whole)
        data[place] ^= mask
        (folder / TENSORS).write_bytes(data)
        with pytest.raises(CorruptionError):
            load_policy(folder)


def test_a_flipped_byte_of_the_record_is_refused_or_changes_nothing_used(
    saved: Path, tmp_path: Path
) -> None:
    folder, whole = copy(saved, tmp_path / "policy"), (saved / RECORD).read_bytes()
    rng = np.random.default_rng(1)
    refused = 0
    for place, mask in zip(
        rng.integers(len(whole), size=200), rng.integers(1, 256, 200), strict=True
    ):
        data = bytearray(whole)
        data[place] ^= mask
        (folder / RECORD).write_bytes(data)
        try:
            policy = load_policy(folder)
        except TrajStoreError:
            refused += 1
        else:
            assert policy.architecture == tiny.ARCHITECTURE
            assert policy.interface.digest == tiny.ENV.interface.digest
    assert refused > 100


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"format_version": 1}, FormatError),
        ({"tensors_sha256": None}, CorruptionError),
        ({"contract_digest": "0" * 64}, CorruptionError),
        ({"architecture": {}}, CorruptionError),
        ({"architecture": SHAPE | {"observations": 10**9}}, CorruptionError),
        ({"architecture": SHAPE | {"observations": 5}}, CorruptionError),
        ({"architecture": SHAPE | {"hidden": "8"}}, CorruptionError),
        ({"contract": []}, CorruptionError),
    ],
)  # fmt: skip
def test_a_record_that_does_not_fit_is_refused(
    saved: Path, tmp_path: Path, change: dict[str, object], error: type[Exception]
) -> None:
    folder = copy(saved, tmp_path / "policy")
    record = json.loads((saved / RECORD).read_text())
    (folder / RECORD).write_text(json.dumps(record | change))
    with pytest.raises(error):
        load_policy(folder)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"a": NaN}', "[" * 100_000])
def test_what_is_no_record_is_refused(saved: Path, tmp_path: Path, text: str) -> None:
    folder = copy(saved, tmp_path / "policy")
    (folder / RECORD).write_text(text)
    with pytest.raises(CorruptionError):
        load_policy(folder)


def test_no_policy_is_no_policy(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no policy"):
        load_policy(tmp_path / "nothing")
    folder = copy(saved, tmp_path / "policy")
    (folder / TENSORS).unlink()
    with pytest.raises(NotFoundError):
        load_policy(folder)


def test_a_saved_policy_is_not_written_over(saved: Path) -> None:
    before = tiny.contents(saved)
    with pytest.raises(SealedError):
        tiny.policy(saved, seed=5)
    assert tiny.contents(saved) == before


class Killed(BaseException):
    """The process would be gone."""


class KillAt(disk.Operations):
    """Dies before the operation of a given number; nothing changes the disk any more."""

    def __init__(self, last: int) -> None:
        self.left = last

    def __getattribute__(self, name: str) -> object:
        if name in ("fsync", "mkdir", "rename", "unlink", "rmdir", "open", "write"):
            self.left -= 1
            if self.left < 0:
                raise Killed
        return super().__getattribute__(name)


def test_at_every_kill_point_a_policy_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    point, finished = 0, False
    while not finished:
        target = tmp_path / str(point) / "policy"
        with monkeypatch.context() as patch:
            patch.setattr(disk, "OPS", KillAt(point))
            try:
                tiny.policy(target)
                finished = True
            except Killed:
                pass
        if target.exists():
            load_policy(target)
        else:
            tiny.policy(target)
        point += 1
    assert point > 8
