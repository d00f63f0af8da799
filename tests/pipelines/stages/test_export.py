"""Others get a plain Stable-Baselines3 zip; of any zip we read the tensors alone, by digest."""

import ast
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO

from pipelines.learning.export import export_policy, import_policy, note_path
from pipelines.learning.policy import SavedPolicy, actor_of, load_policy
from pipelines.stages.export import main
from tests.pipelines import tiny
from tests.pipelines.learning.test_policy import silence
from trajstore.disk.files import digest, read_json, write_json
from trajstore.errors import CorruptionError, NotFoundError

ROOT = Path(__file__).parents[3]
ROWS = np.random.default_rng(0).normal(size=(50, tiny.SIZE)).astype("float32")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> SavedPolicy:
    return load_policy(tiny.policy(tmp_path_factory.mktemp("policy") / "policy"))


@pytest.fixture
def exported(saved: SavedPolicy, tmp_path: Path) -> Path:
    export_policy(saved, tmp_path / "out" / "expert.zip")
    return tmp_path / "out" / "expert.zip"


def test_others_load_it_and_see_the_same_actions(saved: SavedPolicy, exported: Path) -> None:
    actions, _ = PPO.load(exported, device="cpu").predict(ROWS, deterministic=True)
    assert np.abs(actions - saved.actor(ROWS)).max() < 1e-5


def test_it_needs_nothing_of_this_package(exported: Path) -> None:
    with zipfile.ZipFile(exported) as archive:
        data = archive.read("data").decode()
    assert "pipelines" not in data


def test_it_is_read_back_by_its_digest(saved: SavedPolicy, exported: Path) -> None:
    assert read_json(note_path(exported))["sha256"] == digest(exported)
    policy = import_policy(exported)
    assert np.abs(actor_of(policy)(ROWS) - saved.actor(ROWS)).max() < 1e-5
    rows = torch.as_tensor(ROWS)
    assert torch.allclose(policy.predict_values(rows), saved.policy.predict_values(rows), atol=1e-5)


def test_another_digest_is_refused_before_the_zip_is_opened(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported.write_bytes(exported.read_bytes() + b"\0")

    def opened(*_: object) -> None:
        raise AssertionError("the zip was opened")

    monkeypatch.setattr(zipfile, "ZipFile", opened)
    with pytest.raises(CorruptionError, match="expected the zip noted in"):
        import_policy(exported)


def test_a_zip_without_its_note_is_refused(exported: Path) -> None:
    note_path(exported).unlink()
    with pytest.raises(NotFoundError):
        import_policy(exported)


class Hostile:
    """Unpickled, it runs a command."""

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        import os

        return os.system, ("false",)


@pytest.mark.parametrize("member", ["policy.pth", "data", "nothing"])
def test_a_hostile_zip_runs_no_code_even_if_it_was_noted(exported: Path, member: str) -> None:
    stream = io.BytesIO()
    torch.save({"x": Hostile()}, stream)
    with zipfile.ZipFile(exported) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content |= {member: stream.getvalue()}
    if member == "nothing":
        del content["policy.pth"]
    with zipfile.ZipFile(exported, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    note = read_json(note_path(exported))
    write_json(note_path(exported), note | {"sha256": digest(exported)})
    with silence():
        if member == "data":
            import_policy(exported)
        else:
            with pytest.raises(CorruptionError):
                import_policy(exported)


def test_the_command_exports_a_folder(tmp_path: Path) -> None:
    policy = tiny.policy(tmp_path / "policy")
    assert main([str(policy), str(tmp_path / "out.zip")]) == 0
    assert read_json(note_path(tmp_path / "out.zip"))["policy"] == load_policy(policy).digest
    assert main([str(tmp_path / "none"), str(tmp_path / "out.zip")]) == 1


UNPICKLERS = {"pickle", "cloudpickle", "dill", "joblib", "PPO", "shelve", "marshal", "jsonpickle"}
SOURCES = sorted([*(ROOT / "trajstore").rglob("*.py"), *(ROOT / "pipelines").rglob("*.py")])


def loads(path: Path) -> list[str]:
    """Calls in a file that can run what they read."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner, name = ast.unparse(node.func.value), node.func.attr
            options = {word.arg: ast.unparse(word.value) for word in node.keywords}
            plain = name in ("load", "loads") and owner.split(".")[-1] in UNPICKLERS
            tensors = (owner, name) == ("torch", "load") and options.get("weights_only") != "True"
            arrays = options.get("allow_pickle") == "True"
            if plain or tensors or arrays or name == "set_parameters":
                found.append(f"{path.name}:{node.lineno}: {ast.unparse(node)}")
    return found


def test_no_loader_of_the_project_can_run_code() -> None:
    assert [call for path in SOURCES for call in loads(path)] == []


@pytest.mark.parametrize(
    "line",
    ["torch.load(f)", "torch.load(f, weights_only=False)", "pickle.loads(b)", "PPO.load(p)",
     "np.load(p, allow_pickle=True)", "model.set_parameters(p)"],
)  # fmt: skip
def test_such_a_loader_would_be_found(tmp_path: Path, line: str) -> None:
    path = tmp_path / "module.py"
    path.write_text(line)
    assert loads(path)
